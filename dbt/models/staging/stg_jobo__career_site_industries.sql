{{ config(
    materialized="incremental",
    indexes=jobo.indexes(["career_site_id", "industry"]),
    pre_hook=[
        "{{ jobo.delete_missing(ref('stg_jobo__career_sites'), 'career_site_id') }}",
        "{{ jobo.delete_rebuilt(ref('stg_jobo__career_sites'), 'career_site_id') }}",
    ],
) }}

-- Not the source, where the loader may have stored rows since.
with

career_sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
),

changed as (
    select *
    from career_sites
    where {{ jobo.is_new("career_sites.built_at") }}
)

select distinct
    career_site_id,
    {{ jobo.json_text("item.value") }} as industry,
    loaded_at,
    {{ jobo.now() }} as built_at
from changed
{{ jobo.join_items("industry_names") }}
where {{ jobo.json_text("item.value") }} is not null
