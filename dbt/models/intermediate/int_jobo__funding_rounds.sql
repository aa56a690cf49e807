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

rounds as (
    select
        career_site_id,
        name,
        domain,
        {{ jobo.json_text("item.value", ["investment_type"]) }} as investment_type,
        {{ jobo.json_text("item.value", ["announced_on"]) }} as announced_on,
        {{ jobo.json_text("item.value", ["raised_amount"]) }} as raised_amount,
        {{ jobo.json_text("item.value", ["lead_investor"]) }} as lead_investor,
        {{ jobo.json_text("item.value", ["investor_count"]) }} as investor_count,
        loaded_at
    from changed
    {{ jobo.join_items("funding_rounds") }}
)

select distinct -- Jobo may list a round twice
    career_site_id,
    name,
    domain,
    investment_type,
    {{ jobo.day("announced_on") }} as announced_on,
    raised_amount,
    {{ jobo.dollars("raised_amount") }} as raised_usd,
    lead_investor,
    cast({{ jobo.capture("investor_count", "^([0-9]{1,9})$") }} as {{ dbt.type_int() }}) as investor_count,
    loaded_at,
    {{ jobo.now() }} as built_at
from rounds
