"""The archive: all billed pages, in a folder or a bucket, so that no row is bought twice."""

from __future__ import annotations

from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path

from tap_jobo.archive.folder import Folder
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tap_jobo.messages import message
from tap_jobo.settings.common import ARCHIVE_DIR

if TYPE_CHECKING:
    from tap_jobo.archive.store import Store


def open_store(setting: str | None, clock: Clock, logger: Logger) -> Store:
    """Return the store in `archive_dir`, by default in the user's state folder."""
    if setting and not ARCHIVE_DIR.type.allows(setting):
        # Without showing it: it may hold credentials.
        fact = f"The archive must be {ARCHIVE_DIR.type.expected}."
        raise ArchiveError(message("archive-unusable", fact))
    if not setting or "://" not in setting:
        try:
            folder = Path(setting) if setting else user_state_path("tap-jobo")
            return Folder(folder.expanduser(), logger)
        except RuntimeError:
            fact = "The archive has no folder, because the home folder is unknown. Set archive_dir."
            raise ArchiveError(message("archive-unusable", fact)) from None
    try:
        from tap_jobo.archive.bucket import Bucket, open_bucket  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        fact = (
            f"The archive {setting} needs the extra 'cloud': install tap-jobo[cloud] in place of "
            "tap-jobo (with Meltano, in pip_url)."
        )
        raise ArchiveError(message("archive-unusable", fact)) from None
    return Bucket(open_bucket(setting), setting.rstrip("/"), clock)
