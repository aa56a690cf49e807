-- Industries whose shares do not add up to 100 percent, but for the rounding of each, or whose
-- sites are not all sites of the directory that have the tag.
with

directory as (
    select * from {{ ref("jobo__directory") }}
),

industries as (
    select * from {{ ref("stg_jobo__career_site_industries") }}
),

ats_share as (
    select * from {{ ref("jobo__ats_share") }}
),

expected as (
    select '(all)' as industry, count(*) as sites
    from directory
    union all
    select industry, count(*) as sites
    from industries
    group by industry
),

shares as (
    select
        industry,
        sum(percent) as percent,
        sum(sites) as sites,
        max(of_sites) as of_sites,
        count(*) as systems
    from ats_share
    group by industry
)

select
    expected.industry,
    expected.sites as expected_sites,
    shares.sites,
    shares.of_sites,
    shares.percent
from expected
left join shares on shares.industry = expected.industry
where
    expected.sites <> coalesce(shares.sites, 0)
    or expected.sites <> coalesce(shares.of_sites, 0)
    or abs(shares.percent - 100) > 0.005 * shares.systems + 0.001
