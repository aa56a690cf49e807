{% snapshot jobo__jobs_history %}

{{ config(
    enabled=jobo.uses_jobs(),
    unique_key="job_id",
    strategy="check",
    check_cols=["is_open"],
) }}

{%- set is_first = not (execute and load_relation(this)) %}
{%- set last_version = "(select max(dbt_updated_at) from " ~ this ~ ")" %}

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

changes as (
    select * from {{ ref("int_jobo__job_changes") }}
)
{%- if not is_first %},

-- A job opens or closes if it or its report was built since, or if its report was deleted.
affected as (
    select job_id from staged_jobs where coalesce(built_at > {{ last_version }}, true)
    union all
    select job_id from expired_jobs where coalesce(built_at > {{ last_version }}, true)
    union all
    select job_id from {{ this }} where dbt_valid_to is null and not is_open
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
{%- if not is_first %}
where
    coalesce((select max(changed_at) from changes) > {{ last_version }}, true)
    and job_id in (select job_id from affected)
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
