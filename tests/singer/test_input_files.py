"""The files of `--config`, `--state`, and `--catalog`, read as a process does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobo_sandbox import Sandbox
from tap_jobo.errors import ConfigError
from tap_jobo.singer.input_files import read_object
from tests.support import COMMAND, Tap, complaint, error_code, execute


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not JSON ("),
        (b'{\n "key": "jbe_test_secret\n}', "is not JSON ("),
        (b"[" * 100_000, "is not JSON ("),
        ("{}".encode("utf-16"), "is not JSON ('utf-8' "),
        (b'"jbe_test_secret"', "must be a JSON object"),
        (b'{"a": NaN}', "is not JSON (Out of range"),
        (b'{"a": "\\ud800"}', "is not JSON ('utf-8' "),
    ],
)
def test_file_without_an_object(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "given.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        read_object(str(path), "--config")
    assert str(raised.value).startswith(f"--config {path} {why}")
    assert str(raised.value).endswith("[invalid-file]")
    assert "secret" not in str(raised.value)


def test_a_state_may_be_as_meltano_prints_it(tap: Tap, sandbox: Sandbox) -> None:
    state = tap.succeed().state
    billed = sandbox.rows_billed
    run = tap.succeed(state={"singer_state": state})
    assert run.state == state
    assert run.metrics["jobo_sync_complete"] == 1
    assert sandbox.rows_billed == billed


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
def test_path_that_is_no_file(tap: Tap, sandbox: Sandbox, option: str) -> None:
    for path in ("missing.json", ""):
        run = execute([*tap.command(), option, path], tap.environment(), tap.folder)
        assert error_code(run) == "invalid-file"
        assert complaint(run).startswith(f"{option} {path} ")
    assert sandbox.ledger == []


def test_settings_or_the_key_in_place_of_a_path_are_not_shown(tap: Tap, sandbox: Sandbox) -> None:
    inline = json.dumps({"api_key": "secret"})
    for args in ([inline], [sandbox.api_key], ["ENV", "--catalog", sandbox.api_key]):
        run = execute([str(COMMAND), "--config", *args], tap.environment())
        assert error_code(run) == "invalid-file"
        assert "secret" not in run.stdout + run.stderr
