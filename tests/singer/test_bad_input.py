"""Responses that are whole but not what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobo_sandbox import Fault
from tests.support import complaint, discover, entry_of
from tests.support.companies import ids_of

if TYPE_CHECKING:
    from jobo_sandbox import Sandbox
    from tests.support import Tap


def test_cursor_that_cannot_be_sent_back_is_a_broken_response(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(replace=lambda body: {**body, "next_cursor": "\ud800"}))
    assert "'next_cursor'" in complaint(tap.run())


def test_bad_rows_do_not_reduce_the_row_count(tap: Tap, sandbox: Sandbox) -> None:
    catalog = discover(tap.folder)
    for item in entry_of(catalog, "companies")["metadata"]:
        if not item["breadcrumb"]:
            item["metadata"]["selected"] = True
    sandbox.faults.add(
        Fault(replace=lambda body: {**body, "career_sites": [{"id": "x"}, *body["career_sites"]]})
    )
    sandbox.faults.add(Fault(status=403, times=None), endpoint="profile")
    run = tap.run(catalog=catalog)
    assert run.returncode == 1
    # The rows of the page were written, although its state was not: the page comes again.
    assert run.metrics["record_count"] == len(ids_of(run, "career_sites")) == 50
    assert run.metrics["jobo_rows_skipped"] == 1
    assert "50 rows in 1 page, 1 skipped, 1 quarantined, " in run.stderr
