-- Jobs with more than one current version in the history, and versions without a job.
{{ config(enabled=jobo.uses_jobs()) }}

with

history as (
    select * from {{ ref("jobo__jobs_history") }}
)

select job_id
from history
where dbt_valid_to is null or job_id is null
group by job_id
having count(*) > 1 or job_id is null
