"""The tap class that the SDK runs: settings in, streams out, and a `--test` that can be trusted."""

import os
from collections.abc import Sequence
from contextlib import suppress
from logging import LogRecord
from textwrap import indent
from typing import Any, ClassVar, Final, cast
from urllib.parse import urlsplit

import click
from singer_sdk import Tap
from singer_sdk.helpers.capabilities import CapabilitiesEnum
from singer_sdk.mapper import PluginMapper, RemoveRecordTransform
from singer_sdk.singerlib import Catalog
from singer_sdk.streams import Stream
from typing_extensions import override

from tap_jobo.commands import CONFIG_FILES
from tap_jobo.errors import ConfigError, TapJoboError
from tap_jobo.messages import message
from tap_jobo.redaction import redact_logs
from tap_jobo.settings.reading import read_environment, read_object, validated
from tap_jobo.settings.setting import config_schema
from tap_jobo.signals import ShutdownSignal
from tap_jobo.singer.billed_pages_stream import BilledPagesStream
from tap_jobo.singer.checks import (
    check_environment,
    check_names,
    check_state,
    read_catalog,
    read_input_file,
)
from tap_jobo.singer.companies_stream import CompaniesStream
from tap_jobo.singer.feed_stream import FeedStream
from tap_jobo.singer.loop import StreamLoop
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream, log_metric
from tap_jobo.singer.writer import StdoutWriter
from tap_jobo.streams import FEEDS, SETTINGS
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.wording import dollars

_TEST_HELP: Final = (
    "Check the connection and the key with one row of each selected feed, which is billed "
    f"({dollars(FEEDS[0].list_price)} for {FEEDS[0].name}). --test=schema only writes the schemas, "
    "without a request."
)
_PLAN_HELP: Final = (
    "Print what a run with this configuration and state would load, ask, and, within the limits, "
    "buy. It sends no request, and writes nothing."
)
_BUY_HELP: Final = (
    "Buy what a run with this configuration would buy, into the archive, and deliver nothing. It "
    "reads and writes no state. Other runs load the pages, free."
)


def _is_right(record: LogRecord) -> bool:
    """Return whether a line is none of the SDK's that is wrong: the tap has read these settings."""
    return record.msg != "Skipping parse of env var settings..."


def _left_out(state: dict[str, Any] | None, *, is_error: bool) -> dict[str, Any] | None:
    """Return no state, where none is needed. Meltano passes that of the last run by itself.

    Raises:
        ConfigError: The user gave one, which is an error.
    """
    if state is not None and is_error and "MELTANO_EXTRACTOR_NAME" not in os.environ:
        fact = "--buy has no state, so it can't be used with --state. Nothing was billed."
        raise ConfigError(message("invalid-setting", fact))
    return None


