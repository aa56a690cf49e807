{{ config(enabled=var("jobo__using_companies"), severity="warn") }}

select
    career_site_id,
    company_type
from {{ ref("stg_jobo__companies") }}
where company_type not in ('for_profit', 'non_profit')
