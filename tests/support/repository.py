"""The project's own files."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def files(folder: str, pattern: str = "*.py") -> list[Path]:
    """The files of a folder and the folders in it; a check that finds none must not pass."""
    found = sorted((REPOSITORY / folder).rglob(pattern))
    assert found, f"no {pattern} in {folder}"
    return found
