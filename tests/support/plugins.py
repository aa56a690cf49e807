"""The plugins of meltano.yml without Meltano: as it declares them, each in its own environment."""

from __future__ import annotations

import yaml
from uv import find_uv_bin

from jobo_sandbox.company_data import Json
from tests.support.repository import REPOSITORY

PYTHON_OF_DBT = ">=3.11,<3.14"
"""What dbt, and the DuckDB that the loader needs, run on."""


def plugin_of(kind: str, name: str) -> Json:
    """Return a plugin's definition: `loaders` or `utilities`, and its name."""
    project = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))
    plugin: Json
    (plugin,) = (plugin for plugin in project["plugins"][kind] if plugin["name"] == name)
    return plugin


def tool_of(plugin: Json) -> list[str]:
    """Return a command that runs what follows it in the environment that `pip_url` describes."""
    package, *others = plugin["pip_url"].split()
    command = [find_uv_bin(), "tool", "run", "--quiet", "--from", package]
    command += [option for other in others for option in ("--with", other)]
    if "dbt" in plugin["pip_url"] or "duckdb" in plugin["pip_url"]:
        command += ["--python", PYTHON_OF_DBT]
    return command
