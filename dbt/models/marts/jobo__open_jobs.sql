{{ config(enabled=jobo.uses_jobs()) }}

with

jobs as (
    select * from {{ ref("int_jobo__jobs") }}
)

select
    job_id,
    stream,
    career_site_id,
    company_name,
    title,
    normalized_title,
    location,
    city,
    region,
    country,
    locations,
    pay_min,
    pay_max,
    pay_currency,
    pay_period,
    yearly_pay_min,
    yearly_pay_max,
    employment_type,
    workplace_type,
    experience_level,
    source,
    ats,
    listing_url,
    apply_url,
    is_h1b_sponsor,
    date_posted,
    valid_through,
    created_at,
    updated_at,
    read_at
from jobs
where is_open
