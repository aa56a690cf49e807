{{ config(enabled=jobo.uses_jobs()) }}

with

skills as (
    select * from {{ ref("int_jobo__job_skills") }}
),

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
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
    jobs.closed_at,
    jobs.is_open
from skills
inner join jobs on jobs.job_id = skills.job_id
