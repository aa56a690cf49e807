{#- Reading the tables of the loader. -#}

{#-
Select every column of a stream's table that the source declares, with types that do not depend on
the loader: keys and other text as text, lists and objects as JSON. A field that is deselected, or
`_sdc_batched_at` if the loader does not write it, is null. There are no rows if the stream's variable
is off or its table is missing.

Args:
    table: Its name in `_sources.yml`.
    key: The column of an incremental model that holds the row's id, to select only rows that changed
        since the model was built. All rows, if the loader does not write `_sdc_batched_at`.
-#}
{% macro loaded_rows(table, key=none) %}
{%- do jobo.check_warehouse(target.type) -%}
{%- set relation = source("jobo", table) -%}
{%- if execute -%}
    {%- do jobo.check_time_zone() -%}
    {%- set is_loaded = jobo.is_loaded(table) -%}
    {%- if var("jobo__using_" ~ table) and not is_loaded -%}{%- do jobo.warn_of_missing(relation, table) -%}{%- endif -%}
    {%- set found = jobo.columns_of(relation, table) if is_loaded else [] -%}
    {%- set declared = graph.sources["source.jobo.jobo." ~ table].columns.values() -%}
    select
        {%- for column in declared %}
        {% if column.name in found -%}
            {{ jobo.typed("loaded." ~ column.name, column.data_type) }}
        {%- else -%}
            cast(null as {{ jobo.type_of(column.data_type) }})
        {%- endif %} as {{ column.name }}{{ "," if not loop.last }}
        {%- endfor %}
    {%- if not is_loaded %}
    from (select 1 as nothing) as loaded
    where nothing = 0
    {%- else %}
    from (select * from {{ relation }}) as loaded
    {%- if key and "_sdc_batched_at" in found %}
    {#- By the id first: a join that carries whole rows would spill them to disk. #}
    where loaded.id in (
        select candidate.id
        from (select * from {{ relation }}) as candidate
        where {{ jobo.is_changed(key, "cast(candidate.id as " ~ dbt.type_string() ~ ")", "cast(candidate._sdc_batched_at as " ~ dbt.type_timestamp() ~ ")") }}
    )
    {%- endif %}
    {%- endif %}
{%- endif -%}
{% endmacro %}

{#- Whether the variable of a stream is on and its table exists. -#}
{% macro is_loaded(table) %}
{%- set relation = source("jobo", table) -%}
{{ return(execute and var("jobo__using_" ~ table) and load_relation(relation) is not none) }}
{% endmacro %}

{#- A warning that a table is missing. It names the schemas that have a table of this name. -#}
{% macro warn_of_missing(relation, table) %}
{%- set others = [] -%}
{%- if target.type != "bigquery" -%}
    {%- set catalog = relation.database ~ ".information_schema" if target.type == "snowflake" else "information_schema" -%}
    {%- set query -%}
        select distinct table_schema
        from {{ catalog }}.tables
        where lower(table_name) = lower('{{ relation.identifier }}') and lower(table_catalog) = lower('{{ relation.database }}')
        order by 1
    {%- endset -%}
    {%- set others = run_query(query).columns[0].values() | list -%}
{%- endif -%}
{%- set elsewhere = " The variable jobo_schema is " ~ relation.schema ~ ", but the table is in " ~ others | join(", ") ~ "." if others else "" -%}
{%- do exceptions.warn("There is no table " ~ relation.schema ~ "." ~ relation.identifier ~ ", so the models have no rows of the stream " ~ table ~ "." ~ elsewhere ~ " Set " ~ ("jobo_schema" if others else "jobo_schema if the table is in another schema") ~ ", or set jobo__using_" ~ table ~ " to false if you don't load this stream.") -%}
{% endmacro %}

{#- The names of the table's columns in lower case. An error if the models cannot do without one. -#}
{% macro columns_of(relation, table) %}
{%- set found = adapter.get_columns_in_relation(relation) | map(attribute="name") | map("lower") | list -%}
{%- set settings = {
    "id": "With target-bigquery, set denormalized: true",
    "_sdc_extracted_at": "Set add_record_metadata: true for the loader (target-duckdb: add_metadata_columns: true)",
} -%}
{%- set missing = settings.keys() | reject("in", found) | list -%}
{%- if missing -%}
    {{ exceptions.raise_compiler_error("The table " ~ relation.schema ~ "." ~ relation.identifier ~ " has no column " ~ missing | join(" and no column ") ~ ". " ~ settings[missing[0]] ~ ", then run a full refresh of the stream " ~ table ~ ".") }}
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
{%- elif kind == "integer" -%}{{ dbt.type_bigint() }}
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
{%- if kind == "object" or kind.startswith("list") -%}{{ jobo.to_json(column, of_objects=kind == "list of object") }}
{%- else -%}cast({{ column }} as {{ jobo.type_of(kind) }})
{%- endif -%}
{% endmacro %}
