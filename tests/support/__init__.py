"""What tests share: the tap as a process, what it is given, and what is made of its output."""

from tests.support.process import (
    Run,
    Tap,
    commands_in,
    complaint,
    complaints,
    discover,
    entry_of,
    environment,
    error_code,
    error_codes,
    execute,
    kept_signals,
    psql,
    schema_message,
    shows_a_key,
    state_at,
    without_place,
)
from tests.support.warm import ARCHIVE_COMMAND, COMMAND

__all__ = [
    "ARCHIVE_COMMAND",
    "COMMAND",
    "Run",
    "Tap",
    "commands_in",
    "complaint",
    "complaints",
    "discover",
    "entry_of",
    "environment",
    "error_code",
    "error_codes",
    "execute",
    "kept_signals",
    "psql",
    "schema_message",
    "shows_a_key",
    "state_at",
    "without_place",
]
