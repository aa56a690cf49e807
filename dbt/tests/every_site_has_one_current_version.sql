-- Sites of the directory without exactly one current version in the history.
select sites.career_site_id
from {{ ref("jobo__directory") }} as sites
left join {{ ref("jobo__career_sites_history") }} as versions
    on versions.career_site_id = sites.career_site_id and versions.dbt_valid_to is null
group by sites.career_site_id
having count(versions.career_site_id) <> 1
