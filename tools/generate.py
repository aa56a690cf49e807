"""Writes what other files repeat of the code: `uv run tools/generate.py`.

The tables of docs/reference, the settings of meltano.yml and plugin.yaml, the sources of the dbt
package, and the columns that its models take from them stand between two marks each. A test fails
if one of them is out of date.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jobo.settings.common import SOURCE
from tap_jobo.settings.setting import config_schema
from tap_jobo.streams import FEEDS, SETTINGS
from tap_jobo.tap import TapJobo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_jobo.settings.setting import Setting

ROOT = Path(__file__).parents[1]
OWN = {setting.name: setting for setting in SETTINGS}
REFERENCE = ROOT / "docs/reference"
DBT = ROOT / "dbt"
TABLE_HEAD = 2  # lines: titles and rule
SOURCES = {
    "career_sites": "One row per company and the place where its jobs are listed.",
    "companies": "The full profile of each company in career_sites.",
    "jobs": "One row per job posting, also if it has expired since.",
    "managed_jobs": "The same for the companies under Managed Job Scraping.",
    "expired_jobs": "The ids of jobs that have expired.",
    "billed_pages": "One row per page that was billed and delivered.",
}
"""The tables that the dbt package reads."""
LOADER_COLUMNS = {
    "_sdc_extracted_at": "When the tap read the row. Written by the loader.",
    "_sdc_batched_at": "When the loader stored the row. Written by the loader.",
}
MELTANO_VALUES = {  # the same for all environments, and not in .meltano, which people delete
    "archive_dir": "${MELTANO_PROJECT_ROOT}/archive/${MELTANO_EXTRACTOR_NAME}",
}
"""Defaults of settings in a Meltano project that are not those of the tap."""
COLUMNS = {
    "uuid": "uuid",
    "text": "text",
    "date-time": "timestamp",
    "date": "date",
    "boolean": "boolean",
    "integer": "bigint",
    "number": "numeric",
    "object": "jsonb",
    "list of text": "text[]",
    "list": "jsonb[]",
}
"""What target-postgres makes of each type."""
STREAMS: dict[str, Mapping[str, Any]] = {
    entry["tap_stream_id"]: entry["schema"]
    for entry in TapJobo(validate_config=False).catalog_dict["streams"]
}
"""The schema of each stream in the catalog."""


def generated() -> dict[Path, str]:
    """Return each file that has generated parts, as it should be."""
    tables = {"settings": [*_settings_sections()]}
    for name, schema in _tables().items():
        tables[f"streams/{name}"] = [
            "| field | type, and column in Postgres | meaning |",
            "|---|---|---|",
            *_fields(schema),
        ]
    pages = {
        (path := REFERENCE / f"{name}.md"): _between(
            path.stem, path.read_text("utf-8"), "\n".join(lines)
        )
        for name, lines in tables.items()
    }
    yaml = "\n".join(_settings_yaml(_all_settings()))
    definitions = (ROOT / "meltano.yml", ROOT / "plugin.yaml")
    example = ROOT / "examples/kubernetes/meltano.yml"
    plugin = "\n".join(_plugin_yaml(ROOT / "plugin.yaml", yaml))
    sources = DBT / "models/staging/_sources.yml"
    columns = DBT / "models/_columns.md"
    columns_text = _between("columns", columns.read_text("utf-8"), "\n".join(_descriptions()))
    sources_text = _between("sources", sources.read_text("utf-8"), "\n".join(_sources_yaml()))
    models = {
        path: _described(path)
        for path in (*DBT.glob("models/**/_*.yml"), *DBT.glob("snapshots/*.yml"))
        if path != sources
    }
    return (
        pages
        | {sources: sources_text, columns: columns_text}
        | models
        | {path: _between("settings", path.read_text("utf-8"), yaml) for path in definitions}
        | {example: _between("plugin", example.read_text("utf-8"), plugin)}
    )


def _between(name: str, text: str, content: str) -> str:
    """Replace what stands between the marks `generated: name` and `end of name`, as deep as they.

    The marks are comments, in a line of their own each.
    """
    head = TABLE_HEAD if content.startswith("|") else 0
    if len(content.splitlines()) <= head:
        sys.exit(f"There is nothing to write between the marks of {name}.")
    pattern = rf"(?sm)(^( *)[^\n]*generated: {name}\b[^\n]*\n).*?(^[^\n]*end of {name}\b)"
    replaced, count = re.subn(
        pattern, lambda found: f"{found[1]}{textwrap.indent(content, found[2])}\n{found[3]}", text
    )
    if count != 1:
        sys.exit(f"The marks of {name} are not there once.")
    return replaced


def _tables() -> dict[str, Mapping[str, Any]]:
    """Return the streams whose fields have a table: one for those that share a schema."""
    tables: dict[str, Mapping[str, Any]] = {}
    for name, schema in STREAMS.items():
        if schema not in tables.values():
            tables[name] = schema
    return tables


def _all_settings() -> dict[str, Any]:
    TapJobo.append_builtin_config(TapJobo.config_jsonschema)
    properties: dict[str, Any] = TapJobo.config_jsonschema["properties"]
    return properties


def _settings_sections() -> Iterator[str]:
    """Yield a heading for each setting, so that links, tables of contents, and searches find it."""
    properties = config_schema(SETTINGS)["properties"]
    groups: dict[str, list[Setting]] = {}
    for setting in SETTINGS:
        groups.setdefault(_group(setting.name), []).append(setting)
    for title, settings in groups.items():
        yield from (f"## {title}", "")
        for setting in settings:
            default = (
                "" if setting.default is None else f", default `{json.dumps(setting.default)}`"
            )
            default = ", required" if setting.required else default
            yield from (
                f"### `{setting.name}`",
                "",
                f"*{_type(properties[setting.name])}{default}*",
            )
            yield from ("", setting.description, "")
    yield from ("## Settings of the SDK", "", "| setting | meaning |", "|---|---|")
    for name, definition in _all_settings().items():
        if name not in properties:
            yield f"| `{name}` | {definition['description']} |"


def _group(name: str) -> str:
    for feed in FEEDS:
        if name in {each.name for each in feed.settings}:
            return feed.name.replace("_", " ").capitalize()
    if name.startswith("compan"):
        return "Profiles"
    if name in {each.name for each in SOURCE}:
        return "Connection and window"
    return "Cost, filters, and archive"


def _fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Return a row for each field, and below an object, or a list of them, one for each member."""
    for name, definition in schema["properties"].items():
        type_ = _type(definition)
        column = "" if path else f", `{COLUMNS.get(type_) or COLUMNS[type_.split(' of ')[0]]}`"
        yield f"| `{path}{name}` | {type_}{column} | {definition.get('description', '')} |"
        inner, mark = definition.get("items", definition), "[]." if "items" in definition else "."
        if "properties" in inner:
            yield from _fields(inner, f"{path}{name}{mark}")


