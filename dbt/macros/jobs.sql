{#- Whether one of the streams of jobs is used. -#}
{% macro uses_jobs() %}{{ return(var("jobo__using_jobs") or var("jobo__using_managed_jobs")) }}{% endmacro %}

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
Pay per year: 2,080 hours, 260 days, 52 weeks, or 12 months. Null for any other period, and for less
than 1,000 a year: that is the pay of an hour with the wrong period.
-#}
{% macro yearly(amount, period) -%}
{{ amount }} * case lower(trim({{ period }}))
        when 'hourly' then 2080
        when 'daily' then 260
        when 'per-diem' then 260
        when 'weekly' then 52
        when 'monthly' then 12
        when 'yearly' then case when {{ amount }} >= 1000 then 1 end
    end
{%- endmacro %}

{#- The ATS as in the column `ats` of career sites, from the id that jobs have in `source`. -#}
{% macro ats_of(source) -%}
case lower({{ source }}) when 'lever_co' then 'lever' else lower({{ source }}) end
{%- endmacro %}

{#- The code of a currency in upper case. -#}
{% macro currency(code) %}nullif(upper(trim({{ code }})), ''){% endmacro %}

{#- A work model in one spelling: postings have On-site and Onsite. -#}
{% macro work_model(label) -%}
case replace(replace(lower(trim({{ label }})), '-', ''), ' ', '')
            when 'onsite' then 'On-site'
            when 'remote' then 'Remote'
            when 'hybrid' then 'Hybrid'
            else nullif(trim({{ label }}), '')
        end
{%- endmacro %}

{#- A level of experience in one spelling: postings have Senior and Senior Level. -#}
{% macro level(label) -%}
case lower(trim({{ label }}))
            when 'internship' then 'Intern'
            else nullif(regexp_replace(trim({{ label }}), ' +[Ll]evel$', ''), '')
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

{#-
Keep the companies that jobo__company_hiring_by_week counts again: those that have, or had, a job whose opening was
built after its last rows, and all of them if a week has begun. For its pre-hook.
-#}
{% macro keep_companies_to_count() %}
{%- set is_new_week -%}
not exists (select 1 from {{ this }} as counted where counted.week = {{ jobo.monday(jobo.now()) }})
{%- endset -%}
{%- set query %}
select versions.career_site_id as key
from {{ ref("jobo__jobs_history") }} as versions
where versions.job_id in (
    select rebuilt.job_id
    from {{ ref("jobo__job_openings") }} as rebuilt
    where {{ jobo.is_new("rebuilt.built_at") }}
)
union all
select opening.career_site_id as key
from {{ ref("jobo__job_openings") }} as opening
where {{ is_new_week }}
union all
select known.career_site_id as key
from {{ this }} as known
where {{ is_new_week }}
{%- endset -%}
{{ jobo.keep_changes(query) }}
{%- endmacro %}
