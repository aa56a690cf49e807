{#-
Select every column of a loader's table that the source declares, with types that do not depend on
the loader: keys and other text as text, lists and objects as JSON. A column that the table lacks,
because the field is deselected or the loader does not write it, is null.

Args:
    relation: The source.
    table: Its name in `_sources.yml`.
    switch: The variable that switches the source off; none if it is always needed.
-#}
{% macro base(relation, table, switch=none) %}
{%- if execute -%}
    {%- if not load_relation(relation) -%}
        {%- set advice = "select the stream " ~ table ~ " and run the loader first" -%}
        {%- if switch -%}{%- set advice = advice ~ ", or set " ~ switch ~ " to false" -%}{%- endif -%}
        {{ exceptions.raise_compiler_error("There is no table " ~ relation.schema ~ "." ~ relation.identifier ~ ": " ~ advice ~ ".") }}
    {%- endif -%}
    {%- set found = adapter.get_columns_in_relation(relation) | map(attribute="name") | map("lower") | list -%}
    {%- set declared = graph.sources["source.jobo.jobo." ~ table].columns.values() -%}
select
    {%- for column in declared %}
    {% if column.name in found -%}
        {{ jobo.typed(column.name, column.data_type) }}
    {%- else -%}
        cast(null as {{ jobo.type_of(column.data_type) }})
    {%- endif %} as {{ column.name }}{{ "," if not loop.last }}
    {%- endfor %}
from {{ relation }}
{%- endif -%}
{% endmacro %}

{#- The warehouse's type of what the streams' schemas call a type. -#}
{% macro type_of(kind) %}
{%- if kind == "date-time" -%}{{ dbt.type_timestamp() }}
{%- elif kind == "boolean" -%}{{ dbt.type_boolean() }}
{%- elif kind == "number" -%}{{ jobo.type_number() }}
{%- elif kind == "object" or kind.startswith("list") -%}{{ jobo.type_json() }}
{%- else -%}{{ dbt.type_string() }}
{%- endif -%}
{% endmacro %}

{#- dbt's FLOAT is exact to seven digits on DuckDB. -#}
{% macro type_number() %}{{ return(adapter.dispatch("type_number", "jobo")()) }}{% endmacro %}
{% macro default__type_number() %}{{ return(dbt.type_float()) }}{% endmacro %}
{% macro duckdb__type_number() %}double{% endmacro %}

{% macro typed(column, kind) %}
{%- if kind == "object" or kind.startswith("list") -%}{{ jobo.to_json(column) }}
{%- else -%}cast({{ column }} as {{ jobo.type_of(kind) }})
{%- endif -%}
{% endmacro %}
