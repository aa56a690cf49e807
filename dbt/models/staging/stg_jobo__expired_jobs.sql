{{ config(
    materialized="incremental",
    unique_key="job_id",
    indexes=jobo.indexes(["job_id"]),
    post_hook="{{ jobo.delete_unloaded('job_id', ['expired_jobs']) }}",
) }}

with

expired_jobs as (
    {{ jobo.loaded_rows("expired_jobs", key="job_id") }}
)

select
    id as job_id,
    reported_at,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from expired_jobs
