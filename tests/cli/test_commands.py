"""The command line in a message: one that works where the user is."""

import subprocess
import sys
from pathlib import Path

import pytest

from tap_jobo.commands import archive_command, run_with

LOCK = '{"commands": {"archive": {"executable": "tap-jobo-archive"}}}'


@pytest.fixture
def meltano(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Meltano project whose plugin has the name `tap-jobo-frequent`."""
    monkeypatch.setenv("MELTANO_EXTRACTOR_NAME", "tap-jobo-frequent")
    monkeypatch.setenv("MELTANO_PROJECT_ROOT", str(tmp_path))
    monkeypatch.setenv("MELTANO_ENVIRONMENT", "prod")
    return tmp_path


@pytest.mark.parametrize("file", ["meltano.yml", "plugins/extractors/tap-jobo--jobo.lock"])
def test_a_plugin_that_declares_the_command_is_called_by_its_name(meltano: Path, file: str) -> None:
    (meltano / file).parent.mkdir(parents=True, exist_ok=True)
    (meltano / file).write_text(LOCK)
    assert archive_command("drop", "a1", "b2", location="archive") == (
        "`meltano --environment=prod invoke tap-jobo-frequent:archive drop a1 b2`"
    )


def test_without_a_declaration_the_program_gets_the_folder(
    meltano: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (meltano / "meltano.yml").write_text("config:\n  archive: true\n# archive: {executable: a}\n")
    monkeypatch.setenv("PATH", "")  # as in a plugin's virtual environment, which no shell looks in
    program = Path(sys.executable).with_name("tap-jobo-archive")
    line = archive_command("export", "jobs", location="s3://bucket/a b")
    assert line == f"`{program} --archive-dir 's3://bucket/a b' export jobs`"


@pytest.mark.parametrize("folder", ["a b", "it's", "two\nlines\tand a tab", "it's\n\\é"])
def test_a_shell_reads_any_folder_as_it_is(folder: str) -> None:
    line = archive_command("list", location=folder).strip("`")
    words = f"printf '%s\\0' {line}"
    shown = subprocess.run(["bash", "-c", words], capture_output=True, check=True).stdout
    assert folder in shown.decode().split("\0")


def test_a_program_on_the_path_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELTANO_EXTRACTOR_NAME", raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    line = archive_command("drop", "a1", location="/srv/archive")
    assert line == "`tap-jobo-archive --archive-dir /srv/archive drop a1`"


@pytest.mark.usefixtures("meltano")
def test_a_setting_for_one_run_is_that_of_the_plugin() -> None:
    assert run_with("on_filter_change", "keep") == (
        "`TAP_JOBO_FREQUENT_ON_FILTER_CHANGE=keep meltano run ...`"
    )


def test_without_meltano_the_tap_reads_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELTANO_EXTRACTOR_NAME", raising=False)
    command = run_with("on_filter_change", "keep")
    assert command.startswith("`TAP_JOBO_ON_FILTER_CHANGE=keep tap-jobo --config ENV ")
