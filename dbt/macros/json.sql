{#-
Lists and objects. target-postgres stores lists of text as text[], other lists as jsonb[] and
objects as jsonb (dbt calls both kinds of list ARRAY); target-duckdb stores all of them as JSON. The
models see JSON alone.

The macros for Snowflake and BigQuery are untested.
-#}

{% macro type_json() %}{{ return(adapter.dispatch("type_json", "jobo")()) }}{% endmacro %}
{% macro default__type_json() %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__type_json() %}jsonb{% endmacro %}
{% macro duckdb__type_json() %}json{% endmacro %}
{% macro snowflake__type_json() %}variant{% endmacro %}
{% macro bigquery__type_json() %}json{% endmacro %}

{#- A list or object as JSON, whatever the loader stores it as. -#}
{% macro to_json(column) %}{{ return(adapter.dispatch("to_json", "jobo")(column)) }}{% endmacro %}
{% macro default__to_json(column) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__to_json(column) %}to_jsonb({{ column }}){% endmacro %}
{% macro duckdb__to_json(column) %}cast({{ column }} as json){% endmacro %}
{% macro snowflake__to_json(column) %}to_variant({{ column }}){% endmacro %}
{% macro bigquery__to_json(column) %}to_json({{ column }}){% endmacro %}

{#- A member as text, by its path of names and positions; without a path, the value itself. -#}
{% macro json_text(json, path=[]) %}{{ return(adapter.dispatch("json_text", "jobo")(json, path)) }}{% endmacro %}
{% macro default__json_text(json, path) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__json_text(json, path) %}({{ json }} #>> '{ {{- path | join(",") -}} }'){% endmacro %}
{% macro duckdb__json_text(json, path) %}({{ json }} ->> '${{ jobo.json_path(path) }}'){% endmacro %}
{% macro snowflake__json_text(json, path) -%}
cast({% if path %}get_path({{ json }}, '{{ jobo.json_path(path).lstrip(".") }}'){% else %}{{ json }}{% endif %} as varchar)
{%- endmacro %}
{% macro bigquery__json_text(json, path) %}json_value({{ json }}, '${{ jobo.json_path(path) }}'){% endmacro %}

{#- A member as JSON, by its path. -#}
{% macro json_value(json, path) %}{{ return(adapter.dispatch("json_value", "jobo")(json, path)) }}{% endmacro %}
{% macro default__json_value(json, path) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__json_value(json, path) %}({{ json }} #> '{ {{- path | join(",") -}} }'){% endmacro %}
{% macro duckdb__json_value(json, path) %}json_extract({{ json }}, '${{ jobo.json_path(path) }}'){% endmacro %}
{% macro snowflake__json_value(json, path) %}get_path({{ json }}, '{{ jobo.json_path(path).lstrip(".") }}'){% endmacro %}
{% macro bigquery__json_value(json, path) %}json_query({{ json }}, '${{ jobo.json_path(path) }}'){% endmacro %}

{% macro json_path(path) -%}
{%- for step in path %}{{ "[" ~ step ~ "]" if step is number else "." ~ step }}{% endfor -%}
{%- endmacro %}

{#- A join that gives a row per item of a list, in the column item.value, as JSON. -#}
{% macro join_items(list) %}{{ return(adapter.dispatch("join_items", "jobo")(list)) }}{% endmacro %}
{% macro default__join_items(list) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__join_items(list) -%}
cross join lateral jsonb_array_elements(
    case when jsonb_typeof({{ list }}) = 'array' then {{ list }} end
) as item (value)
{%- endmacro %}
{% macro duckdb__join_items(list) -%}
cross join lateral (select unnest(cast({{ list }} as json[])) as value) as item
{%- endmacro %}
{% macro snowflake__join_items(list) %}cross join lateral flatten(input => {{ list }}) as item{% endmacro %}
{% macro bigquery__join_items(list) -%}
cross join unnest(
    array(select as struct value from unnest(json_query_array({{ list }})) as value)
) as item
{%- endmacro %}

{#- A list of text as one text, sorted: lists with the same items are equal. Null if it is empty. -#}
{% macro sorted_text(list) %}{{ return(adapter.dispatch("sorted_text", "jobo")(list)) }}{% endmacro %}
{% macro default__sorted_text(list) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__sorted_text(list) -%}
(
        select string_agg(entry, ', ' order by entry collate "C")
        from jsonb_array_elements_text(
            case when jsonb_typeof({{ list }}) = 'array' then {{ list }} end
        ) as entry
    )
{%- endmacro %}
{% macro duckdb__sorted_text(list) -%}
list_aggregate(list_sort(cast({{ list }} as varchar[])), 'string_agg', ', ')
{%- endmacro %}
{% macro snowflake__sorted_text(list) -%}
nullif(array_to_string(array_sort(as_array({{ list }})), ', '), '')
{%- endmacro %}
{% macro bigquery__sorted_text(list) -%}
(
        select string_agg(entry, ', ' order by entry)
        from unnest(json_value_array({{ list }})) as entry
    )
{%- endmacro %}
