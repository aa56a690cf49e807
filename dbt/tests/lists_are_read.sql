-- Sites with a list of industries that staging did not read. A unit test cannot tell: on Postgres,
-- dbt's fixtures have no arrays.
with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
),

tagged as (
    select distinct career_site_id from {{ ref("stg_jobo__career_site_industries") }}
)

select sites.career_site_id
from sites
left join tagged on tagged.career_site_id = sites.career_site_id
where (sites.industries is null) <> (tagged.career_site_id is null)
