{{ config(enabled=var("jobo__using_jobs")) }}

select
    id as job_id,
    reported_at,
    _sdc_extracted_at as read_at
from {{ ref("base_jobo__expired_jobs") }}
