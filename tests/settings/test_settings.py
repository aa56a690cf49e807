from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tap_jobo.errors import ConfigError
from tap_jobo.settings.check import check as check_settings
from tap_jobo.settings.environment import read_environment
from tap_jobo.settings.kinds import (
    Boolean,
    Choice,
    Integer,
    Kind,
    ListOf,
    ListOfObjects,
    PastDate,
    Text,
    Url,
)
from tap_jobo.settings.setting import Setting, config_schema
from tap_jobo.settings.unknown import mistyped_variables, unknown_settings, unknown_variables
from tap_jobo.streams.career_sites import FILTERS
from tap_jobo.streams.registry import SETTINGS
from tap_jobo.tap import TapJobo
from tests.support import (
    COMMAND,
    Run,
    Tap,
    complaint,
    complaints,
    execute,
    kept_signals,
    shows_a_key,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobo_sandbox import Sandbox

GUID = "01234567-89ab-cdef-0123-456789abcdef"
KEY = "jbe_test_" + "a1B" * 7 + "_" + "c3D" * 14 + "e"
SCHEMA = config_schema(SETTINGS)
NAMES = [setting.name for setting in SETTINGS]
FILTER_NAMES = [setting.name for setting in FILTERS]
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
    **{name: VALUES[name] for name in FILTER_NAMES},
    "batch_size": 7,
    "updated_after": "2020-01-31T23:59:59.999000Z",
}


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    with kept_signals():
        yield


