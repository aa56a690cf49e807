"""The feeds, in the order in which a run reads them, and the settings of the tap."""

from typing import Final

from tap_jobo.settings.common import CONTROL, SOURCE
from tap_jobo.streams.career_sites import CAREER_SITES
from tap_jobo.streams.jobs import EXPIRED_JOBS, JOBS, MANAGED_JOBS

# The expired ids come first: a job that returns meanwhile is then read after it was reported.
FEEDS: Final = (CAREER_SITES, EXPIRED_JOBS, JOBS, MANAGED_JOBS)
_OF_FEEDS: Final = {setting.name: setting for feed in FEEDS for setting in feed.settings}
SETTINGS: Final = (*SOURCE, *_OF_FEEDS.values(), *CONTROL)
"""All settings, in the order in which users see them."""
