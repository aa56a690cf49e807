-- Each row is a figure that is wrong.
with

figures as (
    select 'open jobs' as figure, 2 as expected, (select count(*) from {{ ref("jobo__open_jobs") }}) as found
    union all
    select 'posted again', 1, (select count(*) from {{ ref("jobo__job_openings") }} where is_posted_again)
    union all
    select 'closed', 1, (select count(*) from {{ ref("jobo__job_openings") }} where closed_at is not null)
    union all
    select 'technologies', 2, (select count(*) from {{ ref("jobo__technologies") }})
    union all
    select 'categories', 1, (select count(*) from {{ ref("jobo__technologies") }} where categories = 'scripts, web')
    union all
    select 'people', 2, (select count(*) from {{ ref("jobo__people") }})
    union all
    select 'skills', 1, (select count(*) from {{ ref("jobo__job_skills") }} where is_required and is_preferred and is_open)
    union all
    select 'open jobs in Italy', 1, (select count(distinct job_id) from {{ ref("jobo__job_locations") }} where country = 'Italy' and is_open)
    union all
    select 'open jobs in Lazio', 1, (select count(*) from {{ ref("jobo__job_locations") }} where location = 'Rome' and city = 'Roma' and region = 'Lazio' and is_open)
    union all
    select 'paid jobs', 1, (select sum(jobs) from {{ ref("jobo__pay_by_role") }})
    union all
    select 'sites in retail on lever', 1, (select sum(sites) from {{ ref("jobo__ats_share") }} where industry = 'retail' and ats = 'lever')
    union all
    select 'sites without an ATS', 1, (select sum(sites) from {{ ref("jobo__ats_share") }} where industry = '(all)' and ats = 'unknown')
    union all
    select 'sites on lever this month', 1, (select sum(sites) from {{ ref("jobo__ats_share_by_month") }} where ats = 'lever')
    union all
    select 'percent on lever this month', 33, (select round(max(percent)) from {{ ref("jobo__ats_share_by_month") }} where ats = 'lever')
    union all
    select 'funding of sites on lever', 5000000, (select sum(raised_usd) from {{ ref("jobo__funding_rounds") }} where ats = 'lever' and investment_type = 'seed')
    union all
    select 'yearly pay', 52000, (select max(median) from {{ ref("jobo__pay_by_role") }})
)

select *
from figures
where coalesce(found, 0) <> expected
