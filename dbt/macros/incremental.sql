{#-
What incremental models have in common. They keep `built_at`, when a build wrote a row. Staging models
also keep `loaded_at`, the loader's `_sdc_batched_at`. A row changed if its id and `loaded_at` are not in
the model together: no time is compared with another, so late, repeated, and backdated batches are read
like any other.
-#}

{#-
Select when a build last changed each of some staging tables, for an incremental model. A table changed
if its number of rows or its last `built_at` did.

Args:
    models: Names of the staging models.
-#}
{% macro changes_of(models) %}
with

{% for model in models -%}
{{ model }} as (
    {#- Apart, so that Postgres takes the last one from the index. #}
    select
        '{{ model }}' as model,
        (select count(*) from {{ ref(model) }}) as row_count,
        (select max(built_at) from {{ ref(model) }}) as last_built_at
),

{% endfor -%}
found as (
    {%- for model in models %}
    {{ "union all " if not loop.first }}select * from {{ model }}
    {%- endfor %}
)

select
    model,
    row_count,
    last_built_at,
    {{ jobo.now() }} as changed_at
from found
{%- if is_incremental() %}
where not exists (
    select 1
    from {{ this }} as known
    where
        known.model = found.model
        and known.row_count = found.row_count
        and known.last_built_at = found.last_built_at
)
{%- endif %}
{% endmacro %}

{#-
A condition: in an incremental run, whether a staging table changed after the model's last rows were
built. It names no column, so that Postgres reads nothing else if it is false.

Args:
    changes: The relation of `int_jobo__site_changes` or `int_jobo__job_changes`.
-#}
{% macro has_news(changes) %}
{%- if is_incremental() -%}
coalesce(
        (select max(built_at) from {{ this }}) < (select max(changed_at) from {{ changes }}),
        true
    )
{%- else -%}
true
{%- endif -%}
{% endmacro %}

{#- A condition: in an incremental run, whether a build wrote a row of another model after this model's
    last rows. -#}
{% macro is_new(built_at) %}
{%- if is_incremental() -%}
{{ built_at }} > {{ jobo.last_time("built_at") }}
{%- else -%}
true
{%- endif -%}
{% endmacro %}

{#- The last time in a column of a model, by default this one, or one before all others. As a constant: Postgres
    assumes that a third of all rows is later than the result of a query, and reads whole tables for that. -#}
{% macro last_time(column, relation=this) -%}
{%- set found = run_query("select max(" ~ column ~ ") from " ~ relation).columns[0].values()[0] if execute -%}
cast('{{ found or "1970-01-01" }}' as {{ jobo.type_timestamp() }})
{%- endmacro %}

{#-
How a warehouse stores an incremental model, for `config(**...)`. Postgres has indexes for the joins by the key and
for what builds wrote last. DuckDB has none, because its indexes refuse a key that is deleted and inserted at once.
BigQuery has partitions by the time, of a month so that no build changes more of them than it may, and clusters by
the key. Snowflake has clusters by the time alone, in whose order rows arrive: to keep a table in the order of a
unique key costs more than it saves.

Args:
    key: The columns that the table is joined by.
    unique: Whether they are unique.
    time: The column that queries filter by.
-#}
{% macro layout(key, unique=true, time="loaded_at") %}
{%- set is_date = time == "week" -%}
{%- set layouts = {
    "postgres": {"indexes": [{"columns": key, "unique": unique}, {"columns": ["built_at"]}]},
    "bigquery": {
        "partition_by": {
            "field": time,
            "data_type": "date" if is_date else "timestamp",
            "granularity": "day" if is_date else "month",
        },
        "cluster_by": key[:1],
    },
    "snowflake": {"cluster_by": [time if is_date else "cast(" ~ time ~ " as date)"]},
} -%}
{{- return(layouts.get(target.type, {})) -}}
{% endmacro %}

{#- The strategy of a model with one row per key. -#}
{% macro by_key() %}{{ return("merge" if target.type == "bigquery" else "delete+insert") }}{% endmacro %}

{#- How a model with several rows per key is built. On BigQuery each time anew, in one statement: there, deleting
    some rows is billed like reading all of them. -#}
{% macro by_group() %}{{ return("table" if target.type == "bigquery" else "incremental") }}{% endmacro %}

{#-
The strategy `jobo_replace`, of models with several rows per key: delete the rows of the keys that `keep_changes`
found, and insert what the model selects, in one transaction.
-#}
{% macro get_incremental_jobo_replace_sql(arguments) %}
{%- set columns = get_quoted_csv(arguments["dest_columns"] | map(attribute="name")) -%}
{%- set statements -%}
delete from {{ arguments["target_relation"] }}
where {{ arguments["unique_key"] }} in (select changed.key from {{ jobo.changes() }} as changed);
insert into {{ arguments["target_relation"] }} ({{ columns }})
select {{ columns }}
from {{ arguments["temp_relation"] }}
{%- endset -%}
{#- dbt has a transaction open on Postgres and DuckDB. -#}
{{ return(snowflake_dml_explicit_transaction(statements) if target.type == "snowflake" else statements) }}
{% endmacro %}

{#- A condition for tests: whether the last build wrote the row. `dbt test` tests all rows. -#}
{% macro in_last_build(relation) -%}
{%- if flags.WHICH == "build" -%}
built_at >= {{ jobo.last_time("built_at", relation) }}
{%- else -%}
true
{%- endif -%}
{%- endmacro %}

{#- The table that holds what differs between an incremental model and what it reads, while it is built. -#}
{% macro changes() %}
{%- set name = this.identifier ~ "__changes" -%}
{{ return(this.incorporate(path={"identifier": name}) if target.type in ("snowflake", "bigquery") else name) }}
{% endmacro %}

{#-
Keep the rows of a query, so that a build compares two tables once, and not in each statement that needs what differs.
For a pre-hook. Rows would be right without it, whatever is stored meanwhile: dbt selects the new ones in one statement,
and deletes and inserts by what that selected.

Args:
    query: Its column `key` is the key of the rows that the model replaces.
-#}
{% macro keep_changes(query) %}
{%- if not is_incremental() -%}
{%- elif target.type == "postgres" -%}
create temporary table {{ jobo.changes() }} on commit drop as {{ query }};
analyze {{ jobo.changes() }}
{%- elif target.type == "bigquery" -%}
create or replace table {{ jobo.changes() }}
options (expiration_timestamp = timestamp_add(current_timestamp(), interval 12 hour)) as {{ query }}
{%- else -%}
create or replace temporary table {{ jobo.changes() }} as {{ query }}
{%- endif -%}
{% endmacro %}

{#-
Keep the keys whose row in another model was built again, or is not there any more. The model selects what
`is_new`.

Args:
    relation: The other model.
    key: The column that holds the id in both models.
    changes: As in `has_news`, to look for missing rows only if there is news.
    missing: Whether to look for them.
-#}
{% macro keep_rebuilt(relation, key, changes=none, missing=true) %}
{%- set query %}
select rebuilt.{{ key }} as key
from (select * from {{ relation }}) as rebuilt
where {{ jobo.is_new("rebuilt.built_at") }}
{%- if missing %}
union all
select known.{{ key }} as key
from {{ this }} as known
where {{ jobo.has_news(changes) ~ " and " if changes }}not exists (
    select 1
    from (select * from {{ relation }}) as present
    where present.{{ key }} = known.{{ key }}
)
{%- endif %}
{%- endset -%}
{{ jobo.keep_changes(query) }}
{%- endmacro %}

{#-
Delete the rows of an incremental model whose id another model does not have any more. For a pre-hook. Whatever the
strategy then does by key, it would leave them.

Args:
    relation: The other model.
    key: The column that holds the id in both models.
    changes: As in `has_news`, to look only if there is news.
-#}
{% macro delete_missing(relation, key, changes=none) %}
{%- if is_incremental() -%}
delete from {{ this }}
where {{ jobo.has_news(changes) ~ " and " if changes }}not exists (
    select 1
    from (select * from {{ relation }}) as present
    where present.{{ key }} = {{ this.identifier }}.{{ key }}
)
{%- endif -%}
{% endmacro %}

{#-
End the current version in a snapshot of what another model does not have any more. For a post-hook. dbt's
own `hard_deletes` would end the version of each row that the snapshot does not select.

Args:
    key: The column that holds the id in both.
    relation: The other model.
-#}
{% macro end_deleted(key, relation) -%}
update {{ this }}
set dbt_valid_to = {{ jobo.now() }}
where dbt_valid_to is null and not exists (
    select 1
    from (select * from {{ relation }}) as present
    where present.{{ key }} = {{ this.identifier }}.{{ key }}
)
{%- endmacro %}
