"""Where the journal is: the folder of the setting, or the user's state folder."""

from __future__ import annotations

from pathlib import Path

from tap_jobo.errors import JournalError


def folder_of(setting: str | None) -> Path:
    """Return the journal's folder.

    Args:
        setting: `journal_dir`; None or empty for the state folder of the platform.

    Raises:
        JournalError: The user's home folder is unknown.
    """
    try:
        return (Path(setting) if setting else _state_folder()).expanduser()
    except RuntimeError:
        raise JournalError(
            "The journal has no folder: neither HOME nor the user's account names a home folder. "
            "Set HOME, set journal_dir (--journal-dir of the command) to a folder that lasts, or "
            "set journal to false."
        ) from None


def _state_folder() -> Path:
    from platformdirs import user_state_path  # noqa: PLC0415 - only if it is not set

    return user_state_path("tap-jobo", appauthor=False)
