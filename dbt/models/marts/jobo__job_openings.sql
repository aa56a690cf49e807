{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    unique_key="opening_id",
    indexes=jobo.indexes(["opening_id"]),
) }}

with

history as (
    select * from {{ ref("jobo__jobs_history") }}
),

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

-- Each CTE is read once: Postgres writes one that is read twice to disk.
descriptions as (
    select * from {{ ref("jobo__jobs_history") }}
),

closed_versions as (
    select * from {{ ref("jobo__jobs_history") }} where not is_open
),

former_versions as (
    select * from {{ ref("jobo__jobs_history") }} where dbt_valid_to is not null
),

-- A job opens with its first version, and again when it comes back.
openings as (
    select
        history.dbt_scd_id as opening_id,
        before.job_id is not null as is_return,
        coalesce(history.closed_at, after.closed_at) as closed_at,
        history.is_open and history.dbt_valid_to is null and jobs.job_id is not null as is_open
    from history
    left join former_versions as before
        on before.job_id = history.job_id and before.dbt_valid_to = history.dbt_valid_from
    left join closed_versions as after
        on after.job_id = history.job_id and after.dbt_valid_from = history.dbt_valid_to
    left join jobs on jobs.job_id = history.job_id
    where
        (history.is_open or before.job_id is null)
        and {{ jobo.has_news(ref("int_jobo__job_changes")) }}
),

-- An opening changes when it closes.
changed_openings as (
    select * from openings
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as known
        where
            known.opening_id = openings.opening_id
            and known.is_open = openings.is_open
            and (known.closed_at is null) = (openings.closed_at is null)
    )
    {%- endif %}
),

changed as (
    select
        changed_openings.opening_id,
        descriptions.job_id,
        descriptions.stream,
        descriptions.career_site_id,
        descriptions.company_name,
        descriptions.title,
        descriptions.normalized_title,
        descriptions.location,
        descriptions.country,
        descriptions.source,
        case when changed_openings.is_return then descriptions.read_at else descriptions.created_at end as opened_at,
        changed_openings.closed_at,
        changed_openings.is_open
    from changed_openings
    inner join descriptions on descriptions.dbt_scd_id = changed_openings.opening_id
),

-- The same company posts the same title at the same place again.
repeats as (
    select
        changed.opening_id,
        max(closed_versions.closed_at) as previous_closed_at
    from changed
    inner join closed_versions
        on closed_versions.career_site_id = changed.career_site_id
        and closed_versions.title = changed.title
        and closed_versions.location = changed.location
        and closed_versions.closed_at <= changed.opened_at
    group by changed.opening_id
),

measured as (
    select
        changed.*,
        {{ dbt.datediff("changed.opened_at", "changed.closed_at", "day") }} as days_open,
        {{ dbt.datediff("repeats.previous_closed_at", "changed.opened_at", "day") }} as days_closed_before
    from changed
    left join repeats on repeats.opening_id = changed.opening_id
)

select
    opening_id,
    job_id,
    stream,
    career_site_id,
    company_name,
    title,
    normalized_title,
    location,
    country,
    source,
    {{ jobo.ats_of("source") }} as ats,
    opened_at,
    closed_at,
    is_open,
    cast(days_open as {{ dbt.type_int() }}) as days_open,
    coalesce(days_closed_before <= {{ var("jobo__posted_again_days") }}, false) as is_posted_again,
    cast(days_closed_before as {{ dbt.type_int() }}) as days_closed_before,
    {{ jobo.now() }} as built_at
from measured
