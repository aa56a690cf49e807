from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.errors import ConfigError
from tap_jobo.settings import common as settings
from tap_jobo.settings.environment import read_environment
from tap_jobo.settings.validation import _RULES, check
from tap_jobo.tap import TapJobo
from tests.support import COMMAND, Run, Tap, complaint, execute, kept_signals, shows_a_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobo_sandbox import Sandbox

KEY = "jbe_test_" + "a1B" * 7 + "_" + "c3D" * 14 + "e"
SCHEMA = settings.SETTINGS.to_dict()
LISTS = ("industries", "company_sizes", "country_codes", "funding_stages", "company_types")
VALUES: dict[str, Any] = {
    "start_date": "2020-02-01",
    "lookback_minutes": 0,
    "batch_size": 7,
    "industries": ["biotech", "fintech"],
    "company_sizes": ["1-10", "11-50"],
    "country_codes": ["DE", "US"],
    "funding_stages": ["seed", "series_a"],
    "company_types": ["for_profit"],
    "founded_after": 1999,
    "is_agency": False,
    "on_filter_change": "keep",
    "max_credits": 100_000,
    "credits_alert_threshold": 20_000_000,
    "journal": False,
}
BODY = {
    **{name: VALUES[name] for name in settings.FILTERS},
    "batch_size": 7,
    "updated_after": "2020-01-31T23:59:59.999000Z",
}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with kept_signals():
        yield


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return check(read_environment(SCHEMA, {"TAP_JOBO_API_KEY": "k", **environ}))


def _run_with_variables(tap: Tap, variables: Mapping[str, str], cwd: Path | None = None) -> Run:
    given = {
        "TAP_JOBO_API_KEY": tap.sandbox.api_key,
        "TAP_JOBO_API_URL": tap.sandbox.url,
        "TAP_JOBO_JOURNAL_DIR": str(tap.folder / "journal"),
        **variables,
    }
    return execute([str(COMMAND), "--config", "ENV"], tap.environment(given), cwd or tap.folder)


