{#-
Rows are unique by several columns together, null included.

Args:
    columns: Their names.
    by_build: In a build, test only the rows that it wrote. Rows with the same first column are written by
        the same build.
-#}
{% test unique_combination(model, columns, by_build=false) %}
select {{ columns | join(", ") }}
from {{ model }}
{%- if by_build %}
where {{ jobo.in_last_build(model) }}
{%- endif %}
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
