"""The settings: what each is called and means. What each allows is in `tap_jobo.validation`."""

from __future__ import annotations

from typing import Final

from singer_sdk import typing as th

BOOLEAN_SETTINGS: Final = ("is_agency", "journal")
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
UNSUPPORTED: Final = {"batch_config": "object", "emit_activate_version_messages": "boolean"}
"""Settings, with their types, of other SDK taps that cannot hold the promises of this one."""
