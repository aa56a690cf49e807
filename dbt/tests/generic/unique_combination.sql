{#-
Rows are unique by several columns together, null included.

Args:
    columns: Their names.
    joined: A model that alone can double rows, by the first column. Others are rows of a tested model.
    by_build: Test only rows whose first column is in a row that the last build wrote. The build that
        wrote the others tested them.
-#}
{% test unique_combination(model, columns, joined=none, by_build=false) %}
select {{ columns | join(", ") }}
from {{ model }}
{%- if joined %}
where {{ columns[0] }} in (select {{ columns[0] }} from {{ joined }})
{%- elif by_build %}
where {{ columns[0] }} in (
    select {{ columns[0] }}
    from {{ model }}
    where built_at = (select max(built_at) from {{ model }})
)
{%- endif %}
group by {{ columns | join(", ") }}
having count(*) > 1
{% endtest %}
