"""Servers of object storage on this machine, whose buckets last as long as a test.

moto answers, within this process.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import Client

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


_ONE_AT_A_TIME = threading.Lock()


@cache
def _moto() -> WSGIApplication:
    return create_backend_app("s3")


def _s3(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    with _ONE_AT_A_TIME:  # no two find that a name is free
        return [*_moto()(environ, start)]


def _google(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    """Google's XML API, which differs by its conditions: a generation is an ETag here."""

    def start_with(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        e_tag = dict(headers).get("ETag", "")
        return start(status, [*headers, ("x-goog-generation", e_tag.strip('"'))], *more)

    environ["HTTP_AUTHORIZATION"] = "of an account"
    generation = environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH")
    if generation == "0":
        environ["HTTP_IF_NONE_MATCH"] = "*"
    elif generation:
        environ["HTTP_IF_MATCH"] = f'"{generation}"'
    return _s3(environ, start_with)


class Weather:
    """Passes requests on to S3, except where `decide` says a status.

    It may also say `black hole` for no response, or `lost` if S3 gets the request, and its response
    is lost.
    """

    def __init__(self) -> None:
        #: tells from method and path what becomes of a request
        self.decide: Callable[[str, str], str] = lambda *_: ""
        self.requests: list[tuple[str, str]] = []  #: method and path of all requests so far
        self.is_over = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = environ["REQUEST_METHOD"], environ["REQUEST_URI"]
        self.requests.append(request)
        decision = self.decide(*request)
        if not decision:
            return _s3(environ, start)
        if decision == "black hole":
            self.is_over.wait()
            decision = "503"
        elif decision == "lost":
            for _ in _s3(environ, lambda *_: lambda _: None):
                pass
            decision = "503"
        start(f"{decision} Slow Down", [("Content-Length", "0")])
        return []


def _reset() -> None:
    """Forget everything, and have one empty bucket."""
    BackendDict.reset()
    Client(_moto()).put(f"/{BUCKET}")


@contextmanager
def _serve(application: WSGIApplication) -> Iterator[str]:
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
    _reset()
    with _serve(_s3) as address:
        yield S3(address)


@contextmanager
def serve_in_weather() -> Iterator[tuple[S3, Weather]]:
    """Serve the same S3 on another port, and let the weather decide about its requests."""
    weather = Weather()
    with _serve(weather) as address:
        try:
            yield S3(address), weather
        finally:
            weather.is_over.set()


@contextmanager
def serve_gcs(folder: Path) -> Iterator[str]:
    """Serve an empty bucket of Google's, whose XML API is S3's but for conditions.

    The environment says how to reach it; its account is a file in a folder.
    """
    _reset()
    with _serve(_google) as address:
        account = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        path = folder / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": address, "disable_oauth": True}))
        env = {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_ALLOW_HTTP": "true"}
        with patch.dict(os.environ, env):
            yield f"gs://{BUCKET}/pipelines/jobo"
