"""`python -m jobo_sandbox contract`: check an API, and print or report what came."""

import argparse
import json
import os
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobo_sandbox.contract.api import LIMIT, Api, Json, most_requests
from jobo_sandbox.contract.feed_checks import nothing_to_check
from jobo_sandbox.contract.outcomes import CutOff, Differs, NotTestable
from jobo_sandbox.contract.registry import CHECKS, LAST_CHECKS
from jobo_sandbox.contract.report import Redaction
from jobo_sandbox.limits import FEED_LIMITS, PROFILE_LIMITS
from jobo_sandbox.server import Sandbox
from tap_jobo.api.session import USER_AGENT
from tap_jobo.streams import FEEDS

DOCUMENTED, DIFFERS, NOT_TESTABLE, CUT_OFF = "as documented", "differs", "not testable", "cut off"
_OUTCOMES = (DOCUMENTED, DIFFERS, NOT_TESTABLE, CUT_OFF)
_VARIABLE = "TAP_JOBO_API_KEY"
_NUMBER = re.compile(r"\d[\d,.]*")
_DESCRIPTION = """\
Check what the tap assumes about the Jobo API. Without --api-key, check the sandbox, which is free.
With it, check a real API, which costs less than {most} at list price. Exit with 1 if something
differs or was cut off, with 2 if nothing was checked.
"""


def main(arguments: list[str]) -> int:
    """Run the contract check.

    Returns:
        The exit code: 1 if the API differs or a check was cut off, 2 if nothing was checked.
    """
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others:  # which may contain the key
        parser.error(f"{len(others)} arguments are not known")
    if options.api_key is None:
        with sandbox() as server:
            return _check("the sandbox", server.url, server.api_key, options)
    url, key = urlsplit(options.api_url.rstrip("/")), options.api_key.strip()
    if not key:
        parser.error(f"--api-key has no value, and {_VARIABLE} is not set")
    if not (key.isascii() and key.isprintable()):
        parser.error("the API key has characters that no key has")
    is_local = url.hostname in {"127.0.0.1", "::1", "localhost"}
    if "@" in url.netloc or not (url.scheme == "https" or is_local):
        parser.error("--api-url must use https, or http on this machine only, without a password")
    if not (options.yes or _agreed(url.geturl(), dollars(LIMIT))):
        return 2
    return _check(url.geturl(), url.geturl(), key, options)


def sandbox(**options: Any) -> Sandbox:
    """Make the sandbox that is checked by default, which is not started yet."""
    server = Sandbox(size=30, jobs=60, rows_with_updated_at=True, **options)
    server.rate_limits, server.profile_rate_limits = FEED_LIMITS, PROFILE_LIMITS
    return server


def run(api: Api) -> list[dict[str, str]]:
    """Run all checks, in order. A detail says what came, why it is not testable, or more.

    One cause is one finding: a check that meets the same again is not testable.
    """
    results = []
    causes: dict[str, str] = {}
    for name, check in (CHECKS | LAST_CHECKS).items():
        tap_does = ""
        try:
            outcome, detail = DOCUMENTED, check.run(api) or ""
        except Differs as came:
            outcome, detail, tap_does = DIFFERS, str(came), came.tap_does or check.tap_does
        except NotTestable as reason:
            outcome = CUT_OFF if isinstance(reason, CutOff) else NOT_TESTABLE
            detail = str(reason)
        except Exception as error:  # noqa: BLE001 - whatever the form of a body leads to
            outcome, detail, tap_does = DIFFERS, f"another form: {error!r:.100}", check.tap_does
        if outcome == DIFFERS:
            # Pages of one row and of five differ in numbers only.
            stream = next((each.name for each in FEEDS if name.startswith(each.name)), "")
            cause = f"{stream} {_NUMBER.sub('#', detail)}"
            if (first := causes.setdefault(cause, name)) != name:
                outcome, detail, tap_does = NOT_TESTABLE, f"for the reason of {first}", ""
        result = {"name": name, "outcome": outcome, "detail": detail, "tap_does": tap_does}
        results.append(result | {"assumption": check.assumption, "source": check.source})
    return results


def _check(target: str, url: str, key: str, options: argparse.Namespace) -> int:
    api = Api(url, key)
    results: list[dict[str, str]] = []
    why = ""
    try:
        if options.report:
            options.report.touch()
    except OSError as error:
        sys.stderr.write(f"--report {options.report}: {error.strerror}; nothing was sent\n")
        return 2
    try:
        why = nothing_to_check(api)
        results = [] if why else run(api)
    except KeyboardInterrupt:
        why = "it was interrupted"
    redaction = Redaction(api.key, api.answers)
    report = _report(target, api, results, redaction)
    if why:
        sys.stderr.write(f"Nothing was checked: {redaction.text(why)} ({_cost(report)})\n")
    else:
        sys.stdout.write(_text(report))
    if options.report:
        exchanges = [redaction.exchange(answer) for answer in api.answers]
        text = json.dumps(report | {"exchanges": exchanges}, indent=1)
        options.report.write_text(text + "\n", encoding="utf-8")
    if why:
        return 2
    if not api.rows:
        sys.stderr.write("No rows came, so most of the expectations are not tested.\n")
    return 1 if report["counts"][DIFFERS] or report["counts"][CUT_OFF] or not api.rows else 0


def _report(target: str, api: Api, results: list[dict[str, str]], redaction: Redaction) -> Json:
    counts = Counter(result["outcome"] for result in results)
    return {
        "api": target,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user_agent": USER_AGENT,
        "requests": len(api.answers),
        "credits": api.credits,
        "counts": {outcome: counts[outcome] for outcome in _OUTCOMES},
        "checks": [each | {"detail": redaction.text(each["detail"])} for each in results],
    }


def _text(report: Json) -> str:
    lines = []
    for each in report["checks"]:
        tap_does = each["tap_does"] and f"tap-jobo: {each['tap_does']}"
        details = "; ".join(filter(None, [each["detail"], tap_does]))
        line = f"{each['outcome']:<19}{each['name']}: {each['assumption']} [{each['source']}]"
        line += f" ({details})" if details else ""
        lines.append("".join(letter for letter in line if letter.isprintable()))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in report["counts"].items())
    return "\n".join([*lines, "", f"{report['api']}: {counts}; {_cost(report)}", ""])


def _cost(report: Json) -> str:
    return f"{report['requests']} requests, ${report['credits'] / 1_000:.2f} at list price"


def _agreed(url: str, most: str) -> bool:
    cost = (
        f"at most {most_requests()} requests to {url}, which costs less than {most} at list price"
    )
    sys.stderr.write(f"This sends {cost}. Nothing else should use the account. Continue? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def dollars(limit: int) -> str:
    """Return the dollars that a check costs less than, given the credits that it may cost."""
    return f"${(limit + 1) / 1_000:.2f}"


def _parser() -> argparse.ArgumentParser:
    name = "python -m jobo_sandbox contract"
    description = _DESCRIPTION.format(most=dollars(LIMIT))
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
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
    parser.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="write what was sent and what came, without the key, to attach it to an issue",
    )
    return parser
