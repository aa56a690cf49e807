{{ config(
    enabled=jobo.uses_jobs(),
    materialized=jobo.by_group(),
    on_schema_change="fail",
    unique_key="job_id",
    incremental_strategy="jobo_replace",
    pre_hook="{{ jobo.keep_rebuilt(ref('stg_jobo__jobs'), 'job_id', ref('int_jobo__job_changes')) }}",
    **jobo.layout(["job_id"], unique=false)
) }}

with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
),

changed as (
    select *
    from jobs
    where {{ jobo.is_new("jobs.built_at") }}
),

named as (
    select distinct
        job_id,
        {{ jobo.json_text("item.value", ["location"]) }} as location,
        {{ jobo.json_text("item.value", ["city"]) }} as city,
        {{ jobo.json_text("item.value", ["region"]) }} as region,
        {{ jobo.json_text("item.value", ["country"]) }} as country,
        loaded_at
    from changed
    {{ jobo.join_items("places") }}
)

select
    *,
    {{ jobo.now() }} as built_at
from named
where coalesce(location, city, region, country) is not null
