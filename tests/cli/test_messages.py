"""The text of every message that has a code, as users see it, in `tests/snapshots/messages.txt`.

Other tests assert a message's code and amounts. To write the file after a change of texts, and read
what it shows: `uv run just messages`.
"""

import difflib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobo_sandbox import Fault, Hold, Sandbox
from tap_jobo.messages import entries
from tests.archive.helpers import archive_command, pass_time
from tests.support import Run, Tap, discover, entry_of, execute, selecting, state_until, tap_of
from tests.support.archives import files_of
from tests.support.crash import cut_in_request, finish
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.slow

SNAPSHOT = REPOSITORY / "tests/snapshots/messages.txt"
IS_WRITTEN = "JOBO_WRITE_MESSAGES" in os.environ
NORMAL = [
    (r"http://127\.0\.0\.1:\d+", "https://connect.jobo.world"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"\d{4}-\d\d\b(?!-)", "MONTH"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"`\S*tap-jobo-archive --archive-dir \S+ ", "`tap-jobo-archive "),
    (r" --config [^\s`]+`", "`"),
    (r"(TAP_JOBO_\w+=\w+) tap-jobo [^`]*`", r"\1 ...`"),
    (r"(?m)^  \S*/tap-jobo explain", "  tap-jobo explain"),
    (r"after \d+ s\b", "after N s"),
    (r"127\.0\.0\.1-(live|test)-[0-9a-f]{8}", "OWNER"),
    (r"--sync [0-9a-f]{16}", "--sync SYNC"),
]
"""What differs from run to run, and what stands for it."""
DAY = 24 * 3600
RENAMED = Fault(replace=lambda body: {"rows": body["career_sites"], "more": True})
WITHOUT_CURSOR = Fault(replace=lambda body: {**body, "next_cursor": None, "has_more": True})
LONGEST = 110  # characters of a line: what a terminal shows without a break
MOST_WAYS = 3
NewTap = Callable[..., Tap]
Scene = Callable[[NewTap], Iterator[Run]]
SCENES: dict[str, Scene] = {}


def scene(play: Scene) -> Scene:
    SCENES[play.__name__.replace("_", " ")] = play
    return play


# Settings and input


