"""Writes what other files repeat of the code: `uv run tools/generate.py`.

The tables of README.md and docs/reference, the streams and settings of meltano.yml and plugin.yaml,
the sources of the dbt package, and the columns that its models take from them stand between two
marks each. A test fails if one of them is out of date.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from jobo_sandbox import limits
from jobo_sandbox.contract import command
from jobo_sandbox.contract.api import LIMIT, most_requests
from tap_jobo import archive_cli
from tap_jobo.api.profiles import PROFILE_PATH
from tap_jobo.messages import documented
from tap_jobo.settings.common import SOURCE
from tap_jobo.settings.setting import config_schema
from tap_jobo.singer import billed_pages_stream
from tap_jobo.singer.stream import METRICS
from tap_jobo.streams import FEEDS, SETTINGS, companies
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.tap import TapJobo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_jobo.settings.setting import Setting

ROOT = Path(__file__).parents[1]
OWN = {setting.name: setting for setting in SETTINGS}
REFERENCE = ROOT / "docs/reference"
DBT = ROOT / "dbt"
TABLE_HEAD = 2  # lines: titles and rule
RESCUED = "_rescued_data"
PLAIN = 5
"""Words of what describes a member of an object, up to which its name alone is shown."""
STAGED = {"rows": "billed_rows"}
"""Columns whose name in staging is another one, because theirs is a reserved word."""
PERSONAL = {"email_address", "phone_number", "founders", "leadership", "_rescued_data"}
"""Fields that the dbt package leaves out without `jobo__using_personal_data`."""
LOADER_COLUMNS = {
    "_sdc_extracted_at": "When the tap read the row. Written by the loader.",
    "_sdc_batched_at": "When the loader stored the row. Written by the loader.",
}
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
_CATALOG: dict[str, Mapping[str, Any]] = {
    entry["tap_stream_id"]: entry
    for entry in TapJobo(validate_config=False).catalog_dict["streams"]
}
_SPECS = {feed.name: feed for feed in FEEDS}
SUMMARIES = {
    CAREER_SITES.name: CAREER_SITES.summary,
    "companies": companies.SUMMARY,
    **{feed.name: feed.summary for feed in sorted(FEEDS, key=lambda feed: feed.is_free)},
    "billed_pages": billed_pages_stream.SUMMARY,
}
"""What the rows of each stream are, in the order in which users see the streams."""
SCHEMAS: dict[str, Mapping[str, Any]] = {name: _CATALOG[name]["schema"] for name in SUMMARIES}


def generated() -> dict[Path, str]:
    """Return each file that has generated parts, as it should be."""
    sources = DBT / "models/staging/_sources.yml"
    parts = {
        ROOT / "README.md": ("streams", _readme_table()),
        REFERENCE / "columns.md": ("streams", _streams_sections()),
        REFERENCE / "settings.md": ("settings", _settings_sections()),
        REFERENCE / "messages.md": ("messages", _messages()),
        ROOT / "docs/run/loaders.md": ("targets", _targets_table()),
        ROOT / "docs/run/monitor.md": ("metrics", _metrics_table()),
        ROOT / "docs/start/before-you-buy.md": ("check", _cost_of_check()),
        DBT / "models/_columns.md": ("columns", _descriptions()),
        sources: ("sources", _sources_yaml()),
    }
    files = {path: _between(path, name, lines) for path, (name, lines) in parts.items()}
    for path in (*DBT.glob("models/**/_*.yml"), *DBT.glob("snapshots/*.yml")):
        if path != sources:
            files[path] = _described(path)
    for path in (ROOT / "meltano.yml", ROOT / "plugin.yaml"):
        text = _between(path, "select", _select_yaml())
        files[path] = _between(path, "settings", _settings_yaml(_all_settings()), text)
    page = REFERENCE / "prices-and-limits.md"
    files[page] = _between(page, "rates", _rates_table(), _between(page, "prices", _prices_table()))
    page = REFERENCE / "cli.md"
    options = _between(page, "options", _options_table())
    files[page] = _between(page, "commands", _commands_table(), options)
    page = DBT / "README.md"
    variables = _between(page, "variables", _variables_table())
    files[page] = _between(page, "marts", _marts_table(), variables)
    example = ROOT / "examples/kubernetes/meltano.yml"
    files[example] = _between(example, "plugin", _plugin_yaml(files[ROOT / "plugin.yaml"]))
    return files


class MissingError(LookupError):
    """What is needed to write a file is missing."""


def _between(path: Path, name: str, lines: Iterator[str], text: str = "") -> str:
    """Replace what stands between the marks `generated: name` and `end of name`, as deep as they.

    The marks are comments, in a line of their own each. The text is by default that of the file.
    """
    content = "\n".join(lines)
    head = TABLE_HEAD if content.startswith("|") else 0
    if len(content.splitlines()) <= head:
        raise MissingError(f"There is nothing to write between the marks of {name}.")
    pattern = rf"(?sm)(^( *)[^\n]*generated: {name}\b[^\n]*\n).*?(^[^\n]*end of {name}\b)"
    replaced, count = re.subn(
        pattern,
        lambda found: f"{found[1]}{textwrap.indent(content, found[2])}\n{found[3]}",
        text or (path.read_text("utf-8") if path.exists() else ""),
    )
    if count != 1:
        raise MissingError(
            f"{path.relative_to(ROOT)} needs a comment 'generated: {name}' and, below it, another "
            f"one 'end of {name}', once each."
        )
    return replaced


def _link(stream: str, page: str) -> str:
    return f"[`{stream}`]({page}#{stream})"


def _credits(stream: str) -> float:
    """Return the credits per row at list price, which are the dollars per 1,000 rows."""
    return _SPECS[stream].list_price if stream in _SPECS else 0


def _price(stream: str, at_list_price: str) -> str:
    if not _credits(stream):
        return "free"
    is_free_on_plans = _SPECS[stream].missing_charge_means_free
    return (
        f"{at_list_price} at list price; free on some plans" if is_free_on_plans else at_list_price
    )


def _readme_table() -> Iterator[str]:
    yield from ("| stream | rows | price per 1,000 rows |", "|---|---|---|")
    for name, summary in SUMMARIES.items():
        mark = " (selected by default)" if _is_selected(name) else ""
        link = _link(name, "docs/reference/columns.md")
        yield f"| {link}{mark} | {summary} | {_price(name, f'${_credits(name):g}')} |"


def _streams_sections() -> Iterator[str]:
    """Yield a section for each stream. Streams of one schema share a table."""
    tables = _tables()
    for name, summary in SUMMARIES.items():
        yield from (f"## {name}", "", f"{summary[0].upper()}{summary[1:]}.", "")
        if endpoint := _endpoint(name):
            yield from (f"Endpoint: `{endpoint}`.", "")
        if name in tables:
            yield from (*_columns(tables[name]), "")
        else:
            yield from (f"The columns are those of `{_first(SCHEMAS[name])}`.", "")


def _prices_table() -> Iterator[str]:
    yield from ("| stream | price per row |", "|---|---|")
    for name in SUMMARIES:
        price = f"{_credits(name):g} credits (${_credits(name) / 1_000:g})"
        yield f"| `{name}` | {_price(name, price)} |"


def _rates_table() -> Iterator[str]:
    """Yield the rate limits, which the sandbox enforces."""
    yield from ("| requests for | per minute | per hour | per day |", "|---|---|---|---|")
    every = {
        "all streams except `companies`, together": limits.FEED_LIMITS,
        "general endpoints, including profiles": limits.PROFILE_LIMITS,
    }
    for name, each in every.items():
        yield f"| {name} | {' | '.join(f'{count:,}' for count, _ in each)} |"


def _targets_table() -> Iterator[str]:
    """Yield what `try_targets.py` found."""
    found: dict[str, list[str]] = {}
    for target in tomllib.loads((ROOT / "tools/targets.toml").read_text("utf-8")).values():
        first, *others = target["requirements"]
        name, _, version = first.partition("==")
        notes = [f" with `{each}`" for each in others]
        found.setdefault(target["result"], []).append(f"`{name}` {version}{''.join(notes)}")
    yield from ("| targets on PyPI | result |", "|---|---|")
    for result, targets in found.items():
        yield f"| {', '.join(targets)} | {result} |"


def _metrics_table() -> Iterator[str]:
    yield from ("| metric | meaning |", "|---|---|")
    for name, meaning in METRICS.items():
        yield f"| `{name}` | {meaning} |"


def _options_table() -> Iterator[str]:
    yield from ("| option | meaning |", "|---|---|")
    for option in TapJobo.cli.params:
        if isinstance(option, click.Option) and option.name not in {"help", "version"}:
            yield f"| `{'`, `'.join(option.opts)}` | {_in_table(option.help)} |"


def _commands_table() -> Iterator[str]:
    """Yield the commands of `tap-jobo-archive`: the first paragraph of each, and its options."""
    yield from ("| command | what it does |", "|---|---|")
    for name, each in archive_cli.main.commands.items():
        context = click.Context(each, info_name=name)
        options = [option for option in each.params if isinstance(option, click.Option)]
        options = [option for option in options if option.name != "yes"]  # which the page explains
        words = [name, *each.collect_usage_pieces(context)[1:]]  # without [OPTIONS]
        usage = _in_table(" ".join(words))
        notes = [f"`{option.opts[0]}`: {_in_table(option.help)}" for option in options]
        first, *_ = (each.help or "").split("\n\n")
        text = " ".join([_in_table(first), *notes])
        yield f"| `{usage}` | {text} |"


def _variables_table() -> Iterator[str]:
    """Yield the variables of the dbt package, each with the comment above it.

    One that the project can't declare has a comment of its own: its name, default, and meaning.
    """
    yield from ("| variable | default | meaning |", "|---|---|---|")
    text = (DBT / "dbt_project.yml").read_text("utf-8").partition("  jobo:\n")[2]
    section = text.partition("\n\n")[0] + "\n"
    for comment, declared in re.findall(r"((?: +#.*\n)+)((?: +\w+:.*\n)*)", section):
        lines = [line.strip().removeprefix("# ") for line in comment.splitlines()]
        alone = [line.split(": ", 2) for line in lines if re.match(r"jobo_\w+: ", line)]
        for name, default, meaning in alone:
            yield f"| `{name}` | {default} | {meaning} |"
        if variables := yaml.safe_load(declared):
            (default,) = {json.dumps(each) for each in variables.values()}
            meaning = " ".join(lines[len(alone) :])
            shown = "-" if default == "null" else f"`{default}`"
            yield f"| `{'`, `'.join(variables)}` | {shown} | {meaning} |"


def _marts_table() -> Iterator[str]:
    """Yield the question that each mart answers, the streams that it needs, and its tags."""
    yield from ("| mart | question | streams | tags |", "|---|---|---|---|")
    models = yaml.safe_load((DBT / "models/marts/_marts.yml").read_text("utf-8"))["models"]
    described = {model["name"]: model for model in models}
    project = yaml.safe_load((DBT / "dbt_project.yml").read_text("utf-8"))
    for name, config in project["models"]["jobo"]["marts"].items():
        if not name.startswith("+"):
            question, mark, _ = described[name]["description"].partition("?")
            streams = described[name]["config"].get("meta", {}).get("streams", "")
            yield f"| `{name}` | {question}{mark} | {streams} | `{'`, `'.join(config['+tags'])}` |"


def _in_table(text: str | None) -> str:
    """Return a help text for a cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def _cost_of_check() -> Iterator[str]:
    yield (
        f"- The check costs less than {command.dollars(LIMIT)} at list price. It asks before it "
        f"starts, and sends at most {most_requests()}"
    )
    yield "  requests. If rows cost more than the list price, it requests fewer rows."


