{{ config(
    materialized="incremental",
    unique_key="career_site_id",
    incremental_strategy=jobo.by_key(),
    pre_hook=[
        "{{ jobo.keep_differences('career_site_id', ['career_sites']) }}",
        "{{ jobo.delete_gone('career_site_id') }}",
    ],
    **jobo.layout(["career_site_id"])
) }}

with

career_sites as (
    {{ jobo.loaded_rows("career_sites") }}
)

select
    id as career_site_id,
    name,
    website,
    {{ jobo.domain("website") }} as domain,
    summary,
    {{ jobo.sorted_text("industries") }} as industries,
    industries as industry_names,
    linkedin_url,
    crunchbase_url,
    logo_url,
    {{ jobo.normalized("ats") }} as ats,
    listing_url,
    details_url,
    _rescued_data as rescued_data,
    updated_at,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from career_sites
