"""The examples, as far as they run without Docker, a cluster, or GitHub."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from jobo_sandbox import Sandbox
from jobo_sandbox.bucket import running_bucket
from tests.support import execute, succeed
from tests.support.meltano import PIPELINE, Project
from tests.support.repository import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
WORKFLOW = yaml.safe_load((EXAMPLES / "github-actions/jobo.yml").read_text("utf-8"))["jobs"]["run"]
STEPS = [step for step in WORKFLOW["steps"] if "run" in step]
JOB = yaml.safe_load((EXAMPLES / "kubernetes/cronjob.yaml").read_text("utf-8"))
(CONTAINER,) = JOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
DOCKERFILE = re.sub(r"\\\n\s*", "", (EXAMPLES / "kubernetes/Dockerfile").read_text("utf-8"))


@pytest.mark.exhaustive
def test_steps_of_the_image_install_the_wheel_and_its_command_runs(
    wheel: Path, postgres_port: int, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (copied,) = re.findall(r"(?m)^COPY \S+ (.*) \./$", DOCKERFILE)
    for source in copied.split():
        root = wheel.parents[1] if source.startswith("dist/") else REPOSITORY
        for file in root.glob(source):
            shutil.copy(file, project)
    (install,) = re.findall(r"(?m)^RUN (.*meltano install)$", DOCKERFILE)
    succeed(["sh", "-euc", install], os.environ, project)

    (command,) = re.findall(r"(?m)^CMD (.*)$", DOCKERFILE)
    with running_bucket() as bucket, Sandbox(size=60, seed=1) as sandbox:
        for place in ("TAP_JOBO_ARCHIVE_DIR", "MELTANO_STATE_BACKEND_URI"):
            del bucket[place]  # which the project says itself
        variables = {
            **os.environ,
            **bucket,
            "TAP_JOBO_API_KEY": sandbox.api_key,
            "TAP_JOBO_API_URL": sandbox.url,
            "TAP_JOBO_BATCH_SIZE": "30",  # which has to be declared
            "TARGET_POSTGRES_SQLALCHEMY_URL": (
                f"postgresql+psycopg://postgres@127.0.0.1:{postgres_port}/postgres"
            ),
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "image",
        }
        command = ["meltano", *yaml.safe_load(command)]
        run = succeed(command, variables, project)
        assert [len(entry.row_ids) for entry in sandbox.feed_requests] == [30, 30]
        assert "METRIC" in run.stderr
        # The state and the archive are in the bucket.
        (project / ".meltano/meltano.db").unlink(missing_ok=True)
        again = succeed(command, variables, project)
        assert "from the archive" not in again.stderr
        assert sandbox.rows_billed == 60
        # Structured logging:
        assert re.search(r"\[warning +\] tap-jobo +.*\[no-limit\]", run.stderr)


def test_workflow_and_cron_job_do_what_the_image_does() -> None:
    assert CONTAINER["args"] == list(PIPELINE)
    assert f"docker build --tag {CONTAINER['image'].split('/')[1].split(':')[0]} " in DOCKERFILE
    (install,) = re.findall(r"(?m)^RUN (.*) && meltano install$", DOCKERFILE)
    pipeline = " ".join(["meltano --log-format=json", *PIPELINE, "2>&1 | tee run.log"])
    assert [step["run"] for step in STEPS[1:4]] == [install.strip(), "meltano install", pipeline]


LIMITS = {"TAP_JOBO_MAX_CREDITS": "10000", "TAP_JOBO_MAX_CREDITS_PER_MONTH": "100000"}
"""What every example sets, as the installation does. Without a limit, it would buy everything."""


def test_every_example_sets_the_limits_of_the_installation() -> None:
    install = (REPOSITORY / "docs/start/install.md").read_text("utf-8")
    settings = re.findall(r"config set tap-jobo (max_credits\w*) (\d+)", install)
    assert {f"TAP_JOBO_{name.upper()}": value for name, value in settings} == LIMITS
    cron = re.findall(r'"(max_credits\w*)": (\d+)', install)  # its config.json
    for limits in (
        {each["name"]: each["value"] for each in CONTAINER["env"]},
        WORKFLOW["env"],
        dotenv_values(REPOSITORY / ".env.example"),
        {f"TAP_JOBO_{name.upper()}": value for name, value in cron},
    ):
        assert limits.items() >= LIMITS.items()
    code = (EXAMPLES / "airflow/jobo.py").read_text("utf-8")
    compile(code, "airflow", "exec")
    assert dict(re.findall(r'"(TAP_JOBO_MAX\w+)": "(\d+)"', code)) == LIMITS


AIRFLOW = """
import contextlib, shutil, sys, types
names = ("airflow", "airflow.exceptions", "airflow.sdk")
sys.modules |= {name: types.ModuleType(name) for name in names}
class AirflowException(Exception): ...
class AirflowFailException(AirflowException): ...
sys.modules["airflow.exceptions"].__dict__.update(
    AirflowException=AirflowException, AirflowFailException=AirflowFailException)
sys.modules["airflow.sdk"].__dict__.update(
    DAG=lambda *_, **__: contextlib.nullcontext(), task=lambda **_: lambda run: lambda _: run)
"""
"""Stands in for Airflow, whose task the test calls by itself."""


@pytest.mark.exhaustive
def test_task_of_airflow_fails_without_a_retry_for_each_alert(
    project: Project, tmp_path: Path
) -> None:
    code = (EXAMPLES / "airflow/jobo.py").read_text("utf-8")
    code = AIRFLOW + code.replace("/srv/meltano", str(project.folder))
    code += f"""
run = career_sites("")
key = {project.sandbox.api_key!r}
for limit, key in (("5000", "wrong"), ("5000", key), ("10000", key)):
    LIMITS["TAP_JOBO_MAX_CREDITS"] = limit
    try:
        run(key)
        print("=> succeeded")
    except AirflowException as error:
        print("=>", type(error).__name__, error)
"""
    (tmp_path / "jobo.py").write_text(code)
    run = succeed([sys.executable, "jobo.py"], project.environment(), tmp_path)
    assert re.findall(r"(?m)^=> (\w+).*?(career_sites|$)", run.stdout) == [
        ("AirflowException", ""),
        ("AirflowFailException", "career_sites"),
        ("succeeded", ""),
    ]
    assert project.is_current()
    assert project.sandbox.rows_billed == 150


@pytest.mark.exhaustive
def test_workflow_fails_for_each_alert(project: Project) -> None:
    pipeline, alert = STEPS[-2:]
    assert pipeline["shell"] == "bash"  # GitHub's has pipefail
    for limit, told in (("5000", "career_sites"), ("10000", "")):
        shell = ["bash", "-eo", "pipefail", "-c"]
        env = project.environment({"TAP_JOBO_MAX_CREDITS": limit})
        succeed([*shell, pipeline["run"]], env, project.folder)
        run = execute([*shell, alert["run"]], env, project.folder)
        assert run.returncode == bool(told), run.stderr
        assert told in run.stderr
