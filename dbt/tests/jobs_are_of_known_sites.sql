-- Jobs of companies that are not in career_sites, which can have other filters than jobs.
{{ config(severity="warn", enabled=jobo.uses_jobs()) }}

{% if execute and not load_relation(ref("stg_jobo__jobs")) -%}
-- A tag that does not build it selects this test, too.
select cast(null as {{ dbt.type_string() }}) as job_id
where 1 = 0
{%- else -%}
with

jobs as (
    select * from {{ ref("stg_jobo__jobs") }}
    where {{ jobo.in_last_build(ref("stg_jobo__jobs")) }}
),

sites as (
    select * from {{ ref("stg_jobo__career_sites") }}
)

select jobs.job_id
from jobs
left join sites on sites.career_site_id = jobs.career_site_id
where
    jobs.career_site_id is not null
    and sites.career_site_id is null
    and exists (select 1 from {{ ref("stg_jobo__career_sites") }})
{%- endif %}
