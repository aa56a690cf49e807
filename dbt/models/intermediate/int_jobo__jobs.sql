{{ config(enabled=jobo.uses_jobs()) }}

with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

joined as (
    select
        jobs.*,
        {{ jobo.yearly("jobs.pay_min", "jobs.pay_period") }} as yearly_pay_min,
        {{ jobo.yearly("jobs.pay_max", "jobs.pay_period") }} as yearly_pay_max,
        case
            when {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
                then expired_jobs.reported_at
        end as closed_at,
        not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }} as is_open
    from jobs
    left join expired_jobs on expired_jobs.job_id = jobs.job_id
)

select * from joined
