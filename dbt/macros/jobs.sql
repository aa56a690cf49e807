{#-
Whether a job that was reported as expired is gone: not if it changed since, because jobs can come
back. If it is unknown when it changed, the report counts.
-#}
{% macro is_gone(reported_at, changed_at) -%}
({{ reported_at }} > {{ changed_at }} or {{ changed_at }} is null)
{%- endmacro %}
