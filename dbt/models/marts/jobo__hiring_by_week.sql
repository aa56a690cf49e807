{{ config(enabled=jobo.uses_jobs()) }}

with

openings as (
    select * from {{ ref("jobo__job_openings") }}
),

events as (
    select
        {{ jobo.monday("opened_at") }} as week,
        source,
        ats,
        1 as opened,
        0 as closed
    from openings
    where opened_at is not null
    union all
    select
        {{ jobo.monday("closed_at") }} as week,
        source,
        ats,
        0 as opened,
        1 as closed
    from openings
    where closed_at is not null
)

select
    week,
    coalesce(source, 'unknown') as source,
    coalesce(ats, 'unknown') as ats,
    cast(sum(opened) as {{ dbt.type_int() }}) as opened,
    cast(sum(closed) as {{ dbt.type_int() }}) as closed
from events
group by 1, 2, 3
