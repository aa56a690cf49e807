from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.testing import get_tap_test_class

from jobo_sandbox import Sandbox
from tap_jobo.tap import TapJobo
from tests.support import entry_of, kept_signals

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.testing.factory import BaseTestClass

# The standard tests are made when this module is imported, and keep these settings by reference:
# the fixture below fills in where the sandbox is before they run.
SITES: dict[str, Any] = {"api_key": "unknown", "api_url": "http://127.0.0.1", "journal": False}
PROFILES: dict[str, Any] = {**SITES, "company_ids": ["013bc6ba-d8a9-48f4-970c-4b00ecd78663"]}
HOOKS = ("_increment_stream_state", "_write_starting_replication_value")


def _standard_tests(config: dict[str, Any], stream: str) -> type[BaseTestClass]:
    """The SDK's tests of the tap and of one stream: these settings give rows of no other."""
    catalog = TapJobo(config=config).catalog_dict
    for entry in entry_of(catalog, stream)["metadata"]:
        entry["metadata"]["selected"] = True
    tests = get_tap_test_class(TapJobo, config=config, catalog=catalog, parse_env_config=False)
    for name, params in list(tests.params.items()):
        tests.params[name] = [p for p in params if p.values._asdict()["stream"].name == stream]
        if not tests.params[name]:
            delattr(tests, name)
    return tests


with kept_signals():
    TestCareerSites = _standard_tests(SITES, "career_sites")
    TestCompanies = _standard_tests(PROFILES, "companies")
    TestJobs = _standard_tests(SITES, "jobs")
    TestManagedJobs = _standard_tests(SITES, "managed_jobs")
    TestExpiredJobs = _standard_tests(SITES, "expired_jobs")
    OURS = type(TapJobo(config=SITES).streams["career_sites"])


@pytest.fixture(scope="module", autouse=True)
def sandbox() -> Iterator[Sandbox]:
    with kept_signals(), Sandbox(size=20, jobs=120, rows_with_updated_at=True) as sandbox:
        for config in (SITES, PROFILES):
            config.update(api_key=sandbox.api_key, api_url=sandbox.url)
        PROFILES["company_ids"] = [next(iter(sandbox.world.rows()))]
        yield sandbox


class _Rows(Stream):
    """A stream of the SDK whose rows carry a replication key."""

    name = "rows"
    schema: ClassVar[dict[str, Any]] = {
        "properties": {"id": {"type": "string"}, "updated_at": {"type": "string"}}
    }
    replication_key = "updated_at"

    def get_records(self, context: Context | None) -> Iterable[Record]:  # noqa: ARG002
        yield {"id": "1", "updated_at": "2026-01-31T00:00:00Z"}


class _HookedRows(_Rows):
    """The same with our two hooks, which note their calls."""

    calls: ClassVar[list[tuple[str, Any]]] = []

    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        self.calls.append(("_increment_stream_state", (latest_record["id"], context)))

    def _write_starting_replication_value(self, context: Context | None) -> None:
        self.calls.append(("_write_starting_replication_value", context))


class _RowsTap(Tap):
    """A tap with one of these streams."""

    name = "tap-rows"
    config_jsonschema: ClassVar[dict[str, Any]] = {"properties": {}}
    stream_class: type[Stream] = _Rows

    def discover_streams(self) -> Sequence[Stream]:
        return [self.stream_class(self)]


class _HookedRowsTap(_RowsTap):
    """The same with the hooks."""

    stream_class = _HookedRows


def _state_after_sync(tap_class: type[_RowsTap]) -> dict[str, Any]:
    tap = tap_class()
    tap.sync_all()
    state: dict[str, Any] = tap.state["bookmarks"]["rows"]
    return state


@pytest.mark.parametrize("hook", HOOKS)
def test_private_hook_of_the_sdk_has_the_expected_parameters(hook: str) -> None:
    theirs = inspect.signature(getattr(Stream, hook)).parameters.values()
    ours = inspect.signature(getattr(OURS, hook)).parameters.values()
    assert getattr(OURS, hook) is not getattr(Stream, hook)
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]


def test_without_the_hooks_the_sdk_would_move_the_state_by_rows() -> None:
    assert _state_after_sync(_RowsTap)["replication_key_value"] == "2026-01-31T00:00:00Z"


def test_the_sdk_moves_the_state_only_through_the_hooks() -> None:
    _HookedRows.calls.clear()
    assert _state_after_sync(_HookedRowsTap) == {}
    assert _HookedRows.calls == [
        ("_write_starting_replication_value", None),
        ("_increment_stream_state", ("1", None)),
    ]
