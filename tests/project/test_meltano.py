"""`meltano run tap-jobo target-postgres`, into a real Postgres."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from singer_sdk.helpers.capabilities import PluginCapabilities

from jobo_sandbox.patience import patient
from tests.archive.helpers import damage
from tests.support import COMMAND, environment, execute
from tests.support.docs import block
from tests.support.meltano import PIPELINE, Project
from tests.support.repository import REPOSITORY


def test_later_runs_deliver_what_changed_even_without_a_state(project: Project) -> None:
    world = project.sandbox.world
    log = project.run().stderr
    assert re.search(r"Summary: career_sites: 150 rows .* 7,500 credits \(\$7\.50\)", log)
    assert "metric_name=jobo_credits metric_value=7500" in log
    assert project.is_current()
    assert project.sandbox.rows_billed == 150
    fintech = [row["ats"] for row in world.rows().values() if "fintech" in row["industries"]]
    answer = {row["ats"]: row["companies"] for row in project.query(block("first-query"))}
    assert answer == Counter(fintech)
    assert len(project.query(block("changed-query"))) == 150

    project.run("state", "clear", "--force", "dev:tap-jobo-to-target-postgres")
    first, *others = list(world.rows())[:3]
    world.touch(first, summary="Changed since.")
    project.run_block("spread")
    assert project.is_current()
    assert project.sandbox.rows_billed == 151

    for company in others:
        world.touch(company, summary="Changed since.")
    world.add()
    project.run()
    assert project.is_current()
    assert project.sandbox.rows_billed == 155  # the first is within the lookback


@pytest.mark.exhaustive
def test_config_test_costs_pages_that_the_next_run_replays(project: Project) -> None:
    """If it names the environment: Meltano ignores the default one, and so its archive."""
    project.run("--environment=dev", "config", "test", "tap-jobo")
    assert project.sandbox.rows_billed in (50, 100, 150)
    project.run_block("cap")
    assert project.is_current()
    assert project.sandbox.rows_billed == 150


@pytest.mark.exhaustive
def test_plugins_that_inherit_from_the_tap_run_side_by_side(project: Project) -> None:
    """With other filters in the same project, each has an archive of its own."""
    world, yesterday = project.sandbox.world, datetime.now(UTC) - timedelta(days=1)
    countries = {key: ("DE", "US", "FR")[n % 3] for n, key in enumerate(world.rows())}
    for key, country in countries.items():
        world.touch(key, at=yesterday, country_code=country)
    definition = project.folder / "meltano.yml"
    names = {"DE": "tap-jobo-german", "US": "tap-jobo-american"}
    children = "".join(
        f"    - name: {name}\n      inherit_from: tap-jobo\n      config:\n"
        f"        archive_dir: archive/{name}\n"
        f"        country_codes: [{country}]\n        batch_size: 10\n"
        for country, name in names.items()
    )
    text = definition.read_text("utf-8")
    definition.write_text(text.replace("  loaders:\n", f"{children}  loaders:\n", 1))
    project.run("run", names["DE"], "target-postgres")  # two at once can't create the schema
    for _ in range(2):
        runs = [
            subprocess.Popen(
                ["meltano", "run", name, "target-postgres"],
                env=project.environment(),
                cwd=project.folder,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in names.values()
        ]
        for run in runs:
            _, log = run.communicate(timeout=patient(120))
            assert run.returncode == 0, log
    wanted = {key for key, country in countries.items() if country in names}
    assert project.table().keys() == wanted
    assert project.sandbox.rows_billed == len(wanted)
    for name in names.values():
        assert list((project.folder / "archive" / name).glob("v4/*/career_sites"))


def test_killed_loader_costs_a_page(project: Project) -> None:
    project.run_and_kill(*PIPELINE, plugin="target-postgres", at_request=2)
    project.run_block("force")
    assert project.is_current()
    assert project.sandbox.rows_billed <= 150 + 50


@pytest.mark.exhaustive
def test_a_full_refresh_is_free_also_if_it_is_killed(project: Project) -> None:
    for _ in range(2):
        project.run()
    project.run_and_kill(*("run", "--full-refresh", *PIPELINE[1:]), plugin="tap-jobo", at_request=1)
    project.sandbox.world.touch(next(iter(project.sandbox.world.rows())), summary="Changed since.")
    project.run()
    state = project.run("state", "get", "dev:tap-jobo-to-target-postgres").stdout
    part = json.loads(state)["singer_state"]["bookmarks"]["career_sites"]
    assert part["position"]["progress"] == []
    project.run()
    assert project.is_current()
    # Everything once, and the row that changed, at most once in each run.
    assert 150 < project.sandbox.rows_billed <= 150 + 3


def test_the_command_in_an_error_works_in_the_project(project: Project) -> None:
    """Also if the archive has the stream of another address, too."""
    archive = project.folder / "archive/tap-jobo"
    environment = project.environment({"TAP_JOBO_ARCHIVE_DIR": f"{archive}"})
    tap = [str(COMMAND), "--config", "ENV"]  # as Meltano runs it, in less time, and stores no state
    assert execute(tap, environment, project.folder).returncode == 0
    damage(max(archive.glob("v4/*/*/[0-9]*/*.page")))
    localhost = project.sandbox.url.replace("127.0.0.1", "localhost")
    other = environment | {"TAP_JOBO_API_URL": localhost}
    assert execute(tap, other, project.folder).returncode == 0
    error = project.meltano("--environment=dev", "invoke", "tap-jobo").stderr
    assert "[archive-damaged]" in error
    (command,) = re.findall("`(meltano .*?)`", error)
    assert project.sandbox.rows_billed == 300
    dropped = project.run(*shlex.split(command)[1:])
    assert "Dropped page 3" in dropped.stdout
    assert execute(tap, environment, project.folder).returncode == 0
    assert project.sandbox.rows_billed == 350


def test_invalid_settings_are_rejected_through_meltano(project: Project) -> None:
    """Meltano must not turn them into false, today's date, or no filter."""
    variables = {
        "TAP_JOBO_IS_AGENCY": "ja",
        "TAP_JOBO_START_DATE": "2 days ago",
        "TAP_JOBO_JOBS_POSTED_AFTER": "",
        "TAP_JOBO_COUNTRY_CODES": "[]",
        "TAP_JOBO_MAX_CREDIT": "100",
    }
    run = project.meltano(*PIPELINE, env=variables)
    assert run.returncode != 0
    for line in (
        r"'is_agency' must be true or false, .* \[invalid-setting\]",
        r"'start_date' must be .* \[invalid-setting\]",
        r"'jobs_posted_after' is empty.* \[invalid-setting\]",
        r"'country_codes' is empty.* \[invalid-setting\]",
        r"TAP_JOBO_MAX_CREDIT .* TAP_JOBO_MAX_CREDITS\? \[ignored-variable\]",
    ):
        assert re.search(line, run.stderr + run.stdout)
    assert not project.sandbox.ledger


