"""`_rescued_data`: what a record cannot hold, so that nothing that was billed is thrown away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tap_jobo.records.text import sanitize_json, sanitize_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jobo.records.fields import Problem

RESCUED_DATA: Final = "_rescued_data"
"""The name of the field, which other loaders made usual."""
_TOO_DEEP: Final = "nested too deeply"
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def rescue(problems: Sequence[Problem]) -> str | None:
    r"""Return a JSON object of the values by their paths, None if there are no problems.

    It is text that Postgres takes, also as JSONB: NUL characters are removed before it is
    encoded, so that it has no escape `\u0000`, and lone surrogates are U+FFFD. Everything beyond
    ASCII stands for itself; no surrogate is escaped either.
    """
    if not problems:
        return None
    return _ENCODER.encode(
        {sanitize_text(problem.path): _storable(problem.value) for problem in problems}
    )


def _storable(value: object) -> object:
    try:
        return sanitize_json(value)
    except RecursionError:
        return _TOO_DEEP
