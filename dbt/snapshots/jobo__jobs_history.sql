{% snapshot jobo__jobs_history %}

{{ config(
    enabled=jobo.uses_jobs(),
    unique_key="job_id",
    strategy="check",
    check_cols=["is_open"],
) }}

with

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
),

changes as (
    select * from {{ ref("int_jobo__job_changes") }}
)

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
    coalesce(
        (select max(changed_at) from changes) > (select max(dbt_updated_at) from {{ this }}),
        true
    )
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
