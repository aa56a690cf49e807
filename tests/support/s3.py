"""Servers of object storage on this machine, whose buckets last as long as a test."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from werkzeug import Request
from werkzeug.serving import make_server

from tests.support.s3_api import S3Api

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


BUCKET = "archives"


@dataclass(frozen=True)
class S3:
    """A bucket."""

    address: str
    bucket: str = BUCKET

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/pipelines/jobo"

    @property
    def env(self) -> dict[str, str]:
        """What the environment has to say to reach it."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "an-id",
            "AWS_SECRET_ACCESS_KEY": "a-secret",
            "AWS_REGION": "us-east-1",
        }


_API = S3Api()
_S3 = Request.application(_API.answer)


class Weather:
    """Passes requests on to S3, except where `decide` says a status.

    It may also say `black hole` for no response, or `lost` if S3 gets the request, and its response
    is lost.

    Attributes:
        decide: Tells from method and path what becomes of a request.
        requests: Method and path of all requests so far.
    """

    def __init__(self) -> None:
        self.decide: Callable[[str, str], str] = lambda *_: ""
        self.requests: list[tuple[str, str]] = []
        self.is_over = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        self.requests.append(request)
        decision = self.decide(*request)
        if not decision:
            return _S3(environ, start)
        if decision == "black hole":
            self.is_over.wait()
            decision = "503"
        elif decision == "lost":
            for _ in _S3(environ, lambda *_: lambda _: None):
                pass
            decision = "503"
        start(f"{decision} Slow Down", [("Content-Length", "0")])
        return []


@contextmanager
def serve(application: WSGIApplication) -> Iterator[str]:
    """Serve an application on a free port, and give its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    # It looks this often whether it shall end.
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Serve S3 on a free port, with one empty bucket."""
    with serve(_S3) as address:
        s3 = S3(address)
        _API.reset(s3.bucket)
        yield s3


@contextmanager
def serve_in_weather() -> Iterator[tuple[S3, Weather]]:
    """Serve the same S3 on another port, and let the weather decide about its requests."""
    weather = Weather()
    with serve(weather) as address:
        try:
            yield S3(address), weather
        finally:
            weather.is_over.set()


@contextmanager
def serve_gcs(folder: Path) -> Iterator[str]:
    """Serve an empty bucket of Google's, whose XML API is S3's but for conditions.

    The environment says how to reach it; its account is a file in a folder.
    """
    api = S3Api()
    api.reset(BUCKET)
    with serve(Request.application(api.answer)) as address:
        account = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        path = folder / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": address, "disable_oauth": True}))
        env = {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_ALLOW_HTTP": "true"}
        with patch.dict(os.environ, env):
            yield f"gs://{BUCKET}/pipelines/jobo"
