"""The command lines in messages: such as work where the user is, with Meltano or without it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

CONFIG_FILES: Final = "tap_jobo.config_files"
"""Where the context of click has the files of `--config`."""


def archive_command(command: str, *arguments: str, location: str, is_own: bool = True) -> str:
    """Return a command line of `tap-jobo-archive`, in backticks, for a message.

    Args:
        command: Such as `drop`.
        arguments: What it takes, such as a stream and the number of a page.
        location: The folder or URL of the run's archive, which the program alone does not know.
        is_own: Whether the run reads the stream, so that `restart` is for its settings.
    """
    program = ["tap-jobo-archive", "--archive-dir", location]
    settings = _config_options() if command == "restart" and is_own else []
    return f"`{_command_line('archive', program, [command, *arguments, *settings])}`"


def _config_options() -> list[str]:
    """Return the options that name the settings of this run, as far as files have them.

    Meltano has removed its file by then.
    """
    context = click.get_current_context(silent=True)
    if context is None or "MELTANO_EXTRACTOR_NAME" in os.environ:
        return []
    files: list[str] = context.meta.get(CONFIG_FILES, [])
    return [word for file in files for word in ("--config", file)]


def explain_command(code: str) -> str:
    """Return the command line that explains a message, by its code."""
    return _command_line("explain", ["tap-jobo", "explain"], [code])


def run_with(name: str, value: str) -> str:
    """Return the command line of one run with a setting, in backticks, for a message."""
    if plugin := os.environ.get("MELTANO_EXTRACTOR_NAME"):
        prefix = re.sub(r"[^A-Z0-9]", "_", plugin.upper())
        return f"`{prefix}_{name.upper()}={value} meltano run ...`"
    return f"`TAP_JOBO_{name.upper()}={value} tap-jobo --config ENV --config ...`"


def _command_line(declared: str, program: Sequence[str], arguments: Sequence[str]) -> str:
    """Return a command line.

    A Meltano plugin that declares the command is called by its own name. Otherwise, the program may
    not be on the PATH.
    """
    plugin = os.environ.get("MELTANO_EXTRACTOR_NAME", "")
    if plugin and _is_declared(declared):
        environment = os.environ.get("MELTANO_ENVIRONMENT")
        option = [f"--environment={environment}"] if environment else []
        return _joined(["meltano", *option, "invoke", f"{plugin}:{declared}", *arguments])
    name, *rest = program
    found = name if shutil.which(name) else str(Path(sys.executable).with_name(name))
    return _joined([found, *rest, *arguments])


def _joined(words: Sequence[str]) -> str:
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """Return a word for a shell. A path may have a line break or a tab, which a log can't show."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = (
        each if each.isprintable() and each not in "\\'" else f"\\u{ord(each):04x}" for each in word
    )
    return f"$'{''.join(escaped)}'"


def _is_declared(command: str) -> bool:
    """Return whether the Meltano project declares a command of a plugin, in YAML or in JSON."""
    root = Path(os.environ.get("MELTANO_PROJECT_ROOT", ""))
    definitions = [root / "meltano.yml", *root.glob("plugins/extractors/*.lock")]
    key = re.compile(rf'(?m)^[^#\n]*\b{command}["\']?\s*:\s*({{|$)')  # not a setting, with a value
    return any(key.search(path.read_text("utf-8")) for path in definitions if path.is_file())
