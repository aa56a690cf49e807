{#-
What a singular test selects, for `call`, or no rows if it can't tell: a model that it reads is missing, or `dbt build`
does not select it, so its rows can be older than those of the others. dbt selects a test with any model that it reads.
-#}
{% macro if_built() %}
{%- set missing = [] -%}
{%- if execute -%}
    {%- for id in model.depends_on.nodes -%}
        {%- set node = graph.nodes[id] -%}
        {%- set relation = load_relation(api.Relation.create(node.database, node.schema, node.alias)) -%}
        {%- if not relation or (flags.WHICH == "build" and id not in selected_resources) -%}{%- do missing.append(id) -%}{%- endif -%}
    {%- endfor -%}
{%- endif -%}
{%- if missing %}
select 'no failure' as nothing
from (select 1 as nothing) as none_built
where nothing = 0
{%- else -%}
{{ caller() }}
{%- endif -%}
{% endmacro %}

{#-
Select the rows that the last build wrote whose `career_site_id` is that of no career site, but is if neither case
nor dashes count.

Args:
    relation: A staging model.
    key: The column that holds the row's id.
-#}
{% macro misspelled_ids(relation, key) %}
{% call jobo.if_built() %}
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
{% endcall %}
{% endmacro %}
