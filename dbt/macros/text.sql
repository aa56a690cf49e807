{#- Where warehouses differ in text and dates. Those for Snowflake and BigQuery are untested. -#}

{#- What the only group of a pattern matches, or null. Patterns have no backslash: some warehouses
    would read it as an escape. -#}
{% macro capture(text, pattern) %}{{ return(adapter.dispatch("capture", "jobo")(text, pattern)) }}{% endmacro %}
{% macro postgres__capture(text, pattern) %}substring({{ text }} from '{{ pattern }}'){% endmacro %}
{% macro duckdb__capture(text, pattern) %}nullif(regexp_extract({{ text }}, '{{ pattern }}', 1), ''){% endmacro %}
{% macro snowflake__capture(text, pattern) %}regexp_substr({{ text }}, '{{ pattern }}', 1, 1, 'e', 1){% endmacro %}
{% macro bigquery__capture(text, pattern) %}regexp_extract({{ text }}, '{{ pattern }}'){% endmacro %}

{#- The bare host of a URL: to match it with a list of companies. -#}
{% macro domain(url) -%}
regexp_replace({{ jobo.capture("lower(" ~ url ~ ")", "^https?://([^/:?#]+)") }}, '^www[.]', '')
{%- endmacro %}

{#- The Monday of an instant's week. -#}
{% macro monday(instant) %}{{ return(adapter.dispatch("monday", "jobo")(instant)) }}{% endmacro %}
{% macro default__monday(instant) %}cast({{ dbt.date_trunc("week", instant) }} as date){% endmacro %}
{% macro bigquery__monday(instant) %}date_trunc(cast({{ instant }} as date), isoweek){% endmacro %}
