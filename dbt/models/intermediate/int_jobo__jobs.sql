{{ config(enabled=jobo.uses_jobs()) }}

-- Zero is no pay, and some postings have the ends of the range the wrong way round. Without CTEs, so that
-- Postgres can look up a few jobs by their ids.
select
    jobs.*,
    {{ jobo.yearly("jobs.pay_min", "jobs.pay_period") }} as yearly_pay_min,
    {{ jobo.yearly("jobs.pay_max", "jobs.pay_period") }} as yearly_pay_max,
    case
        when {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
            then expired_jobs.reported_at
    end as closed_at,
    not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }} as is_open
from (
    select
        job_id,
        stream,
        career_site_id,
        company_name,
        title,
        normalized_title,
        summary,
        listing_url,
        apply_url,
        location,
        city,
        region,
        country,
        locations,
        places,
        case when pay_min > pay_max and pay_max > 0 then pay_max when pay_min > 0 then pay_min end as pay_min,
        case when pay_min > pay_max and pay_max > 0 then pay_min when pay_max > 0 then pay_max end as pay_max,
        {{ jobo.currency("pay_currency") }} as pay_currency,
        pay_period,
        employment_type,
        {{ jobo.work_model("workplace_type") }} as workplace_type,
        {{ jobo.level("experience_level") }} as experience_level,
        source,
        {{ jobo.ats_of("source") }} as ats,
        responsibilities,
        benefits,
        required_skills,
        preferred_skills,
        is_work_auth_required,
        is_h1b_sponsor,
        is_clearance_required,
        date_posted,
        valid_through,
        created_at,
        updated_at,
        rescued_data,
        read_at,
        loaded_at,
        built_at
    from {{ ref("stg_jobo__jobs") }}
) as jobs
left join {{ ref("stg_jobo__expired_jobs") }} as expired_jobs on expired_jobs.job_id = jobs.job_id