class TestSources:
    def test_all_from_a_file(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(**VALUES)
        assert run.returncode == 0, run.stderr
        assert sandbox.ledger[0].body == BODY
        assert not (tap.folder / "journal").exists()
        assert any("credits_alert_threshold" in line for line in run.lines("WARNING"))

    @pytest.mark.parametrize("form", ["json", "commas"])
    def test_all_from_variables(self, tap: Tap, sandbox: Sandbox, form: str) -> None:
        variables = {
            f"TAP_JOBO_{name.upper()}": _text(value, form) for name, value in VALUES.items()
        }
        run = _run_with_variables(tap, variables)
        assert run.returncode == 0, run.stderr
        assert sandbox.ledger[0].body == BODY
        assert not (tap.folder / "journal").exists()
        assert any("credits_alert_threshold" in line for line in run.lines("WARNING"))

    def test_variables_are_not_read_without_env(self, tap: Tap, sandbox: Sandbox) -> None:
        assert tap.run(env={"TAP_JOBO_BATCH_SIZE": "7"}).returncode == 0
        assert sandbox.ledger[0].body == {"batch_size": 50}

    def test_dotenv_file_is_read_and_variables_win(self, tap: Tap, sandbox: Sandbox) -> None:
        (tap.folder / ".env").write_text(
            "TAP_JOBO_BATCH_SIZE=7\nexport TAP_JOBO_COUNTRY_CODES='DE,US'\nTAP_JOBO_IS_AGENCY=yes\n"
        )
        below = tap.folder / "below"
        below.mkdir()
        assert _run_with_variables(tap, {"TAP_JOBO_IS_AGENCY": "no"}, below).returncode == 0
        assert sandbox.ledger[0].body == {
            "batch_size": 7,
            "country_codes": ["DE", "US"],
            "is_agency": False,
        }

    def test_variables_go_over_a_file(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run("--config", "ENV", env={"TAP_JOBO_BATCH_SIZE": "7"}, batch_size=9)
        assert run.returncode == 0, run.stderr
        assert sandbox.ledger[0].body == {"batch_size": 7}

    def test_defaults(self) -> None:
        config = TapJobo(config={"api_key": "k"}).config
        assert config["api_url"] == "https://connect.jobo.world"
        assert config["lookback_minutes"] == 15
        assert config["batch_size"] == 50
        assert config["on_filter_change"] == "error"
        assert config["journal"] is True
        for name in ("start_date", *settings.FILTERS, "max_credits", "journal_dir"):
            assert config.get(name) is None

    def test_journal_is_in_the_users_state_folder_by_default(self, tap: Tap) -> None:
        assert tap.run(journal_dir="").returncode == 0
        assert list((tap.folder / "state").rglob("journal.sqlite3"))

    def test_tilde_in_journal_dir_is_the_home_folder(self, tap: Tap) -> None:
        assert tap.run(journal_dir="~/pages").returncode == 0
        assert (tap.folder / "pages" / "journal.sqlite3").exists()

    def test_what_is_empty_is_as_if_not_set(self, tap: Tap, sandbox: Sandbox) -> None:
        empty: dict[str, Any] = {name: [] for name in LISTS}
        run = tap.run(**empty, start_date="", founded_after=None, is_agency=None, batch_size=None)
        assert run.returncode == 0, run.stderr
        assert sandbox.ledger[0].body == {"batch_size": 50}
        assert run.bookmark["filters"]["country_codes"] is None


def _text(value: object, form: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return json.dumps(value) if form == "json" else ", ".join(value)
    return str(value)


class TestFiles:
    @pytest.mark.parametrize("text", ["[]", "\xff"])
    def test_configuration_that_is_no_object_is_refused(self, tap: Tap, text: str) -> None:
        path = tap.folder / "given.json"
        path.write_bytes(text.encode("latin-1"))
        run = execute([str(COMMAND), "--config", str(path)], tap.environment())
        line = complaint(run)
        assert str(path) in line
        assert "JSON object" in line
        assert run.stdout == ""

    @pytest.mark.parametrize("name", ["missing.json", "."])
    def test_configuration_that_is_no_file_is_refused(self, tap: Tap, name: str) -> None:
        path = str(tap.folder / name)
        assert path in complaint(execute([str(COMMAND), "--config", path], tap.environment()))

    def test_run_without_configuration_asks_for_the_key(self, tap: Tap) -> None:
        line = complaint(execute([str(COMMAND)], tap.environment()))
        assert "'api_key'" in line
        assert "TAP_JOBO_API_KEY" in line

    def test_catalog_that_is_no_object_is_refused(self, tap: Tap, sandbox: Sandbox) -> None:
        assert "--catalog" in complaint(tap.run(catalog=[]))
        assert sandbox.ledger == []


class TestRefusedByTheProcess:
    @pytest.mark.parametrize(
        ("bad", "allowed"),
        [
            ({"batch_size": 51}, "1 to 50"),
            ({"api_url": "http://example.com"}, "https"),
            ({"api_key": "jbe_test_secretsecret\nX-Other: 1"}, "one line"),
            ({"batch_config": {"encoding": {"format": "jsonl"}}}, "not supported"),
        ],
    )
    def test_one_line_names_the_setting_before_any_request(
        self, tap: Tap, sandbox: Sandbox, bad: dict[str, Any], allowed: str
    ) -> None:
        run = tap.run(**bad)
        line = complaint(run)
        assert f"'{next(iter(bad))}'" in line
        assert allowed in line
        assert "secret" not in run.stderr
        assert run.stdout == ""
        assert sandbox.ledger == []

    @pytest.mark.parametrize("args", [(), ("--test",)])
    def test_variable_that_is_no_boolean(
        self, tap: Tap, sandbox: Sandbox, args: tuple[str, ...]
    ) -> None:
        run = tap.run("--config", "ENV", *args, env={"TAP_JOBO_IS_AGENCY": "ja"})
        line = complaint(run)
        assert "'is_agency'" in line
        assert "true or false" in line
        assert sandbox.ledger == []

    def test_settings_of_the_sdk_are_refused_the_same_way(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(flattening_max_depth="deep", flattening_enabled=True)
        assert "flattening_max_depth" in complaint(run)
        assert sandbox.ledger == []

    def test_key_within_another_setting_is_not_shown(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(api_url=f"https://{sandbox.api_key}@connect.jobo.world")
        assert "'api_url'" in complaint(run)
        assert not shows_a_key(run)


class TestUnknown:
    def test_unknown_setting_is_a_warning(self, tap: Tap) -> None:
        run = tap.run(batchsize=7, streammaps={})
        assert run.returncode == 0
        assert len(run.ids) == 120
        warnings = run.lines("WARNING")
        assert len(warnings) == 2
        assert "'batchsize'" in warnings[0]
        assert "'streammaps'" in warnings[1]

    def test_unknown_variable_is_a_warning(self, tap: Tap) -> None:
        variables = {"TAP_JOBO_MAXCREDITS": "5", "TAP_JOBO__SELECT": "[]"}
        run = _run_with_variables(tap, variables)
        assert run.returncode == 0
        (warning,) = run.lines("WARNING")
        assert "TAP_JOBO_MAXCREDITS" in warning

    def test_settings_of_the_sdk_are_known(self, tap: Tap) -> None:
        run = tap.run(stream_maps={}, flattening_enabled=False, stream_map_config={})
        assert run.returncode == 0
        assert run.lines("WARNING") == []


# The same in every process that collects the tests.
SOON = (
    datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
).isoformat()
BAD: list[tuple[str, list[object]]] = [
    ("api_key", [5, True, ["k"], " k", "k ", "a b", "a\tb", "a\nb", "a\rb", "schlüssel", "a\0b"]),
    (
        "api_url",
        [
            5,
            "connect.jobo.world",
            "ftp://connect.jobo.world",
            "http://connect.jobo.world",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "http://0.0.0.0",
            "http://[::2]",
            "http://10.0.0.1",
            "https://",
            "https:///path",
            "https://user:password@connect.jobo.world",
            "https://user@connect.jobo.world",
            "https://connect.jobo.world?key=1",
            "https://connect.jobo.world#x",
            "https://connect.jobo.world/{stream}",
            "https://connect.jobo.world:port",
            "https://connect.jobo.world:99999",
            "https://connect .jobo.world",
            "https://connect.jobo.world\n",
            "https://connect.jobö.world",
            "https:\\\\connect.jobo.world",
            "https://[::1",
            "https://a..b",
            "https://.example.com",
            "https://exa_mple%zz",
            "https://" + "a" * 70 + ".de",
        ],
    ),
    (
        "start_date",
        [
            20260131,
            True,
            ["2020-02-01"],
            "yesterday",
            "20200201",
            "2020-W05",
            "2020-02-30",
            "2020-13-01",
            "2020-02-01T25:00:00Z",
            "2020-02-01T08",
            "2020-02-01T08:00:00 UTC",
            "2020-02-01\n",
            "٢٠٢٠-02-01",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2999-01-01",
            SOON,
        ],
    ),
    ("lookback_minutes", [-1, 1.5, "15", True]),
    ("batch_size", [0, -1, 51, 1.5, "50", True, [50]]),
    *((name, ["fintech", {"a": 1}, 5, True, [5], [None], [["a"]], [""], [" "]]) for name in LISTS),
    ("country_codes", [["de"], ["DEU"], ["D"], ["DE\n"], ["ÄÖ"], ["DE", "us"], ["DE,US"]]),
    ("company_types", [["profit"], ["for_profit", "x"], ["FOR_PROFIT"]]),
    ("founded_after", ["1999", 1999.5, True, [1999]]),
    ("is_agency", ["ja", 2, 1.5, [True]]),
    ("on_filter_change", ["Error", "ignore", True, 5, ["keep"]]),
    ("max_credits", [0, -5, "100", 1.5, True]),
    ("credits_alert_threshold", [-1, "100", 1.5, True]),
    ("journal", ["ja", 2, {}]),
    ("journal_dir", [5, True, ["/tmp"], "a\0b", "~no-such-user/journal"]),
    ("industries", [["\ud800"]]),
]


class TestChecks:
    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in BAD for value in values]
    )
    def test_bad_value_is_rejected_by_name_without_the_key(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError) as refusal:
            check({"api_key": KEY, name: value})
        line = str(refusal.value)
        assert line.startswith(f"Setting '{name}' must be ")
        assert line.isprintable()
        assert line.isascii()
        assert "jbe_" not in line
        if name == "api_key":
            assert repr(value) not in line

    @pytest.mark.parametrize("value", [None, ""])
    def test_missing_key_is_refused(self, value: object) -> None:
        with pytest.raises(ConfigError, match="'api_key' is missing"):
            check({"api_key": value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("batch_config", {"encoding": {"format": "jsonl"}}),
            ("emit_activate_version_messages", True),
        ],
    )
    def test_withdrawn_setting_is_refused_by_name(self, name: str, value: object) -> None:
        with pytest.raises(ConfigError, match=f"'{name}' is not supported"):
            check({"api_key": KEY, name: value})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("api_url", "https://connect.jobo.world/"),
            ("api_url", "https://connect.jobo.world:8443/v1"),
            ("api_url", "http://127.0.0.1:8080"),
            ("api_url", "http://127.1.2.3"),
            ("api_url", "http://localhost"),
            ("api_url", "http://LOCALHOST:80/"),
            ("api_url", "http://[::1]:8080"),
            ("start_date", "2020-02-01"),
            ("start_date", "2020-02-01T08:00:00Z"),
            ("start_date", "2020-02-01 08:00:00"),
            ("start_date", "2020-02-01T08:00:00.123456789+05:30"),
            ("lookback_minutes", 0),
            ("batch_size", 1),
            ("industries", ["any tag at all"]),
            ("company_types", ["for_profit", "non_profit"]),
            ("is_agency", False),
            ("credits_alert_threshold", 0),
            ("max_credits", 1),
        ],
    )
    def test_good_value_is_kept(self, name: str, value: object) -> None:
        assert check({"api_key": KEY, name: value})[name] == value

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
    def test_text_that_reads_as_a_boolean_is_one(self, text: str, *, value: bool) -> None:
        checked = check({"api_key": KEY, "is_agency": text, "journal": text})
        assert checked["is_agency"] is checked["journal"] is value


class TestVariables:
    @pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "on", " true "])
    def test_what_reads_as_true(self, text: str) -> None:
        assert _from_environment({"TAP_JOBO_IS_AGENCY": text})["is_agency"] is True

    @pytest.mark.parametrize("text", ["false", "False", "0", "no", "off"])
    def test_what_reads_as_false(self, text: str) -> None:
        assert _from_environment({"TAP_JOBO_JOURNAL": text})["journal"] is False

    @pytest.mark.parametrize("text", ["ja", "nein", "2", "truthy", "t", "[]", "null"])
    @pytest.mark.parametrize("name", ["is_agency", "journal"])
    def test_what_does_not_read_as_a_boolean_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(ConfigError, match=f"'{name}' must be true or false"):
            _from_environment({f"TAP_JOBO_{name.upper()}": text})

    @pytest.mark.parametrize("text", ["7", " 7 ", "+7", "07"])
    def test_what_reads_as_an_integer(self, text: str) -> None:
        assert _from_environment({"TAP_JOBO_BATCH_SIZE": text})["batch_size"] == 7

    @pytest.mark.parametrize("text", ["abc", "1.5", "1e1", "0x7", "\u0667", "7 8", "1_0", "true"])
    @pytest.mark.parametrize(
        "name",
        [
            "batch_size",
            "lookback_minutes",
            "founded_after",
            "max_credits",
            "credits_alert_threshold",
        ],
    )
    def test_what_does_not_read_as_an_integer_is_refused(self, name: str, text: str) -> None:
        with pytest.raises(ConfigError, match=f"'{name}' must be a whole number"):
            _from_environment({f"TAP_JOBO_{name.upper()}": text})

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('["DE", "US"]', ["DE", "US"]),
            (' ["DE"] ', ["DE"]),
            ("DE,US", ["DE", "US"]),
            (" DE , US ,", ["DE", "US"]),
            ("DE", ["DE"]),
        ],
    )
    def test_lists(self, text: str, value: list[str]) -> None:
        assert _from_environment({"TAP_JOBO_COUNTRY_CODES": text})["country_codes"] == value

    @pytest.mark.parametrize("text", ["", "[]", " ", ",", " [ ] "])
    def test_empty_list_is_none(self, text: str) -> None:
        assert "country_codes" not in _from_environment({"TAP_JOBO_COUNTRY_CODES": text})

    @pytest.mark.parametrize("text", ["[DE", '["DE"', "[1]", '[["DE"]]', '{"a": 1}', "[null]"])
    def test_what_does_not_read_as_a_list_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match="'country_codes' must be a list"):
            _from_environment({"TAP_JOBO_COUNTRY_CODES": text})

    @pytest.mark.parametrize("name", [*SCHEMA["properties"]])
    def test_empty_variable_is_as_if_not_set(self, name: str) -> None:
        given = {"api_key": "k"} if name != "api_key" else {}
        read = read_environment(SCHEMA, {f"TAP_JOBO_{name.upper()}": ""})
        assert check({"api_key": "k", **read}) == given if given else read


def test_each_setting_has_a_rule() -> None:
    assert _RULES.keys() == SCHEMA["properties"].keys()
