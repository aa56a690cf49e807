-- Each row is a figure that is wrong.
with

figures as (
    select 'open jobs' as figure, 2 as expected, (select count(*) from {{ ref("jobo__open_jobs") }}) as found
    union all
    select 'posted again', 1, (select count(*) from {{ ref("jobo__job_openings") }} where is_posted_again)
    union all
    select 'closed', 1, (select sum(closed) from {{ ref("jobo__hiring_by_week") }})
    union all
    select 'technologies', 2, (select count(*) from {{ ref("jobo__technologies") }})
    union all
    select 'categories', 1, (select count(*) from {{ ref("jobo__technologies") }} where categories = 'scripts, web')
    union all
    select 'people', 2, (select count(*) from {{ ref("jobo__people") }})
    union all
    select 'skills', 1, (select sum(required_by * preferred_by) from {{ ref("jobo__skills_by_role") }})
    union all
    select 'yearly pay', 52000, (select max(median) from {{ ref("jobo__pay_by_role") }})
)

select *
from figures
where coalesce(found, 0) <> expected
