"""`_rescued_data`: values that a record cannot hold: billed data is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tap_jobo.records.text import sanitize_json, sanitize_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_jobo.records.fields import Problem

RESCUED_DATA: Final = "_rescued_data"
"""The name of the field, as is customary in other loaders."""
_TOO_DEEP: Final = "nested too deeply"
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def rescue(problems: Sequence[Problem]) -> str | None:
    r"""Return a JSON object of the values by their paths, None if there are no problems.

    Postgres accepts it as text and as JSONB: NUL characters are removed before encoding, so there
    is no escape `\u0000`, and lone surrogates become U+FFFD. Non-ASCII characters are not escaped,
    so no surrogate is either.
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
