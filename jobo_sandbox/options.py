"""The command line of `python -m jobo_sandbox`."""

import argparse
from dataclasses import dataclass, field

_DESCRIPTION = """\
Run a command against a mock Jobo API server and a real Postgres. Environment variables point the
tap, the loader and Meltano at them. Everything that is kept between runs is in the folder .sandbox
in the current directory. For a Meltano project of your own, use --serve or --bucket. The command
`contract` checks what the tap assumes about the API: see `contract --help`.
"""


@dataclass
class Options:
    """The command line. None means not given."""

    command: list[str] = field(default_factory=list)
    serve: bool = False
    bucket: bool = False
    reset: bool = False
    postgres: bool = True
    size: int | None = None
    rate_limits: bool = True


def read_options(arguments: list[str]) -> Options:
    """Parse the command line. A mistake exits with code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m jobo_sandbox",
        usage="%(prog)s [options] COMMAND ...",
        description=_DESCRIPTION,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    _add_options(parser)
    options = parser.parse_args(arguments, namespace=Options())
    options.serve = options.serve or options.bucket
    if options.serve and options.command:
        parser.error("--serve and --bucket take no command")
    if not (options.serve or options.reset or options.command):
        parser.error("specify a command or --serve")
    return options


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    for name, action, text in (
        ("--serve", "store_true", "run only the API and Postgres, and print how to use them"),
        ("--bucket", "store_true", "the same with a bucket (S3) for the archive and the state"),
        ("--reset", "store_true", "start over: delete everything from earlier runs"),
        ("--rate-limits", argparse.BooleanOptionalAction, "enforce Jobo's rate limits (default)"),
    ):
        add(name, action=action, help=text)
    add("--no-postgres", dest="postgres", action="store_false", help="do not start Postgres")
    text = "number of companies at the start (default: 300)"
    add("--size", type=int, metavar="N", help=text)
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command to run")
