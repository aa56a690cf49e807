"""The command line of `python -m jobo_sandbox`."""

import argparse
from dataclasses import dataclass, field

_DESCRIPTION = """\
Run a command against a mock Jobo API server and a real Postgres. Environment variables point the
tap, the loader and Meltano at them. Everything that is kept between runs is in the folder .sandbox
in the current directory. To use a Meltano project of your own, unset MELTANO_ENVIRONMENT and
MELTANO_DATABASE_URI in the command.
"""


@dataclass
class Options:
    """The command line. None means not given."""

    command: list[str] = field(default_factory=list)
    serve: bool = False
    reset: bool = False
    postgres: bool = True
    size: int | None = None
    jobs: int | None = None
    seed: int | None = None
    port: int | None = None
    balance: int | None = None
    description_bytes: int = 0
    updated_at: bool = False
    latency: float = 0
    status: list[tuple[int, int]] = field(default_factory=list)
    rate_limits: bool = True
    clock_offset: float = 0


def read_options(arguments: list[str]) -> Options:
    """Parse the command line. A mistake exits with code 2."""
    parser = _parser()
    options = parser.parse_args(arguments, namespace=Options())
    if options.serve and options.command:
        parser.error("--serve takes no command")
    if not (options.serve or options.reset or options.command):
        parser.error("specify a command or --serve")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobo_sandbox",
        usage="%(prog)s [options] COMMAND ...",
        description=_DESCRIPTION,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--serve",
        action="store_true",
        help="only run the server, until Ctrl-C, and print how to use it",
    )
    add("--reset", action="store_true", help="start over: delete everything from earlier runs")
    add("--no-postgres", dest="postgres", action="store_false", help="do not start Postgres")
    add("--size", type=_count, metavar="N", help="number of companies at the start (default: 300)")
    add("--jobs", type=_count, metavar="N", help="number of jobs at the start (default: 600)")
    add(
        "--description-bytes",
        type=_count,
        metavar="N",
        help="lengthen the jobs' descriptions to this size",
    )
    add("--seed", type=int, metavar="N", help="seed of the generated data (default: 1)")
    add("--port", type=_count, metavar="N", help="port of the API (default: as in the last run)")
    add("--balance", type=_count, metavar="N", help="set the account balance, in credits")
    add("--updated-at", action="store_true", help="include updated_at in career site rows")
    add("--latency", type=float, metavar="SECONDS", help="wait this long before every response")
    add(
        "--status",
        type=_status,
        action="append",
        metavar="N:CODE",
        help="respond to the N-th request with this HTTP status (can be repeated)",
    )
    add(
        "--rate-limits",
        action=argparse.BooleanOptionalAction,
        help="enforce Jobo's documented rate limits (default: yes)",
    )
    add("--clock-offset", type=float, metavar="SECONDS", help="set the API's clock ahead")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command to run")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _status(text: str) -> tuple[int, int]:
    number, _, code = text.partition(":")
    if not (number.isdecimal() and code.isdecimal() and 400 <= int(code) <= 599):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} does not look like 3:503")
    return int(number), int(code)
