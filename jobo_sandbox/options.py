"""The command line of `python -m jobo_sandbox`."""

import argparse
from dataclasses import dataclass, field

_DESCRIPTION = """\
Run a command against a stand-in of the Jobo API and, unless told not to, a Postgres: its
environment points the tap, the loader and Meltano at them. All that outlives a run is in the
folder .sandbox here; nothing else is touched. For a Meltano project of your own, unset
MELTANO_ENVIRONMENT and MELTANO_DATABASE_URI in the command.
"""


@dataclass
class Options:
    """What was asked for on the command line; None for what was not said."""

    command: list[str] = field(default_factory=list)
    serve: bool = False
    reset: bool = False
    postgres: bool = True
    size: int | None = None
    seed: int | None = None
    port: int | None = None
    balance: int | None = None
    updated_at: bool = False
    latency: float = 0
    status: list[tuple[int, int]] = field(default_factory=list)
    rate_limits: bool = True
    clock_offset: float = 0


def read_options(arguments: list[str]) -> Options:
    """Read the command line; a mistake in it ends the program with status 2."""
    parser = _parser()
    options = parser.parse_args(arguments, namespace=Options())
    if options.serve and options.command:
        parser.error("--serve takes no command")
    if not (options.serve or options.reset or options.command):
        parser.error("a command is missing (or --serve)")
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
    add("--serve", action="store_true", help="serve the API until Ctrl-C, and say how to use it")
    add("--reset", action="store_true", help="start afresh: remove all that earlier runs left")
    add("--no-postgres", dest="postgres", action="store_false", help="start no Postgres")
    add("--size", type=_count, metavar="N", help="companies at first (300)")
    add("--seed", type=int, metavar="N", help="another seed, another world (1)")
    add("--port", type=_count, metavar="N", help="the API's port (the last one, else any)")
    add("--balance", type=_count, metavar="N", help="put so many credits into the wallet")
    add("--updated-at", action="store_true", help="rows carry updated_at")
    add("--latency", type=float, metavar="SECONDS", help="wait before every answer")
    add(
        "--status",
        type=_status,
        action="append",
        metavar="N:CODE",
        help="answer the N-th request with this HTTP status (may be repeated)",
    )
    add(
        "--rate-limits",
        action=argparse.BooleanOptionalAction,
        help="keep to Jobo's documented rate limits (yes)",
    )
    add("--clock-offset", type=float, metavar="SECONDS", help="the API's clock is ahead by so much")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _status(text: str) -> tuple[int, int]:
    number, _, code = text.partition(":")
    if not (number.isdecimal() and code.isdecimal() and 400 <= int(code) <= 599):  # noqa: PLR2004
        raise argparse.ArgumentTypeError(f"{text!r} is not like 3:503")
    return int(number), int(code)
