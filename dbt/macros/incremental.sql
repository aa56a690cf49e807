{#-
What incremental models have in common. They keep `loaded_at`, the loader's `_sdc_batched_at`, of each
row. A row changed if its id and `loaded_at` are not in the model together: no time is compared with
another, so late, repeated, and backdated batches are read like any other.
-#}

{#-
A condition: in an incremental run, whether the model does not have this version of a row.

Args:
    key: The model's column that holds the row's id.
    id: The row's id.
    loaded_at: When the loader stored the row.
-#}
{% macro is_changed(key, id, loaded_at) %}
{%- if is_incremental() -%}
not exists (
        select 1
        from {{ this }} as known
        where known.{{ key }} = {{ id }} and known.loaded_at = {{ loaded_at }}
    )
{%- else -%}
true
{%- endif -%}
{% endmacro %}

{#-
Delete the rows of an incremental model whose versions another model does not have any more. For a
pre-hook, where one row of the other model makes several.

Args:
    relation: The other model, with the columns `key` and `loaded_at`.
    key: The column that holds the id in both models.
-#}
{% macro delete_outdated(relation, key) %}
{%- if is_incremental() -%}
delete from {{ this }}
where not exists (
    select 1
    from (select * from {{ relation }}) as present
    where
        present.{{ key }} = {{ this.identifier }}.{{ key }}
        and present.loaded_at = {{ this.identifier }}.loaded_at
)
{%- endif -%}
{% endmacro %}

{#-
Delete the rows of an incremental model that were deleted from the loader's tables. For a post-hook.

Args:
    key: The model's column that holds the row's id.
    tables: Names in `_sources.yml` of the tables that the model reads.
-#}
{% macro delete_unloaded(key, tables) %}
{%- if is_incremental() -%}
delete from {{ this }}
where
    {%- if tables | length == 1 %}
    {#- The model has every row of the table. Only if it has more, rows were deleted. #}
    (select count(*) from {{ this }}) > (select count(*) from {{ source("jobo", tables[0]) }})
    and
    {%- endif %}
    {%- for table in tables %}
    {{ "and " if not loop.first }}not exists (
        select 1
        from (select * from {{ source("jobo", table) }}) as loaded
        where cast(loaded.id as {{ dbt.type_string() }}) = {{ this.identifier }}.{{ key }}
    )
    {%- endfor %}
{%- endif -%}
{% endmacro %}

{#- Delete the last two weeks of an incremental model, to build them again. For a pre-hook. -#}
{% macro delete_last_weeks() %}
{%- if is_incremental() -%}
delete from {{ this }}
where week >= cast({{ dbt.dateadd("day", -7, "(select max(week) from " ~ this ~ ")") }} as date)
{%- endif -%}
{% endmacro %}
