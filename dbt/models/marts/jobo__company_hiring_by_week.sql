{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_last_weeks(ref('int_jobo__job_changes')) }}",
) }}

-- Weeks that are over do not change: a build adds those since the last one.
with

openings as (
    select * from {{ ref("jobo__job_openings") }}
),

weeks as (
    select
        week,
        cast({{ dbt.dateadd("day", 7, "week") }} as date) as next_week
    from ({{ jobo.recent_weeks(var("jobo__weeks")) }}) as recent
    {%- if is_incremental() %}
    where week > coalesce((select max(week) from {{ this }}), cast('1970-01-01' as date))
    {%- endif %}
)

select
    openings.career_site_id,
    weeks.week,
    cast(sum(case when openings.opened_at >= weeks.week then 1 else 0 end) as {{ dbt.type_int() }}) as opened,
    cast(sum(case when openings.closed_at < weeks.next_week then 1 else 0 end) as {{ dbt.type_int() }}) as closed,
    cast(sum(case when openings.closed_at < weeks.next_week then 0 else 1 end) as {{ dbt.type_int() }}) as open_jobs,
    {{ jobo.now() }} as built_at
from openings
inner join weeks
    on openings.opened_at < weeks.next_week
    and (openings.closed_at >= weeks.week or openings.is_open)
where openings.career_site_id is not null and exists (select 1 from weeks)
group by 1, 2
