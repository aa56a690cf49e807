{# Which days there are: dbt needs it for metrics, and a package can't bring it. #}
{{ config(materialized="table") }}

select cast(date_day as date) as date_day
from ({{ dbt.date_spine("day", "cast('2025-01-01' as date)", "cast('2028-01-01' as date)") }}) as days
