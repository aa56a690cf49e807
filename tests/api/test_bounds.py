"""Requests that cannot hurt: bounds of time and size, and money that every limit counts."""

import gzip
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from jobo_sandbox import Sandbox
from jobo_sandbox.core import make_api_key
from jobo_sandbox.patience import patient
from tests.archive.helpers import spent_in
from tests.support import Tap, execute
from tests.support.archives import Files, files_at
from tests.support.raw_api import RawApi, drip, head, page, send, send_page

pytestmark = pytest.mark.slow

SHORT = {"api.client.PAGE_SECONDS": patient(0.3)}
SMALL = {"api.session.MOST_BYTES": 500_000}


@pytest.fixture
def raw() -> Iterator[RawApi]:
    with closing(RawApi()) as api:
        yield api


@pytest.fixture
def pause() -> Iterator[threading.Event]:
    """Ends the responses that never end by themselves."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def tap(sandbox: Sandbox, tmp_path: Path, raw: RawApi) -> Tap:
    """The tap against an API of sockets, with a monthly limit."""
    settings = {"api_url": raw.url, "max_credits_per_month": 1_000_000}
    return Tap(sandbox, tmp_path, settings)


@pytest.fixture
def files(tap: Tap) -> Files:
    return files_at(str(tap.folder / "archive"))


def counted(files: Files) -> int:
    """The credits that this month has cost: a request in its last minute counts in two months."""
    return spent_in(files.store)[f"{datetime.now(UTC):%Y-%m}"]


# Money


MEMORY = {
    "api.session.inflate": ("out-of-memory", 2_500),
    "api.responses.holds_page": ("", 100),  # it is stored unread, and then parsed
    "api.pages.PageParser.parse": ("out-of-memory", 100),
    "archive.files.zstd.compress": ("out-of-memory", 100),
}


@pytest.mark.parametrize("where", MEMORY)
def test_a_page_is_counted_whatever_is_raised_once_it_came(
    tap: Tap, files: Files, raw: RawApi, where: str
) -> None:
    packed = gzip.compress(page())
    raw.respond = lambda connection: send(connection, packed, "Content-Encoding: gzip")
    tap.oddities["TEST_MEMORY"] = where
    run = tap.run()
    code, credits_ = MEMORY[where]
    assert ("".join(run.codes("CRITICAL")), counted(files)) == (code, credits_)
    tap.oddities.clear()
    assert len({*run.ids, *tap.succeed().ids}) == 2


@pytest.mark.parametrize("deducted", [100, None])
def test_a_body_that_is_too_large_is_kept_as_it_came_until_a_version_decodes_it(
    tap: Tap, files: Files, raw: RawApi, deducted: int | None
) -> None:
    body = page(padding=" " * 1_000_000)
    bomb, encoding = gzip.compress(body), "Content-Encoding: gzip"
    raw.respond = lambda connection: send(connection, bomb, encoding, deducted=deducted)
    tap.constants |= SMALL
    for _ in range(2):
        tap.fail(code="format-changed")
    assert (raw.pages, counted(files)) == (1, deducted or 2_500)
    entry = files.entry(files.pages[0])
    assert entry.body == bomb
    assert entry.header.receipt
    assert entry.header.receipt.encoding == "gzip"
    decoded = replace(entry.header.receipt, encoding="")
    files.rewrite(files.pages[0], body=body, receipt=decoded)  # what a later version reads
    raw.respond = send_page
    assert len({*tap.succeed().ids}) == 2


def test_a_header_that_cannot_be_read_is_not_logged(tap: Tap, raw: RawApi) -> None:
    raw.respond = lambda connection: send(connection, page(), "a line that names nothing")
    run = tap.succeed()
    assert "names nothing" not in run.stderr
    assert "Traceback" not in run.stderr


def test_a_body_that_does_not_decode_is_kept_without_the_key(
    tap: Tap, files: Files, raw: RawApi
) -> None:
    body = f"<p>{tap.sandbox.api_key}</p>".encode()
    raw.respond = lambda connection: send(connection, body, "Content-Encoding: br")
    for _ in range(2):
        tap.fail(code="format-changed")
    assert (raw.pages, counted(files)) == (1, 100)
    assert files.entry(files.pages[0]).body == b"<p>[api_key]</p>"


# Time


def drip_head(connection: socket.socket, pause: threading.Event) -> None:
    drip(head(10_000), pause)(connection)


def drip_body(connection: socket.socket, pause: threading.Event) -> None:
    connection.sendall(head(10_000) + page())
    drip(b"", pause)(connection)


def send_without_end(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(head(None))
    while True:  # until the tap closes the connection
        connection.sendall(b" " * 100_000)


def send_the_key(connection: socket.socket, _: threading.Event) -> None:
    """That of the sandbox, in a body that is too large only when it is decoded."""
    body = page(padding=make_api_key(1) + " " * 1_000_000)
    send(connection, gzip.compress(body), "Content-Encoding: gzip")


@pytest.mark.parametrize(
    ("respond", "bound"),
    [(drip_head, SHORT), (drip_body, SHORT), (send_without_end, SMALL), (send_the_key, SMALL)],
)
def test_a_page_that_is_cut_off_is_charged_once_and_not_kept(  # noqa: PLR0913, PLR0917
    tap: Tap,
    files: Files,
    raw: RawApi,
    pause: threading.Event,
    respond: Callable[[socket.socket, threading.Event], None],
    bound: dict[str, float],
) -> None:
    raw.respond = lambda connection: respond(connection, pause)
    tap.constants |= bound
    tap.fail(code="response-cut-off")
    assert (raw.pages, files.pages, counted(files)) == (1, [], 2_500)
    raw.respond = send_page
    tap.constants.clear()
    assert len({*tap.succeed().ids}) == 2  # the lock is free


# Memory


_PEAK: Final = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.mark.exhaustive
def test_a_page_of_95_mb_fits_into_400_mb_of_memory(tap: Tap, files: Files, raw: RawApi) -> None:
    body = page(padding=" " * 95_000_000)
    tap.constants["api.client.PAGE_SECONDS"] = 600  # a slow machine loses no response
    raw.respond = lambda connection: send(connection, body)
    command = [sys.executable, "-c", _PEAK, *tap.command()]
    env = {**tap.environment(), "PYTHONMALLOC": "malloc"}  # in a process of its own
    measured = execute(command, env)
    assert int(measured.stdout) < 400_000
    assert counted(files) == 100
