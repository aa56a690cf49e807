"""The command line of the SDK, with checks of its files and a `--test` that can be trusted."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click
from singer_sdk import Tap

from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.singer.connection_check import streams_to_test, test_result
from tap_jobo.singer.input_files import read_object
from tap_jobo.streams.registry import FEEDS
from tap_jobo.wording import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import IO

    from tap_jobo.singer.run import RunContext
    from tap_jobo.singer.stream import JoboStream
    from tap_jobo.singer.writer import StdoutWriter

_INPUT_FILES: Final[Mapping[str, type[TapJoboError]]] = {
    "catalog": ConfigError,
    "state": StateError,
}
_ALL: Final = "all"
_SCHEMA: Final = "schema"
_TEST_HELP: Final = (
    "Check the connection and the key with one row of each selected feed, which is billed "
    f"({dollars(FEEDS[0].list_price)} for {FEEDS[0].name}). --test=schema only writes the schemas, "
    "without a request."
)


class CommandLine(Tap):
    """A tap whose command line reports every mistake in one line, before it costs anything."""

    run: RunContext
    """What the streams of the run share; set when they are discovered."""

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """Return the command, which reads its input files before it handles `--test`."""
        command = super().get_singer_command()
        for parameter in command.params:
            if parameter.name in _INPUT_FILES:
                parameter.type = click.STRING
                parameter.callback = _read_input_file
                parameter.is_eager = True
            if parameter.name == "about":
                parameter.is_eager = True  # known before `--test` would bill a row
            if parameter.name == "test" and isinstance(parameter, click.Option):
                # The SDK would test with any other value, and sync everything with `disabled`.
                parameter.type = click.Choice([_ALL, _SCHEMA])
                parameter.default = None
                parameter.help = _TEST_HELP
        return command

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files of `--config`.

        Raises:
            ConfigError: One of them is missing or not a JSON object.
        """
        given = super().cb_config(ctx, param, tuple(path for path in value if path == "ENV"))
        for path in value:
            if path.upper() == "ENV" != path and not Path(path).exists():
                raise ConfigError(
                    f"Option --config: for environment variables, use ENV, not {path}."
                )
            if path != "ENV":
                given.config |= read_object(path, "--config", ConfigError)
        return given

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str | None) -> None:  # noqa: ARG003
        """Test the selected streams; the SDK would test all of them, and ignore the catalog.

        Raises:
            TapJoboError: A run would not work.
        """
        if value is None or ctx.params["about"]:
            return
        tap = cls(
            config=ctx.params["config"].config,
            parse_env_config=ctx.params["config"].parse_env,
            catalog=_content(ctx.params["catalog"]),
            state=_content(ctx.params["state"]),
        )
        if value == _SCHEMA:
            tap.write_selected_schemas()
        else:
            tap.test_connection()
        ctx.exit()

    def test_connection(self) -> None:
        """Fetch one row of each selected feed, and log what that shows.

        Raises:
            TapJoboError: A run would not work.
        """
        streams = streams_to_test(self.own_streams)
        self.run.is_test = True
        # A target that stores the state would otherwise store one without the bookmarks.
        cast("StdoutWriter", self.message_writer).omits_states = True
        self.run_sync_dry_run(streams=streams)
        self.logger.info("%s", test_result(self.run, streams))

    def write_selected_schemas(self) -> None:
        """Write the SCHEMA messages of the selected streams; the SDK would write all of them.

        Raises:
            ConfigError: No stream is selected.
        """
        for stream in streams_to_test(self.own_streams):
            stream.write_schema()

    @property
    def own_streams(self) -> Iterable[JoboStream]:
        """The streams, which are all of this tap's base class."""
        return cast("Iterable[JoboStream]", self.streams.values())


def _read_input_file(
    _ctx: click.Context, param: click.Parameter, path: str | None
) -> IO[str] | None:
    """Read a file, and return its content as the open file that the SDK expects."""
    if path is None:
        return None
    name = str(param.name)
    return io.StringIO(json.dumps(read_object(path, f"--{name}", _INPUT_FILES[name])))


def _content(file: IO[str] | None) -> dict[str, Any] | None:
    return None if file is None else json.load(file)
