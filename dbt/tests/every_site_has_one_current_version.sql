-- Sites with more than one current version in the history, versions without a site, and sites of the
-- directory without a version.
with

directory as (
    select * from {{ ref("jobo__directory") }}
),

history as (
    select * from {{ ref("jobo__career_sites_history") }}
),

current_versions as (
    select career_site_id, count(*) as versions
    from history
    where dbt_valid_to is null or career_site_id is null
    group by career_site_id
)

select career_site_id
from current_versions
where versions > 1 or career_site_id is null
union all
select directory.career_site_id
from directory
left join current_versions on current_versions.career_site_id = directory.career_site_id
where current_versions.career_site_id is null
