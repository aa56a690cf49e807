{{ config(enabled=var("jobo__using_career_sites")) }}

with

versions as (
    select * from {{ ref("jobo__career_sites_history") }}
),

-- Versions that began and ended in the same months are counted together, before the join. A current one ends in
-- a far year, not never: DuckDB 1.2 takes a truncated time for one that is never null, and drops these rows.
grouped as (
    select
        coalesce(ats, 'unknown') as ats,
        {{ jobo.first_of_month("dbt_valid_from") }} as first_month,
        {{ jobo.first_of_month(
            "coalesce(dbt_valid_to, cast('9999-12-31' as " ~ jobo.type_timestamp() ~ "))"
        ) }} as next_month,
        count(*) as sites
    from versions
    group by 1, 2, 3
),

months as (
    {{ jobo.recent_months(var("jobo__months")) }}
),

-- The version at the end of the month, or now if it is not over.
counted as (
    select
        months.month,
        grouped.ats,
        sum(grouped.sites) as sites
    from months
    inner join grouped
        on grouped.first_month <= months.month
        and grouped.next_month > months.month
    group by 1, 2
),

totaled as (
    select
        *,
        sum(sites) over (partition by month) as of_sites
    from counted
)

select
    month,
    ats,
    cast(sites as {{ dbt.type_int() }}) as sites,
    cast(of_sites as {{ dbt.type_int() }}) as of_sites,
    cast(round(100.0 * sites / of_sites, 2) as {{ jobo.type_number() }}) as percent
from totaled
