with

first_seen as (
    select * from {{ ref("int_jobo__first_seen") }}
)

select
    {{ jobo.monday("first_seen_at") }} as week,
    coalesce(ats, 'unknown') as ats,
    cast(count(*) as {{ dbt.type_int() }}) as new_sites
from first_seen
where first_seen_at is not null
group by 1, 2
