"""The stream of company profiles."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import signal
import socket
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import psycopg
import pytest
import yaml
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.company_data import make_profile
from tap_jobo.clock import format_timestamp
from tests.crash_support import (
    cut_after,
    finish,
    parse,
    rows_bought_twice,
    some_signal,
    wait_until_quiet,
)
from tests.support import Run, Tap, complaint, discover, entry_of, execute, schema_message, state_at
from tests.test_meltano import (
    PIPELINE,
    REPOSITORY,
    Project,
    folder,
    port,
    project,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

Json = dict[str, Any]

__all__ = ["folder", "port", "project"]  # the fixtures of a Meltano project

TEXTS = """
    legal_name summary description website listing_url logo_url linkedin_url linkedin_company_id
    twitter_url facebook_url instagram_url angellist_url youtube_url github_url g2_url
    crunchbase_url headquarters_location headquarters_region country_code continent phone_number
    email_address founding_year company_size revenue primary_industry operating_status ipo_status
    company_type stock_symbol stock_exchange acquired_by_company parent_company_url funding_stage
    total_funding funds_total_formatted
"""
LISTS = """
    headquarters_regions industries categories naics_codes investors founders technology_list
    research_focus_areas subsidiary_list investor_types
"""
OBJECTS = {
    "funding_rounds": "investment_type announced_on raised_amount post_money_valuation "
    "investor_count:integer lead_investor",
    "leadership": "name title linkedin_url avatar_url",
    "leadership_hires": "date",
    "layoffs": "date",
    "ratings": "source rating url review_count:integer",
    "press_references": "url posted_on title publisher",
    "h1b_annual_job_counts": "year count:integer",
    "h1b_title_distribution": "title count:integer",
    "tech_stack": "name categories:array",
    "products": "name description",
    "software_used": "name description",
    "acquisitions": "acquiree_name title",
    "exits": "name description",
    "sub_organizations": "name ownership_type title",
    "featured_lists": "title org_num:integer funding_total_formatted funding_total_usd:integer",
    "event_appearances": "appearance_type event event_starts_on image",
}
"""The fields that Jobo documents."""
FIELDS = {
    "id": "string",
    "name": "string",
    **dict.fromkeys(TEXTS.split(), "string"),
    **dict.fromkeys(("is_agency", "is_acquired"), "boolean"),
    "page_rank": "number",
    **dict.fromkeys((*LISTS.split(), *OBJECTS), "array"),
}
QUICK = """
import threading, time
from datetime import timedelta
from tap_jobo.__main__ import main
from tap_jobo.clock import Clock

lock, skipped = threading.Lock(), 0.0
now, monotonic = Clock.now, Clock.monotonic

def sleep(self, seconds):
    global skipped
    with lock:
        skipped += seconds
    time.sleep(0)

