{#- Reading the tables of the loader. -#}

{#-
Select every column of a loader's table that the source declares, with types that do not depend on
the loader: keys and other text as text, lists and objects as JSON. A field that is deselected, or
`_sdc_batched_at` if the loader does not write it, is null.

Args:
    table: Its name in `_sources.yml`.
    key: The column of an incremental model that holds the row's id, to select only rows that changed
        since the model was built. All rows, if the loader does not write `_sdc_batched_at`.
-#}
{% macro loaded_rows(table, key=none) %}
{%- do jobo.check_warehouse(target.type) -%}
{%- set relation = source("jobo", table) -%}
{%- if execute -%}
    {%- set found = jobo.columns_of(relation, table) -%}
    {%- set declared = graph.sources["source.jobo.jobo." ~ table].columns.values() -%}
    select
        {%- for column in declared %}
        {% if column.name in found -%}
            {{ jobo.typed(column.name, column.data_type) }}
        {%- else -%}
            cast(null as {{ jobo.type_of(column.data_type) }})
        {%- endif %} as {{ column.name }}{{ "," if not loop.last }}
        {%- endfor %}
    from (select * from {{ relation }}) as loaded
    {%- if key and "_sdc_batched_at" in found %}
    {#- By the id first: a join that carries whole rows would spill them to disk. #}
    where loaded.id in (
        select candidate.id
        from (select * from {{ relation }}) as candidate
        where {{ jobo.is_changed(key, "cast(candidate.id as " ~ dbt.type_string() ~ ")", "cast(candidate._sdc_batched_at as " ~ dbt.type_timestamp() ~ ")") }}
    )
    {%- endif %}
{%- endif -%}
{% endmacro %}

{#- The names of the table's columns in lower case. An error if the models cannot do without one. -#}
{% macro columns_of(relation, table) %}
{%- set name = relation.schema ~ "." ~ relation.identifier -%}
{%- if not load_relation(relation) -%}
    {%- set switch = {"career_sites": none, "companies": "jobo__using_companies", "managed_jobs": "jobo__using_managed_jobs"}.get(table, "jobo__using_jobs") -%}
    {%- set otherwise = ", or set " ~ switch ~ " to false" if switch else "" -%}
    {{ exceptions.raise_compiler_error("There is no table " ~ name ~ ". Select the stream " ~ table ~ " and run the loader first" ~ otherwise ~ ".") }}
{%- endif -%}
{%- set found = adapter.get_columns_in_relation(relation) | map(attribute="name") | map("lower") | list -%}
{%- set settings = {
    "id": "With target-bigquery, set denormalized: true",
    "_sdc_extracted_at": "Set add_record_metadata: true for the loader (target-duckdb: add_metadata_columns: true)",
} -%}
{%- set missing = settings.keys() | reject("in", found) | list -%}
{%- if missing -%}
    {%- set advice = settings[missing[0]] -%}
    {{ exceptions.raise_compiler_error("The table " ~ name ~ " has no column " ~ missing | join(" and no column ") ~ ". " ~ advice ~ ", then run a full refresh of the stream " ~ table ~ ".") }}
{%- endif -%}
{{ return(found) }}
{% endmacro %}

{#- An error unless the package knows the warehouse. -#}
{% macro check_warehouse(type) %}
{%- if type not in ("postgres", "duckdb", "snowflake", "bigquery") -%}
    {{ exceptions.raise_compiler_error("The package jobo does not support " ~ type ~ ". It supports Postgres, DuckDB, Snowflake, and BigQuery.") }}
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
