"""The tap, as the SDK wants it: settings in, streams out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.redaction import redact_logs
from tap_jobo.scan import STATE_KEYS, StreamState
from tap_jobo.settings.check import check
from tap_jobo.settings.common import UNSUPPORTED
from tap_jobo.settings.environment import load_dotenv_environment, read_environment
from tap_jobo.settings.setting import config_schema
from tap_jobo.settings.unknown import mistyped_variables, unknown_settings, unknown_variables
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.feed_stream import CareerSitesStream
from tap_jobo.singer.writer import StdoutWriter, check_reader
from tap_jobo.streams.registry import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    import click
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.streams import Stream


class TapJobo(Tap):
    """Singer tap for the Jobo API: a directory of career sites, kept current."""

    name = "tap-jobo"
    config_jsonschema: ClassVar[dict[str, Any]] = config_schema(SETTINGS)
    message_writer_class = StdoutWriter
    # Neither BATCH nor ACTIVATE_VERSION: both would let the state run ahead of the rows.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.DISCOVER,
        TapCapabilities.STATE,
        PluginCapabilities.ABOUT,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Check the settings before the SDK does, whose messages may hold the key.

        Raises:
            ConfigError: A setting is not what it should be.
            StateError: The state is not one.
        """
        self._shutdown = ShutdownSignal(check_reader=check_reader)
        config = dict(config or {})
        self.append_builtin_config(self.config_jsonschema)
        known = {*self.config_jsonschema["properties"], *UNSUPPORTED}
        problems = unknown_settings(config, known)
        if parse_env_config:
            environ = load_dotenv_environment()
            config |= read_environment(self.config_jsonschema, environ)
            problems += mistyped_variables(environ, known)
            for variable in unknown_variables(environ, known):
                self.logger.warning("Variable %s is not a setting and has no effect.", variable)
        if validate_config:
            config = check(config, SETTINGS, problems)
            redact_logs(config["api_key"])
        else:  # discovery needs no key, and the SDK would warn that there is none
            config.setdefault("api_key", "")
        if isinstance(catalog := kwargs.get("catalog"), dict):
            _check_catalog(catalog)
        try:
            super().__init__(config=config, validate_config=validate_config, **kwargs)
        except ConfigValidationError as error:  # of the SDK's own settings
            raise ConfigError("\n".join(error.errors)) from error
        except MappingError as error:
            raise ConfigError(f"Setting 'stream_maps' is no map: {error}") from error
        cast("StdoutWriter", self.message_writer).end_with(self._shutdown)

    def _setup_signal_handlers(self) -> None:
        """Take SIGTERM and SIGINT, instead of the SDK's handler, which exits at once and with 0.

        There is no public hook: after `__init__` a signal could meet the SDK's handler first.
        `tests/test_hooks.py` fails when the SDK changes this one.
        """
        self._shutdown.install()

    def discover_streams(self) -> Sequence[Stream]:
        """Return the streams."""
        companies = CompaniesStream(self, shutdown=self._shutdown)
        return [CareerSitesStream(self, shutdown=self._shutdown, companies=companies), companies]

    def setup_mapper(self) -> None:
        """Set up the stream maps, after the streams have completed the catalog that they go by."""
        _ = self.streams
        super().setup_mapper()

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state over, if it is one.

        Raises:
            StateError: It is not.
        """
        bookmarks = state.get("bookmarks", None if state else {})
        if not isinstance(bookmarks, dict) or not all(
            isinstance(bookmark, dict) for bookmark in bookmarks.values()
        ):
            raise StateError(
                "The state is not a Singer state: 'bookmarks' must be an object with an object "
                "for each stream. Give the tap the state that its last run wrote, or none."
            )
        if bookmarks and CareerSitesStream.name not in bookmarks:
            self.logger.warning("The state has no bookmark of career_sites: it is read anew.")
        super().load_state({"bookmarks": {**bookmarks, **_known_part(bookmarks)}})
        StreamState(self.state.get("bookmarks", {}).get(CareerSitesStream.name, {}))

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files of `--config`.

        Raises:
            ConfigError: One of them is missing or not a JSON object.
        """
        for path in value:
            if path != "ENV":
                _read_object(path, "--config", ConfigError)
        return super().cb_config(ctx, param, value)

    @classmethod
    def invoke(
        cls,
        *,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the tap, once its files are seen to be what they should be."""
        super().invoke(
            state=state and _read_object(state.name, "--state", StateError),
            catalog=catalog and _read_object(catalog.name, "--catalog", ConfigError),
            **kwargs,
        )


def _known_part(bookmarks: dict[str, Any]) -> dict[str, Any]:
    """Return the part of `career_sites`, without what the SDK would read in it and we do not.

    Raises:
        StateError: There is a part, and nothing in it is of this tap.
    """
    if not (part := bookmarks.get(CareerSitesStream.name)):
        return {}
    known = {name: part[name] for name in STATE_KEYS if name in part}
    if not known and "progress_markers" not in part and "starting_replication_value" not in part:
        raise StateError(
            f"The state is not one of this tap: bookmarks.{CareerSitesStream.name} has none of "
            f"{', '.join(STATE_KEYS)}. Give the tap the state that its last run wrote, or none."
        )
    return {CareerSitesStream.name: known}


def _check_catalog(catalog: dict[str, Any]) -> None:
    """See that a catalog has the shape that the SDK takes for granted.

    Raises:
        ConfigError: It has not.
    """
    streams = catalog.get("streams")
    if not isinstance(streams, list) or not all(map(_is_catalog_entry, streams)):
        raise ConfigError(
            "The catalog is not a Singer catalog: 'streams' must be a list of objects with "
            "'tap_stream_id', 'schema' and 'metadata'. Make one with --discover and change only "
            "the selection and the replication method in it."
        )


def _is_catalog_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("tap_stream_id"), str)
        and entry.get("stream", entry["tap_stream_id"]) == entry["tap_stream_id"]
        and isinstance(entry.get("schema"), dict)
        and isinstance(entry["schema"].get("properties", {}), dict)
        and isinstance(entry.get("metadata", []), list)
        and all(
            isinstance(item, dict) and "breadcrumb" in item for item in entry.get("metadata", [])
        )
    )


def _read_object(path: str, option: str, error_class: type[TapJoboError]) -> IO[str]:
    """Return the text of a file that holds a JSON object.

    Raises:
        TapJoboError: It cannot be read, or holds something else.
    """
    try:
        text = Path(path).read_text("utf-8")
        is_object = isinstance(json.loads(text), dict)
    except (OSError, ValueError, RecursionError):
        is_object = False
    if not is_object:
        # By mistake the path may be the settings themselves, and hold the key.
        shown = "" if "{" in path else f", and {path} is not"
        raise error_class(
            f"Option {option} must be the path of a file that holds a JSON object{shown}."
        )
    return io.StringIO(text)
