{{ config(
    enabled=var("jobo__using_career_sites"),
    materialized="incremental",
    on_schema_change="fail",
    unique_key="career_site_id",
    incremental_strategy=jobo.by_key(),
    pre_hook="{{ jobo.delete_missing(ref('stg_jobo__career_sites'), 'career_site_id', ref('int_jobo__site_changes')) }}",
    **jobo.layout(["career_site_id"], time="read_at")
) }}
{% set profile_columns = [
    "country_code", "headquarters_location", "company_size", "employees_from", "founded",
    "company_type", "is_agency", "operating_status", "funding_stage", "total_funding_usd",
] %}
with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
),

first_seen as (
    select * from {{ ref("int_jobo__first_seen") }}
),

profiles as (
    select * from {{ ref("stg_jobo__companies") }}
)

select
    sites.career_site_id,
    sites.name,
    sites.domain,
    sites.ats,
    sites.listing_url,
    sites.industries,
    sites.summary,
    sites.website,
    sites.linkedin_url,
    sites.crunchbase_url,
    profiles.career_site_id is not null as has_profile,
    {%- for column in profile_columns %}
    profiles.{{ column }},
    {%- endfor %}
    first_seen.first_seen_at,
    sites.updated_at,
    sites.read_at,
    {{ jobo.now() }} as built_at
from sites
left join profiles on profiles.career_site_id = sites.career_site_id
left join first_seen on first_seen.career_site_id = sites.career_site_id
{%- if is_incremental() %}
left join {{ this }} as known on known.career_site_id = sites.career_site_id
where
    {{ jobo.has_news(ref("int_jobo__site_changes")) }}
    and (
        {{ jobo.is_new("sites.built_at") }}
        or {{ jobo.is_new("profiles.built_at") }}
        or known.career_site_id is null
        or known.has_profile <> (profiles.career_site_id is not null)
        or (known.first_seen_at is null and first_seen.first_seen_at is not null)
    )
{%- endif %}
