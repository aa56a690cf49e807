"""The command line: the SDK's, with every expected error reported as one line."""

import logging
import sys

import click

from tap_jobo.errors import TapJoboError
from tap_jobo.redaction import without_key
from tap_jobo.tap import TapJobo


def run() -> None:
    """Run the command line; an expected error is logged in a line or a few, without a traceback."""
    try:
        command: click.Command = TapJobo.cli
    except Exception as error:  # noqa: BLE001 - of any type
        why = " ".join(f"{error}".split())
        sys.exit(
            f"Error: Logging cannot be set up ({why}). Check TAP_JOBO_LOGLEVEL, LOGLEVEL, and the "
            "file that SINGER_SDK_LOG_CONFIG names. [invalid-file]"
        )
    try:
        sys.exit(command.main(prog_name=TapJobo.name, standalone_mode=False))
    except TapJoboError as error:
        _end_log(*str(error).splitlines())
        sys.exit(error.exit_code)
    except click.BadParameter as error:
        _end_log(f"{without_key(error.format_message())} [invalid-setting]")
    except click.ClickException as error:
        click.echo(f"Error: {without_key(error.format_message())}", err=True)
        sys.exit(error.exit_code)
    except MemoryError:
        _end_log(
            "The tap ran out of memory. Every page that was billed counts. Give it more memory, or "
            "lower the page size (jobs_batch_size, batch_size) for a new sync. [out-of-memory]"
        )
    except Exception:  # noqa: BLE001 - a bug: its traceback goes through the redacting log
        _end_log("This is a bug in tap-jobo. Please report it. [tap-bug]", exc_info=True)
    sys.exit(1)


def _end_log(*lines: str, exc_info: bool = False) -> None:
    """Log why the run ended. Nothing follows: threads that still read profiles log no more."""
    for handler in logging.getLogger().handlers:
        handler.acquire()  # for good: a daemon thread that logs now waits until the process exits
    for line in lines:
        TapJobo.logger.critical("%s", line, exc_info=exc_info)
