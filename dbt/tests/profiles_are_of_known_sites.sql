-- Profiles of companies that are not in career_sites. A profile can be read by its id alone.
{{ config(severity="warn", enabled=var("jobo__using_companies")) }}

{% if execute and not load_relation(ref("stg_jobo__companies")) -%}
-- A tag that does not build it selects this test, too.
select cast(null as {{ dbt.type_string() }}) as career_site_id
where 1 = 0
{%- else -%}
with

profiles as (
    select * from {{ ref("stg_jobo__companies") }}
    where {{ jobo.in_last_build(ref("stg_jobo__companies")) }}
),

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
)

select profiles.career_site_id
from profiles
left join sites on sites.career_site_id = profiles.career_site_id
where
    profiles.career_site_id is not null
    and sites.career_site_id is null
    and exists (select 1 from {{ ref("stg_jobo__career_sites") }})
{%- endif %}
