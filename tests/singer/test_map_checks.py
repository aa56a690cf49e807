"""Stream maps with names that do not exist: a WARNING, or an error before the first request."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.errors import ConfigError
from tap_jobo.singer.map_shape import check_shape
from tap_jobo.tap import TapJobo
from tests.support import complaint, entry_of, kept_signals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobo_sandbox import Sandbox
    from tests.support import Tap

SETTINGS = {
    "api_key": "jbe_test_unused",
    "journal": False,
    "stream_map_config": {"salt": "pepper"},
}
SITES = "career_sites"
KEY = "jbe_test_" + "a1B" * 7 + "_" + "c3D" * 14 + "e"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with kept_signals():
        yield


@pytest.fixture(scope="module")
def catalog() -> dict[str, Any]:
    with kept_signals():
        return TapJobo(config=SETTINGS).catalog_dict


def _warnings(caplog: pytest.LogCaptureFixture, maps: dict[str, Any], **options: Any) -> list[str]:
    caplog.clear()
    settings = {name: options.pop(name) for name in list(options) if name != "catalog"}
    TapJobo(config={**SETTINGS, **settings, "stream_maps": deepcopy(maps)}, **options)
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


def _error(maps: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        TapJobo(config={**SETTINGS, "stream_maps": maps}, **options)
    return str(raised.value)


@pytest.mark.parametrize(
    ("maps", "where", "meant"),
    [
        ({"career_site": {"name": "md5(name)"}}, "no stream 'career_site'", SITES),
        ({"career-sites": None}, "no stream 'career-sites'", SITES),
        ({"people": {"__source__": "company"}}, "no stream 'company'", "companies"),
        ({"job*x": "__NULL__"}, "no stream 'job*x'", "jobs"),
        ({SITES: {"sumary": None}}, "'career_sites.sumary' removes nothing", "summary"),
        ({"*": {"phone_numbr": "__NULL__"}}, "'*.phone_numbr' removes nothing", "phone_number"),
        ({SITES: {"nmae": "md5(name)"}}, "'career_sites.nmae' is a new column", "name"),
        ({"companies": {"email_adress": "'***'"}}, "is a new column", "email_address"),
        ({SITES: {"__fliter__": "ats == 'lever'"}}, "is not an option", "__filter__"),
    ],
)
def test_a_name_without_effect_is_one_warning(
    caplog: pytest.LogCaptureFixture, maps: dict[str, Any], where: str, meant: str
) -> None:
    (warning,) = _warnings(caplog, maps)
    assert warning.startswith("Setting 'stream_maps': ")
    assert where in warning
    assert warning.endswith(f"did you mean {meant}?")


@pytest.mark.parametrize(
    "maps",
    [
        {"__else__": None, SITES: {}},
        {"*": {"_rescued_data": None}},  # which expired_jobs does not have
        {"jobs": None, "managed_*": "__NULL__"},
        {"sites": {"__source__": SITES, "id": "id", "__else__": None}},
        {SITES: {"__alias__": "employers", "__filter__": "ats in ['lever', _['name']]"}},
        {SITES: {"names": "name", "name": None}},  # renamed
        {SITES: {"id": "id", "names": "name", "__else__": None}},
        {SITES: {"hash": "md5(config['salt'] + record['id'])", "stream": "__stream_name__"}},
        {SITES: {"tags": "', '.join(tag for tag in industries)", "name": "self.upper()"}},
        {SITES: {"__key_properties__": ["listing_url"]}},
        {"companies": {"x": "email_adress"}},  # not selected, so it does not matter
    ],
)
def test_a_map_as_the_sdk_documents_it_is_no_warning(
    caplog: pytest.LogCaptureFixture, maps: dict[str, Any]
) -> None:
    assert _warnings(caplog, maps) == []


def test_flattened_fields_can_be_removed(caplog: pytest.LogCaptureFixture) -> None:
    maps = {"jobs": {"compensation__min": None}}
    flat = {"flattening_enabled": True, "flattening_max_depth": 1}
    assert _warnings(caplog, maps, **flat) == []
    assert len(_warnings(caplog, maps)) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"x": "nmae"}, "'nmae', which is neither a field of career_sites nor a function: did"),
        ({"x": "_['nmae']"}, "did you mean name?"),
        ({"name": "sha265(name)"}, "did you mean sha256?"),
        ({"nmae": "md5(self)"}, "did you mean name?"),
        ({"x": "md5(config['slat'] + id)"}, "'stream_map_config' does not have"),
        ({"x": "fake.name()"}, "'fake'"),
        ({"__filter__": "atss == 'lever'"}, "'career_sites.__filter__' refers to 'atss'"),
        ({"__filter__": "ats = 'lever'"}, "compared with =="),
        ({"x": "name; id"}, "must be one expression"),
        ({"x": 5}, "'career_sites.x' must be an expression in quotes, or null"),
        ({"x": ["name"]}, "must be an expression in quotes"),
        ({"__filter__": False}, "must be an expression in quotes"),
        ({"__key_properties__": "id"}, "must be a list of fields"),
        ({"__alias__": None}, "must be a name in quotes"),
        ({"__else__": "name"}, "'career_sites.__else__' must be null"),
    ],
)
def test_a_map_that_cannot_work_is_refused(fields: dict[str, Any], words: str) -> None:
    line = _error({SITES: fields})
    assert line.startswith("Setting 'stream_maps'")
    assert words in line


def test_a_map_that_is_no_object_is_refused() -> None:
    assert "'career_sites' must be an object of fields, or null" in _error({SITES: ["name"]})


@pytest.mark.parametrize(
    ("maps", "lines"),
    [
        (None, 0),
        ({"career_sites": None, "jobs": "__NULL__", "__else__": None}, 0),
        ({"__else__": 5}, 1),
        ({"a\nb": 5, "c": KEY, "d": {"e": ["x" * 200]}}, 3),
        ("x", 1),
    ],
)
def test_each_invalid_map_is_a_line(maps: object, lines: int) -> None:
    found = [*check_shape(maps)]
    assert len(found) == lines
    assert all(line.isprintable() and "jbe_" not in line for line in found)
    assert all(line.startswith("Setting 'stream_maps") and len(line) < 200 for line in found)


def test_an_expression_needs_the_fields_that_it_reads(catalog: dict[str, Any]) -> None:
    chosen = deepcopy(catalog)
    for item in entry_of(chosen)["metadata"]:
        if item["breadcrumb"][-1:] == ["summary"]:
            item["metadata"]["selected"] = False
    line = _error({SITES: {"x": "summary"}}, catalog=chosen)
    assert "the field summary of career_sites, which the catalog deselects" in line


def test_a_misspelled_filter_costs_nothing(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(stream_maps={SITES: {"__filter__": "atss == 'lever'"}})
    assert complaint(run).endswith("did you mean ats?")
    assert run.stdout == ""
    assert sandbox.ledger == []
