"""Where the journal is, and what the tap says if nothing tells."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from tap_jobo.journal.contents import normalize_url
from tests.journal.helpers import pages
from tests.support import Run, Tap, complaint, execute

_WITHOUT_ACCOUNT = """
import pwd, runpy, sys
def getpwuid(uid):
    raise KeyError(uid)
pwd.getpwuid = getpwuid
runpy.run_module(sys.argv.pop(1), run_name="__main__")
"""
"""A program that runs a module as a user whom the system does not know, as in some containers."""


def run_without_account(tap: Tap, module: str, args: Sequence[str]) -> Run:
    env = tap.environment()
    del env["HOME"], env["XDG_STATE_HOME"]
    return execute([sys.executable, "-c", _WITHOUT_ACCOUNT, module, *args], env, cwd=tap.folder)


def test_without_a_home_the_tap_asks_for_a_folder(tap: Tap) -> None:
    args = tap.command(settings={"journal_dir": None})[1:]
    line = complaint(run_without_account(tap, "tap_jobo", args))
    assert "HOME" in line
    assert "set journal_dir" in line
    assert "journal to false" in line
    assert not tap.sandbox.ledger
    assert [file.name for file in tap.folder.iterdir()] == ["config.json"]


def test_without_a_home_a_given_folder_works(tap: Tap) -> None:
    run = run_without_account(tap, "tap_jobo", tap.command()[1:])
    assert run.returncode == 0, run.stderr
    assert len(pages(tap.folder / "journal")) == 3


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://Connect.Jobo.World/", "https://connect.jobo.world"),
        ("https://connect.jobo.world:443", "https://connect.jobo.world"),
        ("https://connect.jobo.world./v1/", "https://connect.jobo.world/v1"),
        ("https://connect.jobo.world:8443/v1", "https://connect.jobo.world:8443/v1"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_has_one_form(url: str, form: str) -> None:
    assert normalize_url(url) == form
