"""The command line in a message: one that works where the user is, with Meltano or without it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


def archive_command(command: str, *arguments: str, location: str) -> str:
    """Return a command line of `tap-jobo-archive`, in backticks, for a message.

    Args:
        command: Such as `drop`.
        arguments: What it takes, such as a stream and the number of a page.
        location: The folder or URL of the run's archive, which the program alone does not know.
    """
    program = ["tap-jobo-archive", "--archive-dir", location, command]
    return f"`{_command_line(f'archive-{command}', program, arguments)}`"


def explain_command(code: str) -> str:
    """Return the command line that explains a message, by its code."""
    return _command_line("explain", ["tap-jobo", "explain"], [code])


def without_a_state() -> str:
    """Return how to run without a state, which loads all selected streams from the beginning."""
    if os.environ.get("MELTANO_EXTRACTOR_NAME"):
        return "run once without a state (meltano run --full-refresh)"
    return "run once without a state"


def begin_anew(price: str, *, has_archive: bool) -> str:
    """Return the way out of a state that is of no use, and what that buys.

    Args:
        price: Of what is bought, empty if it is not known of which stream that is.
        has_archive: Whether the archive is on.
    """
    then = "loads what the archive has, free, and buys the rest"
    if not has_archive:
        then = "buys every selected stream again"
    return f"{without_a_state()}: {then}{price and f' ({price})'}"


def select_only(stream: str) -> str:
    """Return how to select one stream and no other: in Meltano's variable, or in the catalog."""
    if plugin := os.environ.get("MELTANO_EXTRACTOR_NAME"):
        variable = f"{re.sub(r'[^A-Z0-9]', '_', plugin.upper())}__SELECT"
        return f"select only {stream} in {variable}"
    return f"select only {stream} in the catalog"


def _command_line(declared: str, program: Sequence[str], arguments: Sequence[str]) -> str:
    """Return a command line.

    A Meltano plugin that declares the command is called by its own name. Otherwise, the program may
    not be on the PATH.
    """
    plugin = os.environ.get("MELTANO_EXTRACTOR_NAME", "")
    if plugin and _is_declared(declared):
        environment = os.environ.get("MELTANO_ENVIRONMENT")
        option = [f"--environment={environment}"] if environment else []
        return shlex.join(["meltano", *option, "invoke", f"{plugin}:{declared}", *arguments])
    name, *rest = program
    found = name if shutil.which(name) else str(Path(sys.executable).with_name(name))
    return shlex.join([found, *rest, *arguments])


def _is_declared(command: str) -> bool:
    """Return whether the Meltano project declares a command of a plugin, in YAML or in JSON."""
    root = Path(os.environ.get("MELTANO_PROJECT_ROOT", ""))
    definitions = [root / "meltano.yml", *root.glob("plugins/extractors/*.lock")]
    key = re.compile(rf'(?m)^\s*["\']?{command}["\']?\s*:|"{command}"\s*:')
    return any(key.search(path.read_text("utf-8")) for path in definitions if path.is_file())
