{#- Before `dbt source freshness`: an error that names what is missing, instead of the warehouse's own. -#}
{% macro check_freshness() %}
{%- if execute and flags.WHICH == "freshness" -%}
    {%- set column = var("jobo_loaded_at_field", "_sdc_batched_at") -%}
    {%- set problems = [] -%}
    {%- for source in graph.sources.values() if source.package_name == "jobo" and source.unique_id in selected_resources -%}
        {%- set relation = load_relation(api.Relation.create(source.database, source.schema, source.identifier)) -%}
        {%- set name = source.schema ~ "." ~ source.identifier -%}
        {%- if not relation -%}
            {%- do problems.append("There is no table " ~ name ~ ". Set jobo_schema if it is in another schema, or set jobo__using_" ~ source.name ~ " to false if you don't load this stream.") -%}
        {%- elif modules.re.fullmatch("\\w+", column) and column not in adapter.get_columns_in_relation(relation) | map(attribute="name") | map("lower") -%}
            {%- do problems.append("The table " ~ name ~ " has no column " ~ column ~ ". Set add_record_metadata: true for the loader (target-duckdb: add_metadata_columns: true), or set jobo_loaded_at_field to a column that it has.") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if problems -%}{{ exceptions.raise_compiler_error(problems | join(" ")) }}{%- endif -%}
{%- endif -%}
{% endmacro %}
