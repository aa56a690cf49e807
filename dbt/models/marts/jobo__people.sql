{{ config(
    enabled=var("jobo__using_companies"),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_outdated(ref('stg_jobo__companies'), 'career_site_id', ref('int_jobo__site_changes')) }}",
) }}

with

companies as (
    select * from {{ ref("stg_jobo__companies") }}
),

changed as (
    select *
    from companies
    where
        {{ jobo.is_new("companies.built_at") }}
        and {{ jobo.is_changed("career_site_id", "companies.career_site_id", "companies.loaded_at") }}
),

people as (
    select
        career_site_id,
        'leader' as kind,
        {{ jobo.json_text("item.value", ["name"]) }} as name,
        {{ jobo.json_text("item.value", ["title"]) }} as title,
        {{ jobo.json_text("item.value", ["linkedin_url"]) }} as linkedin_url,
        cast(null as date) as hired_on,
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
        {{ jobo.day(jobo.json_text("item.value", ["date"])) }} as hired_on,
        loaded_at
    from changed
    {{ jobo.join_items("leadership_hires") }}
)

select distinct -- Jobo may list a person twice
    *,
    {{ jobo.now() }} as built_at
from people
where name is not null or hired_on is not null
