-- Domains that would match no list of companies: not a host in lower case without www.
{{ config(severity="warn") }}

with

directory as (
    select * from {{ ref("jobo__directory") }}
)

select
    career_site_id,
    website,
    domain
from directory
where domain <> lower(domain) or domain like '%/%' or domain like 'www.%' or domain not like '%.%'
