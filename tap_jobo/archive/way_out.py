"""How a user calls the archive's command where the tap runs: through Meltano, or as a program."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

_PROGRAM: Final = "tap-jobo-archive"


def archive_command(command: str, *arguments: str, location: str) -> str:
    """Return the command line, in backticks, for a message.

    A Meltano plugin that declares the command is called by its own name. Otherwise the program may
    not be on the PATH, and does not know the archive of the run.

    Args:
        command: Such as `drop`.
        arguments: What it takes, such as a stream and the number of a page.
        location: The folder or URL of the run's archive.
    """
    plugin = os.environ.get("MELTANO_EXTRACTOR_NAME", "")
    if plugin and _is_declared(f"archive-{command}"):
        environment = os.environ.get("MELTANO_ENVIRONMENT")
        option = [f"--environment={environment}"] if environment else []
        parts = ["meltano", *option, "invoke", f"{plugin}:archive-{command}", *arguments]
    else:
        program = shutil.which(_PROGRAM) and _PROGRAM
        program = program or str(Path(sys.executable).with_name(_PROGRAM))
        parts = [program, "--archive-dir", location, command, *arguments]
    return f"`{shlex.join(parts)}`"


def _is_declared(command: str) -> bool:
    """Return whether the Meltano project declares a command of a plugin."""
    root = Path(os.environ.get("MELTANO_PROJECT_ROOT", ""))
    definitions = [root / "meltano.yml", *root.glob("plugins/extractors/*.lock")]
    return any(command in path.read_text("utf-8") for path in definitions if path.is_file())
