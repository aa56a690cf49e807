{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    unique_key="job_id",
    indexes=jobo.indexes("job_id"),
    post_hook="{{ jobo.delete_unloaded('job_id', jobo.job_streams()) }}",
) }}
{%- set streams = jobo.job_streams() %}

with

{% for stream in streams -%}
{{ stream }} as (
    {{ jobo.loaded_rows(stream, key="job_id") }}
),

{% endfor -%}
-- A job that is in both streams is the one of managed_jobs.
loaded as (
    {%- for stream in streams %}
    {{ "union all" if not loop.first }}
    select *, '{{ stream }}' as stream
    from {{ stream }}
    {%- if not loop.first %}
    where not exists (
        select 1
        from (select * from {{ source("jobo", "managed_jobs") }}) as managed
        where jobs.id = cast(managed.id as {{ dbt.type_string() }})
    )
    {%- endif %}
    {%- endfor %}
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
    cast({{ jobo.json_text("compensation", ["min"]) }} as {{ jobo.type_number() }}) as pay_min,
    cast({{ jobo.json_text("compensation", ["max"]) }} as {{ jobo.type_number() }}) as pay_max,
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
