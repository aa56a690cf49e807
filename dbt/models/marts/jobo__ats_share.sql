with

sites as (
    select career_site_id, coalesce(ats, 'unknown') as ats
    from {{ ref("stg_jobo__career_sites") }}
),

tagged as (
    select '(all)' as industry, ats from sites
    union all
    select industries.industry, sites.ats
    from sites
    inner join {{ ref("stg_jobo__career_site_industries") }} as industries
        on industries.career_site_id = sites.career_site_id
),

counted as (
    select industry, ats, count(*) as sites
    from tagged
    group by industry, ats
),

totaled as (
    select *, sum(sites) over (partition by industry) as of_sites
    from counted
)

select
    industry,
    ats,
    cast(sites as {{ dbt.type_int() }}) as sites,
    cast(of_sites as {{ dbt.type_int() }}) as of_sites,
    round(100.0 * sites / of_sites, 2) as percent
from totaled
