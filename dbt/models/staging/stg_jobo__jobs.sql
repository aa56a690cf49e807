{{ config(
    materialized="incremental",
    unique_key="job_id",
    incremental_strategy=jobo.by_key(),
    pre_hook=[
        "{{ jobo.keep_differences('job_id', ['managed_jobs', 'jobs']) }}",
        "{{ jobo.delete_gone('job_id') }}",
    ],
    **jobo.layout(["job_id"])
) }}

with

managed_jobs as (
    {{ jobo.loaded_rows("managed_jobs") }}
),

jobs as (
    {{ jobo.loaded_rows("jobs") }}
),

-- A job that is in both streams is the one of managed_jobs.
loaded as (
    select *, 'managed_jobs' as stream
    from managed_jobs
    union all
    select *, 'jobs' as stream
    from jobs
    {%- if jobo.is_loaded("managed_jobs") %}
    where not exists (
        select 1
        from (select * from {{ source("jobo", "managed_jobs") }}) as managed
        where jobs.id = cast(managed.id as {{ dbt.type_string() }})
    )
    {%- endif %}
)

-- Without the description, which is several kB per row: join the source by its id to get it.
select
    id as job_id,
    stream,
    {{ jobo.json_text("company", ["id"]) }} as career_site_id,
    {{ jobo.json_text("company", ["name"]) }} as company_name,
    title,
    normalized_title,
    summary,
    listing_url,
    apply_url,
    {{ jobo.json_text("locations", [0, "location"]) }} as location,
    {{ jobo.json_text("locations", [0, "city"]) }} as city,
    {{ jobo.json_text("locations", [0, "region"]) }} as region,
    {{ jobo.json_text("locations", [0, "country"]) }} as country,
    {{ jobo.joined_members("locations", "location") }} as locations,
    locations as places,
    {{ jobo.number(jobo.json_text("compensation", ["min"])) }} as pay_min,
    {{ jobo.number(jobo.json_text("compensation", ["max"])) }} as pay_max,
    {{ jobo.json_text("compensation", ["currency"]) }} as pay_currency,
    {{ jobo.json_text("compensation", ["period"]) }} as pay_period,
    employment_type,
    workplace_type,
    experience_level,
    source,
    {{ jobo.sorted_text("responsibilities") }} as responsibilities,
    {{ jobo.sorted_text("benefits") }} as benefits,
    {{ jobo.json_value("qualifications", ["must_have", "skills"]) }} as required_skills,
    {{ jobo.json_value("qualifications", ["preferred", "skills"]) }} as preferred_skills,
    is_work_auth_required,
    is_h1b_sponsor,
    is_clearance_required,
    date_posted,
    valid_through,
    created_at,
    updated_at,
    _rescued_data as rescued_data,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from loaded
