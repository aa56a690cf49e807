{{ config(enabled=var("jobo__using_career_sites")) }}

with

history as (
    select * from {{ ref("jobo__career_sites_history") }}
),

directory as (
    select * from {{ ref("jobo__directory") }}
),

-- A version without an ATS says nothing: the field was deselected, or Jobo does not know it. Most sites have
-- one version, which is no move.
known as (
    select *
    from history
    where
        ats is not null
        and career_site_id in (
            select counted.career_site_id
            from {{ ref("jobo__career_sites_history") }} as counted
            group by counted.career_site_id
            having count(*) > 1
        )
),

versions as (
    select
        *,
        lag(ats) over (partition by career_site_id order by dbt_valid_from) as previous_ats,
        lag(listing_url) over (
            partition by career_site_id order by dbt_valid_from
        ) as previous_listing_url
    from known
)

select
    versions.career_site_id,
    -- Those of the version, if the site was deleted from the loader's table since.
    coalesce(directory.name, versions.name) as name,
    coalesce(directory.domain, versions.domain) as domain,
    directory.country_code,
    directory.company_size,
    versions.previous_ats as from_ats,
    versions.ats as to_ats,
    versions.previous_listing_url as from_listing_url,
    versions.listing_url as to_listing_url,
    coalesce(versions.updated_at, versions.read_at, versions.dbt_valid_from) as moved_at,
    versions.dbt_valid_from
from versions
left join directory on directory.career_site_id = versions.career_site_id
where versions.previous_ats <> versions.ats