Clock.sleep = sleep
Clock.now = lambda self: now(self) + timedelta(seconds=skipped)
Clock.monotonic = lambda self: monotonic(self) + skipped
main()
"""
"""The tap on clocks that a wait puts forward instead of taking its time."""


@dataclass
class CompaniesTap(Tap):
    """The tap with a catalog."""

    catalog: Json = field(default_factory=dict)

    def command(
        self,
        *args: str,
        state: object = None,
        catalog: object = None,
        settings: Mapping[str, Any] | None = None,
    ) -> list[str]:
        catalog = self.catalog if catalog is None else catalog
        return super().command(*args, state=state, catalog=catalog, settings=settings)

    def run_quickly(self, *, state: object = None, **settings: Any) -> Run:
        """Run it to its end without the time that waits take."""
        command = self.command(state=state, settings=settings)
        return execute([sys.executable, "-c", QUICK, *command[1:]], self.environment())


@dataclass
class Warehouse:
    """Keeps the rows of each stream that a STATE follows."""

    tables: dict[str, dict[str, Json]] = field(
        default_factory=lambda: {"career_sites": {}, "companies": {}}
    )
    state: Any = None

    def receive(self, messages: Iterable[Json]) -> None:
        waiting: list[Json] = []
        for message in messages:
            if message["type"] == "RECORD":
                waiting.append(message)
            elif message["type"] == "STATE":
                for row in waiting:
                    self.tables[row["stream"]][row["record"]["id"]] = row["record"]
                waiting, self.state = [], message["value"]


class Proxy:
    """Passes TCP connections on to a port of this machine, and counts them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            back = Thread(target=_pump, args=[server, client], daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _selecting(discovered: Json, **streams: bool) -> Json:
    catalog = deepcopy(discovered)
    for stream, selected in streams.items():
        for entry in entry_of(catalog, stream)["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = selected
    return catalog


@pytest.fixture(scope="module")
def discovered(tmp_path_factory: pytest.TempPathFactory) -> Json:
    return discover(tmp_path_factory.mktemp("catalog"))


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with both streams selected."""
    return CompaniesTap(sandbox, tmp_path, catalog=_selecting(discovered, companies=True))


@pytest.fixture
def alone(sandbox: Sandbox, tmp_path: Path, discovered: Json) -> CompaniesTap:
    """The tap with nothing but companies selected."""
    catalog = _selecting(discovered, career_sites=False, companies=True)
    return CompaniesTap(sandbox, tmp_path, catalog=catalog)


@dataclass(frozen=True)
class Plain:
    """A run of both streams in which nothing happens, and what it ran against."""

    sandbox: Sandbox
    run: Run


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, discovered: Json) -> Iterator[Plain]:
    """A run over five pages."""
    catalog = _selecting(discovered, companies=True)
    with Sandbox(size=120, seed=2, order="updated_desc") as sandbox:
        tap = CompaniesTap(sandbox, tmp_path_factory.mktemp("plain"), catalog=catalog)
        run = tap.run(batch_size=25)
        assert run.returncode == 0, run.stderr
        yield Plain(sandbox, run)


def _records(messages: Iterable[Json], stream: str) -> list[Json]:
    return [m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]


def _profiles(run: Run) -> list[Json]:
    return _records(run.messages, "companies")


def _ids(run: Run, stream: str = "companies") -> list[str]:
    return [record["id"] for record in _records(run.messages, stream)]


def _asked(sandbox: Sandbox) -> list[str | None]:
    return [entry.company_id for entry in sandbox.profile_requests]


def _expected(sandbox: Sandbox, company_id: str) -> Json:
    company = sandbox.world.company(company_id)
    assert company
    profile = make_profile(sandbox.seed, company)
    return {name: profile.get(name) for name in FIELDS}


def _validate(run: Run) -> None:
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema_message(run, "companies")["schema"])
    for record in _profiles(run):
        validator.validate(record)


def _page(sandbox: Sandbox, number: int) -> list[str]:
    """The companies of a page that was bought, in its order."""
    return sandbox.feed_requests[number - 1].row_ids


def _spoil_profiles(sandbox: Sandbox, change: Callable[[Json], object]) -> None:
    """Let all profiles be what the callable makes of them: it changes one in place."""

    def changed(profile: Json) -> Json:
        change(profile)
        return profile

    sandbox.faults.add(Fault(replace=changed, times=None), endpoint="profile")


def _widen(process: subprocess.Popen[str]) -> None:
    """Let the tap write all it wants though nobody reads."""
    assert process.stdout
    fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 1 << 20)


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def _is_kept_at(run: Run, rows: int) -> bool:
    """Whether the state's scan stands after so many rows."""
    return bool(run.bookmark["scan"]["rows"] == rows)


class TestSelection:
    def test_it_is_off_by_default(self, sandbox: Sandbox, tmp_path: Path, discovered: Json) -> None:
        (stream,) = (
            entry["metadata"]
            for entry in entry_of(discovered, "companies")["metadata"]
            if entry["breadcrumb"] == []
        )
        assert stream["selected-by-default"] is False
        assert stream["table-key-properties"] == ["id"]
        run = Tap(sandbox, tmp_path).run()
        assert run.returncode == 0, run.stderr
        assert {message.get("stream") for message in run.messages} == {None, "career_sites"}
        assert "profiles" not in run.stderr
        assert sandbox.profile_requests == []

    def test_meltanos_project_file_leaves_it_out_and_has_a_line_that_takes_it_in(self) -> None:
        text = (REPOSITORY / "meltano.yml").read_text()
        taken_in = re.sub(r"(?m)^(\s+)# ?(- companies\.\*)", r"\1\2", text)
        selections = [
            yaml.safe_load(version)["plugins"]["extractors"][0]["select"]
            for version in (text, taken_in)
        ]
        assert selections == [["career_sites.*"], ["career_sites.*", "companies.*"]]

    def test_alone_it_is_refused(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        run = alone.run()
        line = complaint(run)
        assert "career_sites" in line
        assert "company_ids" in line
        assert sandbox.ledger == []
        assert run.records == []

    def test_deselected_fields_are_neither_in_the_schema_nor_in_a_record(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        out = {"funding_rounds", "summary", "investors"}
        for entry in entry_of(tap.catalog, "companies")["metadata"]:
            if entry["breadcrumb"] and entry["breadcrumb"][-1] in out:
                entry["metadata"]["selected"] = False
        run = tap.run()
        assert run.returncode == 0, run.stderr
        fields = FIELDS.keys() - out
        assert schema_message(run, "companies")["schema"]["properties"].keys() == fields
        assert len(_profiles(run)) == 120
        assert all(record.keys() == fields for record in _profiles(run))
        assert run.lines("WARNING") == []
        assert all("summary" in record for record in _records(run.messages, "career_sites"))
        assert len(sandbox.profile_requests) == 120

    def test_stream_map_that_drops_career_sites_drops_their_profiles(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        run = tap.run(stream_maps={"career_sites": {"__filter__": "ats == 'lever'"}})
        assert run.returncode == 0, run.stderr
        lever = [key for key, row in sandbox.world.rows().items() if row["ats"] == "lever"]
        assert 0 < len(lever) < 120
        assert sorted(_ids(run)) == sorted(lever)
        assert sorted(map(str, _asked(sandbox))) == sorted(lever)

    def test_stream_maps_of_its_own_hold(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        maps = {"companies": {"id": "id", "label": "name + '!'", "__else__": None}}
        run = tap.run(stream_maps=maps, batch_size=20)
        assert run.returncode == 0, run.stderr
        names = {key: f"{row['name']}!" for key, row in sandbox.world.rows().items()}
        assert {record["id"]: record["label"] for record in _profiles(run)} == names
        assert schema_message(run, "companies")["schema"]["properties"].keys() == {"id", "label"}

    def test_stream_map_that_emits_career_sites_under_another_name_wants_their_profiles(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        maps = {
            "career_sites": {"__filter__": "ats == 'lever'"},
            "employers": {"__source__": "career_sites"},
        }
        run = tap.run(stream_maps=maps)
        assert run.returncode == 0, run.stderr
        assert len(_ids(run, "employers")) == 120
        assert sorted(_ids(run)) == sorted(sandbox.world.rows())

    def test_stream_map_that_takes_it_out_asks_for_no_profile(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        run = tap.run(stream_maps={"companies": None})
        assert run.returncode == 0, run.stderr
        assert len(run.ids) == 120
        assert _ids(run) == []
        assert sandbox.profile_requests == []


class TestSchema:
    def test_it_has_every_field_of_the_contract_as_it_is_nested_and_described(
        self, discovered: Json
    ) -> None:
        entry = entry_of(discovered, "companies")
        properties = entry["schema"]["properties"]
        assert entry["key_properties"] == ["id"]
        assert {name: _kind(definition) for name, definition in properties.items()} == FIELDS
        assert properties["id"]["format"] == "uuid"
        assert "null" not in properties["id"]["type"]
        assert all(
            "null" in definition["type"] for key, definition in properties.items() if key != "id"
        )
        for name in LISTS.split():
            assert _kind(properties[name]["items"]) == "string"
        for name, members in OBJECTS.items():
            items = properties[name]["items"]
            assert _kind(items) == "object"
            kinds = (f"{member}:string".split(":")[:2] for member in members.split())
            assert {key: _kind(member) for key, member in items["properties"].items()} == dict(
                kinds
            )
        assert _kind(properties["tech_stack"]["items"]["properties"]["categories"]["items"]) == (
            "string"
        )
        described = [*properties.values()]
        for name in OBJECTS:
            described += properties[name]["items"]["properties"].values()
        assert all(len(definition["description"]) >= 5 for definition in described)

    def test_records_are_the_profiles_and_valid(self, plain: Plain) -> None:
        _validate(plain.run)
        records = _profiles(plain.run)
        assert len(records) == 120
        for record in records:
            assert record == _expected(plain.sandbox, record["id"])
        assert {name for record in records for name in FIELDS if record[name]} == FIELDS.keys()
        assert plain.run.lines("WARNING") == plain.run.lines("ERROR") == []

    def test_unknown_fields_are_left_out_with_one_warning(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        def add(profile: Json) -> None:
            profile["brand_new"] = {"a": 1}
            for person in profile["leadership"]:
                person["shoe_size"] = 43

        _spoil_profiles(sandbox, add)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        (warning,) = run.lines("WARNING")
        assert "'brand_new'" in warning
        _validate(run)
        assert _profiles(run) == [_expected(sandbox, key) for key in _ids(run, "career_sites")]

    def test_wrong_types_become_null_with_an_error_each(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        wrong: Json = {
            "founding_year": 1999,
            "is_agency": "yes",
            "page_rank": "high",
            "industries": "fintech",
            "founders": ["Ada", 5],
            "leadership": "Ada",
        }
        victim = list(sandbox.world.rows())[7]
        spoiled = {**wrong, "ratings": [{"source": "g2", "review_count": "12"}, 7]}
        sandbox.faults.add(
            Fault(replace=lambda profile: profile | spoiled),
            endpoint="profile",
            company_id=victim,
        )
        run = tap.run()
        assert run.returncode == 0, run.stderr
        _validate(run)
        errors = run.lines("ERROR")
        assert len(errors) == 8
        assert all(victim in line for line in errors)
        for name in wrong:
            assert any(f"'{name}'" in line for line in errors)
        (record,) = (record for record in _profiles(run) if record["id"] == victim)
        assert record == _expected(sandbox, victim) | dict.fromkeys(wrong) | {
            "ratings": [{"source": "g2", "rating": None, "url": None, "review_count": None}, None]
        }

    def test_profile_with_the_id_and_nothing_else_is_one_of_nulls(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        victim = next(iter(sandbox.world.rows()))
        sandbox.faults.add(Fault(replace={"id": victim.upper()}), company_id=victim)
        run = tap.run()
        (record,) = (record for record in _profiles(run) if record["id"].lower() == victim)
        assert {name for name, value in record.items() if value is not None} == {"id"}
        assert run.lines("ERROR") == []
        assert len(_profiles(run)) == 120

    def test_profile_with_another_id_is_left_out(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        asked, other, nobody, *_ = sandbox.world.rows()
        sandbox.faults.add(Fault(replace=lambda p: {**p, "id": other}), company_id=asked)
        sandbox.faults.add(Fault(replace=lambda p: {**p, "id": None}), company_id=nobody)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert sorted(_ids(run)) == sorted(set(sandbox.world.rows()) - {asked, nobody})
        errors = run.lines("ERROR")
        assert len(errors) == 2
        assert {key for key in (asked, nobody) for line in errors if key in line} == {asked, nobody}
        assert run.metrics["jobo_profiles_skipped"] == 2
        assert run.metrics["jobo_profiles"] == 118


def _kind(definition: Json) -> str:
    (kind,) = (
        {*definition["type"]} - {"null"}
        if isinstance(definition["type"], list)
        else [definition["type"]]
    )
    return str(kind)


class TestOrder:
    def test_profiles_of_a_page_come_in_its_order_before_the_state_moves_past_it(
        self, plain: Plain
    ) -> None:
        pages: list[list[Json]] = [[]]
        for message in plain.run.messages:
            if message["type"] == "RECORD":
                pages[-1].append(message)
            elif message["type"] == "STATE":
                pages.append([])
        full = [page for page in pages if page]
        assert len(full) == 5
        for number, page in enumerate(full, 1):
            ids = _page(plain.sandbox, number)
            streams = ["career_sites"] * len(ids) + ["companies"] * len(ids)
            assert [message["stream"] for message in page] == streams
            assert [message["record"]["id"] for message in page] == ids * 2
        rows = plain.sandbox.world.rows()
        assert sorted(map(str, _asked(plain.sandbox))) == sorted(rows)

    def test_there_is_one_schema_a_run_ahead_of_its_records(self, plain: Plain) -> None:
        kinds = [m["type"] for m in plain.run.messages if m.get("stream") == "companies"]
        assert kinds == ["SCHEMA"] + ["RECORD"] * 120

    def test_a_profile_that_takes_long_holds_no_other_back_but_their_order(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), endpoint="profile")
        process = tap.start()
        hold.wait()
        _wait_for(lambda: len(sandbox.profile_requests) == 50 and sandbox.open_requests == 1)
        hold.release()
        run, _ = finish(process, [])
        assert run.returncode == 0, run.stderr
        assert _ids(run) == _ids(run, "career_sites")
        assert len(_ids(run)) == 120


class TestState:
    def test_it_does_not_grow_and_knows_nothing_of_companies(
        self, tmp_path: Path, discovered: Json
    ) -> None:
        with Sandbox(size=260, seed=4) as sandbox:
            tap = CompaniesTap(sandbox, tmp_path, catalog=_selecting(discovered, companies=True))
            run = tap.run(batch_size=13)
            assert run.returncode == 0, run.stderr
            assert len(_profiles(run)) == 260
            assert len(run.states) >= 20
            assert max(len(json.dumps(state)) for state in run.states) < 1_500
            assert all(state.keys() == {"bookmarks"} for state in run.states)
            assert all(state["bookmarks"].keys() == {"career_sites"} for state in run.states)
            assert all("partitions" not in json.dumps(state) for state in run.states)

            sandbox.world.touch(next(iter(sandbox.world.rows())), summary="Changed since.")
            again = tap.run(state=run.state)
            assert len(_ids(again)) == 1
            assert _ids(again) == _ids(again, "career_sites")
            assert len(json.dumps(again.state)) < 1_500


class TestConcurrency:
    @pytest.mark.parametrize(
        ("settings", "workers"),
        [({"companies_concurrency": 1}, 1), ({}, 4), ({"companies_concurrency": 16}, 16)],
        ids=["1", "4_by_default", "16"],
    )
    def test_as_many_requests_are_open_as_are_allowed_on_connections_that_are_kept(
        self, tap: CompaniesTap, sandbox: Sandbox, settings: Json, workers: int
    ) -> None:
        holds = [Hold() for _ in range(workers)]
        for hold in holds:
            sandbox.faults.add(Fault(hold=hold), endpoint="profile")
        for number, status in enumerate((404, 429, 503)):
            headers = {"Retry-After": "0.01"}
            fault = Fault(status=status, headers=headers)
            sandbox.faults.add(fault, endpoint="profile", on=20 + 9 * number)
        with Proxy(sandbox.port) as proxy:
            process = tap.start(api_url=proxy.url, **settings)
            for hold in holds:
                hold.wait()
            assert sandbox.open_requests == workers
            for hold in holds:
                hold.release()
            run, _ = finish(process, [])
        assert run.returncode == 0, run.stderr
        assert len(_profiles(run)) == 119
        assert sandbox.max_open_requests == workers
        assert proxy.connections <= workers + 1  # the feed has one of its own

    def test_more_than_16_are_refused(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        assert "'companies_concurrency'" in complaint(tap.run(companies_concurrency=17))
        assert sandbox.ledger == []


class TestGone:
    def test_company_that_is_gone_is_a_line_at_info_and_counted(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        gone = set(Random(1).sample(list(sandbox.world.rows()), 12))
        for key in gone:
            sandbox.company_gone(key)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert _ids(run) == [key for key in _ids(run, "career_sites") if key not in gone]
        assert len(_ids(run, "career_sites")) == 120
        lines = [line for line in run.lines("INFO") if line.startswith("Company ")]
        assert len(lines) == 12
        assert {key for key in gone for line in lines if key in line} == gone
        assert run.lines("WARNING") == run.lines("ERROR") == []
        (summary,) = (line for line in run.lines("INFO") if line.startswith("Summary"))
        assert "108 profiles, 12 companies gone, 0 skipped" in summary
        assert run.metrics["jobo_profiles"] == 108
        assert run.metrics["jobo_profiles_gone"] == 12
        assert run.metrics["jobo_profiles_skipped"] == 0
        assert len(sandbox.profile_requests) == 120

    def test_pages_of_nothing_but_gone_companies_are_pages_like_others(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        for key in sandbox.world.rows():
            sandbox.company_gone(key)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert run.bookmark["replication_key_value"]
        assert len(sandbox.profile_requests) == 120
        assert schema_message(run, "companies")["key_properties"] == ["id"]


class TestFailures:
    def test_429_and_503_in_the_middle_are_waited_for_and_cost_no_profile(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        for on, status in ((30, 429), (70, 503)):
            fault = Fault(status=status, headers={"Retry-After": "0.4"})
            sandbox.faults.add(fault, endpoint="profile", on=on)
        run = tap.run()
        assert run.returncode == 0, run.stderr
        assert _ids(run) == _ids(run, "career_sites")
        assert len(_ids(run)) == 120
        assert len(sandbox.profile_requests) == 122
        refused = [entry for entry in sandbox.profile_requests if entry.fault]
        assert [entry.status for entry in refused] == [429, 503]
        for entry in refused:
            first, again = (e for e in sandbox.profile_requests if e.company_id == entry.company_id)
            assert first is entry
            assert (again.time - first.time).total_seconds() >= 0.4
        assert len(run.lines("WARNING")) == 2
        assert run.lines("ERROR") == []

    @pytest.mark.parametrize(
        ("status", "headers"),
        [(500, {}), (503, {"Retry-After": "60"})],
        ids=["500", "503_with_retry_after"],
    )
    def test_profile_that_fails_for_ever_is_skipped_and_told_of(
        self, tap: CompaniesTap, sandbox: Sandbox, status: int, headers: dict[str, str]
    ) -> None:
        victim = list(sandbox.world.rows())[60]
        fault = Fault(status=status, headers=headers, times=None)
        sandbox.faults.add(fault, company_id=victim)
        run = tap.run_quickly()
        assert run.returncode == 0, run.stderr
        assert _ids(run) == [key for key in _ids(run, "career_sites") if key != victim]
        assert len(_ids(run)) == 119
        (error,) = run.lines("ERROR")
        assert victim in error
        assert str(status) in error
        assert run.metrics["jobo_profiles_skipped"] == 1
        assert run.metrics["jobo_profiles"] == 119
        assert "1 skipped" in run.stderr
        assert _asked(sandbox).count(victim) >= 2
        assert run.bookmark["replication_key_value"]

    def test_only_profile_of_a_page_is_skipped_if_the_api_is_there(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        state = state_at(format_timestamp(datetime.now(UTC)))
        victim = list(sandbox.world.rows())[5]
        sandbox.world.touch(victim, summary="Changed since.")
        sandbox.faults.add(Fault(status=500, times=None), company_id=victim)
        run = tap.run_quickly(state=state)
        assert run.returncode == 0, run.stderr
        assert _ids(run, "career_sites") == [victim]
        assert _ids(run) == []
        (error,) = run.lines("ERROR")
        assert victim in error

    def test_when_all_profiles_fail_the_run_ends_with_the_scan_kept(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        sandbox.faults.add(Fault(status=503, times=None), endpoint="profile", on=51)
        run = tap.run_quickly()
        assert "503" in complaint(run)
        assert _is_kept_at(run, 50)
        assert len(_ids(run)) == 50
        assert run.lines("ERROR") == []
        assert run.metrics["jobo_profiles_skipped"] == 0
        assert sandbox.rows_billed == 100

        sandbox.faults.clear()
        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert sorted(_ids(run) + _ids(again)) == sorted(sandbox.world.rows())
        assert sandbox.rows_billed == 120

    @pytest.mark.parametrize("status", [429, 503])
    def test_outage_that_begins_in_the_middle_of_a_page_skips_nothing(
        self, tap: CompaniesTap, sandbox: Sandbox, status: int
    ) -> None:
        sandbox.faults.add(Fault(status=status, times=None), endpoint="profile", on=80)
        run = tap.run_quickly()
        assert str(status) in complaint(run)
        assert _is_kept_at(run, 50)
        assert run.metrics["jobo_profiles_skipped"] == 0

    def test_other_refusal_ends_the_run_with_the_scan_kept(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        sandbox.faults.add(Fault(status=401), endpoint="profile", on=60)
        run = tap.run()
        assert "401" in complaint(run)
        assert _is_kept_at(run, 50)
        assert run.lines("ERROR") == []

        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert set(_ids(run) + _ids(again)) == sandbox.world.rows().keys()
        assert _ids(again, "career_sites")[:50] == _page(sandbox, 2)
        assert sandbox.rows_billed == 120

    @pytest.mark.parametrize(
        ("fault", "tries"),
        [(Fault(truncate=0.5, times=None), 3), (Fault(replace=["a list"]), 1)],
        ids=["truncate", "list"],
    )
    def test_answer_that_is_no_profile_ends_the_run_with_the_scan_kept(
        self, tap: CompaniesTap, sandbox: Sandbox, fault: Fault, tries: int
    ) -> None:
        victim = list(sandbox.world.rows())[60]
        sandbox.faults.add(fault, company_id=victim)
        run = tap.run_quickly()
        assert "paid for" not in complaint(run)
        assert _is_kept_at(run, 50)
        assert _asked(sandbox).count(victim) == tries
        assert sandbox.rows_billed == 100

    def test_an_answer_that_broke_off_once_is_asked_for_again(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        for number, fault in enumerate((Fault(truncate=0.5), Fault(drop=True), Fault(garbage=""))):
            sandbox.faults.add(fault, endpoint="profile", on=10 + 30 * number)
        run = tap.run_quickly()
        assert run.returncode == 0, run.stderr
        assert _ids(run) == _ids(run, "career_sites")
        assert len(_ids(run)) == 120
        assert run.metrics["jobo_credits"] == 6_000


class TestKey:
    def test_requests_go_to_the_api_whatever_the_host_of_details_url(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        with Sandbox(size=1) as other:
            for key in sandbox.world.rows():
                url = f"{other.url}/api/companies/{key}"
                sandbox.world.touch(key, details_url=url)
            sandbox.world.touch(key, details_url="file:///etc/passwd")
            run = tap.run()
            assert run.returncode == 0, run.stderr
            assert other.ledger == []
        assert len(_ids(run)) == 120
        headers = [entry.headers for entry in sandbox.profile_requests]
        assert {header["x-api-key"] for header in headers} == {sandbox.api_key}

    def test_redirect_is_not_followed(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        with Sandbox(size=1) as other:
            fault = Fault(redirect=f"{other.url}/api/companies/x", times=None)
            sandbox.faults.add(fault, endpoint="profile")
            assert "302" in complaint(tap.run())
            assert other.ledger == []

    def test_profiles_and_errors_that_quote_it(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        key = sandbox.api_key
        good, odd, failing, unknown, *_ = sandbox.world.rows()
        faults = {
            good: Fault(replace=lambda profile: {**profile, "name": f"{key} Inc."}),
            odd: Fault(replace=lambda profile: {**profile, "website": [key]}),
            unknown: Fault(replace=lambda profile: {**profile, key: key, "id": key}),
            failing: Fault(status=503, body={"detail": key}, headers={"Retry-After": "0.01"}),
        }
        for company_id, fault in faults.items():
            sandbox.faults.add(fault, company_id=company_id)
        run = tap.run(env={"LOGLEVEL": "DEBUG"})
        assert run.returncode == 0, run.stderr
        names = {record["id"]: record["name"] for record in _profiles(run)}
        assert names[good] == "[api_key] Inc."
        assert len(run.lines("ERROR")) == 2
        assert len(names) == 119
        assert key[:20] not in run.stdout + run.stderr


class TestCrashes:
    def test_kills_leave_exactly_the_profiles_that_exist(
        self, tmp_path: Path, discovered: Json
    ) -> None:
        rng, page = Random(4), 20
        killed = 0
        with Sandbox(size=260, seed=6) as sandbox:
            tap = CompaniesTap(sandbox, tmp_path, catalog=_selecting(discovered, companies=True))
            gone = set(rng.sample(list(sandbox.world.rows()), 26))
            for key in gone:
                sandbox.company_gone(key)
            warehouse = Warehouse()
            for _ in range(8):
                for status in (429, 503):
                    fault = Fault(status=status, headers={"Retry-After": "0.02"})
                    on = len(sandbox.profile_requests) + rng.randint(1, 40)
                    sandbox.faults.add(fault, endpoint="profile", on=on)
                signum = some_signal(rng)
                lines = rng.randint(0, 5 * page)
                _, read = cut_after(tap, lines, signum, state=warehouse.state, batch_size=page)
                killed += signum == signal.SIGKILL
                warehouse.receive(parse(read))
                wait_until_quiet(sandbox)
            assert 0 < len(warehouse.tables["companies"]) < 234
            run = tap.run(state=warehouse.state, batch_size=page)
            assert run.returncode == 0, run.stderr
            warehouse.receive(run.messages)
            every = sandbox.world.rows().keys()
            assert warehouse.tables["career_sites"].keys() == every
            assert warehouse.tables["companies"].keys() == every - gone
            assert all(
                record == _expected(sandbox, key)
                for key, record in warehouse.tables["companies"].items()
            )
            assert rows_bought_twice(sandbox) <= killed * page

    def test_a_crash_between_rows_and_profiles_has_the_page_again_for_nothing(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), endpoint="profile", on=51)
        process = tap.start()
        _widen(process)
        hold.wait()
        process.send_signal(signal.SIGKILL)
        process.wait()
        hold.release()
        run, _ = finish(process, [])
        wait_until_quiet(sandbox)
        assert run.returncode == -signal.SIGKILL
        assert _is_kept_at(run, 50)

        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert _ids(again, "career_sites") == _page(sandbox, 2) + _page(sandbox, 3)
        assert _ids(again) == _ids(again, "career_sites")
        assert again.metrics["jobo_rows_replayed"] == 50
        assert sandbox.rows_billed == 120
        assert rows_bought_twice(sandbox) == 0

    def test_a_signal_while_profiles_hang_ends_the_run_at_once(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        holds = [Hold() for _ in range(4)]
        for hold in holds:
            sandbox.faults.add(Fault(hold=hold), endpoint="profile", on=60)
        process = tap.start()
        _widen(process)
        for hold in holds:
            hold.wait()
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 143  # not after the 120 seconds that an answer is given
        assert len(sandbox.profile_requests) == 63
        for hold in holds:
            hold.release()
        run, _ = finish(process, [])
        assert "signal 15" in run.lines("CRITICAL")[0]
        assert _is_kept_at(run, 50)

        again = tap.run(state=run.state)
        assert again.returncode == 0, again.stderr
        assert set(_ids(run) + _ids(again)) == sandbox.world.rows().keys()
        assert sandbox.rows_billed == 120

    def test_a_signal_while_a_wait_is_on_ends_the_run_at_once(
        self, tap: CompaniesTap, sandbox: Sandbox
    ) -> None:
        hold = Hold()
        fault = Fault(hold=hold, status=429, headers={"Retry-After": "600"})
        sandbox.faults.add(fault, endpoint="profile", on=60)
        process = tap.start()
        _widen(process)
        hold.wait()
        hold.release()
        assert process.stderr
        lines = iter(process.stderr.readline, "")
        assert any("trying again in 600.0 seconds" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 128 + signal.SIGTERM
        run, _ = finish(process, [])
        assert _is_kept_at(run, 50)


class TestNamedCompanies:
    def test_just_these_profiles_are_read_and_no_feed(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[10:90:3]
        sandbox.company_gone(ids[4])
        nobody = str(UUID(int=5))
        run = alone.run(company_ids=[*ids, nobody, ids[0]])
        assert run.returncode == 0, run.stderr
        assert run.ids == [key for key in ids if key != ids[4]]
        assert _profiles(run) == [_expected(sandbox, key) for key in run.ids]
        _validate(run)
        assert sandbox.feed_requests == []
        assert sorted(map(str, _asked(sandbox))) == sorted([*ids, nobody])
        (summary,) = (line for line in run.lines("INFO") if line.startswith("Summary"))
        assert "26 profiles, 2 companies gone, 0 skipped" in summary
        assert run.lines("WARNING") == []
        assert {message.get("stream") for message in run.messages} <= {None, "companies"}

    def test_they_can_be_a_variable_with_commas(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        variables = {"TAP_JOBO_COMPANY_IDS": ",".join(ids)}
        run = alone.run("--config", "ENV", env=variables)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids

    def test_a_thousand_are_allowed_and_each_is_read_once(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = [*sandbox.world.rows()]
        run = alone.run(company_ids=ids * 8 + ids[:40])
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        assert len(sandbox.ledger) == 120

    def test_they_can_be_lines_of_a_file(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        first, *ids = list(sandbox.world.rows())[:70]
        path = alone.folder / "ids.txt"
        text = f"\ufeff{first}\r\n\r\n" + "".join(f"  {key} \n" for key in ids[:-1]) + ids[-1]
        path.write_bytes(text.encode())
        run = alone.run(company_ids_file=str(path))
        assert run.returncode == 0, run.stderr
        assert run.ids == [first, *ids]
        assert sandbox.feed_requests == []
        assert len(sandbox.profile_requests) == 70

    def test_capitals_make_no_other_company(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:3]
        assert alone.run(company_ids=[*map(str.upper, ids), ids[0]]).ids == ids

    def test_a_file_of_any_length_is_read_a_page_at_a_time(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())
        path = _file(alone, ids * 41 + ids[:80])
        hold = Hold()
        sandbox.faults.add(Fault(hold=hold), company_id=ids[100])
        process = alone.start(company_ids_file=path)
        _widen(process)
        hold.wait()
        _wait_for(lambda: len(sandbox.ledger) >= 150 and sandbox.open_requests == 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(8) == 128 + signal.SIGTERM
        assert len(sandbox.ledger) == 150
        hold.release()
        run, _ = finish(process, [])
        assert run.ids == ids[:100]

    def test_state_passes_through_as_it_is(
        self, alone: CompaniesTap, sandbox: Sandbox, plain: Plain
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        pending = plain.run.states[0]
        assert pending["bookmarks"]["career_sites"]["scan"]["cursor"]
        run = alone.run(company_ids=ids, state=pending)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        assert run.states
        assert all(state == pending for state in run.states)
        assert not any(state.get("bookmarks") for state in alone.run(company_ids=ids).states)

    def test_career_sites_beside_them_are_not_read_with_a_warning(
        self, tap: CompaniesTap, sandbox: Sandbox, plain: Plain
    ) -> None:
        ids, pending = list(sandbox.world.rows())[:3], plain.run.states[0]
        run = tap.run(company_ids=ids, state=pending)
        assert run.returncode == 0, run.stderr
        assert run.ids == ids
        (warning,) = run.lines("WARNING")
        assert "career_sites" in warning
        assert sandbox.feed_requests == []
        assert all(state == pending for state in run.states)

    def test_they_are_refused_if_companies_is_not_selected(
        self, tap: CompaniesTap, sandbox: Sandbox, discovered: Json
    ) -> None:
        tap.catalog = discovered
        path = _file(tap, list(sandbox.world.rows())[:3])
        assert "companies is not selected" in complaint(tap.run(company_ids_file=path))
        assert sandbox.ledger == []

    @pytest.mark.parametrize(
        "ids",
        [
            ["not-a-uuid"],
            [str(UUID(int=1)) + "/../feed"],
            [str(UUID(int=number)) for number in range(1_001)],
        ],
        ids=["word", "path", "1001"],
    )
    def test_what_is_no_list_of_at_most_a_thousand_uuids_is_refused(
        self, alone: CompaniesTap, sandbox: Sandbox, ids: object
    ) -> None:
        assert "'company_ids'" in complaint(alone.run(company_ids=ids))
        assert sandbox.ledger == []

    def test_both_settings_at_once_are_refused(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:3]
        line = complaint(alone.run(company_ids=ids, company_ids_file=_file(alone, ids)))
        assert "'company_ids'" in line
        assert "'company_ids_file'" in line
        assert sandbox.ledger == []

    @pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
    def test_file_that_cannot_be_used_is_refused(
        self, alone: CompaniesTap, sandbox: Sandbox, content: bytes | None
    ) -> None:
        path = alone.folder / "ids.txt"
        if content is not None:
            path.write_bytes(content)
        line = complaint(alone.run(company_ids_file=str(path)))
        assert "'company_ids_file'" in line
        assert str(path) in line
        assert sandbox.ledger == []

    def test_file_that_can_be_read_but_once_is_not_passed_over(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:3]
        done = subprocess.run(
            alone.command(settings={"company_ids_file": "/dev/stdin"}),
            input="\n".join(ids),
            capture_output=True,
            text=True,
            check=False,
            env=alone.environment(),
        )
        run = Run(done.returncode, done.stdout, done.stderr)
        assert run.ids == ids or "'company_ids_file'" in complaint(run)

    def test_bad_line_far_down_is_told_by_its_number_before_any_request(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())
        lines = ids * 41 + ids[:79] + ["id,name"]
        line = complaint(alone.run(company_ids_file=_file(alone, lines)))
        assert "5000" in line.replace(",", "")
        assert "id,name" in line
        assert sandbox.ledger == []

    def test_failing_profile_is_skipped(self, alone: CompaniesTap, sandbox: Sandbox) -> None:
        ids = list(sandbox.world.rows())[:5]
        sandbox.faults.add(Fault(status=500, times=None), company_id=ids[1])
        run = alone.run_quickly(company_ids=ids)
        assert run.returncode == 0, run.stderr
        assert run.ids == [ids[0], *ids[2:]]
        (error,) = run.lines("ERROR")
        assert ids[1] in error
        assert "4 profiles, 0 companies gone, 1 skipped" in run.stderr

    def test_failing_api_ends_the_run_though_a_file_names_a_company_twice(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        first, second, *_ = sandbox.world.rows()
        sandbox.faults.add(Fault(status=500, times=None))
        path = _file(alone, [first, second, first])
        run = alone.run_quickly(company_ids_file=path)
        assert "500" in complaint(run)
        assert run.lines("ERROR") == []


def _file(tap: Tap, lines: Iterable[str]) -> str:
    path = tap.folder / "ids.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


class TestTestMode:
    def test_it_asks_for_no_profile(self, tap: CompaniesTap, sandbox: Sandbox) -> None:
        run = tap.run("--test")
        assert run.returncode == 0, run.stderr
        assert sandbox.profile_requests == []
        assert len(sandbox.feed_requests) == 1
        assert sandbox.rows_billed == 1
        assert run.lines("WARNING") == run.lines("ERROR") == []

    def test_with_named_companies_it_asks_for_one_profile_and_no_row(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:7]
        run = alone.run("--test", company_ids_file=_file(alone, ids))
        assert run.returncode == 0, run.stderr
        assert run.ids == ids[:1]
        assert _asked(sandbox) == ids[:1]
        assert sandbox.feed_requests == []

    def test_with_named_companies_it_fails_where_a_run_would(
        self, alone: CompaniesTap, sandbox: Sandbox
    ) -> None:
        ids = list(sandbox.world.rows())[:7]
        wrong_key = "jbe_live_wrong"
        assert "401" in complaint(alone.run("--test", company_ids=ids, api_key=wrong_key))
        assert len(sandbox.ledger) == 1


def test_meltano_fills_both_tables(project: Project) -> None:
    sandbox = project.sandbox
    gone = set(Random(2).sample(list(sandbox.world.rows()), 30))
    for key in gone:
        sandbox.company_gone(key)
    select = {"TAP_JOBO__SELECT": '["career_sites.*", "companies.*"]'}
    run = project.meltano(*PIPELINE, env=select)
    assert run.returncode == 0, run.stderr
    assert project.is_current()
    with psycopg.connect(project.url.replace("+psycopg", "")) as database:
        rows = database.execute(
            f'SELECT id, name, funding_rounds, leadership FROM "{project.name}".companies'
        ).fetchall()
        types: dict[str, str] = dict(
            database.execute(
                "SELECT column_name, udt_name FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name = 'companies'",
                [project.name],
            ).fetchall()
        )
    assert {str(key) for key, *_ in rows} == sandbox.world.rows().keys() - gone
    for key, *values in rows:
        expected = _expected(sandbox, str(key))
        assert values == [expected[name] for name in ("name", "funding_rounds", "leadership")]
    assert {types[name] for name in OBJECTS} <= {"jsonb", "_jsonb"}
    assert types["is_agency"] == "bool"
    assert types["page_rank"] in ("numeric", "float8")
    assert types.keys() >= FIELDS.keys()
    assert sandbox.rows_billed == 300
