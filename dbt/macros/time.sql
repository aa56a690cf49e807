{#- Calendar weeks and months, in the time zone of the session, which must be UTC. -#}

{#- The Monday of an instant's week. -#}
{% macro monday(instant) %}{{ return(adapter.dispatch("monday", "jobo")(instant)) }}{% endmacro %}
{% macro default__monday(instant) %}cast({{ dbt.date_trunc("week", instant) }} as date){% endmacro %}
{% macro bigquery__monday(instant) %}date_trunc(cast({{ instant }} as date), isoweek){% endmacro %}

{#- The first day of an instant's month. -#}
{% macro first_of_month(instant) %}cast({{ dbt.date_trunc("month", instant) }} as date){% endmacro %}

{#- The present, as the same type as the loader's times. -#}
{% macro now() %}cast({{ dbt.current_timestamp() }} as {{ dbt.type_timestamp() }}){% endmacro %}

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

{#- A condition: whether an incremental model has no row of this month. For a hook. -#}
{% macro no_month_yet() %}
{{- return("not exists (select 1 from " ~ this ~ " as known where known.month = " ~ jobo.first_of_month(jobo.now()) ~ ")") -}}
{% endmacro %}
