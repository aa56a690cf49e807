{{ config(enabled=var("jobo__using_jobs")) }}

select
    jobs.job_id,
    jobs.career_site_id,
    jobs.company_name,
    jobs.title,
    jobs.normalized_title,
    jobs.location,
    jobs.city,
    jobs.region,
    jobs.country,
    jobs.pay_min,
    jobs.pay_max,
    jobs.pay_currency,
    jobs.pay_period,
    jobs.employment_type,
    jobs.workplace_type,
    jobs.experience_level,
    jobs.source,
    jobs.listing_url,
    jobs.apply_url,
    jobs.date_posted,
    jobs.created_at,
    jobs.updated_at
from {{ ref("stg_jobo__jobs") }} as jobs
left join {{ ref("stg_jobo__expired_jobs") }} as expired
    on expired.job_id = jobs.job_id and {{ jobo.is_gone("expired.reported_at", "jobs.changed_at") }}
where expired.job_id is null
