{{ config(
    enabled=var("jobo__using_companies"),
    materialized=jobo.by_group(),
    on_schema_change="fail",
    unique_key="career_site_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_rebuilt(ref('stg_jobo__companies'), 'career_site_id', ref('int_jobo__site_changes')) }}",
    **jobo.layout(["career_site_id", "technology"])
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

named as (
    select
        career_site_id,
        loaded_at,
        {{ jobo.normalized(jobo.json_text("item.value")) }} as technology,
        cast(null as {{ dbt.type_string() }}) as categories
    from changed
    {{ jobo.join_items("technology_names") }}
    union all
    select
        career_site_id,
        loaded_at,
        {{ jobo.normalized(jobo.json_text("item.value", ["name"])) }} as technology,
        {{ jobo.sorted_text(jobo.json_value("item.value", ["categories"])) }} as categories
    from changed
    {{ jobo.join_items("tech_stack") }}
    union all
    select
        career_site_id,
        loaded_at,
        {{ jobo.normalized(jobo.json_text("item.value", ["name"])) }} as technology,
        cast(null as {{ dbt.type_string() }}) as categories
    from changed
    {{ jobo.join_items("software_used") }}
)

select
    career_site_id,
    technology,
    max(categories) as categories,
    loaded_at,
    {{ jobo.now() }} as built_at
from named
where technology is not null
group by career_site_id, technology, loaded_at
