{{ config(
    materialized="incremental",
    indexes=jobo.indexes(["career_site_id", "industry"]),
    pre_hook=[
        "{{ jobo.delete_missing(ref('stg_jobo__career_sites'), 'career_site_id') }}",
        "{{ jobo.delete_rebuilt(ref('stg_jobo__career_sites'), 'career_site_id') }}",
    ],
) }}

with

career_sites as (
    {{ jobo.loaded_rows("career_sites") }}
),

changed as (
    select *
    from career_sites
    where {{ jobo.is_changed("career_site_id", "career_sites.id", "career_sites._sdc_batched_at") }}
)

select distinct
    id as career_site_id,
    {{ jobo.json_text("item.value") }} as industry,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from changed
{{ jobo.join_items("industries") }}
where {{ jobo.json_text("item.value") }} is not null
