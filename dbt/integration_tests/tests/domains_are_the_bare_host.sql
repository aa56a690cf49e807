with

expected as (
    select 'acme' as career_site_id, 'acme.example' as domain
    union all
    select 'blue' as career_site_id, 'blue.example' as domain
    union all
    select 'cold' as career_site_id, null as domain
),

directory as (
    select * from {{ ref("jobo__directory") }}
)

select
    expected.career_site_id,
    directory.domain
from expected
left join directory on directory.career_site_id = expected.career_site_id
where coalesce(directory.domain, '') <> coalesce(expected.domain, '')
