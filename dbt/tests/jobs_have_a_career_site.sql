-- With filters on career_sites, there are jobs of companies without a row there.
{{ config(enabled=var("jobo__using_jobs"), severity="warn") }}

select
    jobs.job_id,
    jobs.career_site_id
from {{ ref("stg_jobo__jobs") }} as jobs
left join {{ ref("stg_jobo__career_sites") }} as sites
    on sites.career_site_id = jobs.career_site_id
where sites.career_site_id is null
