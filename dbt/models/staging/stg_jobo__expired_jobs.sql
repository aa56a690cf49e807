{{ config(
    materialized="incremental",
    unique_key="job_id",
    incremental_strategy=jobo.by_key(),
    pre_hook=[
        "{{ jobo.keep_differences('job_id', ['expired_jobs']) }}",
        "{{ jobo.delete_gone('job_id') }}",
    ],
    **jobo.layout(["job_id"])
) }}

with

expired_jobs as (
    {{ jobo.loaded_rows("expired_jobs") }}
)

select
    id as job_id,
    reported_at,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at,
    {{ jobo.now() }} as built_at
from expired_jobs
