"""A bucket on this machine: moto's S3, whose own time is no store's, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import requests

from benchmarks.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME: Final = "journals"
_START_MAX: Final = 60.0
"""Seconds until the server must answer."""


@dataclass(frozen=True)
class Bucket:
    """A bucket.

    Attributes:
        address: The server's address.
        env: What reaches it, as variables.
    """

    address: str
    env: Mapping[str, str]
    url: str = f"s3://{_NAME}/jobo"

    def clear(self) -> None:
        """Remove all objects."""
        requests.post(f"{self.address}/moto-api/reset", timeout=60).raise_for_status()
        requests.put(f"{self.address}/{_NAME}", timeout=60).raise_for_status()


@contextmanager
def bucket() -> Iterator[Bucket]:
    """Serve an empty bucket."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    address = f"http://127.0.0.1:{port}"
    env = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "an-id",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "us-east-1",
    }
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    ) as server:
        try:
            found = Bucket(address, env)
            _clear_once_it_answers(found)
            yield found
        finally:
            server.terminate()


def _clear_once_it_answers(found: Bucket) -> None:
    end = time.monotonic() + _START_MAX
    while True:
        try:
            return found.clear()
        except requests.ConnectionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
