"""The settings that do not belong to one stream."""

from typing import Final

from tap_jobo.settings import setting as of
from tap_jobo.settings.setting import Setting

_BASE_URL: Final = (
    r"(?:https://[A-Za-z0-9][A-Za-z0-9.-]*"
    r"|http://(?:127(?:\.[0-9]{1,3}){3}|(?i:localhost)|\[::1\]))"
    r"(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?(?:/[A-Za-z0-9._~/%-]*)?"
)
_BUCKET_URL: Final = (
    r"(?:s3|gs|azure)://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
    r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._=-]+)*/?"
)
_MOST_CREDITS: Final = 10**12  # a billion dollars

ARCHIVE_DIR: Final = Setting(
    name="archive_dir",
    description=(
        "Where to store the archive: a folder or, with the extra `tap-jobo[cloud]`, "
        "s3://bucket/prefix, gs://bucket/prefix, or azure://container/prefix, with credentials "
        "from the environment. By default, archive/tap-jobo in a Meltano project, and otherwise "
        "tap-jobo in the user's state folder. Pipelines with the same filters, or narrower ones, "
        "share an archive. Give an experiment with other filters its own."
    ),
    type=of.text(
        "the path of a folder, or a URL such as s3://bucket/prefix, gs://bucket/prefix, or "
        "azure://container/prefix without credentials (set them as environment variables)",
        rf"{_BUCKET_URL}|(?![A-Za-z][A-Za-z0-9+.-]*:)[^\0]+",
    ),
)
START_DATE: Final = Setting(
    name="start_date",
    description=(
        "ISO 8601 date or date-time, by default in UTC. The tap does not read rows last updated "
        "before it. A date later than the bookmark overrides the bookmark. Moving the date back, "
        "or removing it, works like widening a filter: see `on_filter_change`."
    ),
    type=of.past_date(),
)


SOURCE: Final = (  # what to read and from where; listed before the settings of the feeds
    Setting(
        name="api_key",
        description="API key of your Jobo account. It starts with `jbe_live_` or `jbe_test_`.",
        type=of.text(
            "your Jobo API key from enterprise.jobo.world, without spaces",
            "[!-~]*",
        ),
        required=True,
        secret=True,
    ),
    Setting(
        name="api_url",
        description=(
            "Base URL of the Jobo API: https, or http on this machine only (127.0.0.1, [::1], "
            "localhost). The tap sends the key to no other host."
        ),
        type=of.text("an https:// URL (http:// only for localhost)", _BASE_URL),
        default="https://connect.jobo.world",
    ),
    START_DATE,
    Setting(
        name="lookback_minutes",
        description=(
            "How many minutes before the bookmark the next sync starts, to catch rows that became "
            "visible late. At most 10,080 (a week). Rows that changed in those minutes are billed "
            "again."
        ),
        type=of.integer(0, 10_080),
        default=15,
    ),
)

CONTROL: Final = (  # how to run, and company profiles; listed after the settings of the feeds
    Setting(
        name="on_filter_change",
        description=(
            "What to do if new filters, or an earlier start_date, would leave rows missing. "
            "`error`: stop before any billed request, with a command for each choice. `keep`: buy "
            "no old rows. A missing row arrives when it changes. `resync`: buy all matching rows, "
            "or only the rows of the values that you added to one list. Choose for one run, with "
            "the variable in that command: a value in a file also decides every later change."
        ),
        type=of.choice("error", "resync", "keep"),
        default="error",
    ),
    Setting(
        name="max_credits",
        description=(
            "Maximum credits per run (1,000 credits are $1). When the next page would exceed "
            "the limit, the run stops with exit code 0. The next run resumes. With 0, a run only "
            "loads what the archive has, and reads free streams."
        ),
        type=of.integer(0, _MOST_CREDITS),
    ),
    Setting(
        name="max_credits_per_month",
        description=(
            "Maximum credits per calendar month (UTC) for all runs that share the archive. The "
            "archive must be on, and must persist between runs. When the next page would exceed "
            "the limit, runs stop with exit code 0 until the month ends or you raise the limit."
        ),
        type=of.integer(1, _MOST_CREDITS),
    ),
    Setting(
        name="archive",
        description=(
            "Archive every billed page. A crash then costs at most the page in flight, and you "
            "can load any warehouse again, free."
        ),
        type=of.boolean(),
        default=True,
    ),
    ARCHIVE_DIR,
    Setting(
        name="company_ids_file",
        description=(
            "Path of a text file with any number of company ids, one per line. The stream "
            "`companies` then reads only their profiles, free, and the tap reads no career sites."
        ),
        type=of.text("the path of a text file with a UUID on each line", r"[^\0]+"),
    ),
)
