"""The command line: the SDK's, with every expected error reported as a message."""

import logging
import shutil
import sys
from typing import Any, Final

import click

from tap_jobo.errors import TapJoboError
from tap_jobo.messages import explain, message
from tap_jobo.redaction import without_key
from tap_jobo.tap import TapJobo
from tap_jobo.wording import one_line

_WIDEST: Final = 100  # columns of a text that is pleasant to read


def with_subcommands(command: click.Command) -> click.Group:
    """Return the SDK's command with `explain`, and otherwise unchanged."""

    @click.pass_context
    def run_tap(context: click.Context, /, **_: Any) -> None:
        if context.invoked_subcommand is None:
            command.invoke(context)

    return click.Group(
        command.name,
        commands=[explain_code],
        params=command.params,
        callback=run_tap,
        help=command.help,
        context_settings=command.context_settings,
        invoke_without_command=True,
    )


@click.command("explain")
@click.argument("code")
def explain_code(code: str) -> None:
    """Explain a message by its code."""
    text = explain(code, min(shutil.get_terminal_size().columns, _WIDEST))
    if text is None:
        raise click.BadArgumentUsage(f"There is no message {ascii(code)[1:-1]}.")
    click.echo(text)


def run() -> None:
    """Run the command line; an expected error is logged in a line or a few, without a traceback."""
    try:
        command = with_subcommands(TapJobo.cli)
    except Exception as error:  # noqa: BLE001 - of any type
        why = " ".join(f"{error}".split())
        fact = f"Logging can't be set up ({why}). Check LOGLEVEL and SINGER_SDK_LOG_CONFIG."
        sys.exit(f"Error: {message('invalid-file', fact)}")
    try:
        sys.exit(command.main(prog_name=TapJobo.name, standalone_mode=False))
    except TapJoboError as error:
        _end_log(*error.messages, level=error.level)
        sys.exit(error.exit_code)
    except click.BadParameter as error:
        _end_log(message("invalid-setting", without_key(error.format_message())))
    except click.ClickException as error:
        click.echo(f"Error: {without_key(error.format_message())}", err=True)
        sys.exit(error.exit_code)
    except MemoryError:
        fact = "The tap ran out of memory. The summary shows what the run was billed."
        _end_log(message("out-of-memory", fact))
    except Exception:  # noqa: BLE001 - a bug: its traceback goes through the redacting log
        fact = "This is a bug in tap-jobo. The summary shows what the run was billed."
        _end_log(message("tap-bug", fact), exc_info=True)
    sys.exit(1)


def _end_log(*messages: str, level: int = logging.CRITICAL, exc_info: bool = False) -> None:
    """Log why the run ended. Nothing follows: threads that still read profiles log no more."""
    for handler in logging.getLogger().handlers:
        handler.acquire()  # for good: a daemon thread that logs now waits until the process exits
    for text in messages:
        TapJobo.logger.log(level, "%s", one_line(text), exc_info=exc_info)
