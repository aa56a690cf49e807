{{ config(enabled=jobo.uses_jobs()) }}

with

job_skills as (
    select * from {{ ref("jobo__job_skills") }}
),

-- Tables, as in jobo__job_skills.
jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

skills as (
    select
        role,
        skill,
        max(skill_type) as skill_type,
        sum(case when is_required then 1 else 0 end) as required_by,
        sum(case when is_preferred then 1 else 0 end) as preferred_by
    from job_skills
    where is_open and role is not null
    group by 1, 2
),

roles as (
    select
        jobs.normalized_title as role,
        count(*) as jobs
    from jobs
    left join expired_jobs on expired_jobs.job_id = jobs.job_id
    where not {{ jobo.is_gone("expired_jobs.reported_at", "jobs.updated_at", "jobs.read_at") }}
    group by 1
)

select
    skills.role,
    skills.skill,
    skills.skill_type,
    cast(roles.jobs as {{ dbt.type_int() }}) as jobs,
    cast(skills.required_by as {{ dbt.type_int() }}) as required_by,
    cast(skills.preferred_by as {{ dbt.type_int() }}) as preferred_by
from skills
inner join roles on roles.role = skills.role
