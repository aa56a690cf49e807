from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Fault, Sandbox
from tests.support import Run, Tap, discover, entry_of, schema_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIELDS = [
    "id",
    "name",
    "website",
    "logo_url",
    "summary",
    "industries",
    "linkedin_url",
    "crunchbase_url",
    "ats",
    "listing_url",
    "details_url",
    "updated_at",
    "_rescued_data",
]
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
TEXTS = set(FIELDS) - {"id", "industries", "updated_at"}
COMPANY = "2bd806c9-7b0e-4a6e-8a0b-0d5b1f1a6a11"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(size=5, seed=1) as sandbox:
        yield sandbox


def _run_with(tap: Tap, *changes: dict[str, Any]) -> Run:
    """Run it on a world whose first rows have these changes."""

    def changed(body: dict[str, Any]) -> dict[str, Any]:
        for row, change in zip(body["career_sites"], changes, strict=False):
            row.update(change)
        return body

    return _run_on(tap, Fault(replace=changed))


def _run_on(tap: Tap, fault: Fault) -> Run:
    """Run it to its good end on an answer that is spoiled; what comes out must be valid."""
    tap.sandbox.faults.add(fault)
    run = tap.run()
    assert run.returncode == 0, run.stderr
    assert run.bookmark["replication_key_value"]
    _validate(run)
    return run


def _before(body: dict[str, Any], rows: list[Any]) -> dict[str, Any]:
    return {**body, "career_sites": rows + body["career_sites"]}


def _validate(run: Run) -> None:
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(schema_message(run)["schema"])
    for record in run.records:
        validator.validate(record)
        assert list(record) == FIELDS
        assert str(UUID(record["id"])) == record["id"].lower()
        updated_at = record["updated_at"]
        assert updated_at is None or RFC_3339.fullmatch(updated_at), updated_at


