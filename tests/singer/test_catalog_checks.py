"""Catalogs that were edited by hand: what the SDK would misread is refused, and never selects."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.errors import ConfigError
from tap_jobo.singer.catalog_checks import check_catalog
from tap_jobo.tap import TapJobo
from tests.support import entry_of, kept_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = {"api_key": "jbe_test_unused", "journal": False}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with kept_signals():
        yield


@pytest.fixture
def catalog() -> dict[str, Any]:
    return deepcopy(TapJobo(config=SETTINGS).catalog_dict)


def _error(catalog: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as raised:
        check_catalog(catalog)
    return str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"metadata": {"selected": True}},
        {"metadata": [{"breadcrumb": [], "metadata": None}]},
        {"metadata": [{"breadcrumb": "properties.id", "metadata": {}}]},
        {"metadata": [{"breadcrumb": [1], "metadata": {}}]},
        {"schema": {"properties": {"id": "string"}}},
        {"key_properties": "id"},
        {"stream": None},
    ],
)
def test_another_shape_is_refused(catalog: dict[str, Any], changes: dict[str, Any]) -> None:
    check_catalog(catalog)
    entry_of(catalog).update(changes)
    assert "is not a Singer catalog" in _error(catalog)


def test_a_selection_must_be_true_or_false(catalog: dict[str, Any]) -> None:
    (root,) = (item for item in entry_of(catalog, "jobs")["metadata"] if not item["breadcrumb"])
    root["metadata"]["selected"] = "false"
    assert "'selected' of jobs must be true or false, not \"false\"." in _error(catalog)


@pytest.mark.parametrize("in_metadata", [True, False])
def test_a_replication_method_must_be_known(catalog: dict[str, Any], *, in_metadata: bool) -> None:
    entry = entry_of(catalog)
    if in_metadata:
        entry["metadata"][0]["metadata"]["replication-method"] = "LOG_BASED"
    else:
        entry["replication_method"] = "full_table"
    assert 'must be "INCREMENTAL" or "FULL_TABLE", not' in _error(catalog)


@pytest.mark.parametrize("kept", [lambda item: item["breadcrumb"], lambda _: False])
def test_an_entry_that_does_not_say_is_as_by_default(catalog: dict[str, Any], kept: Any) -> None:
    for entry in catalog["streams"]:
        entry["metadata"] = [item for item in entry["metadata"] if kept(item)]
    streams = TapJobo(config=SETTINGS, catalog=catalog).streams
    assert [name for name, stream in streams.items() if stream.selected] == ["career_sites"]
