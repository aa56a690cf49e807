"""As much of Amazon's S3 as the archive needs, on this machine: its API over a bucket in memory.

It answers in a fraction of moto's time. The contract of the stores holds for both. Google's XML API
differs by its conditions alone.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final
from xml.sax.saxutils import escape, unescape

from obstore.exceptions import AlreadyExistsError, PreconditionError
from werkzeug import Request, Response

from tests.support.bucket import Bucket

_PER_LISTING: Final = 1_000
"""The most names in a response; the next ones take another request."""
_LISTS: Final = {"list-type", "prefix", "start-after", "continuation-token"}
_GENERATION: Final = "x-goog-generation"
"""What Google's conditions name: here, it is the ETag."""
_ITEM: Final = (
    "<Contents><Key>{}</Key><LastModified>{:%Y-%m-%dT%H:%M:%S.000Z}</LastModified><ETag>&quot;{}&quot;</ETag>"
    "<Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class S3Api:
    """The buckets by name. A request that it does not know gets a 501."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def reset(self, bucket: str) -> None:
        """Forget everything, and have one empty bucket."""
        with self._lock:
            self._buckets = {bucket: Bucket(lambda: datetime.now(UTC))}

    def answer(self, request: Request) -> Response:
        """Answer one request at a time."""
        bucket, _, name = request.path.removeprefix("/").partition("/")
        with self._lock:
            if bucket not in self._buckets:
                return _error(404, "NoSuchBucket")
            try:
                return _answer(self._buckets[bucket], name, request)
            except FileNotFoundError:
                return _error(404, "NoSuchKey")
            except (AlreadyExistsError, PreconditionError):
                return _error(412, "PreconditionFailed")


def _answer(bucket: Bucket, name: str, request: Request) -> Response:
    if name and not request.args and request.method in _OF_OBJECTS:
        return _OF_OBJECTS[request.method](bucket, name, request)
    if request.method == "GET" and _LISTS.issuperset(request.args):
        return _list(bucket, request)
    if request.method == "POST" and [*request.args] == ["delete"]:
        return _delete_all(bucket, request)
    return _error(501, "NotImplemented")


def _put(bucket: Bucket, name: str, request: Request) -> Response:
    expected = request.headers.get("x-goog-if-generation-match", request.headers.get("If-Match"))
    mode: Any = "overwrite"
    if request.if_none_match or expected == "0":
        mode = "create"
    elif expected:
        mode = {"e_tag": expected.strip('"')}
    return _tagged(Response(), bucket.put(name, request.get_data(), mode=mode)["e_tag"])


def _get(bucket: Bucket, name: str, request: Request) -> Response:
    found = bucket.get(name)
    content = found.bytes()
    if request.range and not request.range.range_for_length(len(content)):
        return _error(416, "InvalidRange")  # as for each range of an empty object
    response = Response(content, mimetype="application/octet-stream")
    response.last_modified = found.meta["last_modified"]
    _tagged(response, found.meta["e_tag"])
    response.make_conditional(request, accept_ranges=True, complete_length=len(content))
    return response


def _tagged(response: Response, e_tag: str) -> Response:
    response.set_etag(e_tag)
    response.headers[_GENERATION] = e_tag
    return response


def _delete(bucket: Bucket, name: str, _: Request) -> Response:
    with suppress(FileNotFoundError):  # which is no error here
        bucket.delete(name)
    return Response(status=204)


def _delete_all(bucket: Bucket, request: Request) -> Response:
    names = re.findall("<Key>(.*?)</Key>", request.get_data(as_text=True))
    for name in names:
        _delete(bucket, unescape(name), request)
    deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
    return _xml(f"<DeleteResult>{deleted}</DeleteResult>")


_OF_OBJECTS: Final = {"PUT": _put, "GET": _get, "HEAD": _get, "DELETE": _delete}


def _list(bucket: Bucket, request: Request) -> Response:
    after = request.args.get("continuation-token", request.args.get("start-after", ""))
    found = bucket.list(request.args["prefix"].removesuffix("/")).collect()
    objects = {each["path"]: each for each in found if each["path"] > after}
    names = sorted(objects)
    listed = names[:_PER_LISTING]
    items = [
        _ITEM.format(escape(name), each["last_modified"], each["e_tag"], each["size"])
        for name in listed
        for each in [objects[name]]
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
