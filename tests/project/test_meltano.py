"""`meltano run tap-jobo target-postgres`, into a real Postgres."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pytest
import yaml
from psycopg.rows import dict_row
from singer_sdk.helpers.capabilities import PluginCapabilities

from jobo_sandbox import Fault, Hold, Sandbox
from jobo_sandbox.postgres import running_postgres
from tests.support import COMMAND, execute
from tests.support import environment as tap_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support import Run

REPOSITORY = Path(__file__).parents[2]
_NO_SCAN = dict.fromkeys(
    ("started_at", "updated_after", "batch_size", "cursor", "rows", "restarts")
)
PIPELINE = ("run", "tap-jobo", "target-postgres")


def environment() -> dict[str, str]:
    """This process's environment, without the settings of the plugins and of Meltano."""
    settings = ("TAP_JOBO_", "TARGET_", "MELTANO_", "PYTHON", "LOGLEVEL", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(settings)}


@dataclass
class Project:
    """The repository's meltano.yml in a folder of its own, against a sandbox and a schema."""

    folder: Path
    port: int
    sandbox: Sandbox
    name: str

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {
            **environment(),
            "TAP_JOBO_API_KEY": self.sandbox.api_key,
            "TAP_JOBO_API_URL": self.sandbox.url,
            "TAP_JOBO_JOURNAL_DIR": str(self.folder / f"journal-{self.name}"),
            "TARGET_POSTGRES_SQLALCHEMY_URL": self.url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": self.name,
            "MELTANO_DATABASE_URI": f"sqlite:///{self.folder}/{self.name}.db",
            **(extra or {}),
        }

    def meltano(self, *args: str, env: Mapping[str, str] | None = None) -> Run:
        command = [shutil.which("meltano") or "meltano", *args]
        return execute(command, self.environment(env), cwd=self.folder)

    def run(self) -> Run:
        run = self.meltano(*PIPELINE)
        assert run.returncode == 0, run.stderr
        return run

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [shutil.which("meltano") or "meltano", *args],
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run_and_kill(self, plugin: str, *args: str, at_request: int) -> None:
        """Run, and kill a plugin's process while the feed's n-th request waits for its answer."""
        hold = Hold()
        self.sandbox.faults.add(Fault(hold=hold), on=at_request)
        meltano = self.start(*args)
        hold.wait(60)
        for process in psutil.Process(meltano.pid).children(recursive=True):
            if any(part.endswith(f"/{plugin}") for part in process.cmdline()):
                process.send_signal(signal.SIGKILL)
        hold.release()
        assert meltano.wait(60) != 0

    def table(self) -> dict[str, dict[str, Any]]:
        with psycopg.connect(self.url.replace("+psycopg", ""), row_factory=dict_row) as database:
            rows = database.execute(f'SELECT * FROM "{self.name}".career_sites').fetchall()
        return {str(row["id"]): row for row in rows}

    def column_types(self) -> dict[str, str]:
        with psycopg.connect(self.url.replace("+psycopg", "")) as database:
            return dict(
                database.execute(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = %s AND table_name = 'career_sites'",
                    [self.name],
                ).fetchall()
            )

    def is_current(self) -> bool:
        """Whether the table holds every row of the feed as it is now."""
        expected = self.sandbox.world.rows()
        table = self.table()
        return table.keys() == expected.keys() and all(
            table[key][field] == value
            for key, row in expected.items()
            for field, value in row.items()
            if field not in ("id", "updated_at")
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder, whose plugins are installed once."""
    folder = tmp_path_factory.mktemp("project")
    text = (REPOSITORY / "meltano.yml").read_text()
    (folder / "meltano.yml").write_text(text.replace("pip_url: -e .", f"pip_url: -e {REPOSITORY}"))
    return folder


@pytest.fixture(scope="module")
def port(open_folder: Path) -> Iterator[int]:
    """A Postgres, by its port."""
    with running_postgres(open_folder / "data", 0) as port:
        yield port


@pytest.fixture
def project(folder: Path, port: int, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A sandbox of 300 companies, and a schema and a state of the test's own."""
    with Sandbox(size=300, seed=1) as sandbox:
        yield Project(folder, port, sandbox, request.node.name.removeprefix("test_")[:40])


def test_second_run_brings_what_changed(project: Project) -> None:
    project.run()
    assert project.is_current()
    assert project.sandbox.rows_billed == 300

    for company in list(project.sandbox.world.rows())[:3]:
        project.sandbox.world.touch(company, summary="Changed since.")
    project.sandbox.world.add()
    project.run()
    assert project.is_current()
    assert project.sandbox.rows_billed == 304

    types = project.column_types()
    assert types["industries"] == "ARRAY"
    assert types["updated_at"].startswith("timestamp")
    assert types["id"] in ("uuid", "text", "character varying")


def test_killed_loader_costs_one_page_at_the_most(project: Project) -> None:
    project.run_and_kill("target-postgres", *PIPELINE, at_request=4)
    project.run()
    assert project.is_current()
    assert project.sandbox.rows_billed <= 350


def test_lost_state_costs_nothing(project: Project) -> None:
    project.run()
    done = project.meltano("state", "clear", "--force", "dev:tap-jobo-to-target-postgres")
    assert done.returncode == 0, done.stderr
    project.sandbox.world.touch(next(iter(project.sandbox.world.rows())), summary="Changed since.")
    project.run()
    assert project.is_current()
    assert project.sandbox.rows_billed == 301


def test_killed_full_refresh_goes_on_from_the_merged_state(project: Project) -> None:
    project.run()
    project.run()  # whose state confirms the first, so that a full refresh buys afresh
    requests = len(project.sandbox.ledger)
    project.run_and_kill(
        "tap-jobo", "run", "--full-refresh", "tap-jobo", "target-postgres", at_request=requests + 4
    )
    project.sandbox.world.touch(next(iter(project.sandbox.world.rows())), summary="Changed since.")
    project.run()
    project.run()
    assert project.is_current()
    # Twice everything, the page in flight, and the row that changed, at most once in each run.
    assert project.sandbox.rows_billed <= 600 + 50 + 2

    before = project.sandbox.rows_billed
    state = project.meltano("state", "get", "dev:tap-jobo-to-target-postgres").stdout
    assert json.loads(state)["singer_state"]["bookmarks"]["career_sites"]["scan"] == _NO_SCAN
    project.run()
    assert project.sandbox.rows_billed <= before + 1  # the lookback


def test_odd_boolean_is_refused_through_meltano(project: Project) -> None:
    run = project.meltano(*PIPELINE, env={"TAP_JOBO_IS_AGENCY": "ja"})
    assert run.returncode != 0
    assert "Setting 'is_agency' must be true or false" in run.stderr + run.stdout
    assert not project.sandbox.ledger


@pytest.fixture(scope="module")
def about(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the tap says of itself."""
    command = [str(COMMAND), "--about", "--format", "json"]
    run = execute(command, tap_environment(tmp_path_factory.mktemp("about")))
    content: dict[str, Any] = json.loads(run.stdout)
    return content


def project_file() -> dict[str, Any]:
    """The tap's definition in meltano.yml."""
    plugins = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))["plugins"]
    extractor: dict[str, Any]
    (extractor,) = plugins["extractors"]
    return extractor


