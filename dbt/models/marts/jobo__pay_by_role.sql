{{ config(enabled=jobo.uses_jobs()) }}

with

open_jobs as (
    select * from {{ ref("jobo__open_jobs") }}
),

paid as (
    select
        normalized_title as role,
        country,
        pay_currency as currency,
        (
            coalesce(yearly_pay_min, yearly_pay_max) + coalesce(yearly_pay_max, yearly_pay_min)
        ) / 2 as yearly_pay
    from open_jobs
)

select
    role,
    country,
    currency,
    cast(count(*) as {{ dbt.type_int() }}) as jobs,
    {{ jobo.percentile("yearly_pay", 0.25) }} as lower_quartile,
    {{ jobo.percentile("yearly_pay", 0.5) }} as median,
    {{ jobo.percentile("yearly_pay", 0.75) }} as upper_quartile
from paid
where yearly_pay is not null and role is not null and country is not null and currency is not null
group by 1, 2, 3
