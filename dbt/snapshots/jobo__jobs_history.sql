{% snapshot jobo__jobs_history %}

{{ config(
    enabled=jobo.uses_jobs(),
    unique_key="job_id",
    strategy="check",
    check_cols=["is_open"],
    indexes=[
        {"columns": ["job_id", "dbt_valid_to"]}, {"columns": ["dbt_updated_at"]},
    ] if target.type == "postgres" else [],
) }}

with

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
),

staged_jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

expired_jobs as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

-- Each CTE is read once: Postgres writes one that is read twice to disk.
reports as (
    select * from {{ ref("stg_jobo__expired_jobs") }}
),

changes as (
    select * from {{ ref("int_jobo__job_changes") }}
)
{%- if execute and load_relation(this) %}
{%- set last_version_at = jobo.last_time("dbt_updated_at") %},

-- A job opens or closes if it or its report was loaded since, or its report was deleted.
affected as (
    select job_id from staged_jobs
    where built_at > {{ last_version_at }}
    union all
    select job_id from expired_jobs
    where built_at > {{ last_version_at }}
    union all
    select history.job_id
    from {{ this }} as history
    left join reports on reports.job_id = history.job_id
    where history.dbt_valid_to is null and not history.is_open and reports.job_id is null
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
    created_at,
    read_at,
    closed_at,
    is_open
from jobs
{%- if execute and load_relation(this) %}
where
    -- If no staging table changed since the last version, Postgres reads no job.
    coalesce((select max(changed_at) from changes) > {{ last_version_at }}, true)
    and jobs.job_id in (select affected.job_id from affected)
    and not exists (
        select 1
        from {{ this }} as history
        where
            history.job_id = jobs.job_id
            and history.is_open = jobs.is_open
            and history.dbt_valid_to is null
    )
{%- endif %}

{% endsnapshot %}
