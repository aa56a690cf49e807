-- Jobs of staging that have no current version in the history, or several.
{{ config(enabled=jobo.uses_jobs()) }}

{% call jobo.if_built() %}
with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
    where {{ jobo.in_last_build(ref("stg_jobo__jobs")) }}
),

current_versions as (
    select * from {{ ref("jobo__jobs_history") }}
    where dbt_valid_to is null
)

select
    jobs.job_id,
    count(current_versions.job_id) as versions
from jobs
left join current_versions on current_versions.job_id = jobs.job_id
group by jobs.job_id
having count(current_versions.job_id) <> 1
{% endcall %}