@pytest.mark.exhaustive
def test_variables_that_meltano_reads_are_accepted(project: Project) -> None:
    """Also those of a parent, of `.env`, and those that the plugin's own values override."""
    (project.folder / ".env").write_text("TAP_JOBO_BATCH_SIZE=40\nTAP_JOBO_MAX_CREDITS=90000\n")
    project.run("config", "set", "tap-jobo-frequent", "is_agency", "false")
    variables = {
        "TAP_JOBO_IS_AGENCY": "yes",
        "TAP_JOBO_COUNTRY_CODES": '["DE", "AT"]',
        "TAP_JOBO_START_DATE": "2020-01-01",
        "TAP_JOBO_ARCHIVE": "off",
        "TAP_JOBO_STREAM_MAPS": '{"jobs": {"title": "md5(title)"}}',
        "TAP_JOBO_FREQUENT_MAX_CREDITS": "50000",
        "TAP_JOBO_FREQUENT_JOBS_BATCH_SIZE": "30",
    }
    project.run("run", "tap-jobo-frequent", "target-postgres", env=variables)
    assert project.sandbox.credits_billed == 3 * 120


@pytest.mark.exhaustive
def test_variable_of_a_setting_that_meltano_does_not_declare(project: Project) -> None:
    """It would let a run spend without the limit that it is meant to set."""
    file = project.folder / "meltano.yml"
    file.write_text(file.read_text("utf-8").replace("- name: max_credits", "- name: other_name"))
    for plugin in ("tap-jobo", "tap-jobo-frequent"):
        run = project.meltano(
            "run", plugin, "target-postgres", env={"TAP_JOBO_MAX_CREDITS": "2500"}
        )
        assert run.returncode != 0
        output = run.stderr + run.stdout
        assert re.search(r"TAP_JOBO_MAX_CREDITS is .* \[ignored-variable\]", output)
    assert not project.sandbox.ledger


