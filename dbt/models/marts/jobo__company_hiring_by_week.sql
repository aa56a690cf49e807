{{ config(
    enabled=jobo.uses_jobs(),
    materialized=jobo.by_group(),
    on_schema_change="fail",
    unique_key="career_site_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_companies_to_count() }}",
    **jobo.layout(["career_site_id", "week"], time="week")
) }}
-- depends_on: {{ ref("jobo__jobs_history") }}

with

openings as (
    select * from {{ ref("jobo__job_openings") }} as opening
    where
        career_site_id is not null
        and opened_at is not null
        {%- if is_incremental() %}
        and career_site_id in (select changed.key from {{ jobo.changes() }} as changed)
        {%- endif %}
),

weeks as (
    {{ jobo.recent_weeks(var("jobo__weeks")) }}
),

first_week as (
    select min(week) as week from weeks
),

-- What was open before the first week counts in it.
changes as (
    select
        openings.career_site_id,
        greatest({{ jobo.monday("openings.opened_at") }}, first_week.week) as week,
        case when {{ jobo.monday("openings.opened_at") }} >= first_week.week then 1 else 0 end as opened,
        0 as closed,
        1 as open_jobs
    from openings
    cross join first_week
    where
        openings.is_open
        or {{ jobo.monday("greatest(openings.closed_at, openings.opened_at)") }} >= first_week.week
        and openings.closed_at is not null
    union all
    select
        openings.career_site_id,
        {{ jobo.monday("greatest(openings.closed_at, openings.opened_at)") }} as week,
        0 as opened,
        1 as closed,
        -1 as open_jobs
    from openings
    cross join first_week
    where
        {{ jobo.monday("greatest(openings.closed_at, openings.opened_at)") }} >= first_week.week
        and openings.closed_at is not null
),

changed as (
    select
        career_site_id,
        week,
        sum(opened) as opened,
        sum(closed) as closed,
        sum(open_jobs) as open_jobs
    from changes
    group by 1, 2
),

companies as (
    select distinct career_site_id from changed
),

running as (
    select
        companies.career_site_id,
        weeks.week,
        coalesce(changed.opened, 0) as opened,
        coalesce(changed.closed, 0) as closed,
        sum(coalesce(changed.open_jobs, 0)) over (
            partition by companies.career_site_id
            order by weeks.week
            rows between unbounded preceding and current row
        ) as open_jobs
    from companies
    cross join weeks
    left join changed on changed.career_site_id = companies.career_site_id and changed.week = weeks.week
)

select
    career_site_id,
    week,
    cast(opened as {{ dbt.type_int() }}) as opened,
    cast(closed as {{ dbt.type_int() }}) as closed,
    cast(open_jobs as {{ dbt.type_int() }}) as open_jobs,
    {{ jobo.now() }} as built_at
from running
where opened > 0 or closed > 0 or open_jobs > 0
