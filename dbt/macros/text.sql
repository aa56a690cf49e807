{#- Where warehouses differ in text and dates. -#}

{#- What the only group of a pattern matches, or null. Patterns have no backslash: some warehouses
    would read it as an escape. -#}
{% macro capture(text, pattern) %}{{ return(adapter.dispatch("capture", "jobo")(text, pattern)) }}{% endmacro %}
{% macro default__capture(text, pattern) %}{{ jobo.check_warehouse(target.type) }}{% endmacro %}
{% macro postgres__capture(text, pattern) %}substring({{ text }} from '{{ pattern }}'){% endmacro %}
{% macro duckdb__capture(text, pattern) %}nullif(regexp_extract({{ text }}, '{{ pattern }}', 1), ''){% endmacro %}
{% macro snowflake__capture(text, pattern) %}regexp_substr({{ text }}, '{{ pattern }}', 1, 1, 'e', 1){% endmacro %}
{% macro bigquery__capture(text, pattern) %}regexp_extract({{ text }}, '{{ pattern }}'){% endmacro %}

{#-
The bare host of a URL, to match it with a list of companies; null if there is none. Without white space,
a user, a port, a trailing dot, or www, unless the domain itself is www, such as www.de. A backslash is a
slash, as in browsers.
-#}
{% macro domain(url) -%}
{%- set separated = "translate(" ~ url ~ ", chr(9) || chr(10) || chr(13) || chr(92), '   /')" -%}
{%- set address = "regexp_replace(lower(trim(" ~ separated ~ ")), '^(https?:)?/*', '')" -%}
{%- set without_user = "regexp_replace(" ~ address ~ ", '^[^/?# ]*@', '')" -%}
{%- set host = "rtrim(" ~ jobo.capture(without_user, "^([^/:?#@ ,;]+)") ~ ", '.')" -%}
{%- set bare = "regexp_replace(" ~ host ~ ", '^(www[.])*', '')" -%}
{{ jobo.capture("case when " ~ bare ~ " not like '%.%' and " ~ host ~ " like 'www.%' then 'www.' else '' end || " ~ bare, "^([^.].*[.][^.]+)$") }}
{%- endmacro %}

{#- Text in lower case with single spaces: spellings that differ in nothing else are equal. -#}
{% macro normalized(text) -%}
{%- set spaced = "translate(" ~ text ~ ", chr(9) || chr(10) || chr(13), '   ')" -%}
nullif(trim(replace(replace(replace(lower({{ spaced }}), '  ', ' '), '  ', ' '), '  ', ' ')), '')
{%- endmacro %}

{#-
An amount in US dollars. The API sends it as text, such as 1200000, 1,200,000, $330M or $1.5B. Null
for any other text, such as another currency or a decimal comma.
-#}
{% macro dollars(text) -%}
{%- set plain = "replace(" ~ text ~ ", ',', '')" -%}
{%- set wrong_comma = jobo.capture(text ~ " || ' '", "(,[0-9]{0,2}[^0-9]|,[0-9]{4})") -%}
{#- No more digits than a bigint can hold, with or without a decimal point among them. -#}
{%- set with_unit = jobo.capture(plain, "^[$]?([0-9]{1,4}[.]?[0-9]{0,5})[KMB]$") -%}
{%- set without = jobo.capture(plain, "^[$]?([0-9]{1,12}[.]?[0-9]{0,6})$") -%}
cast(
        case when {{ wrong_comma }} is null then round(
            cast(coalesce({{ with_unit }}, {{ without }}) as {{ dbt.type_numeric() }})
            * case {{ jobo.capture(text, "([KMB])$") }}
                when 'K' then 1000 when 'M' then 1000000 when 'B' then 1000000000 else 1
            end
        ) end as {{ dbt.type_bigint() }}
    )
{%- endmacro %}

{#- A number that JSON has as a number or as text, such as 80000 or "80000.5". Null for any other text, such
    as "80k". -#}
{% macro number(text) -%}
cast({{ jobo.capture(text, "^(-?[0-9]{1,15}[.]?[0-9]*)$") }} as {{ jobo.type_number() }})
{%- endmacro %}

{#- The day that a text begins with, such as 2026-02-28; null if it begins with none. -#}
{% macro day(text) %}
{%- set day = jobo.capture(text, "^([1-9][0-9]{3}-[0-9]{2}-[0-9]{2})") -%}
{{ return(adapter.dispatch("day", "jobo")(day)) }}
{%- endmacro %}
{% macro default__day(day) %}{{ dbt.safe_cast(day, "date") }}{% endmacro %}
{#- With a format, because DATE_INPUT_FORMAT of the account can be another one. -#}
{% macro snowflake__day(day) %}try_to_date({{ day }}, 'YYYY-MM-DD'){% endmacro %}
{% macro duckdb__day(day) %}try_cast({{ day }} as date){% endmacro %}
{#- Postgres has no cast that returns null, and 2026-02-30 would fail the build. -#}
{% macro postgres__day(day) -%}
{%- set month = "cast(left(" ~ day ~ ", 7) || '-01' as date)" -%}
case
        when {{ day }} ~ '-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'
            then case
                when {{ month }} + cast(right({{ day }}, 2) as int) - 1 < {{ month }} + interval '1 month'
                    then cast({{ day }} as date)
            end
    end
{%- endmacro %}