@pytest.mark.exhaustive
def test_list_with_commas_is_refused_by_meltano_and_json_is_not(project: Project) -> None:
    run = project.meltano(*PIPELINE, env={"TAP_JOBO_COUNTRY_CODES": "DE,AT"})
    assert run.returncode == 1
    assert project.sandbox.ledger == []
    project.run_block("change")
    assert project.sandbox.feed_requests[0].body["country_codes"] == ["AT", "DE"]


@pytest.mark.exhaustive
def test_the_log_in_json_is_as_documented(project: Project) -> None:
    log = project.run_block("json-log").stderr
    example = json.loads(block("json-metric"))
    wanted = example["metric_info"] | {"value": 7_500}
    (line,) = (
        each for each in map(json.loads, log.splitlines()) if each.get("metric_info") == wanted
    )
    assert {name: line[name] for name in ("name", "level", "event")} == {
        name: example[name] for name in ("name", "level", "event")
    }


@pytest.mark.exhaustive
def test_misspelled_stream_fails_the_run(project: Project) -> None:
    variables = {"TAP_JOBO__SELECT": '["career_sties.*"]'}
    run = project.meltano(*PIPELINE, env=variables)
    assert run.returncode != 0
    assert re.search(r"No stream is selected\..* \[no-stream\]", run.stderr + run.stdout)
    assert not project.sandbox.ledger
    listing = project.run("select", "tap-jobo", "--list", "--all", env=variables)  # discovers
    assert "career_sites.name" in listing.stdout


def test_definitions_say_what_about_says(tmp_path: Path) -> None:
    command = [str(COMMAND), "--about", "--format", "json"]
    about = json.loads(execute(command, environment(tmp_path)).stdout)
    plugins = yaml.safe_load((REPOSITORY / "meltano.yml").read_text("utf-8"))["plugins"]
    project = plugins["extractors"][0]
    plugin = yaml.safe_load((REPOSITORY / "plugin.yaml").read_text("utf-8"))
    (variant,) = plugin.pop("variants")
    plugin = variant | plugin
    del project["pip_url"]
    assert {name: plugin[name] for name in project} == project
    assert plugin["name"] == plugin["pip_url"] == about["name"]
    assert plugin["supported_python_versions"] == about["supported_python_versions"]

    properties = about["settings"]["properties"]
    assert plugin["capabilities"] == about["capabilities"]
    assert PluginCapabilities.BATCH.value not in plugin["capabilities"]
    assert plugin["settings_group_validation"] == [about["settings"]["required"]]
    settings = {setting["name"]: setting for setting in plugin["settings"]}
    assert list(settings) == list(properties)
    secrets = {name for name, setting in settings.items() if setting.get("sensitive")}
    assert secrets == {name for name, each in properties.items() if each.get("secret")}
