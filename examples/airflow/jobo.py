"""Loads career sites every six hours, in the Meltano project at /srv/meltano.

State and archive are in the project, in .meltano and archive/tap-jobo: its disk must last.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "jobo",
    schedule="0 */6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # never two runs of one pipeline at once
):
    BashOperator(
        task_id="career_sites",
        bash_command="meltano run tap-jobo target-postgres",
        cwd="/srv/meltano",
        env={
            "TAP_JOBO_API_KEY": "{{ conn.jobo.password }}",
            # At most $10 a run and $100 a month: 1,000 credits are $1.
            "TAP_JOBO_MAX_CREDITS": "10000",
            "TAP_JOBO_MAX_CREDITS_PER_MONTH": "100000",
        },
        append_env=True,
        retries=2,  # a retry loads what was billed and goes on
        retry_delay=timedelta(minutes=15),
    )