@pytest.fixture(scope="module")
def message(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with Sandbox(size=1) as sandbox:
        run = Tap(sandbox, tmp_path_factory.mktemp("schema")).run("--test=schema")
        assert sandbox.ledger == []
    return schema_message(run)


class TestSchema:
    def test_it_has_the_documented_fields_and_updated_at(self, message: dict[str, Any]) -> None:
        assert list(message["schema"]["properties"]) == FIELDS

    def test_every_field_is_described(self, message: dict[str, Any]) -> None:
        fields = message["schema"]["properties"]
        assert [name for name in fields if not fields[name].get("description")] == []

    def test_id_is_a_uuid_and_the_key(self, message: dict[str, Any]) -> None:
        assert message["key_properties"] == ["id"]
        assert message["schema"]["properties"]["id"]["format"] == "uuid"
        assert message["schema"]["properties"]["id"]["type"] == ["string"]
        assert message["schema"]["required"] == ["id"]

    def test_replication_key_is_updated_at(self, message: dict[str, Any]) -> None:
        assert message["bookmark_properties"] == ["updated_at"]

    def test_texts_lists_and_items_are_nullable(self, message: dict[str, Any]) -> None:
        fields = message["schema"]["properties"]
        for name in TEXTS:
            assert fields[name]["type"] == ["string", "null"]
            assert "format" not in fields[name]
        assert fields["industries"]["type"] == ["array", "null"]
        assert fields["industries"]["items"]["type"] == ["string", "null"]

    def test_updated_at_is_a_nullable_date_time(self, message: dict[str, Any]) -> None:
        field = message["schema"]["properties"]["updated_at"]
        assert (field["type"], field["format"]) == (["string", "null"], "date-time")


class TestUpdatedAt:
    def test_it_is_passed_on_if_it_is_sent(self, tmp_path: Path) -> None:
        with Sandbox(size=60, rows_with_updated_at=True) as sandbox:
            run = Tap(sandbox, tmp_path).run()
            sent = {key: row["updated_at"] for key, row in sandbox.world.rows().items()}
        _validate(run)
        assert {record["id"]: record["updated_at"] for record in run.records} == sent
        assert run.lines("WARNING") == run.lines("ERROR") == []

    def test_it_is_null_if_it_is_not_sent(self, tap: Tap) -> None:
        run = tap.run()
        _validate(run)
        assert [record["updated_at"] for record in run.records] == [None] * 5
        assert run.lines("WARNING") == run.lines("ERROR") == []

    def test_rows_may_differ_in_it(self, tap: Tap) -> None:
        sent = "2026-01-31T08:00:00.123Z"
        run = _run_with(tap, {"updated_at": sent}, {"updated_at": None})
        assert [record["updated_at"] for record in run.records] == [sent] + [None] * 4
        assert run.lines("WARNING") == run.lines("ERROR") == []

    def test_every_form_becomes_a_date_time_of_the_same_instant(self, tap: Tap) -> None:
        instant = datetime(2026, 1, 31, 8, 0, 0, 123456, tzinfo=UTC)
        forms = (
            "2026-01-31T08:00:00.1234567Z",
            "2026-01-31T10:00:00.1234567+02:00",
            "2026-01-31T08:00:00.1234567",
            "2026-01-31 08:00:00.1234567",
        )
        run = _run_with(tap, *({"updated_at": form} for form in forms))
        emitted = [record["updated_at"] for record in run.records[: len(forms)]]
        assert [datetime.fromisoformat(text) for text in emitted] == [instant] * len(forms)
        assert run.lines("ERROR") == []

    def test_invalid_date_time_becomes_null_with_an_error(self, tap: Tap) -> None:
        wrong: list[object] = ["yesterday", "2026-02-30T00:00:00Z", "", 1769846400, True]
        run = _run_with(tap, *({"updated_at": value} for value in wrong))
        assert [record["updated_at"] for record in run.records] == [None] * 5
        errors = run.lines("ERROR")
        assert len(errors) == 5
        for error, value in zip(errors, wrong, strict=True):
            assert "'updated_at'" in error
            assert repr(value) in error


class TestFields:
    def test_unknown_field_is_rescued_with_one_warning_per_run(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        for key in sandbox.world.rows():
            sandbox.world.touch(key, tags=["x"], score=7)
        run = tap.run(batch_size=2)
        assert len(sandbox.feed_requests) == 3
        assert run.returncode == 0
        _validate(run)
        assert len(run.ids) == 5
        (warning,) = run.lines("WARNING")
        assert "score" in warning
        assert "tags" in warning
        assert {record["_rescued_data"] for record in run.records} == {'{"score":7,"tags":["x"]}'}

    def test_rescued_data_can_be_left_out_of_the_catalog(self, tap: Tap) -> None:
        catalog = discover(tap.folder)
        del entry_of(catalog)["schema"]["properties"]["_rescued_data"]
        tap.sandbox.faults.add(Fault(replace=lambda body: _before(body, [{"id": COMPANY, "x": 5}])))
        run = tap.run(catalog=catalog)
        assert run.returncode == 0
        assert all(list(record) == FIELDS[:-1] for record in run.records)
        (warning,) = run.lines("WARNING")
        assert "dropped" in warning

    def test_field_of_a_wrong_type_becomes_null_with_an_error(self, tap: Tap) -> None:
        wrong: list[dict[str, Any]] = [
            {"name": 5, "website": True},
            {"summary": ["text"]},
            {"ats": {"name": "lever"}},
            {"industries": "fintech"},
            {"industries": ["fintech", 5]},
        ]
        run = _run_with(tap, *wrong)
        assert len(run.records) == 5
        errors = iter(run.lines("ERROR"))
        for record, change in zip(run.records, wrong, strict=True):
            for name, value in change.items():
                error = next(errors)
                assert record[name] is None
                assert f"'{name}'" in error
                assert record["id"] in error
                assert repr(value) in error
            assert record["listing_url"] is not None
            assert json.loads(record["_rescued_data"]) == change
        assert list(errors) == []

    def test_missing_and_null_fields_become_null(self, tap: Tap, sandbox: Sandbox) -> None:
        only, nulls = list(sandbox.world.rows())[:2]
        rows = [{"id": only}, {**dict.fromkeys(FIELDS[:-1]), "id": nulls}]
        answer = {"career_sites": rows, "next_cursor": None, "has_more": False}
        run = _run_on(tap, Fault(replace=answer))
        assert run.records == [{**dict.fromkeys(FIELDS), "id": key} for key in (only, nulls)]
        assert run.lines("ERROR") == run.lines("WARNING") == []

    def test_nulls_in_lists_and_empty_lists_pass(self, tap: Tap) -> None:
        run = _run_with(tap, {"industries": ["fintech", None]}, {"industries": []})
        assert [record["industries"] for record in run.records[:2]] == [["fintech", None], []]
        assert run.lines("ERROR") == []

    def test_nul_characters_are_removed(self, tap: Tap) -> None:
        run = _run_with(tap, {"name": "A\0B\0", "industries": ["fin\0tech", "\0"]})
        assert run.records[0]["name"] == "AB"
        assert run.records[0]["industries"] == ["fintech", ""]
        assert "\\u0000" not in run.stdout

    def test_lone_surrogates_are_replaced_and_pairs_kept(self, tap: Tap) -> None:
        run = _run_with(
            tap, {"name": "A\ud83dB\ude00", "industries": ["\udfff"], "summary": "😀 Zürich"}
        )
        assert run.records[0]["name"] == "A\ufffdB\ufffd"
        assert run.records[0]["industries"] == ["\ufffd"]
        assert run.records[0]["summary"] == "😀 Zürich"

    def test_bytes_that_are_not_utf_8_are_replaced(self, tap: Tap, sandbox: Sandbox) -> None:
        row = {"id": next(iter(sandbox.world.rows())), "name": "Z?rich"}
        answer = {"career_sites": [row], "next_cursor": None, "has_more": False}
        garbage = json.dumps(answer).encode().replace(b"?", b"\xfc")
        run = _run_on(tap, Fault(garbage=garbage))
        assert [record["name"] for record in run.records] == ["Z\ufffdrich"]

    def test_text_beyond_ascii_passes_unchanged(self, tap: Tap) -> None:
        name = 'Ångström "&" Zürich\u2028\n\t\\ 株式会社'
        run = _run_with(tap, {"name": name})
        assert run.records[0]["name"] == name


class TestRows:
    def test_row_without_a_uuid_is_skipped_with_an_error_and_counted(self, tap: Tap) -> None:
        wrong = [
            None,
            "",
            5,
            ["013bc6ba-d8a9-48f4-970c-4b00ecd78663"],
            "42",
            "013bc6ba-d8a9-48f4-970c-4b00ecd7866",
            "013bc6bad8a948f4970c-4b00ecd78663",
            "{013bc6ba-d8a9-48f4-970c-4b00ecd78663",
            "013bc6ba-d8a9-48f4-970c-4b00ecd78663\n",
            "g13bc6ba-d8a9-48f4-970c-4b00ecd78663",
        ]
        bad = [{"id": value, "name": f"Bad {number}."} for number, value in enumerate(wrong)]
        run = _run_on(tap, Fault(replace=lambda body: _before(body, bad)))
        assert len(run.records) == 5
        errors = run.lines("ERROR")
        assert len(errors) == len(wrong)
        for number, error in enumerate(errors):
            assert f"Bad {number}." in error
        assert run.metrics["jobo_rows_left_out"] == len(wrong)
        assert run.metrics["jobo_rows"] == 5

    def test_row_without_an_id_is_skipped(self, tap: Tap, sandbox: Sandbox) -> None:
        good = next(iter(sandbox.world.rows()))
        answer = {
            "career_sites": [{"name": "Nameless Inc."}, {"id": good}],
            "next_cursor": None,
            "has_more": False,
        }
        run = _run_on(tap, Fault(replace=answer))
        assert run.ids == [good]
        assert "Nameless Inc." in "".join(run.lines("ERROR"))

    def test_row_that_is_not_an_object_is_skipped(self, tap: Tap) -> None:
        odd: list[Any] = [None, "row", 5, ["row"]]
        run = _run_on(tap, Fault(replace=lambda body: _before(body, odd)))
        assert len(run.records) == 5
        assert len(run.lines("ERROR")) == 4
        assert run.metrics["jobo_rows_left_out"] == 4

    def test_feed_of_mostly_bad_rows_completes_with_a_short_log(self, tmp_path: Path) -> None:
        def mostly_without_ids(body: dict[str, Any]) -> dict[str, Any]:
            rows = [{"name": "x" * 10_000}] * 50 + body["career_sites"][:1]
            return {**body, "career_sites": rows}

        with Sandbox(size=120) as sandbox:
            sandbox.faults.add(Fault(replace=mostly_without_ids, times=None))
            run = Tap(sandbox, tmp_path).run()
        assert run.returncode == 0
        assert len(run.records) == 3
        assert run.metrics["jobo_rows_left_out"] == 150
        assert 0 < len(run.stderr) < 100_000

    def test_ids_in_any_form_are_emitted_in_one(self, tap: Tap) -> None:
        forms = (
            COMPANY.upper(),
            COMPANY.replace("-", ""),
            f"{{{COMPANY}}}",
            f"urn:uuid:{COMPANY}",
            f"URN:UUID:{COMPANY.upper()}",
        )
        run = _run_with(tap, *({"id": form} for form in forms))
        assert run.ids == [COMPANY] * 5
        assert run.lines("ERROR") == run.lines("WARNING") == []

    def test_bad_row_is_not_billed_again(self, tap: Tap, sandbox: Sandbox) -> None:
        state = _run_with(tap, {"id": "42"}).state
        tap.run(state=state)
        assert sandbox.rows_billed == 5


@pytest.mark.parametrize(
    "text",
    [
        "2024-08-16T11:12:44.5427830\N{ARABIC-INDIC DIGIT ONE}Z",
        "2026-02-30T08:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_date_time_in_form_only_is_null(tap: Tap, text: str) -> None:
    run = _run_with(tap, {"updated_at": text})
    assert run.records[0]["updated_at"] is None
    assert json.loads(run.records[0]["_rescued_data"]) == {"updated_at": text}


def test_huge_integer_is_a_wrong_value_and_not_a_broken_page(tap: Tap) -> None:
    digits = "1" * 5_000
    row = f'{{"id": "{COMPANY}", "name": {digits}, "listing_url": "https://x.example"}}'
    run = _run_on(tap, Fault(garbage=f'{{"career_sites": [{row}], "has_more": false}}'))
    assert [record["name"] for record in run.records] == [None]
    assert len(tap.sandbox.feed_requests) == 1
