{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_all_if_news(ref('int_jobo__job_changes')) }}",
) }}

with

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
),

open_jobs as (
    select * from {{ ref("jobo__open_jobs") }}
),

demands as (
    select 'required' as demand
    union all
    select 'preferred' as demand
),

-- Each CTE is read once: Postgres writes one that is read twice to disk.
wanted as (
    select
        jobs.normalized_title as role,
        demands.demand,
        case when demands.demand = 'required' then jobs.required_skills else jobs.preferred_skills end as skills
    from jobs
    cross join demands
    where jobs.is_open and jobs.normalized_title is not null and {{ jobo.is_empty() }}
),

-- As the postings spell them.
spelled as (
    select
        role,
        demand,
        {{ jobo.json_text("item.value", ["name"]) }} as name,
        {{ jobo.json_text("item.value", ["type"]) }} as type,
        count(*) as mentions
    from wanted
    {{ jobo.join_items("skills") }}
    group by 1, 2, 3, 4
),

skills as (
    select
        role,
        lower(trim(name)) as skill,
        max(lower(type)) as skill_type,
        sum(case when demand = 'required' then mentions else 0 end) as required_by,
        sum(case when demand = 'preferred' then mentions else 0 end) as preferred_by
    from spelled
    where name is not null
    group by 1, 2
),

roles as (
    select
        normalized_title as role,
        count(*) as jobs
    from open_jobs
    where {{ jobo.is_empty() }}
    group by 1
)

select
    skills.role,
    skills.skill,
    skills.skill_type,
    cast(roles.jobs as {{ dbt.type_int() }}) as jobs,
    cast(skills.required_by as {{ dbt.type_int() }}) as required_by,
    cast(skills.preferred_by as {{ dbt.type_int() }}) as preferred_by,
    {{ jobo.now() }} as built_at
from skills
inner join roles on roles.role = skills.role
