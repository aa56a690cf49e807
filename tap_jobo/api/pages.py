"""Pages of a feed: whether a body holds one, and what it says."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tap_jobo.errors import ApiError
from tap_jobo.model import Entry, Receipt, Sync
from tap_jobo.records.values import fold_name, parse_uuid, sanitize_text
from tap_jobo.streams.feed_spec import FeedSpec

MOST_BYTES: Final = 512_000_000  # of a body, on the wire and decoded
_ENVELOPE: Final = ("has_more", "next_cursor")
_ESTIMATE: Final = "estimated_total"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL: Final = msgspec.Raw(b"null")
_OF_ERRORS: Final = {"errors", "detail"}  # lists with these names have no rows
_ERRORS: Final = ("error", "errors")
_ERROR_NAMES: Final = {*_ERRORS, "detail", "message"}
_LIKE_A_ROW: Final = 3  # names of the schema that an object without a usable id must have
_DEEPEST: Final = 3  # levels of objects in which a list of rows is looked for


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """What a page of a feed says."""

    rows: list[Any]  # as received, with a stub in place of each that was erased
    next_cursor: str | None = None
    has_more: bool = False
    estimated_total: int | None = None  # rows in the whole sync
    are_rows_checked: bool = False  # otherwise, each is when it is converted to a record
    has_error: bool = False  # beside its rows, of which some may be missing
    lacking: Sequence[str] = ()  # documented fields that no row has, although others are null

    @property
    def following(self) -> str | None:
        """The cursor of the next page, None after the last page of a sync."""
        return (self.next_cursor or None) if self.has_more else None

    @property
    def ids(self) -> list[str | None]:
        """The id of each row, None for one without a usable id."""
        return [parse_uuid(row.get("id")) if isinstance(row, dict) else None for row in self.rows]


def parse_json(body: bytes, decode: Callable[[bytes], Any] = msgspec.json.decode) -> object:
    """Parse JSON; bytes that are not UTF-8 become U+FFFD, since rows are checked later."""
    with suppress(msgspec.DecodeError, ValueError, RecursionError):
        return decode(body)  # strict, and fast
    try:
        return json.loads(body.decode("utf-8-sig", "replace"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_members(body: bytes) -> dict[str, Any]:
    """Return the unparsed members of a JSON object, in a fifth of the time; none of other JSON."""
    members = parse_json(body, _MEMBERS.decode)
    return members if isinstance(members, dict) else {}


def holds_page(body: bytes, spec: FeedSpec) -> bool:
    """Return whether a body is a page of a feed, even if its format has changed.

    Without the list of items, or with an empty one beside an error, it is one if it has nothing but
    an envelope, or a row in some other list. Anything else, such as `{"error": "busy"}`, may be the
    response of a gateway. Of a page as documented, only the names of its members are read.

    Raises:
        ValueError: the body is not JSON.
    """
    members = read_members(body)
    if members.get(spec.item_key) not in (None, _NULL) and not any(map(_names_error, members)):
        return True
    return _is_page(parse_json(body), spec)


def _is_page(data: object, spec: FeedSpec) -> bool:
    if isinstance(data, dict):
        items = data.get(spec.item_key)
        has_error = any(value for name, value in data.items() if _names_error(name))
        if items is not None and not (items == [] and has_error):
            return True
        if data and _has_only_envelope(data, spec):
            return True
    return any(_starts_with_row(each, spec) for each in lists(data))


def _names_error(name: str) -> bool:
    return fold_name(name) in _ERROR_NAMES


def _has_only_envelope(members: dict[str, Any], spec: FeedSpec) -> bool:
    return members.keys() <= {spec.item_key, *_ENVELOPE, _ESTIMATE}


def lists(data: object, depth: int = 0) -> Iterator[list[Any]]:
    """Yield the lists of a body that may hold rows, but not those within other lists."""
    if isinstance(data, list):
        yield data
    elif isinstance(data, dict) and depth <= _DEEPEST:
        for name, member in data.items():
            if fold_name(name) not in _OF_ERRORS:
                yield from lists(member, depth + 1)


def _starts_with_row(items: list[Any], spec: FeedSpec) -> bool:
    row = next((each for each in spec.rows(items, "") if isinstance(each, dict)), {})
    names = {fold_name(name): value for name, value in row.items()}
    known = {fold_name(name) for name in spec.field_names}
    is_identified = parse_uuid(names.get("id")) is not None
    return is_identified or (not spec.to_row and len(names.keys() & known) >= _LIKE_A_ROW)


class PageParser:
    """Parses the pages of a feed: at once if all rows match a type, otherwise with any items."""

    def __init__(self, spec: FeedSpec, row_type: type[msgspec.Struct] | None = None) -> None:
        self.spec = spec
        self._any_type = _page_type(spec, Any)
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if row_type and not spec.to_row:
            self._decoder = msgspec.json.Decoder(_page_type(spec, row_type))
        self._documented = sorted(spec.field_names - {*spec.undocumented})
        only_id = msgspec.defstruct("OnlyId", [("id", str)], gc=False)
        self._ids: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct(
                "Ids",
                [("items", list[str] if spec.to_row else list[only_id])],  # type: ignore[valid-type]
                rename={"items": spec.item_key},
            )
        )

    def parse(self, body: bytes, started_at: str = "", *, is_billed: bool = False) -> ParsedPage:
        """Return what the body of a page says, given the start of its sync.

        A page that was billed has rows, so it is not an empty last page without a list.

        Raises:
            ApiError: the body is not as documented.
        """
        lacking = self._find_lacking(body)
        checked = None if lacking else self._parse_at_once(body)
        try:
            page = checked or msgspec.convert(
                _known(parse_json(body), self.spec, is_billed=is_billed), self._any_type
            )
        except msgspec.ValidationError as error:
            raise ApiError(str(error)) from None
        except ValueError:
            raise ApiError("it is not JSON, or can't be decompressed") from None
        if page.next_cursor and sanitize_text(page.next_cursor) != page.next_cursor:
            raise ApiError("its 'next_cursor' cannot be sent back")
        total = page.estimated_total
        return ParsedPage(
            rows=msgspec.to_builtins(page.items)
            if checked
            else self.spec.rows(page.items, started_at),
            next_cursor=page.next_cursor,
            has_more=page.has_more,
            estimated_total=total if isinstance(total, int) and 0 <= total < 10**12 else None,
            are_rows_checked=checked is not None,
            has_error=bool(page.error or page.errors),
            lacking=lacking if b"null" in body else (),
        )

    def read_items(self, body: bytes) -> list[Any]:
        """Return the items of a page, whatever else it says."""
        items: Any = None
        with suppress(ValueError):
            data = parse_json(body)
            items = data.get(self.spec.item_key) if isinstance(data, dict) else None
        return items if isinstance(items, list) else []

    def parse_page(self, sync: Sync | None, receipt: Receipt | None, body: bytes) -> ParsedPage:
        """Return what a page of a sync says. Raises `ApiError` if it is not as documented."""
        if receipt and receipt.encoding:  # kept as it came
            most = f"{MOST_BYTES // 10**6} MB"
            raise ApiError(f"{receipt.encoding} can't be decompressed within {most}")
        is_billed = bool(receipt and receipt.charge.deducted)
        return self.parse(body, sync.started if sync else "", is_billed=is_billed)

    def parse_loaded(self, entry: Entry) -> ParsedPage:
        """Return what a page says that was checked when it was bought.

        A stricter check of a later version does not keep it from being loaded again.
        """
        sync = entry.header.sync
        try:
            return self.parse_page(sync, entry.header.receipt, entry.body)
        except ApiError:
            items = self.read_items(entry.body)
            return ParsedPage(self.spec.rows(items, sync.started if sync else ""))

    def read_ids(self, entry: Entry) -> list[str | None]:
        """Return the id of each row of a page, None for one without a usable id.

        If all items have a text as their id, nothing else of them is parsed.
        """
        with suppress(msgspec.DecodeError, ValueError, RecursionError):
            items = self._ids.decode(entry.body).items
            return [parse_uuid(item if self.spec.to_row else item.id) for item in items]
        return self.parse_loaded(entry).ids

    def _parse_at_once(self, body: bytes) -> Any:
        """Return a page whose rows all match the type and can be emitted as they are, or None."""
        if self._decoder and b"\\u0000" not in body:
            with suppress(msgspec.DecodeError, ValueError, RecursionError):
                page = self._decoder.decode(body)
                return page if _has_common_row(page.items) else None
        return None

    def _find_lacking(self, body: bytes) -> list[str]:
        """Return the documented fields that no row has. Parsed at once, they would look null."""
        if self.spec.to_row:
            return []
        return [name for name in self._documented if f'"{name}"'.encode() not in body]


def _page_type(spec: FeedSpec, row_type: Any) -> Any:
    members: list[Any] = [
        ("items", list[row_type]),
        ("has_more", bool),
        ("next_cursor", str | None, None),
        *((name, Any, None) for name in (_ESTIMATE, *_ERRORS)),
    ]
    return msgspec.defstruct("Envelope", members, rename={"items": spec.item_key})


def _has_common_row(rows: list[msgspec.Struct]) -> bool:
    """Return whether any row has a value in half of its fields; also true without rows.

    The fields of the others may stand elsewhere in the page.
    """
    values = map(msgspec.structs.astuple, rows)
    return not rows or any(2 * each.count(None) <= len(each) for each in values)


def _known(data: object, spec: FeedSpec, *, is_billed: bool) -> object:
    """Return the known members of a page; msgspec refuses other names with a lone surrogate.

    An empty last page may have null in place of its list, or leave it out.
    """
    if not isinstance(data, dict):
        return data
    names = (spec.item_key, *_ENVELOPE, _ESTIMATE, *_ERRORS)
    known = {name: data[name] for name in names if name in data}
    is_end = data.get("has_more") is False and not data.get("next_cursor")
    is_without_list = data.get(spec.item_key) is None and _has_only_envelope(data, spec)
    return known | {spec.item_key: []} if is_end and is_without_list and not is_billed else known
