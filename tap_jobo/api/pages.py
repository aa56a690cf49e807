"""Pages of a feed: whether a body holds one, and what it says."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tap_jobo.errors import ApiError
from tap_jobo.records.values import fold_name, parse_uuid, sanitize_text
from tap_jobo.streams.feed_spec import FeedSpec

PageDecoder = msgspec.json.Decoder[Any]

_ENVELOPE: Final = ("has_more", "next_cursor")
_ESTIMATE: Final = "estimated_total"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = msgspec.Raw(b"null")
_OF_ERRORS: Final = {"errors", "detail"}  # lists with these names have no rows
_ERROR_NAMES: Final = {"error", "errors", "detail", "message"}
_LIKE_A_ROW: Final = 3  # names of the schema that an object without a usable id must have
_DEEPEST: Final = 3  # levels of objects in which a list of rows is looked for


@dataclass(frozen=True, slots=True)
class Page:
    """What one request to a feed returns."""

    items: list[Any]
    next_cursor: str | None  # set if `has_more`
    has_more: bool
    estimated_total: int | None = None  # items in the whole sync
    are_rows_checked: bool = False  # otherwise, each is when it is converted to a record
    dispute: str = ""  # what is wrong with the credits that Jobo deducted


def parse_json(body: bytes, decode: Callable[[bytes], Any] = msgspec.json.decode) -> object:
    """Parse JSON; bytes that are not UTF-8 become U+FFFD, since rows are checked later."""
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return decode(body)  # strict, and fast
    try:
        return json.loads(body.decode("utf-8-sig", "replace"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_members(body: bytes) -> object:
    """Parse JSON, but an object only as far as its members, in a fifth of the time."""
    return parse_json(body, _MEMBERS.decode)


def holds_page(body: bytes, spec: FeedSpec) -> bool:
    """Return whether a body is a page of a feed, even if its format has changed.

    Without the list of items, or with an empty one beside an error, it is one if it has nothing but
    an envelope, or a row in some other list. Anything else, such as `{"error": "busy"}`, may be the
    response of a gateway.

    Raises:
        ValueError: the body is not JSON.
    """
    members = read_members(body)
    if isinstance(members, dict):
        items = members.get(spec.item_key)
        if items not in (None, _NULL) and not (_names_error(members) and _value(items) == []):
            return True
        if _has_only_envelope(members, spec) and not members.keys().isdisjoint(
            (spec.item_key, *_ENVELOPE)
        ):
            return True
    return any(_starts_with_row(each, spec) for each in lists(parse_json(body)))


def _has_only_envelope(members: dict[str, Any], spec: FeedSpec) -> bool:
    return members.keys() <= {spec.item_key, *_ENVELOPE, _ESTIMATE}


def _names_error(members: dict[str, Any]) -> bool:
    return any(
        _value(member) for name, member in members.items() if fold_name(name) in _ERROR_NAMES
    )


def _value(member: Any) -> Any:
    return parse_json(bytes(member)) if isinstance(member, msgspec.Raw) else member


def lists(data: object, depth: int = 0) -> Iterator[list[Any]]:
    """Yield the lists of a body that may hold rows, but not those within other lists."""
    if isinstance(data, list):
        yield data
    elif isinstance(data, dict) and depth <= _DEEPEST:
        for name, member in data.items():
            if fold_name(name) not in _OF_ERRORS:
                yield from lists(member, depth + 1)


def _starts_with_row(items: list[Any], spec: FeedSpec) -> bool:
    rows = spec.rows(items[:1], "") if spec.to_row else items
    row = next((each for each in rows if isinstance(each, dict)), {})
    names = {fold_name(name): value for name, value in row.items()}
    known = {fold_name(name) for name in spec.field_names}
    is_identified = parse_uuid(names.get("id")) is not None
    return is_identified or (not spec.to_row and len(names.keys() & known) >= _LIKE_A_ROW)


def page_type(spec: FeedSpec, row_type: Any) -> Any:
    """Return the msgspec type of pages whose rows all match a type."""
    members: list[Any] = [
        ("items", list[row_type]),
        ("has_more", bool),
        ("next_cursor", str | None, None),
        (_ESTIMATE, Any, None),
    ]
    return msgspec.defstruct("Envelope", members, rename={"items": spec.item_key})


def read_page(
    body: bytes, spec: FeedSpec, decoder: PageDecoder | None = None, *, is_billed: bool = False
) -> Page:
    """Parse the body of a page, at once if the decoder can.

    A page that was billed has rows, so it is not an empty last page without a list.
    """
    checked: Any = None
    if decoder and b"\\u0000" not in body:
        with suppress(msgspec.DecodeError, ValueError, RecursionError):
            checked = decoder.decode(body)
            if not _has_common_row(checked.items):
                checked = None  # an absent field would look like a null
    try:
        page = checked or msgspec.convert(
            _known(parse_json(body), spec, is_billed=is_billed), page_type(spec, Any)
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise broken(str(error)) from None
    if page.next_cursor and sanitize_text(page.next_cursor) != page.next_cursor:
        raise broken("its 'next_cursor' cannot be sent back")
    estimate = page.estimated_total
    return Page(
        items=msgspec.to_builtins(page.items) if checked else page.items,
        next_cursor=page.next_cursor,
        has_more=page.has_more,
        estimated_total=estimate if isinstance(estimate, int) and 0 <= estimate < 10**12 else None,
        are_rows_checked=checked is not None,
    )


def _has_common_row(rows: list[msgspec.Struct]) -> bool:
    """Return whether any row has a value in half of its fields; also true without rows."""
    values = map(msgspec.structs.astuple, rows)
    return not rows or any(2 * each.count(None) <= len(each) for each in values)


def _known(data: object, spec: FeedSpec, *, is_billed: bool) -> object:
    """Return the known members of a page; msgspec refuses other names with a lone surrogate.

    An empty last page may have null in place of its list, or leave it out.
    """
    if not isinstance(data, dict):
        return data
    names = (spec.item_key, *_ENVELOPE, _ESTIMATE)
    known = {name: data[name] for name in names if name in data}
    is_end = data.get("has_more") is False and not data.get("next_cursor")
    is_without_list = data.get(spec.item_key) is None and _has_only_envelope(data, spec)
    return known | {spec.item_key: []} if is_end and is_without_list and not is_billed else known


def broken(why: str) -> ApiError:
    """Return the error for a page that is not as documented."""
    return ApiError(f"Jobo's response is not as documented: {why}")
