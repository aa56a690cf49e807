"""The command line of the SDK, with checks of its files and a `--test` that can be trusted."""

import io
import json
from pathlib import Path
from typing import IO, Any, Final, cast
from urllib.parse import urlsplit

import click
from singer_sdk import Tap
from typing_extensions import override

from tap_jobo.errors import ConfigError, StateError, TapJoboError
from tap_jobo.redaction import without_key
from tap_jobo.singer.run import RunContext
from tap_jobo.singer.stream import JoboStream
from tap_jobo.singer.writer import StdoutWriter
from tap_jobo.streams import FEEDS
from tap_jobo.wording import CREDITS_PER_DOLLAR, dollars

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
    @override
    def get_singer_command(cls) -> click.Command:
        """Return the command, which reads its input files before it handles `--test`."""
        command = super().get_singer_command()
        options = {each.name: each for each in command.params}
        for name in ("catalog", "state"):
            options[name].type, options[name].callback = click.STRING, _read_input_file
            options[name].is_eager = True
        options["about"].is_eager = True  # known before `--test` would bill a row
        # The SDK would test with any other value, and sync everything with `disabled`.
        test = cast("click.Option", options["test"])
        test.type, test.default, test.help = click.Choice(["all", _SCHEMA]), None, _TEST_HELP
        return command

    @classmethod
    @override
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> Any:
        """Read the files of `--config`; the SDK's message would show what is in them."""
        given = super().cb_config(ctx, param, tuple(path for path in value if path == "ENV"))
        for path in value:
            if path != "ENV":
                given.config |= read_object(path, "--config", ConfigError)
        return given

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str | None) -> None:
        """Test the selected streams; the SDK would test all of them, and ignore the catalog."""
        if value is None or ctx.params["about"]:
            return
        config, files = ctx.params["config"], (ctx.params["catalog"], ctx.params["state"])
        catalog, state = (file and json.load(file) for file in files)
        tap = cls(
            config=config.config, parse_env_config=config.parse_env, catalog=catalog, state=state
        )
        if value == _SCHEMA:
            for stream in tap.streams_to_test():
                stream._write_schema_message()  # noqa: SLF001 - the SDK has no public name
        else:
            tap.test_connection()
        ctx.exit()

    def test_connection(self) -> None:
        """Fetch one row of each selected feed, and log what that shows."""
        streams, run = self.streams_to_test(), self.run
        run.is_test = True
        # A target that stores the state would otherwise store one without the bookmarks.
        cast("StdoutWriter", self.message_writer).omits_states = True
        self.run_sync_dry_run(streams=streams)
        shown = [f"{urlsplit(run.url).hostname} responded"]
        if any(stream.needs_key for stream in streams):
            shown.append("the key is valid")
        if run.budget.balance is not None:
            shown.append(f"balance {dollars(run.budget.balance)}")
        shown += [stream.match for stream in streams if stream.match]
        # A job costs a third of a cent.
        cost = f"${run.budget.credits / CREDITS_PER_DOLLAR:,.3f}".removesuffix("0")
        cost = f"cost {'up to ' if run.budget.possibly_billed else ''}{cost}"
        self.logger.info(
            "Connection OK: %s; this test %s.",
            ", ".join(shown),
            cost if run.budget.credits else "was free",
        )

    def streams_to_test(self) -> list[JoboStream]:
        """Return the streams that a run would read."""
        streams = self.run.read_streams()
        if not streams:
            raise ConfigError(
                "There is nothing to test, because 'stream_maps' removes every selected stream."
            )
        return streams


def _read_input_file(
    _ctx: click.Context, param: click.Parameter, path: str | None
) -> IO[str] | None:
    if path is None:
        return None
    error_class = StateError if param.name == "state" else ConfigError
    return io.StringIO(json.dumps(read_object(path, f"--{param.name}", error_class)))


def read_object(path: str, option: str, error_class: type[TapJoboError]) -> dict[str, Any]:
    """Return the JSON object in the file of a command-line option."""
    try:
        text = Path(path).read_text("utf-8-sig")  # Windows editors write a BOM
        found = json.loads(text, parse_constant=_refuse)
        json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate would fail later
        if isinstance(found, dict):
            return found
        why = f"must be a JSON object, not a JSON {type(found).__name__}"
    except RecursionError:  # in words that differ by the version of Python
        why = "is nested too deeply"
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except ValueError as error:
        why = f"is not JSON ({error})"
    path = "" if "{" in path else f" {without_key(path)}"  # settings instead of a path
    raise error_class(f"{option}{path}: {why}. Pass the path of a file with a JSON object.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
