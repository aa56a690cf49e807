-- Sites with a list of industries that staging did not read. A unit test cannot tell: on Postgres,
-- dbt's fixtures have no arrays.
with

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
    where {{ jobo.in_last_build(ref("stg_jobo__career_sites")) }}
),

industries as (
    select * from {{ ref("stg_jobo__career_site_industries") }}
)

select
    sites.career_site_id
from sites
left join industries on industries.career_site_id = sites.career_site_id
where (sites.industries is null) <> (industries.career_site_id is null)
