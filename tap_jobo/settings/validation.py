"""What each setting allows, and the check of what a user gave."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ConfigError
from tap_jobo.redaction import REPLACEMENT
from tap_jobo.settings.common import BOOLEAN_SETTINGS, UNSUPPORTED
from tap_jobo.settings.environment import BOOLEANS, ENV_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _is_key(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!-~]+", value) is not None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_host(host: str) -> bool:
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    try:
        return bool(re.fullmatch(rf"{label}(\.{label})*\.?", host) or ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
        return False
    try:
        url = urlsplit(value)
        host, port = url.hostname, url.port
    except ValueError:
        return False
    if (
        not host
        or not _is_host(host)
        or port == 0
        or "@" in url.netloc
        or set("?#{}\\") & set(value)
    ):
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(host))


def _is_start_date(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_timestamp(value) <= datetime.now(UTC)
    except ValueError:
        return False


def _is_path(value: object) -> bool:
    try:
        return isinstance(value, str) and "\0" not in value and bool(Path(value).expanduser())
    except RuntimeError:  # the home of a user who is not there
        return False


def _is_boolean(value: object) -> bool:
    return isinstance(value, bool)


def _is_integer(minimum: int | None = None, maximum: int | None = None) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and (minimum is None or value >= minimum)
            and (maximum is None or value <= maximum)
        )

    return check


def _is_list(item: str) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, list) and all(
            isinstance(text, str) and re.fullmatch(item, text) for text in value
        )

    return check


@dataclass(frozen=True)
class _Rule:
    """What a setting allows: as a test, and as the words that complete "must be ..."."""

    allows: Callable[[object], bool]
    words: str


_MOST_IDS: Final = 1_000
"""Meltano exports settings as environment variables, whose size is limited."""
_UUID = r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TEXT = r"(?=\s*\S)[^\ud800-\udfff]*"
_RULES: Final[dict[str, _Rule]] = {
    "api_key": _Rule(_is_key, "one line of printable ASCII characters without spaces"),
    "api_url": _Rule(
        _is_url,
        "an https:// address without user, query or fragment; "
        "http:// only on this machine (127.0.0.1, [::1], localhost)",
    ),
    "start_date": _Rule(
        _is_start_date,
        "an ISO 8601 date or date-time that is not in the future, such as 2026-01-31 or "
        "2026-01-31T08:00:00Z",
    ),
    "lookback_minutes": _Rule(_is_integer(0), "a whole number of minutes, 0 or more"),
    "batch_size": _Rule(_is_integer(1, 50), "a whole number from 1 to 50"),
    "industries": _Rule(_is_list(_TEXT), "a list of texts, such as fintech"),
    "company_sizes": _Rule(_is_list(_TEXT), "a list of texts, such as 11-50"),
    "country_codes": _Rule(
        _is_list(r"[A-Z]{2}"), "a list of country codes of two capital letters, such as DE"
    ),
    "funding_stages": _Rule(_is_list(_TEXT), "a list of texts, such as seed"),
    "company_types": _Rule(
        _is_list(r"for_profit|non_profit"), "a list of for_profit, non_profit or both"
    ),
    "founded_after": _Rule(_is_integer(), "a whole number: a calendar year"),
    "is_agency": _Rule(_is_boolean, "true or false"),
    "on_filter_change": _Rule(
        lambda value: value in ("error", "resync", "keep"), "error, resync or keep"
    ),
    "max_credits": _Rule(_is_integer(1), "a whole number of credits, 1 or more"),
    "credits_alert_threshold": _Rule(_is_integer(0), "a whole number of credits, 0 or more"),
    "journal": _Rule(_is_boolean, "true or false"),
    "companies_concurrency": _Rule(_is_integer(1, 16), "a whole number from 1 to 16"),
    "company_ids": _Rule(
        lambda value: _is_list(_UUID)(value) and len(value) <= _MOST_IDS,  # type: ignore[arg-type]
        "a list of at most 1,000 uuids (company_ids_file takes more)",
    ),
    "company_ids_file": _Rule(_is_path, "the path of a text file with a uuid on each line"),
    "journal_dir": _Rule(_is_path, "a path to a folder"),
}


def check(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that say something, checked; what is empty is left out.

    Null, an empty text and an empty list mean the same as no value: Meltano and shells pass
    them for what a user left open. A text that reads as a boolean is one where a boolean is due,
    and no other text is: `ja` must not become false.

    Raises:
        ConfigError: A setting is missing or not what it should be. The text names it and says
            what is allowed; it never shows the value of `api_key`.
    """
    given = {
        name: BOOLEANS.get(str(value).strip().lower(), value) if name in BOOLEAN_SETTINGS else value
        for name, value in config.items()
        if value not in (None, "", [])
    }
    if "api_key" not in given:
        raise ConfigError(
            f"Setting 'api_key' is missing: set {ENV_PREFIX}API_KEY, or api_key in the "
            "configuration, to the key of your Jobo account."
        )
    for name in UNSUPPORTED:
        if given.get(name):
            raise ConfigError(
                f"Setting '{name}' is not supported: take it out. A row must be written before "
                "the state says so, and a scan may span several runs."
            )
    for name, rule in _RULES.items():
        if name in given and not rule.allows(given[name]):
            # An address may hold a password, or the key in its place.
            shown = ascii(given[name]).replace(str(given["api_key"]), REPLACEMENT)
            got = "" if name in ("api_key", "api_url") else f", not {_shorten(shown)}"
            raise ConfigError(f"Setting '{name}' must be {rule.words}{got}.")
    if "company_ids" in given and "company_ids_file" in given:
        raise ConfigError(
            "Settings 'company_ids' and 'company_ids_file' name companies twice: set one of them."
        )
    return given


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
