{{ config(enabled=var("jobo__using_billed_pages")) }}

with

billed_pages as (
    {{ jobo.loaded_rows("billed_pages", has_changes=false) }}
),

-- A loader that only appends stores a page again that is replayed.
numbered as (
    select
        *,
        row_number() over (partition by id order by _sdc_extracted_at) as position
    from billed_pages
)

select
    id as billed_page_id,
    stream,
    sync_id,
    page,
    received_at,
    billed_rows,
    credits,
    is_confirmed,
    filters,
    _sdc_extracted_at as read_at,
    _sdc_batched_at as loaded_at
from numbered
where position = 1
