{#- Reading the tables of the loader. -#}

{#-
Select every column of a stream's table that the source declares, with types that do not depend on
the loader: keys and other text as text, lists and objects as JSON. A field that is deselected, or
`_sdc_batched_at` if the loader does not write it, is null. So is one with personal data, unless the
variable for these is on. There are no rows if the stream's variable
is off or its table is missing. `rows` becomes `billed_rows`, because it is reserved in some warehouses.

Args:
    table: Its name in `_sources.yml`.
    has_changes: Whether the model keeps differences: then it is the latest row of each id among them, or of each
        id if the model is built for the first time.
-#}
{% macro loaded_rows(table, has_changes=true) %}
{%- do jobo.check_warehouse(target.type) -%}
{%- set relation = source("jobo", table) -%}
{%- if execute -%}
    {%- do jobo.check_time_zone() -%}
    {%- set is_loaded = jobo.is_loaded(table) -%}
    {%- if var("jobo__using_" ~ table) and not is_loaded -%}{%- do jobo.warn_of_missing(relation, table) -%}{%- endif -%}
    {%- set found = jobo.columns_of(relation, table) if is_loaded else {} -%}
    {%- set declared = graph.sources["source.jobo.jobo." ~ table].columns.values() -%}
    select
        {%- for column in declared %}
        {% if column.name in found and (var("jobo__using_personal_data") or not column.config.meta.contains_pii) -%}
            {{ jobo.typed("loaded." ~ found[column.name], column.data_type) }}
        {%- else -%}
            cast(null as {{ jobo.type_of(column.data_type) }})
        {%- endif %} as {{ {"rows": "billed_rows"}.get(column.name, column.name) }}{{ "," if not loop.last }}
        {%- endfor %}
    {%- if not is_loaded %}
    from (select 1 as nothing) as loaded
    where nothing = 0
    {%- elif has_changes and (is_incremental() or jobo.repeats_ids(relation)) %}
    from (
        select
            *,
            row_number() over (
                partition by id
                order by {{ "_sdc_batched_at desc nulls last, " if "_sdc_batched_at" in found }}_sdc_extracted_at desc
            ) as recency
        from (select * from {{ relation }}) as stored
        {%- if is_incremental() %}
        where id in (select changed.id from {{ jobo.changes() }} as changed)
        {%- endif %}
    ) as loaded
    where recency = 1
    {%- else %}
    from (select * from {{ relation }}) as loaded
    {%- endif %}
{%- endif -%}
{% endmacro %}

{#- Whether a table has an id more than once: its loader only appends. On Postgres, whether it could. -#}
{% macro repeats_ids(relation) %}{{ return(adapter.dispatch("repeats_ids", "jobo")(relation)) }}{% endmacro %}
{% macro postgres__repeats_ids(relation) %}
{%- set query -%}
select pg_index.indexrelid
from pg_index
inner join pg_attribute on pg_attribute.attrelid = pg_index.indrelid and pg_attribute.attnum = pg_index.indkey[0]
where
    pg_index.indrelid = cast('{{ relation }}' as regclass)
    and pg_index.indisunique
    and pg_index.indisvalid
    and pg_index.indpred is null
    and pg_index.indnkeyatts = 1
    and pg_attribute.attname = 'id'
{%- endset -%}
{{ return(run_query(query).rows | length == 0) }}
{% endmacro %}
{% macro default__repeats_ids(relation) %}
{%- set query -%}
select id from (select * from {{ relation }}) as stored group by id having count(*) > 1 limit 1
{%- endset -%}
{{ return(run_query(query).rows | length > 0) }}
{% endmacro %}

{#-
Keep what differs between an incremental staging model and the loader's tables: the rows that are new, stored again,
or deleted, as `id`, which is null for deleted rows, and as `key`. For a pre-hook, before `delete_gone`.

Args:
    key: The model's column that holds the row's id.
    tables: Names in `_sources.yml` of the tables that the model reads. A row that is in several counts in
        the first.
-#}
{% macro keep_differences(key, tables) %}
{{- jobo.keep_changes(jobo.differences(key, tables)) if is_incremental() -}}
{% endmacro %}

{#- Delete the rows of a staging model that left the loader's tables. For a pre-hook. Whatever the strategy then does
    by key, it would leave them. BigQuery bills a DELETE for the whole table, even if it deletes nothing. -#}
{% macro delete_gone(key) %}
{%- if is_incremental() -%}
{%- set gone = "select changed.key from " ~ jobo.changes() ~ " as changed where changed.id is null" -%}
{%- if target.type != "bigquery" or run_query(gone ~ " limit 1").rows | length > 0 -%}
delete from {{ this }}
where {{ key }} in ({{ gone }})
{%- endif -%}
{%- endif -%}
{% endmacro %}

{% macro differences(key, tables) %}
{%- set loaded = [] -%}
{%- for table in tables if jobo.is_loaded(table) -%}{%- do loaded.append(table) -%}{%- endfor %}
select
    loaded.id,
    coalesce(loaded.key, known.{{ key }}) as key
from (
    {%- for table in loaded %}
    {%- set relation = source("jobo", table) %}
    {#- Elsewhere, whether ids repeat would be one more query over all of them. #}
    {%- set repeats_ids = target.type != "postgres" or jobo.repeats_ids(relation) %}
    {%- set has_times = "_sdc_batched_at" in jobo.columns_of(relation, table) %}
    {%- set loaded_at = "_sdc_batched_at" if has_times else "null" %}
    {{ "union all " if not loop.first }}select
        id,
        cast(id as {{ dbt.type_string() }}) as key,
        '{{ table }}' as stream,
        cast({{ "max(" ~ loaded_at ~ ")" if repeats_ids else loaded_at }} as {{ jobo.type_timestamp() }}) as loaded_at
    from (select id{{ ", _sdc_batched_at" if has_times }} from {{ relation }}) as stored
    {%- for earlier in loaded[:loop.index0] %}
    where not exists (
        select 1
        from (select id from {{ source("jobo", earlier) }}) as preferred
        where preferred.id = stored.id
    )
    {%- endfor %}
    {%- if repeats_ids %}
    group by id
    {%- endif %}
    {%- else %}
    select
        cast(null as {{ dbt.type_string() }}) as id,
        cast(null as {{ dbt.type_string() }}) as key,
        cast(null as {{ dbt.type_string() }}) as stream,
        cast(null as {{ jobo.type_timestamp() }}) as loaded_at
    from (select 1 as nothing) as none_loaded
    where nothing = 0
    {%- endfor %}
) as loaded
full join (
    select {{ key }}, loaded_at{{ ", stream" if tables | length > 1 }} from {{ this }}
) as known on known.{{ key }} = loaded.key
{#- As a number: Postgres then expects that few rows changed, and reads the tables in parallel. #}
where case
    when
        loaded.loaded_at = known.loaded_at
        {%- if tables | length > 1 %}
        and loaded.stream = known.stream
        {%- endif %}
        then 1
    else 0
end = 0
{% endmacro %}

{#- Let dbt list the tables of the loader before its threads start. A thread that asks while another one lists
    them finds only some, and would take the others for missing. -#}
{% macro list_loader_tables() %}
{%- if execute -%}
    {%- for source in graph.sources.values() if source.package_name == "jobo" -%}
        {%- do load_relation(api.Relation.create(source.database, source.schema, source.identifier)) -%}
    {%- endfor -%}
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

{#- The table's columns, by their names in lower case, each as the loader created it and quoted: its name can be a
    reserved word, such as rows. An error if the models cannot do without a column that is missing. -#}
{% macro columns_of(relation, table) %}
{%- set found = {} -%}
{%- for column in adapter.get_columns_in_relation(relation) -%}
    {%- do found.update({column.name | lower: adapter.quote(column.name)}) -%}
{%- endfor -%}
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
{%- if kind == "date-time" -%}{{ jobo.type_timestamp() }}
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

{#- A stored column with a type that does not depend on the loader. An empty text is null. -#}
{% macro typed(column, kind) %}
{%- if kind == "object" or kind.startswith("list") -%}{{ jobo.to_json(column, of_objects=kind == "list of object") }}
{%- elif kind == "text" -%}nullif(cast({{ column }} as {{ jobo.type_of(kind) }}), '')
{%- else -%}cast({{ column }} as {{ jobo.type_of(kind) }})
{%- endif -%}
{% endmacro %}
