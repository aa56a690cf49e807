"""The feeds, in the order in which a run reads them, and the settings of the tap."""

from __future__ import annotations

from typing import Final

from tap_jobo.settings.common import CONTROL, SOURCE
from tap_jobo.streams.career_sites import CAREER_SITES

FEEDS: Final = (CAREER_SITES,)
FOLLOWED: Final = CAREER_SITES
"""The feed whose companies the stream `companies` follows."""
SETTINGS: Final = (
    *SOURCE,
    *(setting for feed in FEEDS for setting in feed.settings),
    *CONTROL,
)
"""All settings, in the order in which users see them."""
