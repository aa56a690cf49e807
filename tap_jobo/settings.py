"""The settings: what each is called, means and allows, and the reading of what a user gave."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from singer_sdk import typing as th

from tap_jobo.clock import parse_timestamp
from tap_jobo.errors import ConfigError
from tap_jobo.redaction import REPLACEMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENV_PREFIX: Final = "TAP_JOBO_"
SWITCHES: Final = ("is_agency", "journal")
"""The boolean settings, which are read from text too."""
FILTERS: Final = (
    "industries",
    "company_sizes",
    "country_codes",
    "funding_stages",
    "company_types",
    "founded_after",
    "is_agency",
)
"""The settings that choose which rows the feed returns, named as in the request's body."""

_TEXTS = th.ArrayType(th.StringType)

SETTINGS: Final = th.PropertiesList(
    th.Property(
        "api_key",
        th.StringType,
        required=True,
        secret=True,
        title="API key",
        description="Key of your Jobo account (jbe_live_... or jbe_test_...).",
    ),
    th.Property(
        "api_url",
        th.StringType,
        default="https://connect.jobo.world",
        title="API URL",
        description=(
            "Where the Jobo API is: https, or http on this machine alone (127.0.0.1, [::1], "
            "localhost). The key is sent to no other host."
        ),
    ),
    th.Property(
        "start_date",
        th.StringType,
        title="Start date",
        description=(
            "Where the first run starts: an ISO 8601 date or date-time, UTC where no zone is "
            "given. Rows updated before it are not read; without it everything is. Wins over an "
            "earlier bookmark."
        ),
    ),
    th.Property(
        "lookback_minutes",
        th.IntegerType(minimum=0),
        default=15,
        title="Lookback",
        description=(
            "Minutes before the bookmark from which the next run reads again, in case a row came "
            "late."
        ),
    ),
    th.Property(
        "batch_size",
        th.IntegerType(minimum=1, maximum=50),
        default=50,
        title="Batch size",
        description="Rows a page, 1 to 50. A full page of 50 costs 2,500 credits ($2.50).",
    ),
    th.Property(
        "industries",
        _TEXTS,
        title="Industries",
        description="Read only companies with one of these industry tags, such as fintech.",
    ),
    th.Property(
        "company_sizes",
        _TEXTS,
        title="Company sizes",
        description="Read only companies in one of these bands of employees, such as 11-50.",
    ),
    th.Property(
        "country_codes",
        _TEXTS,
        title="Country codes",
        description="Read only companies of these countries: ISO 3166-1 alpha-2, such as DE.",
    ),
    th.Property(
        "funding_stages",
        _TEXTS,
        title="Funding stages",
        description="Read only companies at one of these stages, such as seed or series_a.",
    ),
    th.Property(
        "company_types",
        th.ArrayType(th.StringType(allowed_values=["for_profit", "non_profit"])),
        title="Company types",
        description="Read only companies of these types: `for_profit`, `non_profit`.",
    ),
    th.Property(
        "founded_after",
        th.IntegerType,
        title="Founded after",
        description="Read only companies founded in or after this calendar year.",
    ),
    th.Property(
        "is_agency",
        th.BooleanType,
        title="Agencies",
        description="Read only recruiting agencies (`true`) or only others (`false`).",
    ),
    th.Property(
        "on_filter_change",
        th.StringType(allowed_values=["error", "resync", "keep"]),
        default="error",
        title="On filter change",
        description=(
            "What to do when the filters are not those of the state, so that rows would be "
            "missing: `error` stops before any request, `resync` reads all that matches from the "
            "start (each row costs), `keep` goes on from the bookmark."
        ),
    ),
    th.Property(
        "max_credits",
        th.IntegerType(minimum=1),
        title="Budget",
        description=(
            "The most credits that a run may spend (1,000 are $1). Reached, the run ends well "
            "and the next one goes on from there."
        ),
    ),
    th.Property(
        "credits_alert_threshold",
        th.IntegerType(minimum=0),
        title="Balance alert",
        description="Warn once a run when the account's balance of credits is below this.",
    ),
    th.Property(
        "journal",
        th.BooleanType,
        default=True,
        title="Journal",
        description=(
            "Keep paid pages on disk until they have arrived in the target, so that a crash does "
            "not buy them again."
        ),
    ),
    th.Property(
        "journal_dir",
        th.StringType,
        title="Journal folder",
        description=(
            "Folder of the journal; by default the user's state folder. Pipelines with the same "
            "key and filters need folders of their own."
        ),
    ),
    th.Property(
        "companies_concurrency",
        th.IntegerType(minimum=1, maximum=16),
        default=4,
        title="Concurrent profiles",
        description="How many company profiles are asked for at once, 1 to 16.",
    ),
    th.Property(
        "company_ids",
        _TEXTS,
        title="Company ids",
        description=(
            "At most 1,000 ids of companies: the stream `companies` reads just these profiles, "
            "at no cost, and no career sites are read."
        ),
    ),
    th.Property(
        "company_ids_file",
        th.StringType,
        title="File of company ids",
        description=(
            "Path of a file with an id of a company on each line, instead of `company_ids` and "
            "without its limit."
        ),
    ),
)
WITHDRAWN: Final = {"batch_config": "object", "emit_activate_version_messages": "boolean"}
"""Settings, with their types, of other SDK taps that cannot hold the promises of this one."""


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


_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True} | {
    "false": False, "0": False, "no": False, "off": False
}  # fmt: skip
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
        name: _BOOLEANS.get(str(value).strip().lower(), value) if name in SWITCHES else value
        for name, value in config.items()
        if value not in (None, "", [])
    }
    if "api_key" not in given:
        raise ConfigError(
            f"Setting 'api_key' is missing: set {ENV_PREFIX}API_KEY, or api_key in the "
            "configuration, to the key of your Jobo account."
        )
    for name in WITHDRAWN:
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


def read_environment(schema: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Read settings from variables `TAP_JOBO_...`, each by its type in `schema`.

    What does not read as its type stays the text it is, for `check` to refuse.

    Args:
        schema: The JSON schema of all settings.
        environ: The environment.
    """
    kinds = {name: str(item.get("type")) for name, item in schema["properties"].items()}
    return {
        name: _read(environ[variable], kind)
        for name, kind in (WITHDRAWN | kinds).items()
        if (variable := ENV_PREFIX + name.upper()) in environ
    }


def _read(text: str, kind: str) -> object:
    if "boolean" in kind:
        return _BOOLEANS.get(text.strip().lower(), text)
    if "integer" in kind and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text):
        return int(text)
    if "object" in kind or ("array" in kind and text.lstrip().startswith("[")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    if "array" in kind:
        return [item for part in text.split(",") if (item := part.strip())]
    return text


def load_dotenv_environment() -> dict[str, str]:
    """Return the process's environment over that of a `.env` file here or in a folder above."""
    from dotenv import dotenv_values, find_dotenv  # noqa: PLC0415 - only for --config ENV

    path = find_dotenv(usecwd=True)
    values = dotenv_values(path) if path else {}
    return {name: text for name, text in values.items() if text is not None} | dict(os.environ)


def _shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "..."