class TapJobo(Tap):
    """Singer tap for the Jobo API: keeps career sites, companies, and jobs current."""

    name = "tap-jobo"
    config_jsonschema: ClassVar[dict[str, Any]] = config_schema(SETTINGS)
    message_writer_class = StdoutWriter
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        each
        for each in Tap.capabilities  # without those that let the state get ahead of the rows
        if each.value not in {"activate-version", "batch"}
    ]

    def __init__(
        self,
        *,
        config: dict[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Check the settings before the SDK does, since its messages may contain the key."""
        self._shutdown = ShutdownSignal()
        self.append_builtin_config(self.config_jsonschema)
        config = dict(config or {})
        if parse_env_config:
            config |= read_environment(self.config_jsonschema, os.environ)
        if validate_config:
            config = validated(config, SETTINGS, self.config_jsonschema, os.environ)
            redact_logs(config["api_key"])
        else:  # discovery needs no key, and the SDK would warn that it is missing
            config = {"api_key": ""}
        if isinstance(catalog := kwargs.get("catalog"), dict):
            kwargs["catalog"] = read_catalog(catalog)
        self.logger.addFilter(_is_right)
        super().__init__(config=config, validate_config=validate_config, **kwargs)
        self._writer = cast("StdoutWriter", self.message_writer)
        self._writer.shutdown = self._shutdown
        if validate_config:
            self._writer.known = self.run.known_of_archive

    @override
    def _setup_signal_handlers(self) -> None:
        """Replace the SDK's handler, which exits with 0. No public hook is early enough."""
        self._shutdown.install()

    @override
    def discover_streams(self) -> Sequence[Stream]:
        """Return the streams in the order in which a run reads them, which is that of names."""
        run = RunContext(self.config, shutdown=self._shutdown, logger=self.logger)
        self.run = run
        bill, companies = BilledPagesStream(self, run), CompaniesStream(self, run)
        feeds = [
            FeedStream(self, run, spec, companies if spec is CAREER_SITES else None)
            for spec in FEEDS
        ]
        bill.leaders = [feed for feed in feeds if not feed.spec.is_free]
        (companies.leader,) = (feed for feed in feeds if feed.spec is CAREER_SITES)
        streams = sorted([bill, companies, *feeds], key=lambda stream: stream.name)
        self.loop = StreamLoop(streams, run.read_clock, self._shutdown.wait, run.clock, self.logger)
        return streams

    @override
    def setup_mapper(self) -> None:
        """Set up the maps of selected streams: the SDK would refuse that of any other stream."""
        selected = [name for name, stream in self.streams.items() if stream.selected]
        fields = {name: stream.schema["properties"] for name, stream in self.streams.items()}
        check_names(fields, self.input_catalog, self.config.get("stream_maps", {}))
        if not selected:
            names = [feed.name for feed in FEEDS if feed.is_selected_by_default]
            by_importance = dict.fromkeys([*names, *self.streams])
            known = {"select": f"one or more of {', '.join(by_importance)}"}
            raise ConfigError(
                message("no-stream", "No stream is selected. Nothing was billed.", **known)
            )
        try:
            self.mapper = PluginMapper(plugin_config=dict(self.config), logger=self.logger)
            self.mapper.register_raw_streams_from_catalog(
                Catalog({name: entry for name, entry in self.catalog.items() if name in selected})
            )
        except Exception as error:  # the SDK's errors about a map are of any type
            why = str(error).rstrip(".")
            fact = f"Setting 'stream_maps' is not valid: {why}."
            raise ConfigError(message("invalid-setting", fact)) from error
        for name in self.streams:
            removed = RemoveRecordTransform(name, {"properties": {}}, None, None)
            for stream_map in self.mapper.stream_maps.setdefault(name, [removed]):
                # Older targets refuse it; the SDK adds it, and an old catalog may hold it.
                stream_map.transformed_schema.pop("$schema", None)

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        environment = os.environ.get("MELTANO_ENVIRONMENT")
        if state:
            check_state(state, self.config, self.run.known_of_archive, self.run.describe_price)
            check_environment(state, environment)
        super().load_state(state)
        if environment:
            self.state.setdefault("bookmarks", {})
            self.state["environment"] = environment  # type: ignore[typeddict-unknown-key]

    # What a run does

    def read_all(self) -> None:
        """Read the selected streams. The SDK's own `sync_all` would read one after the other."""
        try:
            if self.state:
                self._writer.write_state(self.state)
            for stream in self.streams.values():
                if stream.selected:
                    cast("JoboStream", stream).write_schema()
            self._read_streams()
        finally:
            self._writer.flush()

    def buy_all(self) -> None:
        """Buy the selected streams into the archive. Nothing is written."""
        if not self.config["archive"]:
            fact = "--buy needs the archive, but 'archive' is false. Nothing was billed."
            raise ConfigError(message("invalid-setting", fact))
        streams = [each for each in self.streams.values() if each.selected]
        if free := [each.name for each in streams if not isinstance(each, FeedStream)]:
            self.logger.info("There is nothing to buy of %s.", " and ".join(free))
        self._read_streams()

    def _read_streams(self) -> None:
        """Read the streams, and log what the month has cost, however that ends."""
        try:
            self.loop.read_all()
        finally:
            if self.config["archive"]:
                self._log_month()

    def _log_month(self) -> None:
        with suppress(TapJoboError):  # if a count is damaged, what costs money has failed
            month = f"{self.run.api_clock.now():%Y-%m}"
            if credits_ := self.run.read_bill().credits_in(month):
                log_metric(self.metrics_logger, "jobo_credits_month", credits_, {})

    def test(self, what: str) -> None:
        """Write a row of each selected feed, and log what that shows, or only write the schemas."""
        streams = self.loop.read_streams
        if not streams:
            fact = "There is nothing to test, because 'stream_maps' removes every selected stream."
            raise ConfigError(message("no-stream", fact))
        run, run.is_test = self.run, True
        for stream in streams:
            stream.write_schema()
            if what != "schema":
                stream.write_rows(stream.sample(1))
        self._writer.flush()
        if what == "schema":
            return
        shown = [f"{urlsplit(run.session.url).hostname} responded"]
        # The endpoint of companies may be public.
        if any(isinstance(stream, FeedStream) for stream in streams):
            shown.append("the key is valid")
        if run.budget.balance is not None:
            shown.append(f"balance {dollars(run.budget.balance)}")
        shown += run.matches
        cost = dollars(run.budget.credits)
        self.logger.info("Connection OK: %s; this test cost %s.", ", ".join(shown), cost)

    def plan(self) -> None:
        """Print what a run would load, ask, and buy. This writes nothing but that."""
        for stream in self.loop.read_streams:
            click.echo(stream.name)
            for line in stream.preview():
                click.echo(indent(line, "  "))
        if self.config["archive"]:
            limit = self.config.get("max_credits_per_month")
            for line in self.run.read_bill().describe(self.run.api_clock.now(), limit):
                click.echo(line)

    # The command line

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        """Return the command, which reads its input files, and has `--plan` and `--buy`."""
        command = super().get_singer_command()
        options = {each.name: cast("click.Option", each) for each in command.params}
        for name in ("catalog", "state"):
            options[name].type, options[name].callback = click.STRING, read_input_file
        # The SDK would test with any other value, and sync everything with `disabled`.
        test = options["test"]
        test.type, test.default = click.Choice(["all", "schema"]), None
        test.callback, test.expose_value, test.help = None, True, _TEST_HELP
        command.params.append(click.Option(["--plan"], is_flag=True, help=_PLAN_HELP))
        command.params.append(click.Option(["--buy"], is_flag=True, help=_BUY_HELP))
        return command

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files of `--config`; the SDK's message would show what is in them."""
        given = super().cb_config(ctx, param, tuple(path for path in value if path == "ENV"))
        files = [path for path in value if path != "ENV"]
        for path in files:
            given.config |= read_object(path, "--config")
        ctx.meta[CONFIG_FILES] = files
        return given

    @classmethod
    @override
    def invoke(  # type: ignore[override] # its options are others
        cls,
        *,
        about: bool,
        about_format: str | None,
        config: Any,
        catalog: dict[str, Any] | None,
        state: dict[str, Any] | None,
        test: str | None,
        plan: bool,
        buy: bool,
    ) -> None:
        """Do what the command line says."""
        if about:
            cls.print_about(about_format)
            return
        if test or buy:
            state = _left_out(state, is_error=buy)
        if not (test or plan):
            cls.print_version(print_fn=cls.logger.info)
        settings = {"config": config.config, "parse_env_config": config.parse_env}
        tap = cls(**settings, catalog=catalog, state=state)
        tap.run.only_buys = buy
        read = tap.loop.read_streams
        tap.run.feeds = [stream.spec for stream in read if isinstance(stream, FeedStream)]
        tap.loop.check_selection()
        if test:
            tap.test(test)
        elif plan:
            tap.plan()
        elif buy:
            tap.buy_all()
        else:
            tap.read_all()
