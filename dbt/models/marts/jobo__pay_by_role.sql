{{ config(enabled=jobo.uses_jobs()) }}

with

-- A job counts in each country once.
places as (
    select distinct
        job_id,
        country
    from {{ ref("int_jobo__job_locations") }}
    where country is not null
),

-- Tables, as in jobo__job_skills.
jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
    where pay_min > 0 or pay_max > 0
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

-- The ends of the range may be the wrong way round: the middle is the same.
paid as (
    select
        jobs.normalized_title as role,
        places.country,
        {{ jobo.currency("jobs.pay_currency") }} as currency,
        {{ jobo.yearly("case when jobs.pay_min > 0 then jobs.pay_min end", "jobs.pay_period") }} as one_end,
        {{ jobo.yearly("case when jobs.pay_max > 0 then jobs.pay_max end", "jobs.pay_period") }} as other_end
    from jobs
    inner join places on places.job_id = jobs.job_id
    left join expired_jobs on expired_jobs.job_id = jobs.job_id
    where not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
),

measured as (
    select
        role,
        country,
        currency,
        (coalesce(one_end, other_end) + coalesce(other_end, one_end)) / 2 as yearly_pay
    from paid
)

select
    role,
    country,
    currency,
    cast(count(*) as {{ dbt.type_int() }}) as jobs,
    {{ jobo.percentile("yearly_pay", 0.25) }} as lower_quartile,
    {{ jobo.percentile("yearly_pay", 0.5) }} as median,
    {{ jobo.percentile("yearly_pay", 0.75) }} as upper_quartile
from measured
where yearly_pay is not null and role is not null and currency is not null
group by 1, 2, 3
