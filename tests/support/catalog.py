"""The catalog that the tap discovers, and what of it is selected."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobo_sandbox import Sandbox
from jobo_sandbox.feeds import FEEDS
from tests.support.process import Tap, environment, execute
from tests.support.warm import COMMAND

Json = dict[str, Any]
STREAMS = tuple(sorted(["billed_pages", "companies", *FEEDS]))
"""All streams, by the feeds of the sandbox, in the order in which a run reads them."""


def tap_of(sandbox: Sandbox, folder: Path, *streams: str) -> Tap:
    """The tap with these streams selected and no others."""
    selected = {name: name in streams for name in STREAMS}
    return Tap(sandbox, folder, catalog=selecting(discover(), **selected))


def selecting(discovered: Json, **streams: bool) -> Json:
    """The same catalog with some streams selected, or not."""
    catalog = deepcopy(discovered)
    for stream, selected in streams.items():
        for entry in entry_of(catalog, stream)["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = selected
    return catalog


def discover() -> dict[str, Any]:
    """The catalog that the tap discovers."""
    catalog: dict[str, Any] = json.loads(_discovered())
    return catalog


@cache
def _discovered() -> str:
    with TemporaryDirectory() as folder:
        return execute([str(COMMAND), "--discover"], environment(Path(folder))).stdout


def entry_of(catalog: dict[str, Any], stream: str = "career_sites") -> dict[str, Any]:
    """The catalog's entry of a stream."""
    entry: dict[str, Any]
    (entry,) = (entry for entry in catalog["streams"] if entry["tap_stream_id"] == stream)
    return entry
