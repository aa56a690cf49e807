-- Sites of staging that have no current version in the history, or several.
{{ config(enabled=var("jobo__using_career_sites")) }}

{% call jobo.if_built() %}
with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
    where {{ jobo.in_last_build(ref("stg_jobo__career_sites")) }}
),

current_versions as (
    select * from {{ ref("jobo__career_sites_history") }}
    where dbt_valid_to is null
)

select
    sites.career_site_id,
    count(current_versions.career_site_id) as versions
from sites
left join current_versions on current_versions.career_site_id = sites.career_site_id
group by sites.career_site_id
having count(current_versions.career_site_id) <> 1
{% endcall %}
