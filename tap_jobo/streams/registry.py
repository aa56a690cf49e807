"""The settings of the tap and of its streams, in the order in which users see them."""

from __future__ import annotations

from typing import Final

from tap_jobo.settings.common import CONTROL, SOURCE
from tap_jobo.streams import career_sites

SETTINGS: Final = (*SOURCE, career_sites.BATCH_SIZE, *career_sites.FILTERS, *CONTROL)
