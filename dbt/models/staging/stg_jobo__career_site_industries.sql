with

career_sites as (
    {{ jobo.loaded_rows("career_sites") }}
)

select distinct
    id as career_site_id,
    {{ jobo.json_text("item.value") }} as industry
from career_sites
{{ jobo.join_items("industries") }}
where {{ jobo.json_text("item.value") }} is not null
