"""As much of Amazon's S3 as the archive needs, on this machine: its API in memory.

It answers in a fraction of moto's time. The contract of the stores holds for both. Google's XML API
differs by its conditions alone.
"""

from __future__ import annotations

import hashlib
import re
import threading
from datetime import UTC, datetime
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, unescape

from werkzeug import Request, Response

_PER_LISTING: Final = 1_000
"""The most names in a response; the next ones take another request."""
_LISTS: Final = {"list-type", "prefix", "start-after", "continuation-token"}
_GENERATION: Final = "x-goog-generation"
_ITEM: Final = (
    "<Contents><Key>{}</Key><LastModified>{:%Y-%m-%dT%H:%M:%S.000Z}</LastModified><ETag>&quot;{}&quot;</ETag>"
    "<Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class _Object(NamedTuple):
    """Its ETag is a hash of the content, and its date is in whole seconds.

    Google's conditions name its generation, which counts how often it was written.
    """

    content: bytes
    e_tag: str
    written_at: datetime
    generation: int


_Objects = dict[str, _Object]


class S3Api:
    """The objects of each bucket, by name. A request that it does not know gets a 501."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, _Objects] = {}

    def reset(self, bucket: str) -> None:
        """Forget everything, and have one empty bucket."""
        with self._lock:
            self._buckets = {bucket: {}}

    def answer(self, request: Request) -> Response:
        """Answer one request at a time."""
        bucket, _, name = request.path.removeprefix("/").partition("/")
        with self._lock:
            objects = self._buckets.get(bucket)
            if objects is None:
                return _error(404, "NoSuchBucket")
            if name and not request.args:
                return _answer_for_object(objects, name, request)
            if request.method == "GET" and _LISTS.issuperset(request.args):
                return _list(objects, request)
            if request.method == "POST" and [*request.args] == ["delete"]:
                return _delete_all(objects, request)
            return _error(501, "NotImplemented")


def _answer_for_object(objects: _Objects, name: str, request: Request) -> Response:
    if request.method == "PUT":
        return _put(objects, name, request)
    if request.method == "DELETE":
        objects.pop(name, None)
        return Response(status=204)
    if request.method not in {"GET", "HEAD"}:
        return _error(501, "NotImplemented")
    if name not in objects:
        return _error(404, "NoSuchKey")
    content, e_tag, written_at, generation = objects[name]
    if request.range and not request.range.range_for_length(len(content)):
        return _error(416, "InvalidRange")  # as for each range of an empty object
    response = Response(content, mimetype="application/octet-stream")
    response.set_etag(e_tag)
    response.headers[_GENERATION] = str(generation)
    response.last_modified = written_at
    response.make_conditional(request, accept_ranges=True, complete_length=len(content))
    return response


def _put(objects: _Objects, name: str, request: Request) -> Response:
    known = objects.get(name)
    if request.if_match:
        if known is None:
            return _error(404, "NoSuchKey")
        if not request.if_match.contains(known.e_tag):
            return _error(412, "PreconditionFailed")
    if request.if_none_match and known:
        return _error(412, "PreconditionFailed")
    generation = known.generation if known else 0
    if request.headers.get("x-goog-if-generation-match", str(generation)) != str(generation):
        return _error(412, "PreconditionFailed")
    content = request.get_data()
    e_tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    written_at = datetime.now(UTC).replace(microsecond=0)
    objects[name] = _Object(content, e_tag, written_at, generation + 1)
    response = Response()
    response.set_etag(e_tag)
    response.headers[_GENERATION] = str(generation + 1)
    return response


def _delete_all(objects: _Objects, request: Request) -> Response:
    """Delete the objects that the request lists; one that does not exist is no error."""
    names = re.findall("<Key>(.*?)</Key>", request.get_data(as_text=True))
    for name in names:
        objects.pop(unescape(name), None)
    deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
    return _xml(f"<DeleteResult>{deleted}</DeleteResult>")


def _list(objects: _Objects, request: Request) -> Response:
    prefix = request.args.get("prefix", "")
    after = request.args.get("continuation-token", request.args.get("start-after", ""))
    names = sorted(name for name in objects if name.startswith(prefix) and name > after)
    listed = names[:_PER_LISTING]
    items = [
        _ITEM.format(escape(name), written_at, e_tag, len(content))
        for name in listed
        for content, e_tag, written_at, _ in [objects[name]]
    ]
    rest = "<IsTruncated>false</IsTruncated>"
    if listed != names:
        token = f"<NextContinuationToken>{escape(listed[-1])}</NextContinuationToken>"
        rest = f"<IsTruncated>true</IsTruncated>{token}"
    return _xml(f"<ListBucketResult>{rest}{''.join(items)}</ListBucketResult>")


def _error(status: int, code: str) -> Response:
    return _xml(f"<Error><Code>{code}</Code><Message>{code}</Message></Error>", status)


def _xml(text: str, status: int = 200) -> Response:
    return Response(text, status, mimetype="application/xml")
