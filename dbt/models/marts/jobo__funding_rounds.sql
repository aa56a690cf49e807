{{ config(enabled=var("jobo__using_companies")) }}

-- The API sends amounts as text, such as $330M, $1.5B or 1,200,000. In any other form, as with
-- another currency, raised_usd is null and raised_amount has what was sent.
with

rounds as (
    select
        id as career_site_id,
        {{ jobo.json_text("item.value", ["investment_type"]) }} as investment_type,
        {{ jobo.json_text("item.value", ["announced_on"]) }} as announced_on,
        {{ jobo.json_text("item.value", ["raised_amount"]) }} as raised_amount,
        {{ jobo.json_text("item.value", ["lead_investor"]) }} as lead_investor,
        cast({{ jobo.json_text("item.value", ["investor_count"]) }} as {{ dbt.type_int() }}) as investor_count
    from {{ ref("base_jobo__companies") }}
    {{ jobo.join_items("funding_rounds") }}
),

parsed as (
    select
        *,
        cast(
            {{ jobo.capture("replace(raised_amount, ',', '')", "^[$]?([0-9]+[.]?[0-9]*)[KMB]?$") }}
            as {{ dbt.type_float() }}
        ) as amount,
        {{ jobo.capture("raised_amount", "([KMB])$") }} as unit
    from rounds
)

select distinct -- Jobo may list a round twice
    parsed.career_site_id,
    directory.name,
    directory.domain,
    directory.ats,
    parsed.investment_type,
    cast({{ jobo.capture("parsed.announced_on", "^([0-9]{4}-[0-9]{2}-[0-9]{2})$") }} as date) as announced_on,
    parsed.raised_amount,
    cast(
        round(
            parsed.amount
            * case parsed.unit when 'K' then 1000 when 'M' then 1000000 when 'B' then 1000000000 else 1 end
        ) as {{ dbt.type_bigint() }}
    ) as raised_usd,
    parsed.lead_investor,
    parsed.investor_count
from parsed
left join {{ ref("jobo__directory") }} as directory on directory.career_site_id = parsed.career_site_id
