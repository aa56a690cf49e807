{{ config(enabled=var("jobo__using_jobs")) }}

-- Of the history: jobs that were deleted from the loader's table still count.
with

jobs as (
    select job_id, source, created_at, changed_at
    from {{ ref("jobo__jobs_history") }}
    where dbt_valid_to is null
),

events as (
    select {{ jobo.monday("created_at") }} as week, source, 1 as opened, 0 as closed
    from jobs
    union all
    select {{ jobo.monday("expired.reported_at") }} as week, jobs.source, 0 as opened, 1 as closed
    from jobs
    inner join {{ ref("stg_jobo__expired_jobs") }} as expired
        on expired.job_id = jobs.job_id and {{ jobo.is_gone("expired.reported_at", "jobs.changed_at") }}
)

select
    week,
    coalesce(source, 'unknown') as source,
    cast(sum(opened) as {{ dbt.type_int() }}) as opened,
    cast(sum(closed) as {{ dbt.type_int() }}) as closed
from events
where week is not null
group by 1, 2
