{{ config(
    materialized="incremental",
    unique_key="career_site_id",
    indexes=jobo.indexes(["career_site_id"]),
    post_hook="{{ jobo.delete_unloaded('career_site_id', ['career_sites']) }}",
) }}

with

career_sites as (
    {{ jobo.loaded_rows("career_sites", key="career_site_id") }}
)

select
    id as career_site_id,
    name,
    website,
    {{ jobo.domain("website") }} as domain,
    summary,
    {{ jobo.sorted_text("industries") }} as industries,
    linkedin_url,
    crunchbase_url,
    logo_url,
    ats,
    listing_url,
    details_url,
    _rescued_data as rescued_data,
    updated_at,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from career_sites
