{{ config(enabled=jobo.uses_jobs()) }}

with

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
),

open_jobs as (
    select
        normalized_title as role,
        required_skills,
        preferred_skills
    from jobs
    where is_open and normalized_title is not null
),

-- As the postings spell them.
spelled as (
    {% for demand in ["required", "preferred"] -%}
    {{ "union all" if not loop.first }}
    select
        role,
        {{ jobo.json_text("item.value", ["name"]) }} as name,
        {{ jobo.json_text("item.value", ["type"]) }} as type,
        {{ "count(*)" if demand == "required" else "0" }} as required_by,
        {{ "count(*)" if demand == "preferred" else "0" }} as preferred_by
    from open_jobs
    {{ jobo.join_items(demand ~ "_skills") }}
    group by 1, 2, 3
    {% endfor %}
),

skills as (
    select
        role,
        lower(trim(name)) as skill,
        max(lower(type)) as skill_type,
        sum(required_by) as required_by,
        sum(preferred_by) as preferred_by
    from spelled
    where name is not null
    group by 1, 2
),

roles as (
    select
        role,
        count(*) as jobs
    from open_jobs
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