@scene
def wrong_settings(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    yield tap.run(batch_size=0, country_codes=["DEU"], on_filter_change="resnyc", max_creditz=5)
    yield tap.run(jobs_work_models=["remot"], company_types="for_profit")
    yield new_tap().run(country_codes=["UK"])
    yield new_tap().run(country_codes=["AQ"])
    yield tap.run(stream_maps={"career_sites": {"shout": "upper(nam)"}})
    yield new_tap().run("--test", stream_maps={"career_sites": {"number": "int(name)"}})
    yield tap.run("--config", "missing.json")
    yield new_tap("companies").run(company_ids_file="missing.txt")
    yield new_tap().run(env={"TAP_JOBO_MAX_CREDITS": "5000", "TAP_JOBO_START_DATE": "2026-01-01"})
    yield new_tap().run(env={"TAP_JOBO_MAX_CREDTS": "5000"})


@scene
def catalogs(new_tap: NewTap) -> Iterator[Run]:
    tap, catalog = new_tap(), discover()
    misspelled = deepcopy(catalog)
    misspelled["streams"][0]["tap_stream_id"] = "career_sties"
    yield tap.run(catalog=misspelled)
    yield tap.run(catalog=selecting(catalog, career_sites=False))
    yield new_tap("companies").run()
    full_table = discover()
    entry_of(full_table)["replication_method"] = "FULL_TABLE"
    yield new_tap().run(catalog=full_table)
    tap = new_tap()
    state = tap.succeed(max_credits=2_500).state
    yield tap.run(state=state, catalog=selecting(discover(), companies=True), max_credits=2_500)


# State and filters


@scene
def states(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    future = state_until(tap, "2100-01-01T00:00:00.000000Z")
    broken = {"bookmarks": {"career_sites": {"position": {"reads": 5}}}}
    other = {"replication_key": "updated_at", "replication_key_value": "2026-01-01T00:00:00Z"}
    old = {"bookmarks": {"career_sites": {**other, "replication_key": "id"}}}
    for archive in (True, False):
        yield tap.run(state=broken, archive=archive)
        yield tap.run(state=old, archive=archive)
        yield tap.run(state=future, archive=archive)
    state = tap.succeed(env={"MELTANO_ENVIRONMENT": "dev"}).state
    yield tap.run(state=state, env={"MELTANO_ENVIRONMENT": "prod"})
    yield new_tap().run(state={"bookmarks": {"career_sites": other}})
    for archive in (True, False):
        tap = new_tap(archive=archive)
        state = tap.succeed().state
        state["bookmarks"]["career_sites"]["replication_key_value"] = "2025-06-01"
        yield tap.run(state=state)


@scene
def changed_filters(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(country_codes=["DE"], founded_after=1900)
    state = tap.succeed().state
    yield tap.run(state=state, country_codes=["DE", "FR"])
    yield tap.run(state=state, country_codes=["DE", "FR"], founded_after=1850)
    yield tap.run(state=state, country_codes=["FR"], start_date="2020-01-01")
    yield tap.run(state=state, country_codes=["US"])
    archive_command(tap, "restart", "career_sites", "--yes")
    yield tap.run(state=state, country_codes=["DE", "FR"])
    pass_time(tap, timedelta(minutes=1))  # a clock has whole seconds
    kept = tap.succeed(state=state, country_codes=["DE", "FR"], on_filter_change="keep")
    yield kept
    yield tap.run(state=kept.state, country_codes=["DE", "FR", "US"], on_filter_change="resync")
    tap = new_tap(country_codes=["DE"])
    yield tap.run(state=tap.succeed(start_date="2025-01-01").state)


@scene
def settings_changed_while_a_sync_is_in_progress(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(batch_size=10)
    state = tap.succeed(max_credits=1_000).state
    yield tap.run(state=state, country_codes=["DE"])
    yield tap.run(state=state, country_codes=["DE"], on_filter_change="resync")


@scene
def two_pipelines(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(country_codes=["DE"])
    state = tap.succeed().state
    tap.succeed(country_codes=["FR"], on_filter_change="resync")
    yield tap.run(state=state)  # which loads the other pipeline's rows


@scene
def states_of_other_archives(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    state = tap.succeed().state
    other = new_tap()
    other.settings["archive_dir"] = str(tap.folder / "archive")
    yield other.run(state=state)  # of another address
    yield other.run(state=state, archive=False)
    yield other.run()


@scene
def archives_that_went_on_from_a_state(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    state = tap.succeed(archive=False).state
    yield tap.run(state=state)  # which buys nothing
    yield tap.run()
    archive_command(tap, "restart", "career_sites", "--yes")
    yield tap.run(country_codes=["DE"])


@scene
def archives_that_are_older_than_the_state(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    state = tap.succeed().state
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
    pass_time(tap, timedelta(minutes=1))
    state = tap.succeed(state=state).state
    files = files_of(tap)
    files.remove(files.pages[-1])
    pass_time(tap, timedelta(minutes=1))  # otherwise, the page is perhaps of the same second
    yield tap.run(state=state)


@scene
def dropped_pages(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(batch_size=1, country_codes=["DE"])
    state = tap.succeed().state
    for row in [*tap.sandbox.world.rows()]:
        tap.sandbox.world.touch(row)
    pass_time(tap, timedelta(minutes=1))
    tap.succeed(state=state)
    files = files_of(tap)
    files.damage(files.pages[-3])
    yield tap.run(state=state)
    archive_command(tap, "drop", "career_sites", f"{files.page_numbers[-3]}")
    yield tap.run(state=state)


@scene
def rejected_cursors(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(max_credits=5_000)
    state = tap.succeed().state
    for _ in range(2):
        tap.sandbox.expire_cursors()
        run = tap.run(state=state)
        yield run
        state = run.state


@scene
def feeds_that_do_not_end_as_they_should(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    tap.sandbox.wraps_after = 1
    yield tap.run()
    tap = new_tap(batch_size=2)
    state = tap.succeed().state
    for row in [*tap.sandbox.world.rows()][:40]:
        tap.sandbox.world.touch(row)
    tap.sandbox.wraps_after = 1
    yield tap.run(state=state)
    tap = new_tap()
    tap.sandbox.faults.add(WITHOUT_CURSOR, on=3, endpoint="career_sites")
    yield tap.run()


@scene
def expired_jobs_after_a_gap(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap("expired_jobs")
    state = tap.succeed().state
    pass_time(tap, timedelta(days=10))
    yield tap.run(state=state)
    tap = new_tap("jobs", "expired_jobs")
    yield tap.run(state=state_until(tap, "2026-01-01T00:00:00.000000Z", "jobs"))


# Cost


@scene
def limits(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    yield tap.run(max_credits=None)
    yield new_tap().run(max_credits=2_499)
    yield new_tap().run(max_credits=None, max_credits_per_month=2_499)
    used = new_tap()
    used.succeed(batch_size=40, max_credits=2_000)
    yield used.run(max_credits=None, max_credits_per_month=2_400)
    yield new_tap().run(max_credits=2_499, max_credits_per_month=2_000)
    yield new_tap("career_sites", "jobs").run(max_credits=6_001)


@scene
def bills(new_tap: NewTap) -> Iterator[Run]:
    glitch, silent = new_tap(), new_tap("jobs", jobs_batch_size=20)
    glitch.sandbox.faults.add(Fault(headers={"X-Credits-Deducted": "999999"}), on=2)
    run = glitch.run()
    assert run.metrics["jobo_credits"] == 2_500 + 999_999 + 1_000
    yield run
    free = Fault(headers={"X-Credits-Deducted": "0"}, times=None)
    silent.sandbox.faults.add(free, endpoint="jobs")
    yield silent.run()
    unknown = new_tap()
    unknown.sandbox.omit_credit_headers = True
    yield unknown.run()
    tap = new_tap()
    tap.sandbox.balance = 3_734
    run = tap.run()
    assert len(run.ids) == run.progress["rows"] == tap.sandbox.rows_billed == 50
    yield run


# Jobo's responses


@scene
def refusals(new_tap: NewTap) -> Iterator[Run]:
    for status in (401, 403, 400, 407):
        tap = new_tap()
        tap.sandbox.faults.add(Fault(status=status, times=None), endpoint="career_sites")
        yield tap.run()


@scene
def outages_and_clocks(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    tap.sandbox.faults.add(Fault(status=503, times=None), endpoint="career_sites")
    yield tap.quick.run()
    yield new_tap().quick.run(api_url="http://127.0.0.1:9")  # where nothing listens
    lost = new_tap()
    lost.sandbox.faults.add(Fault(send_as=504, times=None), endpoint="career_sites")
    yield lost.quick.run()
    large = new_tap()
    large.constants["api.session.MOST_BYTES"] = 5_000
    yield large.run()
    for seconds in (400, -400, DAY + 60, -DAY - 60):
        tap = new_tap()
        tap.oddities["TEST_CLOCK"] = str(seconds)
        yield tap.run()
        assert (tap.sandbox.rows_billed > 0) == (abs(seconds) < DAY)
    without = new_tap()
    without.sandbox.omit_date_header = True
    yield without.run()
    yield without.run("--test")
    assert [entry.endpoint for entry in without.sandbox.ledger] == ["clock", "clock"]


@scene
def formats(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    tap.sandbox.faults.add(RENAMED, on=2, endpoint="career_sites")
    yield tap.run()
    tap = new_tap()
    tap.sandbox.faults.add(RENAMED, endpoint="career_sites")
    yield tap.run("--test")
    tap = new_tap()
    encoded = Fault(garbage=b"\x0b\x02\x80\x00", headers={"Content-Encoding": "br"})
    tap.sandbox.faults.add(encoded, endpoint="career_sites")
    yield tap.run()
    tap = new_tap()
    tap.succeed()
    files = files_of(tap)
    first = files.pages[0]
    nameless = re.sub(rb'"name": ?"[^"]*"', b'"name":{"en":"x"}', files.entry(first).body)
    files.rewrite(first, body=nameless)
    yield tap.run()


@scene
def rows_and_fields(new_tap: NewTap) -> Iterator[Run]:
    def spoil(body: dict[str, Any]) -> dict[str, Any]:
        first, second, third, *others = body["career_sites"]
        changed = [{**first, "id": 7, "extra": 0}, {**second, "extra": 1}, {**third, "summary": 5}]
        return {**body, "career_sites": [*changed, *others]}

    def rename(body: dict[str, Any]) -> dict[str, Any]:
        for row in body["career_sites"]:
            row["logoUrl"], row["crunchbase_url"] = row.pop("logo_url"), None
        return body

    for replace in (spoil, rename):
        tap = new_tap()
        tap.sandbox.faults.add(Fault(replace=replace), endpoint="career_sites")
        yield tap.run()
    tap = new_tap("career_sites", "companies", batch_size=1)
    tap.sandbox.faults.add(Fault(replace={"id": None}), endpoint="profile")
    yield tap.run(max_credits=50)


@scene
def without_an_archive(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(archive=False)
    tap.sandbox.faults.add(RENAMED, on=2, endpoint="career_sites")
    yield tap.run()
    tap = new_tap(archive=False, max_credits=5_000)
    state = tap.succeed().state
    for _ in range(2):
        tap.sandbox.expire_cursors()
        run = tap.run(state=state)
        state = run.state
    yield run
    tap = new_tap("career_sites", "jobs", archive=False)
    tap.sandbox.faults.add(WITHOUT_CURSOR, on=3, endpoint="career_sites")
    yield tap.run(jobs_sources=["lever_co"])
    tap = new_tap("jobs", "expired_jobs", archive=False)
    yield tap.run(state=state_until(tap, "2026-01-01T00:00:00.000000Z", "jobs"))


# Archive, output, and the tap itself


@scene
def two_runs(new_tap: NewTap) -> Iterator[Run]:
    tap, hold = new_tap(), Hold()
    tap.sandbox.faults.add(Fault(hold=hold), endpoint="career_sites")
    process = tap.start()
    hold.wait()
    yield tap.quick.run()
    hold.release()
    finish(process)


@scene
def damaged_archives(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    state = tap.succeed().state
    files = files_of(tap)
    first, *_, last = files.pages
    files.damage(first)
    yield tap.run()
    files.damage(last)
    yield tap.run(state=state)
    files.damage(last, 10)  # in its header
    yield tap.run(state=state)
    archive_command(tap, "restart", "career_sites", "--yes")
    files.damage(files.file)
    yield tap.run()
    (tap.folder / "archive/v4").rename(tap.folder / "moved")
    (tap.folder / "archive/v4").touch()
    yield tap.run(state=state)


@scene
def output_that_cannot_be_written(new_tap: NewTap) -> Iterator[Run]:
    for redirection in (">/dev/full", ">&-"):
        tap = new_tap()
        command = ["bash", "-c", f'"$@" {redirection}', "bash", *tap.command()]
        yield execute(command, tap.environment())
        assert tap.sandbox.ledger == []


@scene
def crashes(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap()
    tap.oddities["TEST_MEMORY"] = "archive.files.zstd.compress"
    yield tap.run()
    tap = new_tap()
    code = (
        "from unittest.mock import patch\nfrom tap_jobo import cli\n"
        "with patch('tap_jobo.singer.feed_stream.describe_request', None): cli.run()"
    )
    yield execute([sys.executable, "-c", code, *tap.command("--plan")[1:]], tap.environment())


# What a run reports


@scene
def what_a_run_reports(new_tap: NewTap) -> Iterator[Run]:
    tap = new_tap(country_codes=["DE", "US"])
    state = tap.succeed().state
    yield tap.run()
    codes = ["DE", "AT", "CH", "FR", "IT", "ES", "PT"]
    yield new_tap().run(country_codes=codes, is_agency=False, start_date="2020-02-01")
    several = new_tap(
        "career_sites", "companies", "expired_jobs", "jobs", jobs_sources=["lever_co"]
    )
    yield several.run(max_credits=10_000)
    yield new_tap("career_sites", archive=False, max_credits=5_000).run()
    large = new_tap("jobs", jobs_batch_size=20)
    estimated = Fault(replace=lambda body: {**body, "estimated_total": 480_000})
    large.sandbox.faults.add(estimated, endpoint="jobs")
    yield large.run()
    broken_off = new_tap()
    cut_in_request(broken_off, 3)
    yield broken_off.run(max_credits=None)
    tap.sandbox.world.touch(next(iter(tap.sandbox.world.rows())))
    pass_time(tap, timedelta(minutes=20))
    tap.succeed(state=state)
    yield tap.run(state=state, country_codes=["DE"])


def normal(text: str, folder: Path) -> str:
    text = re.sub(rf"{re.escape(str(folder))}/\w+", "/home/you", text)
    for pattern, meant in NORMAL:
        text = re.sub(pattern, meant, text)
    return text


def record(name: str, folder: Path) -> str:
    """The messages of a scene, each with its level; those without a code only of a report."""
    with ExitStack() as sandboxes:

        def new_tap(*streams: str, **settings: Any) -> Tap:
            """Return a tap in a folder and a still world of its own.

            Its pages have 50 sites, or 1,000 jobs.
            """
            sandbox = sandboxes.enter_context(Sandbox(size=120, seed=1, jobs=40))
            own_folder = Path(tempfile.mkdtemp(dir=folder))
            tap = tap_of(sandbox, own_folder, *(streams or ("career_sites",)))
            tap.settings |= settings
            return tap

        said = [
            f"{level} {text}"
            for run in SCENES[name](new_tap)
            for level, text in run.logged()
            if re.search(r" \[[a-z-]+\](\n|\Z)", text) or (level == "INFO" and "report" in name)
        ]
    useless = re.compile("INFO (METRIC|tap-jobo v)")
    kept = [normal(each, folder) for each in said if not useless.match(each)]
    return f"# {name}\n\n" + "".join(f"{each}\n\n" for each in dict.fromkeys(kept))


@pytest.fixture(scope="module")
def snapshot() -> Iterator[dict[str, str]]:
    """The text of each scene in the file, which is written anew if that is wanted."""
    text = SNAPSHOT.read_text("utf-8") if SNAPSHOT.exists() else ""
    found = re.split(r"(?m)^(?=# )", text)[1:]
    scenes = {each.partition("\n")[0].removeprefix("# "): each for each in found}
    yield scenes
    if IS_WRITTEN:
        SNAPSHOT.write_text("".join(scenes[name] for name in SCENES), "utf-8")


@pytest.mark.parametrize("name", SCENES)
def test_texts_are_those_of_the_snapshot(
    name: str, snapshot: dict[str, str], tmp_path: Path
) -> None:
    text = record(name, tmp_path)
    if IS_WRITTEN:
        snapshot[name] = text
    old = snapshot.get(name, "")
    changes = difflib.unified_diff(old.splitlines(), text.splitlines(), lineterm="", n=0)
    assert text == old, "run: uv run just messages\n" + "\n".join(changes)


def test_the_snapshot_has_every_code(snapshot: dict[str, str]) -> None:
    assert snapshot.keys() == SCENES.keys()
    codes = set(re.findall(r"(?m) \[([a-z-]+)\]$", "".join(snapshot.values())))
    assert codes == entries().keys()


def test_each_message_has_short_lines_and_few_ways(snapshot: dict[str, str]) -> None:
    for block in "".join(snapshot.values()).split("\n\n"):
        first, *others = block.split("\n")
        if first.startswith(("#", "INFO")) or not first:
            continue
        if others:
            *ways, _explain = others
            assert 0 < len(ways) <= MOST_WAYS, block
        for line in [first.partition(" ")[2], *others]:
            assert len(quoting_nothing(line)) <= LONGEST, line


def quoting_nothing(line: str) -> str:
    """A line without filters, the archive's place, and quotes of errors, of any length."""
    of_jobo = r"This failure was injected|This request requires [^)]*"
    line = re.sub(rf" \(({of_jobo}|Connection refused|No space left.*?)\)", "", line)
    line = line.replace("/home/you/archive/", "")
    line = re.sub(r"other settings \(.*?\)", "other settings", line)
    return re.sub(r" with \w+=.* are missing", " are missing", line)
