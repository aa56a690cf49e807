{{ config(
    enabled=var("jobo__using_companies"),
    materialized="incremental",
    on_schema_change="fail",
    pre_hook="{{ jobo.delete_all_if_news(ref('int_jobo__site_changes')) }}",
) }}

with

rounds as (
    select * from {{ ref("int_jobo__funding_rounds") }}
),

directory as (
    select * from {{ ref("jobo__directory") }}
)

select
    rounds.career_site_id,
    -- Those of the profile, if the company has no row in career_sites.
    coalesce(directory.name, rounds.name) as name,
    coalesce(directory.domain, rounds.domain) as domain,
    directory.ats,
    rounds.investment_type,
    rounds.announced_on,
    rounds.raised_amount,
    rounds.raised_usd,
    rounds.lead_investor,
    rounds.investor_count,
    {{ jobo.now() }} as built_at
from rounds
left join directory on directory.career_site_id = rounds.career_site_id
where {{ jobo.is_empty() }}
