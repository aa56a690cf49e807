with

versions as (
    select * from {{ ref("jobo__career_sites_history") }}
),

months as (
    {{ jobo.recent_months(var("jobo__months")) }}
),

-- The version at the end of the month, or now if it is not over.
counted as (
    select
        months.month,
        coalesce(versions.ats, 'unknown') as ats,
        count(*) as sites
    from months
    inner join versions
        on {{ jobo.first_of_month("versions.dbt_valid_from") }} <= months.month
        and (
            versions.dbt_valid_to is null
            or {{ jobo.first_of_month("versions.dbt_valid_to") }} > months.month
        )
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
