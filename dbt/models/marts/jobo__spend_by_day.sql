{{ config(enabled=var("jobo__using_billed_pages")) }}

with

billed_pages as (
    select * from {{ ref("stg_jobo__billed_pages") }}
)

select
    -- If received_at is not selected, the day on which the tap wrote the row.
    cast(coalesce(received_at, read_at) as date) as day,
    stream,
    cast(sum(credits) as {{ dbt.type_bigint() }}) as credits,
    cast(sum(credits) as {{ jobo.type_number() }}) / 1000 as dollars,
    cast(sum(billed_rows) as {{ dbt.type_bigint() }}) as billed_rows,
    cast(count(*) as {{ dbt.type_int() }}) as pages
from billed_pages
group by 1, 2
