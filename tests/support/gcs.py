"""Google Cloud Storage on this machine, as far as its XML API is S3's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werkzeug import Request

from tests.support.s3 import BUCKET, serve
from tests.support.s3_api import S3Api


@contextmanager
def serve_gcs(folder: Path) -> Iterator[dict[str, str]]:
    """Serve an empty bucket; give what the environment has to say to reach it."""
    api = S3Api()
    api.reset(BUCKET)
    with serve(Request.application(api.answer)) as address:
        account = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        path = folder / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": address, "disable_oauth": True}))
        yield {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_ALLOW_HTTP": "true"}
