{{ config(enabled=jobo.uses_jobs()) }}

with

locations as (
    select * from {{ ref("int_jobo__job_locations") }}
),

-- Tables, as in jobo__job_skills.
jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
)

select
    locations.job_id,
    locations.location,
    locations.city,
    locations.region,
    locations.country,
    jobs.career_site_id,
    jobs.company_name,
    jobs.normalized_title as role,
    jobs.created_at,
    case
        when {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
            then expired_jobs.reported_at
    end as closed_at,
    not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }} as is_open
from locations
inner join jobs on jobs.job_id = locations.job_id
left join expired_jobs on expired_jobs.job_id = locations.job_id
