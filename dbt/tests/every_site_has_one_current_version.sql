-- Sites of staging that have no current version in the history, or several.
{{ config(enabled=var("jobo__using_career_sites")) }}

{% if execute and not load_relation(ref("jobo__career_sites_history")) -%}
-- A tag that does not build it selects this test, too.
select cast(null as {{ dbt.type_string() }}) as career_site_id
where 1 = 0
{%- else -%}
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
{%- endif %}
