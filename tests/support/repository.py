"""The project's own files."""

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def files(folder: str, pattern: str = "*.py") -> list[Path]:
    """The files of a folder and the folders in it; a check that finds none must not pass."""
    found = sorted((REPOSITORY / folder).rglob(pattern))
    assert found, f"no {pattern} in {folder}"
    return found


def copy_of_the_repository(folder: Path) -> None:
    """Copy the files that are committed or would be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
