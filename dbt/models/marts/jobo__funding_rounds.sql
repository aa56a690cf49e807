{{ config(enabled=var("jobo__using_companies")) }}

with

rounds as (
    select
        id as career_site_id,
        name,
        {{ jobo.domain("website") }} as domain,
        {{ jobo.json_text("item.value", ["investment_type"]) }} as investment_type,
        {{ jobo.json_text("item.value", ["announced_on"]) }} as announced_on,
        {{ jobo.json_text("item.value", ["raised_amount"]) }} as raised_amount,
        {{ jobo.json_text("item.value", ["lead_investor"]) }} as lead_investor,
        {{ jobo.json_text("item.value", ["investor_count"]) }} as investor_count
    from {{ ref("base_jobo__companies") }}
    {{ jobo.join_items("funding_rounds") }}
)

select distinct -- Jobo may list a round twice
    rounds.career_site_id,
    -- Those of the profile, if the company has no row in career_sites.
    coalesce(directory.name, rounds.name) as name,
    coalesce(directory.domain, rounds.domain) as domain,
    directory.ats,
    rounds.investment_type,
    {{ jobo.day("rounds.announced_on") }} as announced_on,
    rounds.raised_amount,
    {{ jobo.dollars("rounds.raised_amount") }} as raised_usd,
    rounds.lead_investor,
    cast({{ jobo.capture("rounds.investor_count", "^([0-9]{1,9})$") }} as {{ dbt.type_int() }}) as investor_count
from rounds
left join {{ ref("jobo__directory") }} as directory on directory.career_site_id = rounds.career_site_id
