"""An S3 server in memory, with one empty bucket."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from jobo_sandbox.folder import RefusedError

BUCKET = "jobo"
_ENOUGH = 10
"""Seconds for a request to this machine."""


@contextmanager
def running_bucket() -> Iterator[dict[str, str]]:
    """Run the server within a `with` block, and yield the variables that lead to the bucket.

    Raises:
        RefusedError: If moto is not installed, which serves the bucket.
    """
    try:
        moto: Any = importlib.import_module("moto.moto_server.threaded_moto_server")
    except ImportError as error:
        raise RefusedError("--bucket needs the package moto[server].") from error
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.put(f"{address}/{BUCKET}", timeout=_ENOUGH).raise_for_status()
        yield _variables(address)
    finally:
        server.stop()


def _variables(address: str) -> dict[str, str]:
    """Return what the tap and Meltano's state backend read."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "AWS_REGION": "us-east-1",
        "JOBO_BUCKET": f"s3://{BUCKET}",
        "TAP_JOBO_ARCHIVE_DIR": f"s3://{BUCKET}/archive",
        "MELTANO_STATE_BACKEND_URI": f"s3://{BUCKET}/state",
        "MELTANO_STATE_BACKEND_S3_ENDPOINT_URL": address,
    }
