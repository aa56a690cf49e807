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
with

checked as (
    select * from {{ relation }}
    where {{ jobo.in_last_build(relation) }}
),

sites as (
    select
        career_site_id,
        replace(lower(career_site_id), '-', '') as spelled
    from {{ ref("stg_jobo__career_sites") }}
),

unknown as (
    select
        checked.{{ key }},
        replace(lower(checked.career_site_id), '-', '') as spelled
    from checked
    left join sites on sites.career_site_id = checked.career_site_id
    where checked.career_site_id is not null and sites.career_site_id is null
)

select unknown.{{ key }}
from unknown
inner join sites on sites.spelled = unknown.spelled
{%- endif -%}
{% endmacro %}
