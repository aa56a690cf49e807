"""Reproduces what singer-sdk-taps.md proposes to change.

Run it with `uv run proposals/reproduce_sdk.py`.

Each case runs a small tap in a process of its own and prints the end of its output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TAP = """
import os, signal, sys
from singer_sdk import Stream, Tap, typing as th

class Rows(Stream):
    name = "rows"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType), th.Property("is_agency", th.BooleanType)
    ).to_dict()

    def get_records(self, context):
        yield {"id": 1, "is_agency": self.config.get("is_agency")}
        if self.config.get("end") == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        yield {"id": 2}

class Others(Rows):
    name = "others"

class TapExample(Tap):
    name = "tap-example"
    config_jsonschema = th.PropertiesList(
        th.Property("api_key", th.StringType, secret=True),
        th.Property("is_agency", th.BooleanType),
        th.Property("end", th.StringType),
    ).to_dict()

    def discover_streams(self):
        return [Rows(self), Others(self)]

TapExample.cli()
"""


def run(
    *arguments: str, config: object = None, catalog: object = None, **env: str
) -> tuple[int, list[str], list[str]]:
    """Run the tap; return its exit code, and the lines of its two outputs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", TAP, *arguments]
        for option, content in (("--config", config), ("--catalog", catalog)):
            if content is not None:
                path = Path(folder, option.strip("-"))
                path.write_text(content if isinstance(content, str) else json.dumps(content))
                command += [option, str(path)]
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, env=os.environ | env
        )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def selected(*names: str) -> dict[str, object]:
    """Return the catalog, with these streams selected."""
    _, lines, _ = run("--discover")
    catalog = json.loads("\n".join(lines))
    for stream in catalog["streams"]:
        root = next(each for each in stream["metadata"] if not each["breadcrumb"])
        root["metadata"]["selected"] = stream["tap_stream_id"] in names
    return dict(catalog)


def show(title: str, *lines: object) -> None:
    """Print a case."""
    print(f"{title}\n", *(f"  {line}\n" for line in lines), sep="")  # noqa: T201


def main() -> None:
    """Run all cases."""
    code, _, _ = run(config={"end": "signal"}, catalog=selected("rows"))
    show(f"1. Ended by SIGTERM ({signal.SIGTERM:d})", f"exit code {code}")

    code, output, _ = run("--config", "ENV", catalog=selected("rows"), TAP_EXAMPLE_IS_AGENCY="ja")
    record = next(line for line in output if '"RECORD"' in line)
    show("2. A boolean variable is 'ja'", f"exit code {code}", record[: record.index("}") + 1])

    code, _, log = run(config={"api_key": ["a-secret"]}, catalog=selected("rows"))
    show(
        "3. A secret has the wrong type",
        *(line.split(" | ")[-1] for line in log if "a-secret" in line),
    )

    for argument in ("--test", "--test=disabled"):
        code, output, _ = run(argument, config={}, catalog=selected("rows"))
        rows = [json.loads(line) for line in output if '"RECORD"' in line]
        read = [(row["stream"], row["record"]["id"]) for row in rows]
        show(f"4. {argument}, with a catalog that selects 'rows'", f"exit code {code}", read)


if __name__ == "__main__":
    main()
