"""fakesnow as Snowflake, for what a test runs after it in the environment of dbt-snowflake.

fakesnow translates Snowflake's SQL to DuckDB's, in files of the current folder. What it cannot
do, and what the models or dbt use, is patched here.
"""

import os
import tomllib
import warnings
from pathlib import Path
from typing import Any

import fakesnow
import fakesnow.conn
import fakesnow.fakes
import fakesnow.transforms
from sqlglot import exp

RESERVED = set(
    tomllib.loads(Path(os.environ["RESERVED_WORDS"]).read_text("utf-8"))["snowflake"].split()
)
warnings.filterwarnings("ignore", module="fakesnow")  # of a newer DuckDB


class Connection(fakesnow.conn.FakeSnowflakeConnection):  # type: ignore[misc] # of no types here
    """A connection that has AS_ARRAY, and a name for the text of an item of a list."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._duck_conn.execute(
            "CREATE OR REPLACE TEMP MACRO as_array(list) AS"
            " CASE WHEN json_type(list) = 'ARRAY' THEN CAST(CAST(list AS JSON) AS JSON[]) END;"
            "CREATE OR REPLACE TEMP MACRO text_of(item) AS to_json(item) ->> '$';"
            "CREATE OR REPLACE TEMP MACRO type_of(item) AS json_type(to_json(item))"
        )


def create_table(statement: exp.Expression, _: object) -> exp.Expression:
    """Create any table or view as one of the schema, with the types of its rows.

    Temporary ones would have to be in a catalog of their own, and columns with types, as models
    with a contract have them, are read in no dialect at all.
    """
    if isinstance(statement, exp.Create) and statement.expression:
        properties = statement.args.get("properties")
        for temporary in list(properties.find_all(exp.TemporaryProperty)) if properties else []:
            temporary.pop()
        if isinstance(statement.this, exp.Schema) and statement.kind == "TABLE":
            statement.set("this", statement.this.this)
    return statement


def refuse(statement: exp.Expression) -> None:
    """Raise an error at a reserved word as a name, or at what an account can change."""
    for name in statement.find_all(exp.Identifier):
        if not name.quoted and name.name.lower() in RESERVED:
            raise ValueError(f"{name.name} is a reserved word of Snowflake: {statement.sql()}")
    for kind in statement.find_all(exp.DataType):
        if kind.this == exp.DataType.Type.TIMESTAMP:
            raise ValueError(f"TIMESTAMP follows TIMESTAMP_TYPE_MAPPING: {statement.sql()}")
    for cut in statement.find_all(exp.TimestampTrunc, exp.DateTrunc):
        if cut.text("unit").lower() == "week":
            raise ValueError(f"A week follows WEEK_START: {statement.sql()}")


def translate(statement: exp.Expression) -> list[exp.Expression]:
    """Refuse some SQL, read text in a VARIANT without quotes, and leave MERGE to DuckDB.

    fakesnow's own MERGE takes columns that both sides have, as in snapshots, for ambiguous.
    """
    refuse(statement)
    for function in list(statement.find_all(exp.Typeof)):
        function.replace(exp.Anonymous(this="type_of", expressions=[function.this.copy()]))
    items = {
        parameter.name
        for function in statement.find_all(exp.Lambda)
        for parameter in function.expressions
    }
    for cast in list(statement.find_all(exp.Cast)):
        is_item = isinstance(cast.this, exp.Identifier | exp.Column) and cast.this.name in items
        if cast.is_type("varchar") and (is_item or isinstance(cast.this, exp.ToVariant)):
            cast.replace(exp.Anonymous(this="text_of", expressions=[cast.this.copy()]))
    return [statement]


fakesnow.fakes.FakeSnowflakeConnection = Connection
fakesnow.transforms.create_table_as = create_table
fakesnow.transforms.merge = translate
fakesnow.transforms.trim_cast_varchar = lambda expression: expression  # it forgets what to trim
account = fakesnow.patch(db_path=Path.cwd())
account.__enter__()
