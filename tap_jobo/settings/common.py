"""The settings that do not belong to one stream."""

from __future__ import annotations

from typing import Final

from tap_jobo.settings.formats import (
    is_journal_place,
    is_path,
    is_printable_ascii,
    is_uuid,
    matches,
)
from tap_jobo.settings.kinds import Boolean, Choice, Integer, ListOf, PastDate, Text, Url
from tap_jobo.settings.setting import Setting

_MOST_CONCURRENT: Final = 16
_MOST_IDS: Final = 1_000
"""Meltano exports settings as environment variables, whose size is limited."""

SOURCE: Final = (
    Setting(
        name="api_key",
        title="API key",
        description="API key of your Jobo account (jbe_live_... or jbe_test_...).",
        kind=Text(is_printable_ascii, "one line of printable ASCII characters without spaces"),
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
        kind=Url(),
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
        kind=PastDate(),
    ),
    Setting(
        name="lookback_minutes",
        title="Lookback",
        description=(
            "How many minutes before the bookmark the next sync starts, to catch rows that arrive "
            "late. Rows that changed within that time before the last sync are billed again: "
            "with 15 minutes, about 4% extra for a run every six hours, and up to 100% for a run "
            "every 15 minutes."
        ),
        kind=Integer(0, unit="minutes"),
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
        kind=Choice(("error", "resync", "keep")),
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
        kind=Text(
            matches(r"error|resync|resume:[0-9a-z-]+(,[0-9a-z-]+)*"),
            "error, resync, or resume: and the id that the error printed",
        ),
        default="error",
    ),
    Setting(
        name="trust_local_clock",
        title="Trust the local clock",
        description=(
            "Set this if the run ends because the API's clock is not known or more than a day "
            "from the local one, and the local clock is right: the bookmark then follows it."
        ),
        kind=Boolean(),
        default=False,
    ),
    Setting(
        name="max_credits",
        title="Maximum credits",
        description=(
            "Maximum credits per run (1,000 credits are $1). When it is reached, the run stops "
            "cleanly (exit code 0) and the next run resumes from there."
        ),
        kind=Integer(1, unit="credits"),
    ),
    Setting(
        name="credits_alert_threshold",
        title="Balance alert",
        description=(
            "Log a warning, once per run, if the account's balance is below this many credits."
        ),
        kind=Integer(0, unit="credits"),
    ),
    Setting(
        name="journal",
        title="Journal",
        description=(
            "Keep billed pages on disk until the target has stored their rows, so that they are "
            "not billed again after a crash."
        ),
        kind=Boolean(),
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
        kind=Text(
            is_journal_place,
            "the path of a folder, or a URL such as s3://bucket/prefix, gs://bucket/prefix or "
            "azure://container/prefix without credentials or a query: the environment has those",
        ),
    ),
    Setting(
        name="companies_concurrency",
        title="Concurrent profiles",
        description=f"How many company profiles are requested at once, 1 to {_MOST_CONCURRENT}.",
        kind=Integer(1, _MOST_CONCURRENT),
        default=4,
    ),
    Setting(
        name="company_ids",
        title="Company ids",
        description=(
            f"Up to {_MOST_IDS:,} company ids: the stream `companies` reads only these profiles, "
            "free of charge, and no career sites are read."
        ),
        kind=ListOf("uuids (company_ids_file takes more)", is_uuid, most=_MOST_IDS),
    ),
    Setting(
        name="company_ids_file",
        title="File of company ids",
        description=(
            "Path of a text file with one company id per line: like `company_ids`, but without a "
            "limit."
        ),
        kind=Text(is_path, "the path of a text file with a uuid on each line"),
    ),
)
"""How to run, and company profiles; listed after the settings of the feeds."""

COMMON: Final = (*SOURCE, *CONTROL)
UNSUPPORTED: Final = {"batch_config": "object", "emit_activate_version_messages": "boolean"}
"""Settings of other SDK taps, with their types, that would break this tap's guarantees."""
