"""Explains a message by its code, as `rustc --explain` does: the entries of `messages.md`."""

import re
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

_ENTRY: Final = re.compile(r"(?ms)^### (\S+)\n(.*?)(?=^##|\Z)")
_LINK: Final = re.compile(r"""\[([^]]+)\]\(([^) ]+)(?: "([^"]+)")?\)""")
_BULLET: Final = "- "


@cache
def entries() -> dict[str, str]:
    """Return the entry of each code, in Markdown."""
    text = files("tap_jobo").joinpath("messages.md").read_text("utf-8")
    return {code: entry.strip() for code, entry in _ENTRY.findall(text)}


def codes() -> str:
    """Return all codes, each with the first sentence of its entry."""
    return "\n".join(
        f"{code}\n{_wrapped(_first_sentence(entry), '    ', 76)}"
        for code, entry in entries().items()
    )


def explain(code: str, width: int) -> str | None:
    """Return the entry of a code for a terminal of so many columns, None if there is none.

    The brackets of a code in the log may be there, or not.
    """
    code = code.strip("[]")
    entry = entries().get(code)
    return entry and "\n\n".join([code, *_paragraphs(entry, width), *_pages(entry, width)])


def _paragraphs(entry: str, width: int) -> Iterator[str]:
    """Yield the paragraphs of an entry, wrapped; the items of a list are one paragraph."""
    for block in re.split(r"\n\n+", entry):
        items = re.split(r"\n(?=- )", block)
        yield "\n".join(_wrapped(item, "", width) for item in items)


def _pages(entry: str, width: int) -> Iterator[str]:
    """Yield the titles of the pages that an entry links to: they have no address yet."""
    if titles := [f"'{link[3]}'" for link in _LINK.finditer(entry) if link[3]]:
        yield _wrapped(f"See {' and '.join(titles)} in the documentation.", "", width)


def _first_sentence(entry: str) -> str:
    return re.split(r"(?<=[.])\s", entry, maxsplit=1)[0]


def _wrapped(markdown: str, indent: str, width: int) -> str:
    text = " ".join(_LINK.sub(_link, markdown).split())
    below = indent + (" " * len(_BULLET) if text.startswith(_BULLET) else "")
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=below,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _link(link: re.Match[str]) -> str:
    """Return the text of a link; a terminal can open only the address of another site."""
    return f"{link[1]} ({link[2]})" if link[2].startswith("https:") else link[1]
