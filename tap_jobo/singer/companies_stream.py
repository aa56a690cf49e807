"""The stream of company profiles: of the career sites in a run, or of explicit company ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from singer_sdk import Tap
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE
from typing_extensions import override

from tap_jobo.api.profiles import PROFILE_PATH, Profiles
from tap_jobo.errors import ApiError, ConfigError
from tap_jobo.messages import message
from tap_jobo.records.converter import Row
from tap_jobo.records.values import parse_uuid
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, json_schema
from tap_jobo.streams.companies import SCHEMA
from tap_jobo.sync.report import Progress
from tap_jobo.sync.state import is_begun
from tap_jobo.wording import Lines, plural

_FOLLOWED: Final = "followed"
_BATCH: Final = 50
"""Named companies between two states: their profiles are fetched again after a crash."""


class CompaniesStream(JoboStream):
    """Company profiles, which are free and join `career_sites` by `id`.

    The profiles of career sites are written page by page during the sync of `career_sites`, before
    the state moves past the page; the SDK's own child streams would read one profile at a time,
    repeat the SCHEMA, and keep a bookmark for each. By itself, a run reads only explicit company
    ids.

    Its state has how far a list of ids is done, and up to which page it has followed
    `career_sites`.
    """

    name = "companies"
    path = PROFILE_PATH
    selected_by_default = False
    schema = json_schema(SCHEMA)
    never_null = ("name",)
    leader: JoboStream  #: the feed whose companies this stream follows

    def __init__(self, tap: Tap, run: RunContext) -> None:
        super().__init__(tap, run)
        self.forced_replication_method = REPLICATION_FULL_TABLE

    @property
    def has_explicit_ids(self) -> bool:
        """Whether a file names the companies, so that the feed is not read."""
        return "company_ids_file" in self.config

    @property
    @override
    def is_following(self) -> bool:
        return self.is_read and self.leader.is_read

    @override
    def check_selection(self) -> None:
        """Raise ConfigError if explicit ids are not read, or if there are no companies to read."""
        if not self.has_explicit_ids:
            if self.is_read and not self.is_following:
                fact = "companies follows career_sites, which is not selected. Nothing was billed."
                select = "career_sites, or list companies in company_ids_file"
                raise ConfigError(message("no-stream", fact, select=select))
            return
        if self.leader.selected and not self.selected:
            fact = "company_ids_file is set, but companies is not selected. Nothing was billed."
            raise ConfigError(message("no-stream", fact, select="companies"))
        if self.is_read and not self._ids:  # as after a query without a result
            path = self.config["company_ids_file"]
            fact = f"company_ids_file: {path} is empty, so no profiles are fetched."
            self.logger.warning("%s", message("invalid-file", fact))

    @property
    @override
    def is_read(self) -> bool:
        """Whether a run reads the stream: a run that only buys has no use for profiles."""
        return super().is_read and not self._run.only_buys

    @property
    @override
    def needs_api(self) -> bool:
        return True

    def warn_of_missing(self) -> None:
        """Warn if pages of `career_sites` were delivered without their profiles."""
        bookmarks = self.tap_state.get("bookmarks", {})
        delivered = _position(bookmarks.get(self.leader.name, {}))
        followed = bookmarks.get(self.name, {}).get(_FOLLOWED)
        if delivered and delivered != followed:
            fact = "Earlier runs read career sites without companies. Their profiles are missing."
            self.logger.warning("%s", message("missing-profiles", fact))

    def note_page(self) -> None:
        """Let the state say that the profiles of the leader's last page are written."""
        self.stream_state[_FOLLOWED] = _position(self.leader.stream_state)

    def write_profiles(self, ids: Sequence[str]) -> None:
        """Write the profiles of companies. An error that ends `career_sites` names companies."""
        try:
            for profile in self.profiles.read(ids):
                self.write_rows([profile])
        except ApiError as error:
            if error.ends_run or not self.is_following:
                raise
            raise ApiError(Lines(f"{self.name}: {error}")) from error

    @override
    def sample(self, limit: int) -> Sequence[Row]:
        """Return the profiles of the first companies that the settings name."""
        return [*self.profiles.read(self._ids[:limit])]

    @override
    def load(self) -> None:
        """Write the profiles of the companies that the settings name.

        An interrupted list is resumed. The state, `{"ids_hash": str, "ids_done": int}`, follows
        each batch, so a crash repeats one batch and skips none.
        """
        ids, state = self._ids, self.stream_state
        progress = Progress(self.name, self.profiles.figures, self.plain_logger)
        ids_hash = hashlib.sha256("".join(ids).encode()).hexdigest()[:16]
        done = state.get("ids_done") if state.get("ids_hash") == ids_hash else 0
        if isinstance(done, int) and 0 < done < len(ids):
            self.logger.info(
                "companies: resuming the list of company IDs after %s of %s.", done, len(ids)
            )
        else:
            done = 0
            self.logger.info("%s: %s", self.name, plural(len(ids), "company ID"))
        while batch := ids[done : done + _BATCH]:
            self.write_profiles(batch)
            done += len(batch)
            state.update(ids_hash=ids_hash, ids_done=done)  # together: Meltano merges by key
            self.emit_state()
            progress.update()
        # What earlier runs read without their profiles is in the list, as the warning asked for.
        if delivered := _position(self.tap_state.get("bookmarks", {}).get(self.leader.name, {})):
            state[_FOLLOWED] = delivered
            self.emit_state()

    @property
    @override
    def is_complete(self) -> bool:
        return self.leader.is_complete if self.is_following else super().is_complete

    @override
    def log_summary(self) -> Mapping[str, int | None]:
        return {
            **super().log_summary(),
            "jobo_profiles_not_found": self.profiles.not_found or None,
            "jobo_profiles_skipped": self.profiles.skipped or None,
        }

    @override
    def describe_rows(self) -> str:
        return self.profiles.figures()

    @cached_property
    def profiles(self) -> Profiles:
        """The reader of profiles."""
        return Profiles(
            client=self._run.profile_client,
            converter=self._converter,
            logger=self.plain_logger,
        )

    @cached_property
    def _ids(self) -> list[str]:
        """The companies that the file names, none without one."""
        if not self.has_explicit_ids:
            return []
        return [*dict.fromkeys(_read_ids(Path(self.config["company_ids_file"])))]


def _position(state: Mapping[str, Any]) -> str:
    """Return up to which page the state of a feed reaches, empty if no page was delivered."""
    if not is_begun(state):
        return ""
    return str(state.get("entry") or state.get("time") or "")  # empty: of another tap


def _read_ids(path: Path) -> Iterator[str]:
    """Yield the UUIDs in a file, one per line; blank lines are ignored."""
    try:
        lines = path.expanduser().read_text("utf-8-sig").splitlines()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnicodeError):
            why = "it must be text in UTF-8"
        fact = f"company_ids_file: {path} can't be read ({why}). Nothing was billed."
        raise ConfigError(message("invalid-file", fact)) from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if company_id := parse_uuid(line):
            yield company_id
        elif line:
            where = f"company_ids_file: line {number} of {path}"
            fact = f"{where} must be a company's UUID, not {line[:60]!a}. Nothing was billed."
            raise ConfigError(message("invalid-file", fact))
