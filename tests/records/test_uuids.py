from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_jobo.records.uuids import parse_uuid

if TYPE_CHECKING:
    from collections.abc import Callable

COMPANY = "2bd806c9-7b0e-4a6e-8a0b-0d5b1f1a6a11"
BARE = COMPANY.replace("-", "")


@given(
    canonical=st.uuids().map(str),
    dash=st.sampled_from(["-", ""]),
    form=st.sampled_from(["%s", "{%s}", "urn:uuid:%s", "urn:uuid:{%s}"]),
    case=st.sampled_from([str.upper, str.lower]),
)
def test_every_form_is_read_as_the_canonical_one(
    canonical: str, dash: str, form: str, case: Callable[[str], str]
) -> None:
    assert parse_uuid(case(form % canonical.replace("-", dash))) == canonical


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        5,
        int(BARE, 16),
        True,
        [COMPANY],
        {"id": COMPANY},
        "42",
        COMPANY[:-1],
        COMPANY + "1",
        COMPANY + "\n",
        " " + COMPANY,
        "g" + COMPANY[1:],
        "{" + COMPANY,
        COMPANY + "}",
        "uuid:" + COMPANY,
        COMPANY.replace("-", "", 1),
        "2bd806c97-b0e-4a6e-8a0b-0d5b1f1a6a11",
        "\N{ARABIC-INDIC DIGIT TWO}" + COMPANY[1:],
    ],
)
def test_anything_else_is_no_uuid(value: object) -> None:
    assert parse_uuid(value) is None