def plugin_file() -> dict[str, Any]:
    """The tap's definition in plugin.yaml."""
    definition = yaml.safe_load((REPOSITORY / "plugin.yaml").read_text("utf-8"))
    (variant,) = definition.pop("variants")
    return {**variant, **definition}


@pytest.mark.parametrize("read", [project_file, plugin_file])
def test_definition_says_what_about_says(
    read: Callable[[], dict[str, Any]], about: dict[str, Any]
) -> None:
    extractor = read()
    properties = about["settings"]["properties"]
    settings = {setting["name"]: setting for setting in extractor["settings"]}

    assert extractor["capabilities"] == about["capabilities"]
    assert PluginCapabilities.BATCH.value not in extractor["capabilities"]
    assert extractor["settings_group_validation"] == [about["settings"]["required"]]
    assert list(settings) == list(properties)
    for name, setting in settings.items():
        assert setting["label"] == properties[name]["title"]
        assert setting["description"].split() == properties[name]["description"].split()
        assert setting.get("value") == properties[name].get("default")
        assert setting.get("sensitive", False) == properties[name].get("secret", False)
        assert setting["kind"] == _kind(name, properties[name])
        assert [option["value"] for option in setting.get("options", [])] == properties[name].get(
            "enum", []
        )


def test_definitions_differ_in_nothing_that_both_have(about: dict[str, Any]) -> None:
    project, plugin = project_file(), plugin_file()
    assert {name: plugin[name] for name in project if name != "pip_url"} == {
        name: project[name] for name in project if name != "pip_url"
    }
    assert plugin["name"] == plugin["pip_url"] == about["name"]
    assert plugin["supported_python_versions"] == about["supported_python_versions"]


def _kind(name: str, definition: Mapping[str, Any]) -> str:
    if name == "start_date":
        return "date_iso8601"
    if name in ("is_agency", "journal"):
        return "string"  # as a boolean, Meltano would read any odd text as false
    if "enum" in definition:
        return "options"
    types = definition["type"]
    return str(types[0] if isinstance(types, list) else types)
