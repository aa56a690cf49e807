"""`python -m jobo_sandbox contract`: check an API and print what came."""

import argparse
import json
import os
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from jobo_sandbox.contract.api import CREDITS_PER_DOLLAR, LIMIT, Api, Differs, NotTestable
from jobo_sandbox.contract.checks import CHECKS
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from jobo_sandbox.server import Sandbox

DOCUMENTED, DIFFERS, NOT_TESTABLE = "as documented", "differs", "not testable here"
_OUTCOMES = (DOCUMENTED, DIFFERS, NOT_TESTABLE)
_VARIABLE = "TAP_JOBO_API_KEY"
_MOST = f"${LIMIT / CREDITS_PER_DOLLAR:.2f}"
_DESCRIPTION = f"""\
Check what the tap assumes about the Jobo API. Without --api-key, check the sandbox, which is free.
With it, check a real API, which costs {_MOST} at most. Exit with 1 if something differs.
"""


@dataclass(frozen=True)
class Result:
    """The outcome of one check. The detail says what came, why it is not testable, or more."""

    name: str
    assumption: str
    outcome: str
    detail: str


def main(arguments: list[str]) -> int:
    """Run the contract check.

    Returns:
        The exit code: 1 if the API differs, 2 if nothing was checked.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.api_key is None:
        with sandbox() as server:
            api = Api(server.url, server.api_key)
            return _report("the sandbox", api, run(api), as_json=options.json)
    url = urlsplit(options.api_url.rstrip("/"))
    if not options.api_key:
        parser.error(f"--api-key has no value, and {_VARIABLE} is not set")
    if url.scheme != "https" and url.hostname not in {"127.0.0.1", "::1", "localhost"}:
        parser.error("--api-url must use https, or http on this machine only")
    if not (options.yes or _agreed(url.geturl())):
        return 2
    api = Api(url.geturl(), options.api_key)
    return _report(url.geturl(), api, run(api), as_json=options.json)


def sandbox() -> Sandbox:
    """Make the sandbox that is checked by default, which is not started yet."""
    server = Sandbox(size=30, jobs=60, rows_with_updated_at=True)
    server.rate_limits, server.profile_rate_limits = FEED_LIMITS, PROFILE_LIMITS
    return server


def run(api: Api) -> list[Result]:
    """Run all checks, in order."""
    results = []
    for name, (assumption, check) in CHECKS.items():
        try:
            outcome, detail = DOCUMENTED, check(api) or ""
        except Differs as came:
            outcome, detail = DIFFERS, str(came)
        except NotTestable as reason:
            outcome, detail = NOT_TESTABLE, str(reason)
        results.append(Result(name, assumption, outcome, detail))
    return results


def _report(target: str, api: Api, results: list[Result], *, as_json: bool) -> int:
    counts = Counter(result.outcome for result in results)
    cost = f"${api.credits / CREDITS_PER_DOLLAR:.2f} at list price"
    if as_json:
        report = {
            "api": target,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "requests": len(api.answers),
            "credits": api.credits,
            "counts": {outcome: counts[outcome] for outcome in _OUTCOMES},
            "checks": [asdict(result) for result in results],
        }
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        for result in results:
            detail = f" ({result.detail})" if result.detail else ""
            sys.stdout.write(f"{result.outcome:<19}{result.name}: {result.assumption}{detail}\n")
        summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in _OUTCOMES)
        sys.stdout.write(f"\n{target}: {summary}; {len(api.answers)} requests, {cost}\n")
    return 1 if counts[DIFFERS] else 0


def _agreed(url: str) -> bool:
    question = f"This sends about 30 requests to {url} and costs {_MOST} at most. Continue? [y/N] "
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _parser() -> argparse.ArgumentParser:
    name = "python -m jobo_sandbox contract"
    parser = argparse.ArgumentParser(prog=name, description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--api-key",
        nargs="?",
        const=os.environ.get(_VARIABLE, ""),
        metavar="KEY",
        help=f"check a real API with this key; without a value, with the one in {_VARIABLE}",
    )
    parser.add_argument(
        "--api-url",
        default="https://connect.jobo.world",
        metavar="URL",
        help="base URL of the real API (default: %(default)s)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before the first request")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
