{{ config(
    enabled=var("jobo__using_companies"),
    materialized=jobo.by_group(),
    on_schema_change="fail",
    unique_key="career_site_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_rebuilt(ref('stg_jobo__companies'), 'career_site_id', ref('int_jobo__site_changes')) }}",
    **jobo.layout(["career_site_id"], unique=false)
) }}

with

companies as (
    select * from {{ ref("stg_jobo__companies") }}
),

changed as (
    select *
    from companies
    where {{ jobo.is_new("companies.built_at") }}
),

-- Jobo may list a leader twice. It gives no name of a hire, so two hires of a day are two.
people as (
    select distinct
        career_site_id,
        'leader' as kind,
        {{ jobo.json_text("item.value", ["name"]) }} as name,
        {{ jobo.json_text("item.value", ["title"]) }} as title,
        {{ jobo.json_text("item.value", ["linkedin_url"]) }} as linkedin_url,
        cast(null as date) as hired_on,
        cast(null as {{ dbt.type_int() }}) as hire_of_day,
        loaded_at
    from changed
    {{ jobo.join_items("leadership") }}
    union all
    select
        career_site_id,
        'hire' as kind,
        cast(null as {{ dbt.type_string() }}) as name,
        cast(null as {{ dbt.type_string() }}) as title,
        cast(null as {{ dbt.type_string() }}) as linkedin_url,
        hired_on,
        cast(row_number() over (partition by career_site_id, hired_on order by hired_on) as {{ dbt.type_int() }}) as hire_of_day,
        loaded_at
    from (
        select
            career_site_id,
            {{ jobo.day(jobo.json_text("item.value", ["date"])) }} as hired_on,
            loaded_at
        from changed
        {{ jobo.join_items("leadership_hires") }}
    ) as hires
)

select
    *,
    {{ jobo.now() }} as built_at
from people
where name is not null or hired_on is not null
