"""The settings that do not belong to one stream."""

from __future__ import annotations

from typing import Final

from tap_jobo.settings.formats import (
    is_base_url,
    is_journal_location,
    is_missing_state_choice,
    is_path,
    is_printable_ascii,
    is_uuid,
)
from tap_jobo.settings.setting import Setting
from tap_jobo.settings.setting_types import boolean, choice, integer, list_of, past_date, text

_MOST_CONCURRENT: Final = 16
_MOST_LOOKBACK: Final = 7 * 24 * 60
_MOST_IDS: Final = 1_000
"""Meltano exports settings as environment variables, whose size is limited."""

SOURCE: Final = (
    Setting(
        name="api_key",
        title="API key",
        description="API key of your Jobo account. It starts with `jbe_live_` or `jbe_test_`.",
        type=text(is_printable_ascii, "one line of printable ASCII characters without spaces"),
        required=True,
        secret=True,
    ),
    Setting(
        name="api_url",
        title="API URL",
        description=(
            "Base URL of the Jobo API: https, or http on this machine only (127.0.0.1, [::1], "
            "localhost). The key is sent to no other host."
        ),
        type=text(
            is_base_url,
            "an https:// URL without user, query, or fragment; http:// only on this machine "
            "(127.0.0.1, [::1], localhost)",
        ),
        default="https://connect.jobo.world",
    ),
    Setting(
        name="start_date",
        title="Start date",
        description=(
            "Where the first sync starts: an ISO 8601 date or date-time, in UTC if it has no time "
            "zone. Rows last updated before it are not read. If not set, all rows are read. A "
            "start date overrides an earlier bookmark."
        ),
        type=past_date(),
    ),
    Setting(
        name="lookback_minutes",
        title="Lookback",
        description=(
            "How many minutes before the bookmark the next sync starts, to catch rows that arrive "
            f"late; {_MOST_LOOKBACK:,} (a week) at most. Rows that changed within that time before "
            "the last sync are billed again: with 15 minutes, about 4% extra for a run every six "
            "hours, and up to 100% for a run every 15 minutes."
        ),
        type=integer(0, _MOST_LOOKBACK, unit="minutes"),
        default=15,
    ),
)
"""What to read and from where; listed before the settings of the feeds."""

CONTROL: Final = (
    Setting(
        name="on_filter_change",
        title="On filter change",
        description=(
            "What to do if the filters differ from those in the state so that rows would be "
            "missing: `error` stops before any billed request, `keep` resumes from the bookmark "
            "(rows that match only the new filters and last changed before it stay missing), "
            "`resync` reads all matching rows from the start (each is billed). If the filters are "
            "only narrowed and no sync is unfinished, nothing is missing and the run continues."
        ),
        type=choice("error", "resync", "keep"),
        default="error",
    ),
    Setting(
        name="on_missing_state",
        title="On missing state",
        description=(
            "What to do if there is no state, but the journal knows of a complete sync: `error` "
            "stops before any request, `resync` reads everything again (each row is billed), "
            "`resume:ID`, with the id that the error prints, goes on from that sync. Resume only "
            "if the warehouse still has the rows and no other pipeline uses the journal."
        ),
        type=text(
            is_missing_state_choice, "error, resync, or resume: and the id that the error printed"
        ),
        default="error",
    ),
    Setting(
        name="max_credits",
        title="Maximum credits",
        description=(
            "Maximum credits per run (1,000 credits are $1). When it is reached, the run stops "
            "cleanly (exit code 0) and the next run resumes from there."
        ),
        type=integer(1, unit="credits"),
    ),
    Setting(
        name="credits_alert_threshold",
        title="Balance alert",
        description=(
            "Log a warning, once per run, if the account's balance is below this many credits."
        ),
        type=integer(0, unit="credits"),
    ),
    Setting(
        name="journal",
        title="Journal",
        description=(
            "Keep billed pages on disk until the target has stored their rows, so that they are "
            "not billed again after a crash."
        ),
        type=boolean(),
        default=True,
    ),
    Setting(
        name="journal_dir",
        title="Journal folder",
        description=(
            "Folder of the journal, by default in the user's state folder; or, with the extra "
            "`tap-jobo[cloud]`, s3://bucket/prefix, gs://bucket/prefix or azure://container/prefix "
            "(credentials from the environment). Pipelines with the same key and filters need "
            "separate ones."
        ),
        type=text(
            is_journal_location,
            "the path of a folder, or a URL such as s3://bucket/prefix, gs://bucket/prefix or "
            "azure://container/prefix (credentials go in environment variables)",
        ),
    ),
    Setting(
        name="companies_concurrency",
        title="Concurrent profiles",
        description=f"How many company profiles are requested at once, 1 to {_MOST_CONCURRENT}.",
        type=integer(1, _MOST_CONCURRENT),
        default=4,
    ),
    Setting(
        name="company_ids",
        title="Company ids",
        description=(
            f"Up to {_MOST_IDS:,} company ids: the stream `companies` reads only these profiles, "
            "free of charge, and no career sites are read."
        ),
        type=list_of("UUIDs (company_ids_file takes more)", is_uuid, most=_MOST_IDS),
    ),
    Setting(
        name="company_ids_file",
        title="File of company ids",
        description=(
            "Path of a text file with one company id per line: like `company_ids`, but without a "
            "limit."
        ),
        type=text(is_path, "the path of a text file with a UUID on each line"),
    ),
)
"""How to run, and company profiles; listed after the settings of the feeds."""
