{#- Calendar weeks and months, in the time zone of the session, which must be UTC. -#}

{#- The Monday of an instant's week. -#}
{% macro monday(instant) %}{{ return(adapter.dispatch("monday", "jobo")(instant)) }}{% endmacro %}
{% macro default__monday(instant) %}cast({{ dbt.date_trunc("week", instant) }} as date){% endmacro %}
{#- Not date_trunc, which begins weeks as the account's WEEK_START says. -#}
{% macro snowflake__monday(instant) -%}
dateadd('day', 1 - dayofweekiso({{ instant }}), cast({{ instant }} as date))
{%- endmacro %}
{% macro bigquery__monday(instant) %}date_trunc(cast({{ instant }} as date), isoweek){% endmacro %}

{#- The first day of an instant's month. -#}
{% macro first_of_month(instant) %}cast({{ dbt.date_trunc("month", instant) }} as date){% endmacro %}

{#- The type of the loader's times. On Snowflake, TIMESTAMP is what the account's TIMESTAMP_TYPE_MAPPING says. -#}
{% macro type_timestamp() %}{{ return("timestamp_ntz" if target.type == "snowflake" else dbt.type_timestamp()) }}{% endmacro %}

{#- The present, as the same type as the loader's times. -#}
{% macro now() %}cast({{ dbt.current_timestamp() }} as {{ jobo.type_timestamp() }}){% endmacro %}

{#- A row for this week and each of the weeks before it, in the column `week`. -#}
{% macro recent_weeks(count) %}
{%- for weeks_ago in range(count) %}
    {{ "union all " if not loop.first }}select cast({{ dbt.dateadd("day", -7 * weeks_ago, jobo.monday(jobo.now())) }} as date) as week
{%- endfor -%}
{% endmacro %}

{#- A row for this month and each of the months before it, in the column `month`. -#}
{% macro recent_months(count) %}
{%- for months_ago in range(count) %}
    {{ "union all " if not loop.first }}select cast({{ dbt.dateadd("month", -months_ago, jobo.first_of_month(jobo.now())) }} as date) as month
{%- endfor -%}
{% endmacro %}

{#-
An error unless the session is in UTC. Otherwise times of the loader and of the history shift, and twice
a year an hour is missing or there twice. Snowflake and BigQuery keep times in UTC.
-#}
{% macro check_time_zone() %}
{%- if target.type in ("postgres", "duckdb") -%}
    {%- set query -%}
        select current_setting('TimeZone')
        from (select 1 as nothing) as session
        where
            cast(cast('2026-01-01 00:00:00+00:00' as timestamp with time zone) as timestamp) <> cast('2026-01-01' as timestamp)
            or cast(cast('2026-07-01 00:00:00+00:00' as timestamp with time zone) as timestamp) <> cast('2026-07-01' as timestamp)
    {%- endset -%}
    {%- for zone in run_query(query).columns[0].values() -%}
        {%- set advice = {
            "postgres": "Run ALTER DATABASE " ~ target.dbname ~ " SET timezone TO 'UTC'",
            "duckdb": "Set settings: {TimeZone: UTC} in your profile",
        }[target.type] -%}
        {{ exceptions.raise_compiler_error("The time zone of dbt's session is " ~ zone ~ ", not UTC. Nothing was built. " ~ advice ~ ". If the loader stored times in another time zone, then load everything again.") }}
    {%- endfor -%}
{%- endif -%}
{% endmacro %}
