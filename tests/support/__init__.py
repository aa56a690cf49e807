"""What tests share: the tap as a process, what it is given, and what is made of its output."""

from tests.support.catalog import STREAMS, Json, discover, entry_of, selecting, tap_of
from tests.support.inside import kept_signals
from tests.support.process import (
    Run,
    Tap,
    commands_in,
    environment,
    execute,
    state_at,
    state_until,
    succeed,
    without_place,
)
from tests.support.warm import ARCHIVE_COMMAND, COMMAND

__all__ = [
    "ARCHIVE_COMMAND",
    "COMMAND",
    "STREAMS",
    "Json",
    "Run",
    "Tap",
    "commands_in",
    "discover",
    "entry_of",
    "environment",
    "execute",
    "kept_signals",
    "selecting",
    "state_at",
    "state_until",
    "succeed",
    "tap_of",
    "without_place",
]
