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

{#- Indexes for the joins by a model's key, and for what builds wrote last, where there are indexes that
    incremental builds can keep: DuckDB's refuse a key that is deleted and inserted at once. -#}
{% macro indexes(key, unique=true) %}
{{- return([{"columns": key, "unique": unique}, {"columns": ["built_at"]}] if target.type == "postgres" else []) -}}
{% endmacro %}

{#- A condition for tests: whether the last build wrote the row. `dbt test` tests all rows. -#}
{% macro in_last_build(relation) -%}
{%- if flags.WHICH == "build" -%}
built_at >= {{ jobo.last_time("built_at", relation) }}
{%- else -%}
true
{%- endif -%}
{%- endmacro %}

{#-
Delete the rows of an incremental model whose row in another model was built again. For a pre-hook. The
model selects what `is_new`.

Args:
    relation: The other model.
    key: The column that holds the id in both models.
-#}
{% macro delete_rebuilt(relation, key) %}
{%- if is_incremental() -%}
delete from {{ this }}
where {{ key }} in (
    select rebuilt.{{ key }}
    from (select * from {{ relation }}) as rebuilt
    where {{ jobo.is_new("rebuilt.built_at") }}
)
{%- endif -%}
{% endmacro %}

{#-
Delete the rows of an incremental model whose id another model does not have any more. For a pre-hook.

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
