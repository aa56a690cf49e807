{{ config(
    materialized=jobo.by_group(),
    unique_key="career_site_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_rebuilt(ref('stg_jobo__career_sites'), 'career_site_id') }}",
    **jobo.layout(["career_site_id", "industry"])
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
