{{ config(enabled=jobo.uses_jobs()) }}

with

skills as (
    select * from {{ ref("int_jobo__job_skills") }}
),

-- Tables, not int_jobo__jobs: on Postgres, building a view drops the views that read it, also those of
-- other tags.
jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
)

select
    skills.job_id,
    skills.skill,
    skills.skill_type,
    skills.is_required,
    skills.is_preferred,
    jobs.career_site_id,
    jobs.company_name,
    jobs.normalized_title as role,
    jobs.created_at,
    case
        when {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
            then expired_jobs.reported_at
    end as closed_at,
    not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }} as is_open
from skills
inner join jobs on jobs.job_id = skills.job_id
left join expired_jobs on expired_jobs.job_id = skills.job_id