def check(config: Mapping[str, Any]) -> dict[str, Any]:
    return check_settings(config, SETTINGS)


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
        assert sandbox.feed_requests[0].body == BODY
        assert not (tap.folder / "journal").exists()
        assert any("credits_alert_threshold" in line for line in run.lines("WARNING"))

    @pytest.mark.parametrize("form", ["json", "commas"])
    def test_all_from_variables(self, tap: Tap, sandbox: Sandbox, form: str) -> None:
        variables = {
            f"TAP_JOBO_{name.upper()}": _text(value, form) for name, value in VALUES.items()
        }
        run = _run_with_variables(tap, variables)
        assert run.returncode == 0, run.stderr
        assert sandbox.feed_requests[0].body == BODY
        assert not (tap.folder / "journal").exists()
        assert any("credits_alert_threshold" in line for line in run.lines("WARNING"))

    def test_variables_are_not_read_without_env(self, tap: Tap, sandbox: Sandbox) -> None:
        assert tap.run(env={"TAP_JOBO_BATCH_SIZE": "7"}).returncode == 0
        assert sandbox.feed_requests[0].body == {"batch_size": 50}

    def test_dotenv_file_is_read_and_variables_win(self, tap: Tap, sandbox: Sandbox) -> None:
        (tap.folder / ".env").write_text(
            "TAP_JOBO_BATCH_SIZE=7\nexport TAP_JOBO_COUNTRY_CODES='DE,US'\nTAP_JOBO_IS_AGENCY=yes\n"
        )
        below = tap.folder / "below"
        below.mkdir()
        assert _run_with_variables(tap, {"TAP_JOBO_IS_AGENCY": "no"}, below).returncode == 0
        assert sandbox.feed_requests[0].body == {
            "batch_size": 7,
            "country_codes": ["DE", "US"],
            "is_agency": False,
        }

    def test_dotenv_file_that_is_not_text(self, tap: Tap, sandbox: Sandbox) -> None:
        """As Windows PowerShell writes it with `>`."""
        (tap.folder / ".env").write_text("TAP_JOBO_BATCH_SIZE=7", "utf-16")
        line = complaint(_run_with_variables(tap, {}))
        assert line == f"The file {tap.folder / '.env'} must be text in UTF-8."
        assert sandbox.ledger == []

    def test_no_line_says_that_variables_are_not_read(self, tap: Tap) -> None:
        assert "env var" not in _run_with_variables(tap, {}).stderr

    def test_variables_go_over_a_file(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run("--config", "ENV", env={"TAP_JOBO_BATCH_SIZE": "7"}, batch_size=9)
        assert run.returncode == 0, run.stderr
        assert sandbox.feed_requests[0].body == {"batch_size": 7}

    def test_defaults(self) -> None:
        config = TapJobo(config={"api_key": "k"}).config
        assert config["api_url"] == "https://connect.jobo.world"
        assert config["lookback_minutes"] == 15
        assert config["batch_size"] == 50
        assert config["on_filter_change"] == "error"
        assert config["journal"] is True
        for name in ("start_date", *FILTER_NAMES, "max_credits", "journal_dir"):
            assert config.get(name) is None

    def test_journal_is_in_the_users_state_folder_by_default(self, tap: Tap) -> None:
        assert tap.run(journal_dir="").returncode == 0
        assert list((tap.folder / "state").rglob("*.page"))

    def test_tilde_in_journal_dir_is_the_home_folder(self, tap: Tap) -> None:
        assert tap.run(journal_dir="~/pages").returncode == 0
        assert (tap.folder / "pages" / "v1").exists()

    def test_what_is_empty_is_as_if_not_set(self, tap: Tap, sandbox: Sandbox) -> None:
        empty: dict[str, Any] = {name: [] for name in LISTS}
        run = tap.run(**empty, start_date="", founded_after=None, is_agency=None, batch_size=None)
        assert run.returncode == 0, run.stderr
        assert sandbox.feed_requests[0].body == {"batch_size": 50}
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
        run = tap.run(
            flattening_max_depth=1.5,
            flattening_enabled=True,
            stream_map_config=7,
            stream_maps={"career_sites": {"x": 2.5}},
            batch_size=0.5,
            max_credit=7,
        )
        assert [line.split(":")[0] for line in complaints(run)] == [
            "Setting 'batch_size' must be a whole number from 1 to 50, not 0.5.",
            "Setting 'stream_map_config' is not valid",
            "Setting 'flattening_max_depth' is not valid",
            "Setting 'max_credit' does not exist",
            "Setting 'stream_maps'",
        ]
        assert "1.5 is not of type 'integer', 'null'." in run.stderr
        assert "Decimal" not in run.stderr
        assert sandbox.ledger == []

    def test_key_within_another_setting_is_not_shown(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(api_url=f"https://{sandbox.api_key}@connect.jobo.world")
        assert "'api_url'" in complaint(run)
        assert not shows_a_key(run)


class TestUnknown:
    def test_unknown_setting_in_a_file(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(max_credit=10, nonsense=1)
        assert complaints(run) == [
            "Setting 'max_credit' does not exist: did you mean max_credits?",
            "Setting 'nonsense' does not exist: remove it.",
        ]
        assert sandbox.ledger == []

    def test_mistyped_variable(self, tap: Tap, sandbox: Sandbox) -> None:
        run = _run_with_variables(tap, {"TAP_JOBO_MAXCREDITS": "5"})
        assert complaint(run) == (
            "Variable TAP_JOBO_MAXCREDITS is not a setting: did you mean TAP_JOBO_MAX_CREDITS?"
        )
        assert sandbox.ledger == []

    def test_mistyped_variable_of_the_key(self, tap: Tap) -> None:
        env = tap.environment({"TAP_JOBO_APIKEY": "k"})
        lines = complaints(execute([str(COMMAND), "--config", "ENV"], env, tap.folder))
        assert len(lines) == 2
        assert lines[0].startswith("Setting 'api_key' is missing")
        assert "did you mean TAP_JOBO_API_KEY?" in lines[1]

    def test_other_variables_do_not_stop_a_run(self, tap: Tap) -> None:
        variables = {
            "TAP_JOBO_FREQUENT_API_KEY": "k",
            "TAP_JOBO__SELECT": "[]",
            "TAP_JOBO_LOGLEVEL": "INFO",
        }
        run = _run_with_variables(tap, variables)
        assert run.returncode == 0, run.stderr
        assert len(run.ids) == 120
        (warning,) = run.lines("WARNING")
        assert "TAP_JOBO_FREQUENT_API_KEY" in warning

    def test_variable_that_meltano_does_not_read(self, tap: Tap, sandbox: Sandbox) -> None:
        """It would let a run spend without the limit that it is meant to set."""
        variables = {"TAP_JOBO_MAX_CREDIT": "5000", "MELTANO_EXTRACTOR_NAME": "tap-jobo"}
        assert complaint(tap.run(env=variables)) == (
            "Variable TAP_JOBO_MAX_CREDIT is not a setting: did you mean TAP_JOBO_MAX_CREDITS?"
        )
        assert sandbox.ledger == []
        assert tap.run("--discover", env=variables).returncode == 0

    def test_variable_that_meltano_passes_on(self, tap: Tap) -> None:
        members = {"TAP_JOBO_STREAM_MAPS_JOBS": "x", "MELTANO_EXTRACT_STREAM_MAPS_JOBS": "x"}
        run = tap.run(env=members | {"MELTANO_EXTRACTOR_NAME": "tap-jobo"})
        assert run.returncode == 0, run.stderr
        assert run.lines("WARNING") == []

    def test_settings_of_the_sdk_are_known(self, tap: Tap) -> None:
        run = tap.run(stream_maps={}, flattening_enabled=False, stream_map_config={})
        assert run.returncode == 0
        assert run.lines("WARNING") == []

    @pytest.mark.parametrize("name", ["batchsize", "batch-size", "Batch_Size", "batch_siez"])
    def test_hint(self, name: str) -> None:
        assert unknown_settings({name: 7}, NAMES)[0].endswith("did you mean batch_size?")
        (line,) = mistyped_variables({f"TAP_JOBO_{name}": "7"}, NAMES)
        assert line.endswith("did you mean TAP_JOBO_BATCH_SIZE?")

    @pytest.mark.parametrize("value", [None, "", []])
    def test_unknown_setting_without_a_value(self, value: object) -> None:
        assert unknown_settings({"max_credit": value}, NAMES) == []

    @pytest.mark.parametrize(
        "variable",
        [
            *(
                f"TAP_JOBO_{plugin}_{name.upper()}"
                for plugin in ("FREQUENT", "2")
                for name in NAMES
            ),
            "TAP_JOBO_PORT_8080_TCP",
            "TAP_JOBO_SERVICE_HOST",
        ],
    )
    def test_variable_that_may_have_a_use_elsewhere(self, variable: str) -> None:
        assert mistyped_variables({variable: "5"}, NAMES) == []
        assert unknown_variables({variable: "5"}, NAMES) == [variable]

    @pytest.mark.parametrize(
        "variable",
        [
            "TAP_JOBO__SELECT",
            "TAP_JOBO__SELECT_FILTER",
            "TAP_JOBO__METADATA",
            "TAP_JOBO__CATALOG",
            "TAP_JOBO__STATE",
            "TAP_JOBO__SCHEMA",
            "TAP_JOBO__LOAD_SCHEMA",
            "TAP_JOBO__USE_CACHED_CATALOG",
            "TAP_JOBO_FREQUENT__SELECT",
            "TAP_JOBO_LOGLEVEL",
            "TAP_JOBO_MAX_CREDITS",
            "TAP_JOBOMAX_CREDITS",
            "MAX_CREDIT",
        ],
    )
    def test_variable_without_a_word(self, variable: str) -> None:
        assert mistyped_variables({variable: "5"}, NAMES) == []
        assert unknown_variables({variable: "5"}, NAMES) == []

    @pytest.mark.parametrize("name", ["_MAX_CREDITS", "MAX__CREDITS", "max_credits"])
    def test_variable_that_is_nearly_a_setting(self, name: str) -> None:
        (line,) = mistyped_variables({f"TAP_JOBO_{name}": "5"}, NAMES)
        assert "TAP_JOBO_MAX_CREDITS?" in line

    def test_key_as_a_name_is_not_shown(self) -> None:
        (line,) = unknown_settings({f"{KEY}\n": 1}, NAMES)
        assert "jbe_" not in line
        assert line.isprintable()


class TestAllAtOnce:
    def test_one_line_each_the_keys_first(self, tap: Tap, sandbox: Sandbox) -> None:
        run = tap.run(
            nonsense=1,
            company_ids=[GUID],
            company_ids_file="ids.txt",
            max_credits=0,
            batch_size=sandbox.api_key,
            batch_config={"encoding": {}},
            api_key="a b",
        )
        starts = [line.split(" ", 3)[:3] for line in complaints(run)]
        assert starts == [
            ["Setting", "'api_key'", "must"],
            ["Setting", "'batch_size'", "must"],
            ["Setting", "'max_credits'", "must"],
            ["Setting", "'batch_config'", "is"],
            ["Settings", "'company_ids'", "and"],
            ["Setting", "'nonsense'", "does"],
        ]
        assert run.stdout == ""
        assert sandbox.ledger == []

    def test_missing_key_comes_first(self) -> None:
        with pytest.raises(ConfigError) as refusal:
            check({"batch_size": 51, "api_url": KEY})
        first, *others = str(refusal.value).splitlines()
        assert "'api_key' is missing" in first
        assert len(others) == 2

    @pytest.mark.parametrize("key", [KEY, 'quote"in\\it', "other'quote"])
    def test_key_in_other_settings_is_not_shown(self, key: str) -> None:
        config = {
            "batch_size": key,
            "is_agency": f"x{key}x",
            "max_credits": [key],
            "founded_after": {key: {"a": key}},
            "api_url": key,
        }
        with pytest.raises(ConfigError) as refusal:
            check({"api_key": key, **config})
        assert len(str(refusal.value).splitlines()) == len(config)
        assert key not in str(refusal.value)
        assert json.dumps(key)[1:-1] not in str(refusal.value)

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            (Decimal("12.5"), "12.5"),
            ("ja", '"ja"'),
            ({"a": None}, '{"a": null}'),
            (KEY, '"[api_key]'),
        ],
    )
    def test_value_is_shown_as_in_the_file(self, value: object, shown: str) -> None:
        with pytest.raises(ConfigError) as refusal:
            check({"api_key": "k", "max_credits": value})
        assert str(refusal.value) == (
            f"Setting 'max_credits' must be a whole number of credits, 1 or more, not {shown}."
        )


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

    @pytest.mark.parametrize("name", NAMES)
    def test_empty_variable_is_as_if_not_set(self, name: str) -> None:
        given = {"api_key": "k"} if name != "api_key" else {}
        read = read_environment(SCHEMA, {f"TAP_JOBO_{name.upper()}": ""})
        assert check({"api_key": "k", **read}) == given if given else read


COUNTRY = {"country": "Germany"}
CITY = {"country": "Germany", "city": "Berlin"}
PLACES = ListOfObjects(("country", "region", "city"), example=COUNTRY)


class TestKinds:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (Integer(), "a whole number"),
            (Integer(0, unit="minutes"), "a whole number of minutes, 0 or more"),
            (Integer(1, 10_000), "a whole number from 1 to 10,000"),
            (Integer(meaning="a calendar year"), "a whole number: a calendar year"),
            (Boolean(), "true or false"),
            (Choice(("error", "resync", "keep")), "error, resync or keep"),
            (ListOf(), "a list of texts"),
            (ListOf(example="fintech"), "a list of texts, such as fintech"),
            (ListOf("ids", most=1_000), "a list of at most 1,000 ids"),
            (ListOf(allowed=("a", "b")), "a list of one or more of a, b"),
            (
                PLACES,
                'a list of objects with country, region or city, such as [{"country": "Germany"}]',
            ),
            (Text(str.isupper, "capital letters"), "capital letters"),
        ],
    )
    def test_words(self, kind: Kind, words: str) -> None:
        assert kind.words == words

    @pytest.mark.parametrize(
        ("minimum", "maximum"), [(None, None), (0, None), (1, None), (1, 50), (-5, 50)]
    )
    def test_limits_of_an_integer(self, minimum: int | None, maximum: int | None) -> None:
        kind = Integer(minimum, maximum)
        schema = kind.json_type.to_dict()
        assert schema.get("minimum") == minimum
        assert schema.get("maximum") == maximum
        assert kind.allows(minimum or 0)
        assert kind.allows((minimum or 0) - 1) is (minimum is None)
        assert kind.allows(50)
        assert kind.allows(51) is (maximum is None)

    def test_allowed_values_are_in_the_schema(self) -> None:
        assert Choice(("a", "b")).json_type.to_dict()["enum"] == ["a", "b"]
        kind = ListOf(allowed=("a", "b"))
        assert kind.json_type.to_dict()["items"]["enum"] == ["a", "b"]
        assert kind.allows(["b"])
        assert not kind.allows(["b", "c"])

    def test_longest_list(self) -> None:
        kind = ListOf(most=2)
        assert kind.allows(["a", "b"])
        assert not kind.allows(["a", "b", "c"])

    @pytest.mark.parametrize(
        "value", [[COUNTRY], [CITY, {"region": "Bavaria"}], [{"city": "Paris", "region": "x"}]]
    )
    def test_objects(self, value: object) -> None:
        assert PLACES.allows(value)

    @pytest.mark.parametrize(
        "value",
        [
            COUNTRY,
            "Germany",
            ["Germany"],
            [{}],
            [COUNTRY, {}],
            [{"country": "Germany", "town": "Berlin"}],
            [{"country": " "}],
            [{"country": None}],
            [{"country": "\ud800"}],
            [[COUNTRY]],
        ],
    )
    def test_what_is_no_list_of_such_objects(self, value: object) -> None:
        assert not PLACES.allows(value)

    def test_schema_of_objects(self) -> None:
        items = PLACES.json_type.to_dict()["items"]
        assert items["type"] == "object"
        assert [*items["properties"]] == ["country", "region", "city"]
        assert items["additionalProperties"] is False

    @pytest.mark.parametrize(
        ("kind", "value", "normal"),
        [
            (ListOf(), ["b", "a", "b"], ["a", "b"]),
            (ListOf(), [], None),
            (ListOf(), None, None),
            (PLACES, [COUNTRY, CITY, dict(reversed(CITY.items()))], [CITY, COUNTRY]),
            (PLACES, [], None),
            (PLACES, None, None),
            (PastDate(), "2026-01-31", "2026-01-31T00:00:00.000000Z"),
            (PastDate(), "2026-01-31T01:00:00+01:00", "2026-01-31T00:00:00.000000Z"),
            (PastDate(), None, None),
            (Integer(), 5, 5),
            (Boolean(), False, False),
            (Url(), None, None),
        ],
    )
    def test_normal_form(self, kind: Kind, value: object, normal: object) -> None:
        assert Setting("x", "X", "An x.", kind).normalize(value) == normal

    @pytest.mark.parametrize(
        ("kind", "value"), [(ListOf(), [1, "a"]), (ListOf(), [["a"]]), (PastDate(), 5)]
    )
    def test_normal_form_of_a_wrong_type(self, kind: Kind, value: object) -> None:
        with pytest.raises(TypeError):
            kind.normalize(value)


class TestSetting:
    def test_parameter_of_the_request(self) -> None:
        assert Setting("x", "X", "An x.", Boolean()).request_parameter == "x"
        assert Setting("x", "X", "An x.", Boolean(), parameter="y").request_parameter == "y"

    def test_schema_keeps_the_order(self) -> None:
        assert [*SCHEMA["properties"]] == NAMES
        assert NAMES[:5] == ["api_key", "api_url", "start_date", "lookback_minutes", "batch_size"]
        assert NAMES[5:13] == [*FILTER_NAMES, "jobs_batch_size"]
        of_jobs = [name for name in NAMES if name.startswith("jobs_")]
        assert NAMES[12:20] == [*of_jobs, "on_filter_change"]
        assert len(set(NAMES)) == len(NAMES) == 29

    @pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
    def test_default_is_allowed(self, setting: Setting) -> None:
        assert setting.default is None or setting.allows(setting.default)