def _type(definition: Mapping[str, Any]) -> str:
    kinds = [definition["type"]] if isinstance(definition["type"], str) else definition["type"]
    kind = next(kind for kind in kinds if kind != "null")
    if kind == "array":
        return f"list of {_type(definition['items'])}"
    if "enum" in definition:
        return ", ".join(f"`{value}`" for value in definition["enum"])
    return str(definition.get("format", {"string": "text", "object": "object"}.get(kind, kind)))


def _settings_yaml(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, definition in properties.items():
        yield f"- name: {name}"
        yield f"  kind: {_kind(name, definition)}"
        if "enum" in definition:
            yield "  options:"
            for value in definition["enum"]:
                yield f"    - label: {value.capitalize()}"
                yield f"      value: {value}"
        value = definition.get("default", MELTANO_VALUES.get(name))
        if value is not None:
            yield f"  value: {json.dumps(value)}"
        yield f"  label: {definition['title']}"
        yield "  description: >-"
        description = textwrap.wrap(definition["description"], 72, break_on_hyphens=False)
        yield from (f"    {line}" for line in description)
        if definition.get("secret"):
            yield "  sensitive: true"


def _plugin_yaml(path: Path, settings: str) -> Iterator[str]:
    """Yield what the example takes of the definition: all but how to install it."""
    block = re.search(r"(?ms)^( *)capabilities:\n.*?^\1settings:$", path.read_text("utf-8"))
    if not block:
        sys.exit(f"{path.name} has no capabilities and settings.")
    yield textwrap.dedent(block[0])
    yield textwrap.indent(settings, "  ")


def _sources_yaml() -> Iterator[str]:
    for table, description in SOURCES.items():
        yield f"- name: {table}"
        yield f"  identifier: \"{{{{ var('jobo_{table}_identifier', '{table}') }}}}\""
        yield f"  description: {description}"
        yield "  config:"
        yield f"    freshness: \"{{{{ {{}} if var('jobo__using_{table}') else none }}}}\""
        yield "  columns:"
        for name, definition in STREAMS[table]["properties"].items():
            yield from _column_yaml(table, name, _type(definition))
        for name in LOADER_COLUMNS:
            yield from _column_yaml("loader", name, "date-time")


def _descriptions() -> Iterator[str]:
    """Yield what describes each column of the sources, for all models that have it."""
    for table, schema in _tables().items():
        for name, definition in schema["properties"].items():
            yield from _block(table, name, definition["description"])
    for name, text in LOADER_COLUMNS.items():
        yield from _block("loader", name, text)


def _block(table: str, name: str, text: str) -> Iterator[str]:
    yield f"{{% docs {_doc(table, name)} %}}{text}{{% enddocs %}}"


def _doc(table: str, name: str) -> str:
    """Return the name of a column's description, which tables of one schema share."""
    first = next(
        (each for each, schema in _tables().items() if schema == STREAMS.get(table)), table
    )
    return f"jobo_{first}_{name.removeprefix('_')}"


def _described(path: Path) -> str:
    """Return a file of the dbt package with the columns that staging models take from sources."""
    text = path.read_text("utf-8")
    for table in SOURCES:
        if f"generated: {table}," in text:
            columns = textwrap.dedent("\n".join(_staging_yaml(table)))
            text = _between(table, text, columns)
    return text


def _staging_yaml(table: str) -> Iterator[str]:
    model = DBT / f"models/staging/stg_jobo__{table}.sql"
    names = re.findall(r"(?m)\b(\w+),?$", model.read_text("utf-8"))
    for name in STREAMS[table]["properties"]:
        if (staged := name.removeprefix("_")) in names:
            yield from _column_yaml(table, staged)


def _column_yaml(table: str, name: str, type_: str = "") -> Iterator[str]:
    yield f"  - name: {name}"
    if type_:
        yield f"    data_type: {type_}"
    yield f"    description: \"{{{{ doc('{_doc(table, name)}') }}}}\""


def _kind(name: str, definition: Mapping[str, Any]) -> str:
    if name in OWN and "boolean" in definition["type"]:
        return "string # as a boolean, Meltano would read any odd text as false"
    if definition.get("format") == "date-time":
        return "string # as a date, Meltano would resolve '2 days ago' anew in each run"
    if "enum" in definition:
        return "options"
    return str(next(kind for kind in definition["type"] if kind != "null"))


if __name__ == "__main__":
    for path, content in generated().items():
        path.write_text(content, "utf-8")
