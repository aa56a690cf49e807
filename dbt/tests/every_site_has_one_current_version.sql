-- Sites of the directory without exactly one current version in the history.
with

directory as (
    select * from {{ ref("jobo__directory") }}
),

history as (
    select * from {{ ref("jobo__career_sites_history") }}
)

select directory.career_site_id
from directory
left join history
    on history.career_site_id = directory.career_site_id and history.dbt_valid_to is null
group by directory.career_site_id
having count(history.career_site_id) <> 1
