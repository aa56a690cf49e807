"""Loads career sites every six hours, in the Meltano project at /srv/meltano.

State and archive are in the project, in .meltano and archive/tap-jobo: its disk must last.
"""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import DAG, task

PROJECT = "/srv/meltano"
# At most $10 a run and $100 a month: 1,000 credits are $1.
LIMITS = {"TAP_JOBO_MAX_CREDITS": "10000", "TAP_JOBO_MAX_CREDITS_PER_MONTH": "100000"}
PIPELINE = ["meltano", "--log-format=json", "run", "tap-jobo", "target-postgres"]


@task(retries=2, retry_delay=timedelta(minutes=15))
def career_sites(api_key: str) -> None:
    """Run the pipeline. If a limit ends a sync early, fail as an alert."""
    env = os.environ | LIMITS | {"TAP_JOBO_API_KEY": api_key}
    incomplete = []
    with subprocess.Popen(PIPELINE, cwd=PROJECT, env=env, stderr=subprocess.PIPE, text=True) as run:
        for line in run.stderr:
            entry = json.loads(line) if line.startswith("{") else {"event": line}
            metric = entry.get("metric_info", {})
            if metric.get("metric") == "jobo_sync_complete" and not metric["value"]:
                incomplete.append(metric["tags"]["stream"])
            print(entry["event"])
    if run.returncode:  # a retry loads what was billed and goes on
        raise AirflowException("meltano run failed: see the last lines of the log")
    if incomplete:  # what was loaded is in the warehouse, and a retry would change nothing
        raise AirflowFailException(f"Not complete: {', '.join(incomplete)}. See the WARNINGs.")


with DAG(
    "jobo",
    schedule="0 */6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # never two runs of one pipeline at once
):
    career_sites("{{ conn.jobo.password }}")
