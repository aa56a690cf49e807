{% snapshot jobo__career_sites_history %}

-- Only what an analyst calls a change. updated_at and read_at must not be in check_cols: they change
-- when nothing else does, and each would make a version. Nor may updated_at be the strategy's
-- updated_at: rows that Jobo changes between two reads then get a second version.
{{ config(
    enabled=var("jobo__using_career_sites"),
    unique_key="career_site_id",
    strategy="check",
    check_cols=[
        "name", "website", "summary", "industries", "linkedin_url", "crunchbase_url", "ats",
        "listing_url",
    ],
    post_hook="{{ jobo.end_deleted('career_site_id', ref('stg_jobo__career_sites')) }}",
) }}

with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
)

-- Only sites that were built since the last version. Others keep theirs.
select
    career_site_id,
    name,
    website,
    domain,
    summary,
    industries,
    linkedin_url,
    crunchbase_url,
    logo_url,
    ats,
    listing_url,
    details_url,
    rescued_data,
    updated_at,
    read_at,
    loaded_at
from sites
{%- if execute and load_relation(this) %}
where built_at > {{ jobo.last_time("dbt_updated_at") }}
{%- endif %}

{% endsnapshot %}
