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
    _sdc_extracted_at as read_at
from {{ ref("base_jobo__career_sites") }}
