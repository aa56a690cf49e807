-- A profile that was read by its id may be of a company without a row in career_sites.
{{ config(enabled=var("jobo__using_companies"), severity="warn") }}

select companies.career_site_id
from {{ ref("stg_jobo__companies") }} as companies
left join {{ ref("stg_jobo__career_sites") }} as sites
    on sites.career_site_id = companies.career_site_id
where sites.career_site_id is null
