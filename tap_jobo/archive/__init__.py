"""The archive: all billed pages, in a folder or a bucket, so that no row is bought twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from platformdirs import user_state_path

from tap_jobo.archive.folder import Folder
from tap_jobo.clock import Clock
from tap_jobo.errors import ArchiveError
from tap_jobo.messages import message
from tap_jobo.settings.common import ARCHIVE_DIR

_IN_PROJECT: Final = Path("archive", "tap-jobo")

if TYPE_CHECKING:
    from tap_jobo.archive.store import Store


def default_folder() -> Path:
    """Return the folder of an archive without `archive_dir`.

    In a Meltano project, it is in the project, which people keep. All environments, all plugins
    that inherit from this one, and the commands then find the same one.
    """
    if project := os.environ.get("MELTANO_PROJECT_ROOT"):
        return Path(project) / _IN_PROJECT
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "meltano.yml").is_file():
            return folder / _IN_PROJECT
    return user_state_path("tap-jobo")


def open_store(setting: str | None, clock: Clock) -> Store:
    """Return the store in `archive_dir`, by default in the `default_folder`."""
    if setting and not ARCHIVE_DIR.type.allows(setting):
        # Without showing it: it may hold credentials.
        fact = f"The archive must be {ARCHIVE_DIR.type.expected}."
        raise ArchiveError(message("archive-unusable", fact))
    if not setting or "://" not in setting:
        try:
            folder = Path(setting) if setting else default_folder()
            return Folder(folder.expanduser())
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
    bucket, pages = open_bucket(setting), open_bucket(setting, for_pages=True)
    return Bucket(bucket, setting.rstrip("/"), clock, pages)
