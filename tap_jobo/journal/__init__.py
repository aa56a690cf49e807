"""The journal: billed pages in a folder or a bucket, so that no crash bills them again."""

from __future__ import annotations

from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from tap_jobo.clock import Clock
from tap_jobo.errors import JournalError
from tap_jobo.journal.folder import Folder
from tap_jobo.settings.common import JOURNAL_DIR

if TYPE_CHECKING:
    from tap_jobo.journal.store import Store


def open_store(setting: str | None, clock: Clock, logger: Logger) -> Store:
    """Return the store in `journal_dir`, by default in the user's state folder."""
    if setting and not JOURNAL_DIR.type.allows(setting):
        # Without showing it: it may hold credentials.
        raise JournalError(f"The journal must be {JOURNAL_DIR.type.expected}. [journal-unusable]")
    if not setting or "://" not in setting:
        try:
            folder = Path(setting) if setting else user_state_path("tap-jobo", appauthor=False)
            return Folder(folder.expanduser(), logger)
        except RuntimeError:
            raise JournalError(
                "The journal has no folder, because the home folder is unknown. Set HOME, set "
                "journal_dir (--journal-dir of the command), or set journal to false. "
                "[journal-unusable]"
            ) from None
    try:
        from tap_jobo.journal.bucket import Bucket, open_bucket  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise JournalError(
            f"The journal {setting} needs the extra 'cloud': install tap-jobo[cloud] in place of "
            "tap-jobo (with Meltano, in pip_url), or set journal_dir to a folder. "
            "[journal-unusable]"
        ) from None
    return Bucket(open_bucket(setting), setting.rstrip("/"), clock, logger)
