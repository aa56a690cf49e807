{{ config(enabled=var("jobo__using_companies")) }}

with

rounds as (
    select * from {{ ref("int_jobo__funding_rounds") }}
),

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
)

select
    rounds.career_site_id,
    -- Those of the profile, if the company has no row in career_sites.
    coalesce(sites.name, rounds.name) as name,
    coalesce(sites.domain, rounds.domain) as domain,
    sites.ats,
    rounds.investment_type,
    rounds.announced_on,
    rounds.raised_amount,
    rounds.raised_usd,
    rounds.lead_investor,
    rounds.investor_count
from rounds
left join sites on sites.career_site_id = rounds.career_site_id
