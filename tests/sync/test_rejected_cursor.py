"""Cursors that are rejected, what else may look like it, and syncs that end too early."""

import json
import re
from typing import Any

import pytest

from jobo_sandbox import Fault
from tap_jobo.api.responses import ApiResponse, require_success
from tap_jobo.errors import RejectedError
from tests.support import Tap

pytestmark = pytest.mark.slow


def test_a_sync_that_ends_far_below_its_estimate_is_a_warning(tap: Tap) -> None:
    """The rows and another page are less than 80% of it, as an earlier run's first page has it."""
    tap.settings["batch_size"] = 40
    estimated = Fault(replace=lambda body: {**body, "estimated_total": 201})
    tap.sandbox.faults.add(estimated, on=1)
    part = tap.succeed(max_credits=2_000)
    (line,) = tap.succeed(state=part.state).messages_of("WARNING", "missing-rows")
    assert re.search(r"\b120\b.*\b201\b", line)


# A rejected cursor


ECHOES: dict[str, Any] = {
    "the request": {"detail": "Bad filter", "request": {"cursor": "abc", "batch_size": 10}},
    "a trace": {"title": "Not found", "trace": {"cursor": "abc"}},
    "the errors of members": {"title": "Invalid", "errors": {"industries": ["not with a cursor"]}},
    "an object": {"error": {"cursor": "abc"}},
    "HTML": "<html><title>Bad request: cursor</title></html>",
}


@pytest.mark.parametrize(
    ("status", "body", "names_cursor"),
    [
        (400, {"detail": "The cursor has expired."}, True),
        (404, {"status": 404, "error": "cursor_not_found"}, True),
        (409, {"code": "FeedCursorExpired", "title": "Conflict"}, True),
        (410, "Cursor expired", True),
        (422, {"title": "Invalid.", "errors": {"cursor": ["Not valid."]}}, True),
        (422, '"Unknown cursor"', True),
        (400, {"title": "Cursor expired", "detail": "Start again"}, True),
        *((status, body, False) for status in (400, 404, 422) for body in ECHOES.values()),
    ],
)
def test_an_error_names_the_cursor_or_echoes_it(
    status: int, body: Any, *, names_cursor: bool
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(RejectedError) as rejection:
        require_success(ApiResponse(content.encode(), status, {}))
    assert rejection.value.names_cursor == names_cursor


def test_an_error_that_is_not_about_the_cursor_does_not_start_a_sync_over(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=400, body=ECHOES["the request"]), on=2)
    cut = tap.run()
    assert cut.returncode == 1
    tap.sandbox.faults.add(Fault(status=403, body={"detail": "Your plan has no cursor."}), on=3)
    tap.fail(state=cut.state, code="access-denied")
    assert len(tap.succeed(state=cut.state).ids) == 70
    assert tap.sandbox.rows_billed == 120


def test_a_rejected_page_without_a_cursor_is_an_error(tap: Tap) -> None:
    tap.sandbox.faults.add(Fault(status=400, body={"detail": "Invalid cursor"}, times=None))
    assert "Invalid cursor" in tap.run().complaint
    assert len(tap.sandbox.feed_requests) == 1
