"""The tap class that the SDK runs: settings in, streams out."""

from __future__ import annotations

import atexit
import os
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, cast

from singer_sdk.exceptions import ConfigValidationError, MappingError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities

from tap_jobo.errors import ConfigError
from tap_jobo.redaction import redact_logs
from tap_jobo.settings.check import check
from tap_jobo.settings.common import UNSUPPORTED
from tap_jobo.settings.environment import load_dotenv_environment, read_environment
from tap_jobo.settings.sdk_settings import invalid_sdk_settings
from tap_jobo.settings.setting import config_schema
from tap_jobo.settings.unknown import (
    mistyped_variables,
    unknown_settings,
    unknown_variables,
    variables_unread_by_meltano,
)
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer.catalog_checks import check_catalog, check_selection
from tap_jobo.singer.command_line import CommandLine
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.feed_stream import FeedStream
from tap_jobo.singer.map_checks import check_names
from tap_jobo.singer.map_shape import check_shape
from tap_jobo.singer.mapper import SelectedStreamsMapper
from tap_jobo.singer.metric_lines import keep_stream
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.state_checks import check_state
from tap_jobo.singer.writer import StdoutWriter, check_reader
from tap_jobo.streams.registry import FEEDS, FOLLOWED, SETTINGS

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.streams import Stream

    from tap_jobo.streams.feed_spec import FeedSpec


class TapJobo(CommandLine):
    """Singer tap for the Jobo API: a directory of career sites, kept current."""

    name = "tap-jobo"
    feeds: ClassVar[Sequence[FeedSpec]] = FEEDS
    config_jsonschema: ClassVar[dict[str, Any]] = config_schema(SETTINGS)
    message_writer_class = StdoutWriter
    # Neither BATCH nor ACTIVATE_VERSION: both would let the state get ahead of the rows.
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
        """Check the settings before the SDK does, since its messages may contain the key.

        Raises:
            ConfigError: A setting is invalid.
            StateError: The state is invalid.
        """
        self._shutdown = ShutdownSignal(check_reader=check_reader)
        config = dict(config or {})
        self.append_builtin_config(self.config_jsonschema)
        known = {*self.config_jsonschema["properties"], *UNSUPPORTED}
        problems = unknown_settings(config, known)
        environ = variables_unread_by_meltano(os.environ)
        if parse_env_config:
            environ = load_dotenv_environment()
            config |= read_environment(self.config_jsonschema, environ)
            for variable in unknown_variables(environ, known):
                self.logger.warning("Variable %s is not a setting and has no effect.", variable)
        problems += mistyped_variables(environ, known)
        problems += check_shape(config.get("stream_maps"))
        if validate_config:
            own = {"stream_maps", *(setting.name for setting in SETTINGS)}
            problems = [*invalid_sdk_settings(config, self.config_jsonschema, own), *problems]
            config = check(config, SETTINGS, problems)
            redact_logs(config["api_key"])
        else:  # discovery needs no key, and the SDK would warn that it is missing
            config.setdefault("api_key", "")
        if isinstance(catalog := kwargs.get("catalog"), dict):
            check_catalog(catalog)
        self.logger.addFilter(_is_useful)
        try:
            super().__init__(config=config, validate_config=validate_config, **kwargs)
        except ConfigValidationError as error:  # for the SDK's own settings
            raise ConfigError("\n".join(error.errors)) from error
        except MappingError as error:
            raise ConfigError(f"Setting 'stream_maps' is not a valid map: {error}") from error
        cast("StdoutWriter", self.message_writer).shutdown = self._shutdown
        self.metrics_logger.addFilter(keep_stream)

    def _setup_signal_handlers(self) -> None:
        """Replace the SDK's handler of SIGTERM and SIGINT, which exits immediately with 0.

        There is no public hook: after `__init__`, a signal could reach the SDK's handler first.
        `tests/singer/test_hooks.py` fails if the SDK changes this method.
        """
        self._shutdown.install()

    def discover_streams(self) -> Sequence[Stream]:
        """Return the streams in the order in which a run syncs them."""
        self.run = run = RunContext(self.config, shutdown=self._shutdown, logger=self.logger)
        atexit.register(run.close)
        companies = CompaniesStream(self, run)
        streams: list[Stream] = []
        for spec in self.feeds:
            is_followed = spec is FOLLOWED
            streams.append(FeedStream(self, run, spec, companies if is_followed else None))
            streams += [companies] if is_followed else []
        return streams

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams in the order in which a run syncs them; the SDK would sort them by name."""
        streams = super().streams
        first = [spec.name for spec in self.feeds]
        first.insert(first.index(FOLLOWED.name) + 1, CompaniesStream.name)
        return {name: streams[name] for name in first}

    def setup_mapper(self) -> None:
        """Set up and check the maps, after the streams have completed the catalog that maps use.

        Raises:
            ConfigError: A map is invalid.
        """
        streams = self.own_streams
        maps = dict(self.config.get("stream_maps", {}))
        self.mapper = SelectedStreamsMapper(plugin_config=dict(self.config), logger=self.logger)
        self.mapper.register_raw_streams_from_catalog(self.catalog)
        for warning in (*check_selection(streams), *check_names(maps, streams, self.mapper)):
            self.logger.warning("%s", warning)
        for stream_map in chain.from_iterable(self.mapper.stream_maps.values()):
            # Older targets refuse it; the SDK adds it, and an old catalog may hold it.
            stream_map.transformed_schema.pop("$schema", None)

    def load_state(self, state: dict[str, Any]) -> None:
        """Load the state.

        Raises:
            StateError: It is invalid.
        """
        checked = check_state(state, self.feeds)
        known = {CompaniesStream.name, *(spec.name for spec in self.feeds)}
        if unknown := checked["bookmarks"].keys() - known:
            self.logger.warning(
                "The state has bookmarks for streams that this tap does not have (%s). A stream "
                "without a bookmark is synced from the start.",
                ", ".join(map(ascii, sorted(unknown))),
            )
        super().load_state(checked)


def _is_useful(record: logging.LogRecord) -> bool:
    """Drop lines of the SDK: one is wrong here, one says of each other stream that it is not read.

    `tests/cli/test_log.py` fails if the SDK changes them.
    """
    return record.msg not in {
        "Skipping parse of env var settings...",
        "Skipping deselected stream '%s'.",
    }
