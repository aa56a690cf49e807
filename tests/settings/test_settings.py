"""Settings: where they are read from, what is refused, and how a message says so."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.errors import ConfigError
from tap_jobo.settings.reading import read_environment, validated
from tap_jobo.settings.setting import Setting, config_schema
from tap_jobo.streams import SETTINGS
from tap_jobo.streams.career_sites import FILTERS
from tests.support import COMMAND, Run, Tap, execute

KEY = "jbe_test_" + "a1B" * 7 + "_" + "c3D" * 14 + "e"
SCHEMA = config_schema(SETTINGS)
NAMED = {setting.name: setting for setting in SETTINGS}
FILTER_NAMES = [setting.name for setting in FILTERS]


def _example(setting: Setting) -> Any:
    """A value of a filter, by its type."""
    schema = setting.type.schema
    if items := schema.get("items"):
        return [items["enum"][0]] if "enum" in items else ["DE", "US"]
    return schema.get("minimum", False)


VALUES: dict[str, Any] = {
    "start_date": "2020-02-01",
    "lookback_minutes": 0,
    "batch_size": 7,
    **{setting.name: _example(setting) for setting in FILTERS},
    "on_filter_change": "keep",
    "max_credits": 100_000,
    "archive": False,
}
BODY = {
    **{name: VALUES.get(name) for name in FILTER_NAMES},
    "batch_size": 7,
    "updated_after": "2020-01-31T23:59:59.999000Z",
}


def check(config: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    return validated(config, SETTINGS, SCHEMA, environ or {})


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return check(read_environment(SCHEMA, {"TAP_JOBO_API_KEY": "k", **environ}))


def _run_with_variables(tap: Tap, variables: Mapping[str, str], cwd: Path | None = None) -> Run:
    given = {
        "TAP_JOBO_API_KEY": tap.sandbox.api_key,
        "TAP_JOBO_API_URL": tap.sandbox.url,
        "TAP_JOBO_ARCHIVE_DIR": str(tap.folder / "archive"),
        **variables,
    }
    return execute([str(COMMAND), "--config", "ENV"], tap.environment(given), cwd or tap.folder)


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


class TestSources:
    def test_all_settings_arrive(self, tap: Tap, sandbox: Sandbox) -> None:
        variables = {f"TAP_JOBO_{name.upper()}": _text(value) for name, value in VALUES.items()}
        for run in (tap.run(**VALUES), _run_with_variables(tap, variables)):
            assert run.returncode == 0, run.stderr
        assert [request.body for request in sandbox.feed_requests] == [BODY, BODY]
        assert not (tap.folder / "archive").exists()

    def test_dotenv_file_is_read_and_variables_win(self, tap: Tap, sandbox: Sandbox) -> None:
        (tap.folder / ".env").write_text(
            "TAP_JOBO_BATCH_SIZE=7\nexport TAP_JOBO_COUNTRY_CODES='DE,US'\nTAP_JOBO_IS_AGENCY=yes\n"
        )
        below = tap.folder / "below"
        below.mkdir()
        run = _run_with_variables(tap, {"TAP_JOBO_IS_AGENCY": "no"}, below)
        assert run.returncode == 0
        assert sandbox.feed_requests[0].body == {
            "batch_size": 7,
            "country_codes": ["DE", "US"],
            "is_agency": False,
        }
        assert "env var" not in run.stderr  # the SDK's line that it skips them

    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            ("TAP_JOBO_BATCH_SIZE=7", "utf-16"),  # as an editor writes it, with a byte order mark
            ("TAP_JOBO_BATCH_SIZE=7", "utf-16-le"),
            ("A=1\nTAP_JOBO_MAX_CREDITS='2500\n", "utf-8"),  # the limit would be skipped
        ],
    )
    def test_dotenv_file_that_cannot_be_read(
        self, tap: Tap, sandbox: Sandbox, text: str, encoding: str
    ) -> None:
        (tap.folder / ".env").write_text(text, encoding)
        run = _run_with_variables(tap, {})
        assert run.error_code == "invalid-file"
        assert f"{tap.folder / '.env'} " in run.complaint
        assert sandbox.ledger == []

    def test_a_working_folder_that_was_deleted(self, tap: Tap, sandbox: Sandbox) -> None:
        """It may have had the `.env` file with the limit."""
        deleted = tap.folder / "deleted"
        deleted.mkdir()
        code = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.argv[1], sys.argv[1:])"
        program = [sys.executable, "-c", code, str(COMMAND), "--config", "ENV"]
        assert execute(program, tap.environment(), deleted).error_code == "invalid-file"
        assert sandbox.ledger == []

    def test_null_is_as_if_not_set(self, tap: Tap, sandbox: Sandbox) -> None:
        unset = dict.fromkeys((*FILTER_NAMES, "start_date", "batch_size"))
        run = tap.succeed(**unset)
        assert sandbox.feed_requests[0].body == {"batch_size": 50}
        assert run.bookmark["position"]["filter_sets"] == [{}]


def test_all_problems_are_told_at_once_the_keys_first(tap: Tap, sandbox: Sandbox) -> None:
    run = tap.run(
        api_key="a b",
        batch_size=sandbox.api_key,
        max_credits=-1,
        flattening_max_depth=1.5,
        stream_map_config=7,
        stream_maps={"jobs": {"__else__": 5}},
        max_credit=10,
        nonsense=1,
    )
    names = ["api_key", "batch_size", "max_credits", "stream_maps", "stream_map_config"]
    names += ["flattening_max_depth", "max_credit", "nonsense"]
    for line, name in zip(run.complaints, names, strict=True):
        assert line.startswith(f"Setting '{name}' ")
    assert run.error_codes == ["invalid-setting"] * len(names)
    assert run.stdout == ""
    assert sandbox.ledger == []


class TestVariableNames:
    @pytest.mark.parametrize("name", ["MAXCREDITS", "_MAX_CREDITS", "MAX__CREDITS", "max_credits"])
    def test_hint(self, name: str) -> None:
        with pytest.raises(ConfigError, match=r" TAP_JOBO_MAX_CREDITS\? \[ignored-variable\]"):
            check({"api_key": "k"}, {f"TAP_JOBO_{name}": "5"})

    def test_variables_that_are_no_settings_of_this_tap(self) -> None:
        inherited = [
            f"TAP_JOBO_{plugin}_{name.upper()}" for plugin in ("FREQUENT", "2") for name in NAMED
        ]
        others = "TAP_JOBO__SELECT TAP_JOBO__STATE TAP_JOBO_FREQUENT__SELECT TAP_JOBO_LOGLEVEL"
        more = "TAP_JOBO_SERVICE_HOST TAP_JOBOMAX_CREDITS MAX_CREDIT"
        names = [*inherited, *others.split(), *more.split()]
        passed_on = ["TAP_JOBO_MAX_CREDIT", "MELTANO_EXTRACT_MAX_CREDIT"]
        assert check({"api_key": "k"}, dict.fromkeys([*names, *passed_on], "5"))


class TestVariablesThatAreNotRead:
    """Without `--config ENV`, or under Meltano if meltano.yml does not declare the setting."""

    def test_one_that_the_configuration_lacks(self, tap: Tap) -> None:
        variables = {"TAP_JOBO_MAX_CREDITS": "5000"}
        for args in ([], ["--test"], ["--test=schema"]):
            line = tap.refuse(*args, env=variables, code="ignored-variable")
            assert line.startswith("Nothing reads TAP_JOBO_MAX_CREDITS.")
        for command in (["--discover"], ["--about"], ["--config", "ENV"]):
            assert tap.run(*command, env=variables).returncode == 0

    def test_another_value_and_no_secret_is_shown(self) -> None:
        """Also an empty one: a secret of a CI system that is not set."""
        variables = {
            "TAP_JOBO_API_KEY": "my-other-secret",
            "TAP_JOBO_MAX_CREDITS": "",
            "TAP_JOBO_START_DATE": "2020-01-01",
            "TAP_JOBO_IS_AGENCY": "no",
        }
        with pytest.raises(ConfigError, match="Nothing reads") as refusal:
            check({"api_key": "k", "start_date": "2020-02-01"}, variables)
        assert all(name in str(refusal.value) for name in variables)
        assert "my-other-secret" not in str(refusal.value)

    def test_the_same_value(self) -> None:
        variables = {
            "TAP_JOBO_API_KEY": "k",
            "TAP_JOBO_START_DATE": "2020-02-01",
            "TAP_JOBO_COUNTRY_CODES": "DE, US",
            "TAP_JOBO_IS_AGENCY": "no",
            "TAP_JOBO_LOOKBACK_MINUTES": "15",  # the default
        }
        given = {"start_date": "2020-02-01", "country_codes": ["DE", "US"], "is_agency": "false"}
        assert check({"api_key": "k", **given}, variables)["is_agency"] is False

    def test_the_folder_is_for_the_command_if_the_tap_has_its_own(self) -> None:
        variables = {"TAP_JOBO_ARCHIVE_DIR": "elsewhere"}
        assert check({"api_key": "k", "archive_dir": "here"}, variables)
        with pytest.raises(ConfigError, match=r"ARCHIVE_DIR\. \[ignored-variable\]"):
            check({"api_key": "k"}, variables)

    def test_meltano_has_read_it_or_runs_an_unrelated_plugin(self) -> None:
        limit = {"TAP_JOBO_MAX_CREDITS": "5", "MELTANO_EXTRACT__SELECT": "[]"}
        assert check({"api_key": "k"}, {**limit, "MELTANO_EXTRACT_MAX_CREDITS": "6"})
        assert check({"api_key": "k"}, limit)
        with pytest.raises(ConfigError, match=r"MAX_CREDITS\. \[ignored-variable\]"):
            check({"api_key": "k"}, {**limit, "TAP_JOBO__SELECT": "[]"})


SOON = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
BAD: dict[str, list[object]] = {
    "api_key": [5, ["k"], " k", "a b", "a\nb", "schlüssel", "a\0b"],
    "api_url": [
        5,
        "connect.jobo.world",
        "http://connect.jobo.world",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "https://user:password@connect.jobo.world",
        "https://connect.jobo.world?key=1",
        "https://connect.jobo.world#x",
        "https://connect.jobo.world/{stream}",
        "https://connect.jobo.world:65536",
        "https://connect.jobö.world",
    ],
    "start_date": [
        20260131,
        "yesterday",
        "2020-02-30",
        "2020-02-01T08:00:00 UTC",
        "0001-01-01T00:00:00+14:00",
        SOON,
    ],
    "lookback_minutes": [-1, 10_081, 1.5, 7.0, "15", True],
    "batch_size": [0, 51, "50", True, [50]],
    "industries": ["fintech", {"a": 1}, [5], [None], [["a"]], [""], [" "], ["\ud800"]],
    "country_codes": [["de"], ["DEU"], ["DE\n"], ["DE,US"], ["XX"], ["DE", "UK"]],
    "company_types": [["profit"], ["for_profit", "x"], ["FOR_PROFIT"]],
    "founded_after": ["1999", 1799],
    "is_agency": ["ja", 2, [True]],
    "on_filter_change": ["Error", True],
    "max_credits": [-1, "100", 10**400],
    "max_credits_per_month": [0, "100", 1.5, 10**400],
    "archive_dir": [5, "a\0b", "s3://key:secret@bucket"],
    "jobs_locations": [
        {"country": "Germany"},
        ["Germany"],
        [{}],
        [{"country": "Germany", "town": "Berlin"}],
        [{"country": " "}],
        [{"country": None}],
        [{"country": "\ud800"}],
    ],
}
GOOD: dict[str, list[object]] = {
    "api_url": [
        "https://connect.jobo.world:8443/v1/",
        "http://127.1.2.3:8080",
        "http://LOCALHOST:80/",
        "http://[::1]:8080",
    ],
    "start_date": ["2020-02-01", "2020-02-01 08:00:00", "2020-02-01T08:00:00.123456789+05:30"],
    "lookback_minutes": [0, 10_080],
    "batch_size": [1, 50],
    "industries": [["any tag at all"]],
    "company_types": [["for_profit", "non_profit"]],
    "founded_after": [1800],
    "is_agency": [False],
    "max_credits": [0, 10**12],
    "max_credits_per_month": [1, 10**12],
    "archive_dir": ["folder", "s3://bucket/prefix"],
    "jobs_locations": [[{"country": "Germany", "city": "Berlin"}, {"region": "Bavaria"}]],
}


class TestChecks:
    @pytest.mark.parametrize("name", BAD)
    def test_bad_values_are_refused_by_name_without_the_key(self, name: str) -> None:
        for value in BAD[name]:
            with pytest.raises(ConfigError) as refusal:
                check({"api_key": KEY, name: value})
            (line,) = refusal.value.messages
            assert line.startswith(f"Setting '{name}' must be "), value
            assert line.endswith(" [invalid-setting]"), value
            assert line.isprintable(), value
            assert "jbe_" not in line
            assert "secret" not in line

    @pytest.mark.parametrize("name", NAMED)
    @pytest.mark.parametrize("value", ["", []])
    def test_empty_values_are_errors(self, name: str, value: object) -> None:
        """`"country_codes": []` must not mean every country, nor a CI secret that is not set."""
        with pytest.raises(ConfigError, match=f"'{name}' is empty"):
            check({"api_key": "k", name: value})
        with pytest.raises(ConfigError, match=f"'{name}' is empty"):
            _from_environment({f"TAP_JOBO_{name.upper()}": ""})

    def test_good_values_are_kept(self) -> None:
        for name, values in GOOD.items():
            for value in values:
                assert check({"api_key": KEY, name: value})[name] == value

    def test_a_missing_key_is_asked_for(self) -> None:
        with pytest.raises(ConfigError, match=r"'api_key' is missing.* TAP_JOBO_API_KEY"):
            check({})

    def test_a_setting_of_an_older_version(self) -> None:
        """Meltano passes a default of an older definition of the plugin, too."""
        with pytest.raises(ConfigError, match="meltano add --update"):
            check({"api_key": "k", "concurrency": 4}, {"MELTANO_EXTRACTOR_NAME": "tap-jobo"})

    def test_key_as_a_name_is_not_shown(self) -> None:
        with pytest.raises(ConfigError) as refusal:
            check({"api_key": "k", f"{KEY}\n": 1})
        assert "jbe_" not in str(refusal.value)
        assert all(line.isprintable() for line in refusal.value.messages)


READ: list[tuple[str, Any, list[str]]] = [
    ("is_agency", True, ["true", "True", "TRUE", "1", "yes", "on", " true "]),
    ("is_agency", False, ["false", "0", "no", "off"]),
    ("batch_size", 7, ["7", " 7 ", "+7", "07"]),
    ("country_codes", ["DE", "US"], ['["DE", "US"]', "DE,US", " DE , US ,"]),
]
REFUSED = [
    ("is_agency", "must be ", ["ja", "2", "truthy", "t", "[]", "null", " "]),
    ("batch_size", "must be ", ["abc", "1.5", "1e1", "0x7", "\u0667", "7 8", "1_0", "true", " "]),
    ("country_codes", "must be ", ["[DE", '["DE"', "[1]", '[["DE"]]', '{"a": 1}', "[null]"]),
    ("country_codes", "is empty", ["", "[]", " ", ",", " [ ] "]),
]


class TestVariables:
    @pytest.mark.parametrize(("name", "value", "texts"), READ)
    def test_texts_are_read(self, name: str, value: object, texts: list[str]) -> None:
        for text in texts:
            assert _from_environment({f"TAP_JOBO_{name.upper()}": text})[name] == value

    @pytest.mark.parametrize(("name", "why", "texts"), REFUSED)
    def test_texts_that_cannot_be_read_are_refused(
        self, name: str, why: str, texts: list[str]
    ) -> None:
        for text in texts:
            with pytest.raises(ConfigError, match=f"'{name}' {why}"):
                _from_environment({f"TAP_JOBO_{name.upper()}": text})


def test_equal_locations_have_one_normal_form() -> None:
    country, city = {"country": "Germany"}, {"country": "Germany", "city": "Berlin"}
    given = [country, city, dict(reversed(city.items()))]
    assert NAMED["jobs_locations"].type.normalize(given) == [city, country]


# Which changes of a filter lose rows

GERMANY, BERLIN = {"country": "Germany"}, {"country": "Germany", "city": "Berlin"}
CHANGES: list[tuple[str, Any, Any, bool]] = [
    ("country_codes", ["DE", "US"], ["US"], True),
    ("country_codes", ["DE", "US"], ["FR", "US"], False),
    ("country_codes", ["DE"], ["DE", "US"], False),
    ("country_codes", ["DE"], [], False),  # the last value of a list: now all match
    ("country_codes", None, ["DE"], True),
    ("country_codes", ["DE", "EU"], ["DE"], True),  # as an earlier version allowed
    ("country_codes", ["DE", "DE"], ["DE"], True),
    ("is_agency", None, False, True),
    ("is_agency", False, True, False),
    ("founded_after", 2000, 2001, True),
    ("founded_after", 2000, 1999, False),
    ("jobs_posted_after", "2020-01-01", "2020-01-02T00:00:00Z", True),
    ("jobs_posted_after", "2020-01-01", "2019-12-31T23:59:59Z", False),
    ("jobs_posted_after", "2020-01-01", "2020-01-01T00:00:00Z", True),
    ("jobs_locations", [GERMANY, {"country": "France"}], [GERMANY], True),
    ("jobs_locations", [GERMANY], [BERLIN], True),
    ("jobs_locations", [BERLIN], [GERMANY], False),
    ("jobs_locations", [BERLIN], [{"country": "Germany", "city": "Bonn"}], False),
    ("jobs_locations", [GERMANY], [BERLIN, {"city": "Paris"}], False),
    ("on_filter_change", "error", "keep", False),  # no filter: nothing says how its values relate
    ("founded_after", "1999", 2000, False),  # a state that someone has edited
    ("jobs_locations", [5], [BERLIN], False),
]


@pytest.mark.parametrize(("name", "old", "new", "is_narrower"), CHANGES)
def test_narrowing_matches_nothing_new(name: str, old: Any, new: Any, *, is_narrower: bool) -> None:
    setting = NAMED[name]
    old, new = (setting.type.normalize(value) for value in (old, new))
    assert setting.narrows(old, new) is is_narrower
