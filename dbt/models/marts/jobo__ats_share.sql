{{ config(enabled=var("jobo__using_career_sites")) }}

with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
),

industries as (
    select * from {{ ref("stg_jobo__career_site_industries") }}
),

tagged as (
    select '(all)' as industry, ats from sites
    union all
    select industries.industry, sites.ats
    from sites
    inner join industries on industries.career_site_id = sites.career_site_id
),

counted as (
    select
        industry,
        coalesce(ats, 'unknown') as ats,
        count(*) as sites
    from tagged
    group by 1, 2
),

totaled as (
    select
        *,
        sum(sites) over (partition by industry) as of_sites
    from counted
)

select
    industry,
    ats,
    cast(sites as {{ dbt.type_int() }}) as sites,
    cast(of_sites as {{ dbt.type_int() }}) as of_sites,
    cast(round(100.0 * sites / of_sites, 2) as {{ jobo.type_number() }}) as percent
from totaled
