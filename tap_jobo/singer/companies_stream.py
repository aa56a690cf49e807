"""The stream of company profiles: those of the career sites of a run, or those that are named."""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_jobo.api.profiles import PROFILE_PATH, Profiles
from tap_jobo.errors import ConfigError
from tap_jobo.records.uuids import parse_uuid
from tap_jobo.singer.stream import JoboStream
from tap_jobo.streams.companies import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from requests import PreparedRequest
    from singer_sdk.helpers.types import Context

    from tap_jobo.records.converter import Row


class CompaniesStream(JoboStream):
    """Company profiles, which cost nothing and join `career_sites` by `id`.

    The stream has no state of its own. Of the career sites' companies it is written page by page,
    from within the sync of `career_sites`, before the state moves past the page; the SDK's own
    mechanism for child streams would read one profile at a time, repeat the SCHEMA and keep a
    bookmark for each. When the SDK syncs this stream, after `career_sites`, nothing is left to do
    but for companies that the settings name. `tests/singer/test_hooks.py` fails when the SDK
    changes the two private methods that are used here.
    """

    name = "companies"
    path = PROFILE_PATH
    primary_keys: Sequence[str] = ("id",)
    selected_by_default = False
    schema = SCHEMA.to_dict()
    never_null = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_schema_written = False
        self._is_following = False

    @property
    def has_explicit_ids(self) -> bool:
        """Whether the settings name the companies, so that the feed is not read."""
        return bool(self.config.get("company_ids") or self.config.get("company_ids_file"))

    def follow(self) -> bool:
        """Let the profiles be those of the companies of a feed, page by page, if they are wanted.

        Raises:
            ConfigError: The catalog deselects the primary key.
        """
        if not self.selected or self.is_mapped_out:
            return False
        self.require_primary_key()
        self._is_following = True
        return True

    def write_profiles(self, ids: Sequence[str]) -> None:
        """Write the profiles of a page's companies.

        Raises:
            TapJoboError: As `Profiles.read`.
        """
        self._write_schema_message()
        for record in self.profiles.read(ids):
            self._write_record_message(record)

    def get_records(self, context: Context | None) -> Iterator[Row]:  # noqa: ARG002 - no partitions
        """Yield the profiles of the companies that the settings name, if they do.

        Raises:
            ConfigError: The profiles are of no company: neither are career sites read.
        """
        is_test = self.ABORT_AT_RECORD_COUNT is not None
        if not is_test:
            self._run.start()
        if not (self.has_explicit_ids or self._is_following or is_test or self.is_mapped_out):
            raise ConfigError(
                "The stream companies follows career_sites alone, which is not selected (no other "
                "stream leads to it): select career_sites too, or name the companies in "
                "company_ids or company_ids_file."
            )
        if self.has_explicit_ids:
            self.require_primary_key()
        yield from self.profiles.read(islice(self._named(), self.ABORT_AT_RECORD_COUNT))

    def _named(self) -> Iterable[str]:
        if name := self.config.get("company_ids_file"):
            path = Path(name).expanduser()
            for _ in read_ids(path):  # all of them are seen to be uuids before the first request
                pass
            return read_ids(path)
        return dict.fromkeys(map(str.lower, self.config.get("company_ids", ())))

    def finish_run(self) -> None:
        """Tell how many profiles there were, unless the summary of `career_sites` has."""
        try:
            super().finish_run()
        finally:
            if self.has_explicit_ids:
                self.logger.info("Summary: %s.", self.profiles.figures())

    # Nothing of this stream is in the state, which the SDK would fill with empty entries.

    @property
    def stream_state(self) -> dict[str, Any]:
        """A state that is thrown away."""
        return {}

    def get_context_state(self, context: Context | None) -> dict[str, Any]:  # noqa: ARG002
        """Return a state that is thrown away."""
        return {}

    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        """Leave the state as it is."""

    def _write_schema_message(self) -> None:
        """Write the SCHEMA, once a run."""
        if not self._is_schema_written:
            self._is_schema_written = True
            super()._write_schema_message()

    @cached_property
    def profiles(self) -> Profiles:
        """The reader of profiles."""
        workers = self.config["companies_concurrency"]
        return Profiles(
            client=self._run.profile_client,
            prepare=self._prepare,
            converter=self._converter,
            workers=workers,
            shutdown=self._run.shutdown,
            logger=self.logger,
        )

    def _prepare(self, company_id: str) -> PreparedRequest:
        # Never the host of a row's details_url: the key would go along.
        url = f"{self.url_base}{self.path}/{company_id}"
        return self.build_prepared_request(method="GET", url=url)


def read_ids(path: Path) -> Iterator[str]:
    """Yield the uuids of a file, one a line; blank lines are passed over.

    Raises:
        ConfigError: The file cannot be read, or a line is not a uuid.
    """
    if not path.is_file():
        raise ConfigError(
            f"Setting 'company_ids_file' must be the path of a file, which {path} is not."
        )
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                company_id = line.strip()
                if company_id and not parse_uuid(company_id):
                    raise ConfigError(
                        f"Setting 'company_ids_file': line {number} of {path} must be the uuid of "
                        f"a company, not {company_id[:60]!a}."
                    )
                if company_id:
                    yield parse_uuid(company_id) or company_id
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Setting 'company_ids_file' must be the path of a text file that can be read: {path} "
            f"({type(error).__name__})."
        ) from error
