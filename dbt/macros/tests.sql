{#-
Select the rows that the last build wrote whose `career_site_id` is that of no career site, but is if neither case
nor dashes count.

Args:
    relation: A staging model.
    key: The column that holds the row's id.
-#}
{% macro misspelled_ids(relation, key) %}
{%- if execute and not load_relation(relation) -%}
-- A tag that does not build it selects this test, too.
select cast(null as {{ dbt.type_string() }}) as {{ key }}
where 1 = 0
{%- else -%}
-- Sites are read by two subqueries, not by a CTE: Postgres writes one that is read twice to disk, without its index.
with

unknown as (
    select
        checked.{{ key }},
        replace(lower(checked.career_site_id), '-', '') as spelled
    from {{ relation }} as checked
    where
        {{ jobo.in_last_build(relation) }}
        and checked.career_site_id is not null
        and not exists (
            select 1
            from {{ ref("stg_jobo__career_sites") }} as sites
            where sites.career_site_id = checked.career_site_id
        )
)

select {{ key }}
from unknown
where spelled in (
    select replace(lower(sites.career_site_id), '-', '')
    from {{ ref("stg_jobo__career_sites") }} as sites
)
{%- endif -%}
{% endmacro %}
