{#- Drop the schema of the profile with all that was built in it. For a run against a real account. -#}
{% macro drop_own_schema() %}
{%- do adapter.drop_schema(api.Relation.create(database=target.database, schema=target.schema)) -%}
{% endmacro %}
