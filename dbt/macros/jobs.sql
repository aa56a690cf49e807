{#- Whether one of the streams of jobs is selected. -#}
{% macro uses_jobs() %}{{ return(var("jobo__using_jobs") or var("jobo__using_managed_jobs")) }}{% endmacro %}

{#- The selected streams of jobs. -#}
{% macro job_streams() %}
{%- set streams = [] -%}
{%- if var("jobo__using_managed_jobs") -%}{%- do streams.append("managed_jobs") -%}{%- endif -%}
{%- if var("jobo__using_jobs") -%}{%- do streams.append("jobs") -%}{%- endif -%}
{{ return(streams) }}
{% endmacro %}

{#-
Whether a job has expired and not come back: it was reported as expired after Jobo last changed it
and after the tap last read it.
-#}
{% macro is_gone(reported_at, updated_at, read_at) -%}
(
        {{ reported_at }} is not null
        and not coalesce({{ reported_at }} <= {{ updated_at }}, false)
        and not coalesce({{ reported_at }} <= {{ read_at }}, false)
    )
{%- endmacro %}

{#-
Pay per year: 2,080 hours, 260 days, 52 weeks, or 12 months. Null for any other period.
-#}
{% macro yearly(amount, period) -%}
{{ amount }} * case lower({{ period }})
        when 'hourly' then 2080
        when 'daily' then 260
        when 'per-diem' then 260
        when 'weekly' then 52
        when 'monthly' then 12
        when 'yearly' then 1
    end
{%- endmacro %}

{#- A percentile of a group, from 0 to 1. -#}
{% macro percentile(column, fraction) %}{{ return(adapter.dispatch("percentile", "jobo")(column, fraction)) }}{% endmacro %}
{% macro default__percentile(column, fraction) -%}
cast(percentile_cont({{ fraction }}) within group (order by {{ column }}) as {{ jobo.type_number() }})
{%- endmacro %}
{% macro bigquery__percentile(column, fraction) -%}
approx_quantiles({{ column }}, 100)[offset({{ (100 * fraction) | int }})]
{%- endmacro %}
