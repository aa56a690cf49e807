{{ config(
    enabled=jobo.uses_jobs(),
    materialized=jobo.by_group(),
    on_schema_change="fail",
    unique_key="job_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_rebuilt(ref('stg_jobo__jobs'), 'job_id', missing=false) }}",
    **jobo.layout(["job_id", "skill"])
) }}

-- Rows of deleted jobs stay: there are millions of rows to look through in each build, and jobo__job_skills hides these.
with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

changed as (
    select *
    from jobs
    where {{ jobo.is_new("jobs.built_at") }}
),

demands as (
    select 'required' as demand
    union all
    select 'preferred' as demand
),

-- Each CTE is read once: Postgres writes one that is read twice to disk.
wanted as (
    select
        changed.job_id,
        changed.loaded_at,
        demands.demand,
        case when demands.demand = 'required' then changed.required_skills else changed.preferred_skills end as skills
    from changed
    cross join demands
),

named as (
    select
        job_id,
        loaded_at,
        demand,
        {{ jobo.normalized(jobo.json_text("item.value", ["name"])) }} as skill,
        {{ jobo.normalized(jobo.json_text("item.value", ["type"])) }} as skill_type
    from wanted
    {{ jobo.join_items("skills") }}
)

select
    job_id,
    skill,
    max(skill_type) as skill_type,
    max(case when demand = 'required' then 1 else 0 end) = 1 as is_required,
    max(case when demand = 'preferred' then 1 else 0 end) = 1 as is_preferred,
    loaded_at,
    {{ jobo.now() }} as built_at
from named
where skill is not null
group by job_id, skill, loaded_at
