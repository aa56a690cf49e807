"""As much of Google Cloud Storage as the archive needs, on this machine: its XML API in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from werkzeug import Request, Response

from tests.support.s3 import serve

_ITEM = (
    "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size>"
    "</Contents>"
)


class _Gcs:
    """The objects of a bucket: their generation, content and time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, tuple[int, bytes, datetime]] = {}

    def answer(self, request: Request) -> Response:
        with self._lock:
            if "list-type" in request.args:
                after = request.args.get("start-after", "")
                return self._list(request.args.get("prefix", ""), after)
            key = request.path.split("/", 2)[2]
            known = self._objects.get(key)
            generation = known[0] if known else 0
            wanted = request.headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != generation:
                return Response(status=412)
            if request.method == "PUT":
                known = self._objects[key] = generation + 1, request.get_data(), datetime.now(UTC)
            elif known and request.method == "DELETE":
                del self._objects[key]
            response = _response(request.method, known)
            if known and request.range:
                response.make_conditional(
                    request, accept_ranges=True, complete_length=len(known[1])
                )
            return response

    def _list(self, prefix: str, after: str) -> Response:
        items = [
            _ITEM.format(escape(key), at.isoformat(), generation, len(body))
            for key, (generation, body, at) in sorted(self._objects.items())
            if key.startswith(prefix) and key > after
        ]
        return Response(f"<ListBucketResult>{''.join(items)}</ListBucketResult>")


def _response(method: str, known: tuple[int, bytes, datetime] | None) -> Response:
    if known is None:
        return Response(status=404)
    if method == "DELETE":
        return Response(status=204)
    generation, body, at = known
    response = Response(b"" if method == "PUT" else body)
    response.set_etag(str(generation))
    response.headers["x-goog-generation"] = str(generation)
    response.last_modified = at
    return response


@contextmanager
def serve_gcs(folder: Path) -> Iterator[dict[str, str]]:
    """Serve an empty bucket; give what the environment has to say to reach it."""
    with serve(Request.application(_Gcs().answer)) as address:
        account = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        path = folder / "account.json"
        path.write_text(json.dumps({**account, "gcs_base_url": address, "disable_oauth": True}))
        yield {"GOOGLE_SERVICE_ACCOUNT": str(path), "GOOGLE_ALLOW_HTTP": "true"}
