{% snapshot jobo__jobs_history %}

{{ config(
    enabled=jobo.uses_jobs(),
    unique_key="job_id",
    strategy="check",
    check_cols=["is_open", "career_site_id"],
    indexes=[
        {"columns": ["job_id", "dbt_valid_to"]}, {"columns": ["dbt_updated_at"]},
    ] if target.type == "postgres" else [],
) }}
-- depends_on: {{ ref("stg_jobo__jobs") }}, {{ ref("stg_jobo__expired_jobs") }}
{%- set has_versions = execute and load_relation(this) %}

with

changes as (
    select * from {{ ref("int_jobo__job_changes") }}
)
{%- if has_versions %}
{%- set last_version_at = jobo.last_time("dbt_updated_at") %},

-- Each CTE is read once: Postgres writes one that is read twice to disk.
versions as (
    select * from {{ this }}
    where dbt_valid_to is null
),

open_versions as (
    select * from {{ this }}
    where dbt_valid_to is null and is_open
),

closed_versions as (
    select * from {{ this }}
    where dbt_valid_to is null and not is_open
),

reports_of_deleted as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

present_jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

-- Jobs whose report was loaded since, or deleted.
reported as (
    select distinct job_id
    from (
        select job_id from {{ ref("stg_jobo__expired_jobs") }}
        where built_at > {{ last_version_at }}
        union all
        select closed_versions.job_id
        from closed_versions
        left join {{ ref("stg_jobo__expired_jobs") }} as reports on reports.job_id = closed_versions.job_id
        where reports.job_id is null
    ) as found
),

-- A job opens, closes, or changes its company if it or its report was loaded since, or its report was
-- deleted. Apart, so that Postgres finds the first by an index.
jobs as (
    select * from {{ ref("int_jobo__jobs") }}
    where built_at > {{ last_version_at }}
    union all
    select built_before.*
    from reported
    inner join {{ ref("int_jobo__jobs") }} as built_before on built_before.job_id = reported.job_id
    where built_before.built_at <= {{ last_version_at }}
)
{%- else %},

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
)
{%- endif %}

-- What the marts need, also if the job is deleted from the loader's table. A job that is not selected
-- keeps its version.
select
    job_id,
    stream,
    career_site_id,
    company_name,
    title,
    normalized_title,
    location,
    country,
    source,
    workplace_type,
    experience_level,
    pay_currency,
    yearly_pay_min,
    yearly_pay_max,
    created_at,
    read_at,
    closed_at,
    is_open
from jobs
{%- if has_versions %}
where
    -- If no staging table changed since the last version, Postgres reads no job.
    coalesce((select max(changed_at) from changes) > {{ last_version_at }}, true)
    and not exists (
        select 1
        from versions
        where
            versions.job_id = jobs.job_id
            and versions.is_open = jobs.is_open
            and coalesce(versions.career_site_id, '') = coalesce(jobs.career_site_id, '')
    )
union all
-- A job that was deleted from the loader's table before a build saw that it had expired.
select
    open_versions.job_id,
    open_versions.stream,
    open_versions.career_site_id,
    open_versions.company_name,
    open_versions.title,
    open_versions.normalized_title,
    open_versions.location,
    open_versions.country,
    open_versions.source,
    open_versions.workplace_type,
    open_versions.experience_level,
    open_versions.pay_currency,
    open_versions.yearly_pay_min,
    open_versions.yearly_pay_max,
    open_versions.created_at,
    open_versions.read_at,
    reports_of_deleted.reported_at as closed_at,
    false as is_open
from open_versions
inner join reports_of_deleted on reports_of_deleted.job_id = open_versions.job_id
left join present_jobs on present_jobs.job_id = open_versions.job_id
where
    coalesce((select max(changed_at) from changes) > {{ last_version_at }}, true)
    and present_jobs.job_id is null
    and reports_of_deleted.reported_at > open_versions.read_at
{%- endif %}

{% endsnapshot %}
