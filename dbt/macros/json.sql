{#-
Lists and objects. target-postgres stores lists of text as text[], other lists as jsonb[] and
objects as jsonb; target-duckdb stores all of them as JSON; other loaders, as text. The models see JSON
alone.

Those for DuckDB have no lambda: DuckDB 2 refuses
`x -> x`, and DuckDB 1.2 does not know `lambda x: x`.
-#}

{% macro type_json() %}{{ return(adapter.dispatch("type_json", "jobo")()) }}{% endmacro %}
{% macro default__type_json() %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__type_json() %}jsonb{% endmacro %}
{% macro duckdb__type_json() %}json{% endmacro %}
{% macro snowflake__type_json() %}variant{% endmacro %}
{% macro bigquery__type_json() %}json{% endmacro %}

{#-
A list or object as JSON, whatever the loader stores it as. What is text is parsed, and an error if it
is not JSON. With `of_objects`, so are the items of a list, but not on Snowflake, where no loader is known that
stores them as text.
-#}
{% macro to_json(column, of_objects) %}{{ return(adapter.dispatch("to_json", "jobo")(column, of_objects)) }}{% endmacro %}
{% macro default__to_json(column, of_objects) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__to_json(column, of_objects) -%}
(
            select case jsonb_typeof(stored.value)
                when 'string' then cast(stored.value #>> '{}' as jsonb)
                {%- if of_objects %}
                when 'array' then case jsonb_typeof(stored.value -> 0)
                    when 'string' then (
                        select jsonb_agg(cast(entry as jsonb))
                        from jsonb_array_elements_text(stored.value) as entry
                    )
                    else stored.value
                end
                {%- endif %}
                else stored.value
            end
            from (select to_jsonb({{ column }}) as value offset 0) as stored
        )
{%- endmacro %}
{% macro duckdb__to_json(column, of_objects) -%}
{%- set stored = "cast(" ~ column ~ " as json)" -%}
case
                when json_type({{ stored }}) = 'VARCHAR' then cast({{ stored }} ->> '$' as json)
                {%- if of_objects %}
                when json_type({{ stored }}, '$[0]') = 'VARCHAR'
                    then to_json(cast(cast({{ stored }} as varchar[]) as json[]))
                {%- endif %}
                else {{ stored }}
            end
{%- endmacro %}
{% macro snowflake__to_json(column, of_objects) -%}
{%- set stored = "to_variant(" ~ column ~ ")" -%}
case
                when typeof({{ stored }}) = 'VARCHAR' then parse_json(cast({{ stored }} as varchar))
                else {{ stored }}
            end
{%- endmacro %}
{% macro bigquery__to_json(column, of_objects) -%}
{%- set stored = "to_json(" ~ column ~ ")" -%}
case
                when json_type({{ stored }}) = 'string'
                    then parse_json(json_value({{ stored }}), wide_number_mode => 'round')
                {%- if of_objects %}
                when json_type(json_query({{ stored }}, '$[0]')) = 'string'
                    then to_json(array(
                        select parse_json(entry, wide_number_mode => 'round')
                        from unnest(json_value_array({{ stored }})) as entry with offset as position
                        order by position
                    ))
                {%- endif %}
                else {{ stored }}
            end
{%- endmacro %}

{#- A member as text, by its path of names and positions; without a path, the value itself. Null if it is an
    empty text. -#}
{% macro json_text(json, path=[]) %}nullif({{ adapter.dispatch("json_text", "jobo")(json, path) }}, ''){% endmacro %}
{% macro default__json_text(json, path) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__json_text(json, path) %}{{ json }} #>> '{ {{- path | join(",") -}} }'{% endmacro %}
{% macro duckdb__json_text(json, path) %}{{ json }} ->> '${{ jobo.json_path(path) }}'{% endmacro %}
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

{#- A member of each object of a list as one text, in the order of the list, without null and empty ones. Null
    if there is none. -#}
{% macro joined_members(list, name) %}{{ return(adapter.dispatch("joined_members", "jobo")(list, name)) }}{% endmacro %}
{% macro default__joined_members(list, name) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__joined_members(list, name) -%}
(
        select string_agg(entry.value ->> '{{ name }}', '; ' order by entry.position)
        from jsonb_array_elements(
            case when jsonb_typeof({{ list }}) = 'array' then {{ list }} end
        ) with ordinality as entry (value, position)
        where entry.value ->> '{{ name }}' <> ''
    )
{%- endmacro %}
{% macro duckdb__joined_members(list, name) -%}
list_aggregate(
        [entry for entry in json_extract_string({{ list }}, '$[*].{{ name }}') if entry <> ''], 'string_agg', '; '
    )
{%- endmacro %}
{% macro snowflake__joined_members(list, name) -%}
nullif(array_to_string(
        transform(
            filter(as_array({{ list }}), entry -> cast(entry:{{ name }} as varchar) <> ''),
            entry -> cast(entry:{{ name }} as varchar)
        ),
        '; '
    ), '')
{%- endmacro %}
{% macro bigquery__joined_members(list, name) -%}
(
        select string_agg(json_value(entry, '$.{{ name }}'), '; ' order by position)
        from unnest(json_query_array({{ list }})) as entry with offset as position
        where json_value(entry, '$.{{ name }}') <> ''
    )
{%- endmacro %}

{#- A list of text as one text, sorted: lists with the same items are equal. Without null and empty items. Null
    if there is none. -#}
{% macro sorted_text(list) %}{{ return(adapter.dispatch("sorted_text", "jobo")(list)) }}{% endmacro %}
{% macro default__sorted_text(list) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__sorted_text(list) -%}
(
        select string_agg(entry, ', ' order by entry collate "C")
        from jsonb_array_elements_text(
            case when jsonb_typeof({{ list }}) = 'array' then {{ list }} end
        ) as entry
        where entry <> ''
    )
{%- endmacro %}
{% macro duckdb__sorted_text(list) -%}
list_aggregate(
        list_sort([entry for entry in cast({{ list }} as varchar[]) if entry <> '']), 'string_agg', ', '
    )
{%- endmacro %}
{% macro snowflake__sorted_text(list) -%}
nullif(array_to_string(
        array_sort(transform(
            filter(as_array({{ list }}), entry -> cast(entry as varchar) <> ''),
            entry -> cast(entry as varchar)
        )),
        ', '
    ), '')
{%- endmacro %}
{% macro bigquery__sorted_text(list) -%}
(
        select string_agg(entry, ', ' order by entry)
        from unnest(json_value_array({{ list }})) as entry
        where entry <> ''
    )
{%- endmacro %}
