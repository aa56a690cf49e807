"""An S3 server on this machine, whose bucket is as lasting as the process of the tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
from moto.server import ThreadedMotoServer
from obstore.store import S3Store


@dataclass(frozen=True)
class S3:
    """A bucket, and what the environment has to say to reach it."""

    address: str
    bucket: str = "journals"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/pipelines/jobo"

    @property
    def env(self) -> dict[str, str]:
        return environment(self.address)

    @property
    def keys(self) -> list[str]:
        """The names of all objects."""
        answer = requests.get(f"{self.address}/{self.bucket}?list-type=2", timeout=10)
        return [part.split("<")[0] for part in answer.text.split("<Key>")[1:]]

    def get(self, key: str) -> bytes:
        return requests.get(f"{self.address}/{self.bucket}/{key}", timeout=10).content

    def delete(self, part: str) -> None:
        """Delete the objects whose names have a part in them."""
        config: Any = {name.lower(): value for name, value in self.env.items()}
        store = S3Store(self.bucket, config=config)
        store.delete([key for key in self.keys if part in key])


def environment(address: str) -> dict[str, str]:
    """What a process needs to take an address for S3's."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "an-id",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Serve S3 on a free port, with one empty bucket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.post(f"{address}/moto-api/reset", timeout=10)
        s3 = S3(address)
        assert requests.put(f"{address}/{s3.bucket}", timeout=10).ok
        yield s3
    finally:
        server.stop()