def _is_selected(stream: str) -> bool:
    (metadata,) = (each for each in _CATALOG[stream]["metadata"] if not each["breadcrumb"])
    return bool(metadata["metadata"]["selected-by-default"])


def _endpoint(stream: str) -> str:
    if stream in _SPECS:
        return f"{_SPECS[stream].method} {_SPECS[stream].path}"
    return f"GET {PROFILE_PATH}/{{id}}" if stream == "companies" else ""


def _select_yaml() -> Iterator[str]:
    for name, summary in SUMMARIES.items():
        line = f"- {name}.*"
        price = f"${_credits(name):.2f} per 1,000" if _credits(name) else "free"
        yield line if _is_selected(name) else f"# {line} # {summary}, {price}"


def _messages() -> Iterator[str]:
    """Yield the entries of all messages, with links from their page."""
    text = (ROOT / "tap_jobo/messages.md").read_text("utf-8")
    text = re.sub(
        r' "[^"]*"\)', ")", text[text.index("## Settings") :].strip()
    )  # titles are for explain
    text = re.sub(r"(?m)^- .*\{off\}.*\n", "", text)  # the page says it once, above
    text = documented(text)
    yield text.replace("](../docs/reference/", "](").replace("](../docs/", "](../")


def _columns(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield an item for each column. A table of three columns would not fit on a phone."""
    for name, definition in schema["properties"].items():
        type_ = _type(definition)
        column = COLUMNS.get(type_) or COLUMNS[type_.split(" of ")[0]]
        meaning = " ".join([definition.get("description", ""), *_members(definition)])
        if name == RESCUED:
            meaning = "[See above](#data-that-doesnt-fit-the-schema)."
        shown = f"`{name}`" if column == "text" else f"`{name}` `{column}`"
        yield f"- {shown}: {meaning}"


def _tables() -> dict[str, Mapping[str, Any]]:
    """Return the streams whose fields have a table: one for those that share a schema."""
    tables: dict[str, Mapping[str, Any]] = {}
    for name, schema in SCHEMAS.items():
        if schema not in tables.values():
            tables[name] = schema
    return tables


def _first(schema: Mapping[str, Any]) -> str:
    """Return the first stream with a schema."""
    return next(name for name, each in SCHEMAS.items() if each == schema)


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
    others = [f"`{name}`" for name in _all_settings() if name not in properties]
    listed = f"{', '.join(others[:-1])}, and {others[-1]}"
    yield from ("## Settings of the SDK", "", f"The Singer SDK defines {listed}.")


def _group(name: str) -> str:
    for feed in FEEDS:
        if name in {each.name for each in feed.settings}:
            return feed.name.replace("_", " ").capitalize()
    if name.startswith("compan"):
        return "Profiles"
    if name in {each.name for each in SOURCE}:
        return "Connection and dates"
    return "Cost, filters, and archive"


def _members(definition: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield what describes each member of an object, or of the objects of a list."""
    inner = definition.get("items", definition)
    for name, member in inner.get("properties", {}).items():
        description = member.get("description", "")
        type_ = _type(member)
        shown = f"`{path}{name}`" if type_ == "text" else f"`{path}{name}` ({type_})"
        is_plain = len(description.split()) <= PLAIN  # its name says the same
        yield f"{shown}." if is_plain else f"{shown}: {description}"
        yield from _members(member, f"{path}{name}.")


def _type(definition: Mapping[str, Any]) -> str:
    kinds = [definition["type"]] if isinstance(definition["type"], str) else definition["type"]
    kind = next(kind for kind in kinds if kind != "null")
    if kind == "array":
        items = definition["items"]
        # The description of a list of choices names them.
        return "list of text" if "enum" in items else f"list of {_type(items)}"
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
        value = definition.get("default")
        if value is not None:
            yield f"  value: {json.dumps(value)}"
        yield f"  label: {definition['title']}"
        yield "  description: >-"
        description = textwrap.wrap(definition["description"], 72, break_on_hyphens=False)
        yield from (f"    {line}" for line in description)
        if definition.get("secret"):
            yield "  sensitive: true"


def _plugin_yaml(definition: str) -> Iterator[str]:
    """Yield what the example takes of the definition: all but how to install it, and the marks."""
    block = re.search(r"(?ms)^( *)capabilities:\n.*\Z", definition)
    if not block:
        raise MissingError("plugin.yaml has no capabilities.")
    lines = textwrap.dedent(block[0]).splitlines()
    yield from (line for line in lines if not re.match(" *# (generated:|end of) ", line))


def _sources_yaml() -> Iterator[str]:
    for table, summary in SUMMARIES.items():
        yield f"- name: {table}"
        yield f"  identifier: \"{{{{ var('jobo_{table}_identifier', '{table}') }}}}\""
        yield f"  description: {summary[0].upper()}{summary[1:]}."
        yield "  config:"
        yield f"    freshness: \"{{{{ {{}} if var('jobo__using_{table}', false) else none }}}}\""
        yield "  columns:"
        for name, definition in SCHEMAS[table]["properties"].items():
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
    first = _first(SCHEMAS[table]) if table in SCHEMAS else table
    return f"jobo_{first}_{name.removeprefix('_')}"


def _described(path: Path) -> str:
    """Return a file of the dbt package with the columns that staging models take from sources."""
    text = path.read_text("utf-8")
    for table in SCHEMAS:
        if f"generated: {table}," in text:
            columns = textwrap.dedent("\n".join(_staging_yaml(table)))
            text = _between(path, table, iter(columns.splitlines()), text)
    return text


def _staging_yaml(table: str) -> Iterator[str]:
    model = DBT / f"models/staging/stg_jobo__{table}.sql"
    names = re.findall(r"(?m)\b(\w+),?$", model.read_text("utf-8"))
    for name in SCHEMAS[table]["properties"]:
        if (staged := STAGED.get(name, name.removeprefix("_"))) in names:
            yield f"  - name: {staged}"
            yield from _about(table, name)


def _column_yaml(table: str, name: str, type_: str = "") -> Iterator[str]:
    yield f"  - name: {name}"
    if type_:
        yield f"    data_type: {type_}"
    yield from _about(table, name)


def _about(table: str, name: str) -> Iterator[str]:
    yield f"    description: \"{{{{ doc('{_doc(table, name)}') }}}}\""
    if name in PERSONAL:
        yield "    config: {meta: {contains_pii: true}}"


def _kind(name: str, definition: Mapping[str, Any]) -> str:
    if name in OWN and "boolean" in definition["type"]:
        return "string # as a boolean, Meltano would read any odd text as false"
    if definition.get("format") == "date-time":
        return "string # as a date, Meltano would resolve '2 days ago' anew in each run"
    if "enum" in definition:
        return "options"
    return str(next(kind for kind in definition["type"] if kind != "null"))


if __name__ == "__main__":
    try:
        files = generated()
    except LookupError as error:
        sys.exit(str(error))
    for path, content in files.items():
        path.write_text(content, "utf-8")
