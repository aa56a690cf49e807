{{ config(enabled=var("jobo__using_career_sites")) }}

-- How long the sites of the first build had existed is unknown: theirs is null.
with

history as (
    select * from {{ ref("jobo__career_sites_history") }}
),

versions as (
    select
        career_site_id,
        ats,
        read_at,
        dbt_valid_from,
        row_number() over (partition by career_site_id order by dbt_valid_from) as version,
        min(dbt_valid_from) over () as first_build_at
    from history
)

select
    career_site_id,
    ats,
    case
        when
            dbt_valid_from > first_build_at
            {%- if var("jobo__tracking_since") %}
            and coalesce(read_at, dbt_valid_from) >= cast('{{ var("jobo__tracking_since") }}' as {{ jobo.type_timestamp() }})
            {%- endif %}
            then coalesce(read_at, dbt_valid_from)
    end as first_seen_at
from versions
where version = 1
