-- Domains that would match no list of companies: not a host in lower case without www.
{{ config(severity="warn", enabled=var("jobo__using_career_sites")) }}

with

directory as (
    select * from {{ ref("jobo__directory") }}
    where {{ jobo.in_last_build(ref("jobo__directory")) }}
)

select
    career_site_id,
    website,
    domain
from directory
where
    domain <> lower(domain)
    or domain like '%/%'
    or domain like 'www.%.%'
    or domain not like '%.%'
