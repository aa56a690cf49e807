{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    unique_key="opening_id",
    incremental_strategy=jobo.by_key(),
    **jobo.layout(["opening_id"], time="opened_at")
) }}
-- depends_on: {{ ref("int_jobo__job_changes") }}

with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

closed_versions as (
    select * from {{ ref("jobo__jobs_history") }} where not is_open
),

{% if is_incremental() -%}
new_versions as (
    select * from {{ ref("jobo__jobs_history") }}
    where dbt_updated_at > {{ jobo.last_time("built_at") }}
),

new_closings as (
    select distinct career_site_id, title, location
    from {{ ref("jobo__jobs_history") }}
    where not is_open and dbt_updated_at > {{ jobo.last_time("built_at") }}
),

-- Jobs with a new version, those that were deleted, those that were loaded again, and those that are posted
-- again after an opening that closed. Each apart and without a CTE that is read twice, so that Postgres expects
-- few of them.
affected as (
    select job_id from new_versions
    union all
    select known.job_id
    from {{ this }} as known
    left join {{ ref("stg_jobo__jobs") }} as present_jobs on present_jobs.job_id = known.job_id
    where known.is_open and known.closed_at is null and present_jobs.job_id is null
    union all
    select known.job_id
    from {{ this }} as known
    inner join {{ ref("stg_jobo__jobs") }} as present_jobs on present_jobs.job_id = known.job_id
    where not known.is_open and known.closed_at is null
    union all
    select versions.job_id
    from {{ ref("jobo__jobs_history") }} as versions
    inner join new_closings
        on new_closings.career_site_id = versions.career_site_id
        and new_closings.title = versions.title
        and coalesce(new_closings.location, '') = coalesce(versions.location, '')
),

{% endif -%}
history as (
    select * from {{ ref("jobo__jobs_history") }}
    {%- if is_incremental() %}
    where
        {{ jobo.has_news(ref("int_jobo__job_changes")) }}
        and job_id in (select affected.job_id from affected)
    {%- endif %}
),

versions as (
    select
        *,
        lag(is_open) over (partition by job_id order by dbt_valid_from) as was_open,
        first_value(career_site_id) over (partition by job_id order by dbt_valid_from desc) as owned_by
    from history
),

-- Without the versions in which only the company changed.
turns as (
    select
        *,
        lead(dbt_scd_id) over (partition by job_id order by dbt_valid_from) as next_turn,
        lead(closed_at) over (partition by job_id order by dbt_valid_from) as next_closed_at
    from versions
    where was_open is null or was_open <> is_open
),

-- A job opens with its first turn, and again when it comes back. The turn after an open one is closed.
openings as (
    select
        turns.dbt_scd_id as opening_id,
        turns.job_id,
        turns.stream,
        turns.owned_by as career_site_id,
        turns.career_site_id as opened_by,
        turns.company_name,
        turns.title,
        turns.normalized_title,
        turns.location,
        turns.country,
        turns.source,
        {{ jobo.ats_of("turns.source") }} as ats,
        turns.workplace_type,
        turns.experience_level,
        turns.pay_currency,
        turns.yearly_pay_min,
        turns.yearly_pay_max,
        -- A posting does not have to say when it was created.
        case when turns.was_open is null then coalesce(turns.created_at, turns.read_at) else turns.read_at end
            as opened_at,
        coalesce(turns.closed_at, turns.next_closed_at) as closed_at,
        turns.is_open and turns.next_turn is null and jobs.job_id is not null as is_open
    from turns
    left join jobs on jobs.job_id = turns.job_id
    where turns.is_open or turns.was_open is null
),

-- The same company posts the same title at the same place again.
repeats as (
    select
        openings.opening_id,
        max(closed_versions.closed_at) as previous_closed_at
    from openings
    inner join closed_versions
        on closed_versions.career_site_id = openings.opened_by
        and closed_versions.title = openings.title
        and coalesce(closed_versions.location, '') = coalesce(openings.location, '')
        and closed_versions.closed_at <= openings.opened_at
    group by openings.opening_id
),

measured as (
    select
        openings.*,
        {{ dbt.datediff("openings.opened_at", "openings.closed_at", "day") }} as days_open,
        {{ dbt.datediff("repeats.previous_closed_at", "openings.opened_at", "day") }} as days_closed_before
    from openings
    left join repeats on repeats.opening_id = openings.opening_id
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
    ats,
    workplace_type,
    experience_level,
    pay_currency,
    yearly_pay_min,
    yearly_pay_max,
    opened_at,
    closed_at,
    is_open,
    cast(days_open as {{ dbt.type_int() }}) as days_open,
    coalesce(days_closed_before <= {{ var("jobo__posted_again_days") }}, false) as is_posted_again,
    cast(days_closed_before as {{ dbt.type_int() }}) as days_closed_before,
    {{ jobo.now() }} as built_at
from measured
