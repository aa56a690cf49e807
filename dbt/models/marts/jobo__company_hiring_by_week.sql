{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_changed_weeks(ref('jobo__job_openings')) }}",
) }}

-- Weeks that are over do not change: a build adds those since the last one, and builds the last two
-- again for companies with an opening that changed.
with

openings as (
    select * from {{ ref("jobo__job_openings") }}
),

{% if is_incremental() -%}
changed_companies as (
    select distinct career_site_id
    from {{ ref("jobo__job_openings") }}
    where {{ jobo.is_new("built_at") }}
),

{% endif -%}
weeks as (
    select
        week,
        cast({{ dbt.dateadd("day", 7, "week") }} as date) as next_week
    from ({{ jobo.recent_weeks(var("jobo__weeks")) }}) as recent
    {%- if is_incremental() %}
    where
        coalesce(week >= {{ jobo.week_before_last() }}, true)
        and (
            coalesce(week > (select max(week) from {{ this }}), true)
            or exists (select 1 from changed_companies)
        )
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
{%- if is_incremental() %}
left join changed_companies on changed_companies.career_site_id = openings.career_site_id
{%- endif %}
where
    openings.career_site_id is not null
    and exists (select 1 from weeks)
    {%- if is_incremental() %}
    and (
        changed_companies.career_site_id is not null
        or weeks.week > (select max(week) from {{ this }})
    )
    and not exists (
        select 1
        from {{ this }} as known
        where
            known.career_site_id = openings.career_site_id
            and known.week = weeks.week
            and known.week >= (select min(weeks.week) from weeks)
    )
    {%- endif %}
group by 1, 2
