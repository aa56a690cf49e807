{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_all_if_news(ref('int_jobo__job_changes')) }}",
) }}

with

openings as (
    select * from {{ ref("jobo__job_openings") }}
),

events as (
    select
        {{ jobo.monday("opened_at") }} as week,
        source,
        1 as opened,
        0 as closed
    from openings
    where opened_at is not null and {{ jobo.is_empty() }}
    union all
    select
        {{ jobo.monday("closed_at") }} as week,
        source,
        0 as opened,
        1 as closed
    from openings
    where closed_at is not null and {{ jobo.is_empty() }}
)

select
    week,
    coalesce(source, 'unknown') as source,
    cast(sum(opened) as {{ dbt.type_int() }}) as opened,
    cast(sum(closed) as {{ dbt.type_int() }}) as closed,
    {{ jobo.now() }} as built_at
from events
group by 1, 2
