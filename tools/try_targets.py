"""Tries targets with what the tap emits: `uv run just targets`, or some by name.

Each target of `targets.toml` takes two runs over the sandbox with all streams: a first sync, with
values that loaders stumble over, and a second one after changes. What it stored is compared, value
by value, with the last record of each id. TARGETS.md is made from what this prints.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import psycopg
import requests
from obstore.store import S3Store
from uv import find_uv_bin

from jobo_sandbox.postgres import running_postgres
from tests.support import STREAMS, environment
from tests.support.pipeline import odd_runs
from tests.support.s3 import S3, serve_s3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.support import Run

HERE: Final = Path(__file__).parent
TARGETS: Final[dict[str, Any]] = tomllib.loads((HERE / "targets.toml").read_text("utf-8"))
LIBRARIES: Final = {
    "postgres": "psycopg[binary]",
    "duckdb": "duckdb",
    "parquet": "pyarrow",
}
"""What `read_target.py` needs to read a kind of store."""
SHOWN: Final = ("industries", "funding_rounds", "locations", "company", "updated_at", "reported_at")
"""The columns whose types are printed."""

Json = dict[str, Any]


class Trial:
    """A target with a folder, a database and a bucket of its own.

    Args:
        name: Its name in `targets.toml`.
        folder: Where its folder is made.
        places: What is filled in for placeholders, such as the port of Postgres.
    """

    def __init__(self, name: str, folder: Path, places: Mapping[str, str]) -> None:
        self._target = TARGETS[name]
        self.requirements: list[str] = self._target["requirements"]
        self._folder = folder / name
        self._output = self._folder / "output"
        self._output.mkdir(parents=True)
        self._places = {**places, "name": name, "folder": str(self._output)}
        requests.put(f"{places['s3']}/{name}", timeout=10)
        url = f"host=127.0.0.1 port={places['port']} user=postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')

    def load(self, run: Run) -> str:
        """Feed the messages of a run to the target; return the last line of its log if it fails."""
        config = self._folder / "config.json"
        config.write_text(self._filled(json.dumps(self._target["config"])))
        main, *others = self.requirements
        command = [find_uv_bin(), "tool", "run", "--quiet", "--from", main]
        for other in others:
            command += ["--with", other]
        command += ["--python", "3.11"]
        done = subprocess.run(  # noqa: S603 - from targets.toml
            [*command, self._target["command"], "--config", str(config)],
            input=run.stdout,
            capture_output=True,
            text=True,
            check=False,
            env=environment(self._folder),
            timeout=300,
        )
        log = done.stderr.splitlines() or [""]
        return f"exit code {done.returncode}: {log[-1]}" if done.returncode else ""

    def tables(self) -> list[Json]:
        """Return the tables that the target wrote, after a download of those in its bucket."""
        _download(S3(self._places["s3"], self._places["name"]), self._output)
        command = [find_uv_bin(), "run", "--quiet", "--no-project", "--python", "3.11"]
        if library := LIBRARIES.get(self._target["reader"]):
            command += ["--with", library]
        where = self._filled(self._target.get("location", "{folder}"))
        done = subprocess.run(  # noqa: S603 - our own script
            [*command, str(HERE / "read_target.py"), self._target["reader"], where],
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.split("\n") if line]

    def _filled(self, text: str) -> str:
        for name, value in self._places.items():
            text = text.replace(f"{{{name}}}", value)
        return text


def _download(s3: S3, folder: Path) -> None:
    config: Any = {name.lower(): value for name, value in s3.env.items()}
    store = S3Store(s3.bucket, config=config)
    for entry in sorted(store.list().collect(), key=lambda entry: entry["last_modified"]):
        (folder / Path(entry["path"]).name).write_bytes(bytes(store.get(entry["path"]).bytes()))


def last_records(runs: Iterable[Run]) -> dict[str, dict[str, Json]]:
    """Return what the tables must hold: the last record of each id, by stream and id."""
    tables: dict[str, dict[str, Json]] = {stream: {} for stream in STREAMS}
    for message in (message for run in runs for message in run.messages):
        if message["type"] == "RECORD":
            tables[message["stream"]][message["record"]["id"]] = message["record"]
    return tables


def report(tables: list[Json], expected: Mapping[str, Mapping[str, Json]]) -> Iterator[str]:
    """Compare what a target stored with what was emitted, line by line."""
    for stream, rows in expected.items():
        found = [table for table in tables if _stream_of(table["name"]) == stream]
        stored = [row for table in found for row in table["rows"]]
        by_id = {str(_value(row, "id")): row for row in stored}
        missing, repeated = len(rows.keys() - by_id.keys()), len(stored) - len(by_id)
        yield f"{stream}: {len(stored)} rows for {len(rows)} ids, {missing} ids missing"
        if repeated:
            yield f"  appended: {repeated} older versions of rows"
        yield from _differences(rows, by_id)
        types = {name.lower(): kind for table in found for name, kind in table["types"].items()}
        if any(name in types for name in SHOWN):
            yield f"  types: { {name: types[name] for name in SHOWN if name in types} }"


def _stream_of(table: str) -> str:
    """Return the stream that a table or a file is named after."""
    names = re.fullmatch(r"(?:jobo\.)?(\w+?)(?:[-.]?\d.*|\..*)?", table.lower())
    return names[1] if names else ""


def _differences(rows: Mapping[str, Json], stored: Mapping[str, Json]) -> Iterator[str]:
    counts: dict[str, Counter[str]] = {}
    examples: dict[str, str] = {}
    for key in rows.keys() & stored.keys():
        for field, value in rows[key].items():
            actual = _value(stored[key], field)
            if _plain(actual) != _plain(value):
                kind = _kind(value, actual)
                counts.setdefault(kind, Counter())[field] += 1
                examples.setdefault(kind, f"{field}: {value!r:.150} is {actual!r:.150}")
    for kind, fields in counts.items():
        yield f"  {kind}: {dict(fields.most_common(6))}, {len(fields)} fields; {examples[kind]}"


def _value(row: Json, field: str) -> object:
    return next((value for name, value in row.items() if name.lower() == field), KeyError)


def _kind(value: object, actual: object) -> str:
    if actual is KeyError:
        return "no column"
    return "null is an empty text" if value is None and actual == "" else "differs"


def _plain(value: object) -> object:
    """Reduce a value to what its forms in different stores have in common."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool | int | float):
        return float(value)
    return _plain_text(value) if isinstance(value, str) else value


def _plain_text(text: str) -> object:
    if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", text):
        instant = datetime.fromisoformat(text)
        return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    with suppress(ValueError):  # JSON
        return _plain(json.loads(text))
    return text


def main(names: list[str]) -> None:
    """Try the targets, all by default, and print what each of them stored."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="targets-")))
        folder.chmod(0o755)  # Postgres runs as a user of its own
        places = {
            "port": str(stack.enter_context(running_postgres(folder / "postgres"))),
            "s3": stack.enter_context(serve_s3()).address,
        }
        runs = odd_runs(folder)
        for name in names or TARGETS:
            trial = Trial(name, folder, places)
            print(f"\n{name}: {', '.join(trial.requirements)}")  # noqa: T201
            for failure in filter(None, map(trial.load, runs)):
                print(failure)  # noqa: T201
            print(*report(trial.tables(), last_records(runs)), sep="\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
