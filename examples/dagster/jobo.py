"""Loads career sites every six hours, and shows the rows and credits of each run.

State and archive are in the project, in .meltano and archive/tap-jobo: its disk must last.
"""

import json
import os
import subprocess
from collections import Counter

import dagster as dg

PROJECT = "/srv/meltano"
# At most $10 a run and $100 a month: 1,000 credits are $1.
LIMITS = {"TAP_JOBO_MAX_CREDITS": "10000", "TAP_JOBO_MAX_CREDITS_PER_MONTH": "100000"}
PIPELINE = ["meltano", "--log-format=json", "run", "tap-jobo", "target-postgres"]


@dg.asset(
    retry_policy=dg.RetryPolicy(max_retries=2, delay=900),  # a retry goes on
    # If a limit ends a sync early, the run succeeds and this check fails: alert on it.
    check_specs=[dg.AssetCheckSpec("sync_complete", asset="career_sites")],
)
def career_sites(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Run the pipeline, and count what its METRIC lines say."""
    figures: Counter[str] = Counter()
    with subprocess.Popen(
        PIPELINE, cwd=PROJECT, env=os.environ | LIMITS, stderr=subprocess.PIPE, text=True
    ) as run:
        for line in run.stderr:
            entry = json.loads(line) if line.startswith("{") else {"event": line}
            metric = entry.get("metric_info", {"tags": {}})
            if metric["tags"].get("stream") == "career_sites":
                figures[metric["metric"]] += metric["value"]
            else:
                context.log.info(entry["event"])
    if run.returncode:
        raise dg.Failure("meltano run failed: see the last lines of the log")
    is_complete = figures["jobo_sync_complete"] == 1
    return dg.MaterializeResult(
        metadata={"rows": figures["record_count"], "credits": figures["jobo_credits"]},
        check_results=[dg.AssetCheckResult(check_name="sync_complete", passed=is_complete)],
    )


every_six_hours = dg.ScheduleDefinition(
    name="every_six_hours", target=[career_sites], cron_schedule="0 */6 * * *"
)
defs = dg.Definitions(assets=[career_sites], schedules=[every_six_hours])
