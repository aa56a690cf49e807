{{ config(
    materialized="incremental",
    indexes=jobo.indexes(["job_id"]),
    pre_hook="{{ jobo.start_from_changes('job_id', ['expired_jobs']) }}",
) }}
{%- set changes = jobo.changes_since("job_id", ["expired_jobs"]) %}

with

expired_jobs as (
    {{ jobo.loaded_rows("expired_jobs", changes) }}
)

select
    id as job_id,
    reported_at,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from expired_jobs
