"""The command of a message works as printed, whatever else the archive has of the stream."""

from __future__ import annotations

import re
import shlex
from typing import Any

from tests.archive.helpers import Warehouse, archive_command, succeeded
from tests.support import ARCHIVE_COMMAND, Tap, execute
from tests.support.archives import Files


def at_another_address(tap: Tap) -> dict[str, Any]:
    """The settings of a run that has an archive of its own in the same folder."""
    return {"api_url": tap.sandbox.url.replace("127.0.0.1", "localhost")}


def test_another_name_of_the_host_is_a_warning_before_everything_is_bought(
    warehouse: Warehouse,
) -> None:
    tap = warehouse.tap
    tap.settings |= at_another_address(tap)
    run = tap.run()
    (line,) = run.messages_of("WARNING", "other-address")
    for part in ("127.0.0.1-", "localhost-", "$50.00 per 1,000 rows"):
        assert part in line
    assert "other-address" not in tap.run(state=run.state).codes("WARNING")


def test_of_two_archives_of_a_stream_the_message_names_the_one_of_the_run(
    warehouse: Warehouse, files: Files
) -> None:
    tap, state, damaged = warehouse.tap, warehouse.state, files.pages[1]
    other = at_another_address(tap)
    tap.succeed(**other)
    files.damage(damaged)
    (drop, restart) = re.findall("`(.*?)`", tap.run().stderr)
    for command in (drop, restart):
        _, *arguments = shlex.split(command)
        succeeded(execute([str(ARCHIVE_COMMAND), *arguments, "--yes"], tap.environment()))
    assert len(tap.succeed(state=state).ids) == 120  # bought again, as ordered
    assert tap.succeed(**other).metrics["jobo_credits"] == 0
    for arguments in (["drop", "career_sites", "2"], ["state", "career_sites"]):
        refused = archive_command(tap, *arguments)
        assert refused.returncode == 1
        names = {*re.findall(r"\S+-\w{8}/career_sites", refused.stderr)}
        assert len(names) == 2
    for name in names:
        succeeded(archive_command(tap, "export", name.rstrip(".,")))


def test_what_is_damaged_of_another_address_ends_no_run(warehouse: Warehouse, files: Files) -> None:
    tap, own = warehouse.tap, set(files.names)
    tap.succeed(**at_another_address(tap))
    theirs = next(name for name in {*files.names} - own if name.endswith(".page"))
    files.store.replace(f"{theirs.rsplit('/', 2)[0]}/archive.json", b"{}")
    assert len(tap.succeed().ids) == 120
    files.damage(next(name for name in own if name.endswith("000002.page")))
    assert re.search(r"restart \S+-\w{8}/career_sites`", tap.run().stderr)
