"""What a user is told: a fact, its code, and the ways out that `messages.md` has for the code.

`message` makes the lines of the log, and `tap-jobo explain CODE` prints the whole entry, as
`rustc --explain` does.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Final

from tap_jobo.commands import explain_command
from tap_jobo.wording import Lines, one_line

_ENTRY: Final = re.compile(r"(?ms)^### (\S+)\n(.*?)(?=^##|\Z)")
_LINK: Final = re.compile(r"""\[([^]]+)\]\(([^) ]+)(?: "([^"]+)")?\)""")
_BULLET: Final = "- "
_PLACEHOLDER: Final = re.compile(r"(?m)^\| \{(\w+)\} \| (.*) \|$")


@dataclass(frozen=True)
class Entry:
    """What `messages.md` has for a code, in Markdown.

    Attributes:
        text: All of it, with placeholders in braces.
        ways: The ways out: the items of its list.
    """

    text: str
    ways: tuple[str, ...]


@cache
def entries() -> dict[str, Entry]:
    """Return the entry of each code."""
    return {code: _entry(found.strip()) for code, found in _ENTRY.findall(_text())}


@cache
def placeholders() -> dict[str, str]:
    """Return what stands for each value in the documentation, where it is not known."""
    return dict(_PLACEHOLDER.findall(_text()))


def _text() -> str:
    return files("tap_jobo").joinpath("messages.md").read_text("utf-8")


def _entry(text: str) -> Entry:
    lines = (line for line in text.splitlines() if line.startswith(_BULLET))
    return Entry(text, tuple(_LINK.sub(r"\1", line.removeprefix(_BULLET)) for line in lines))


def message(code: str, fact: str, **known: str | None) -> Lines:
    """Return the lines of a message: the fact with its code, and the ways out.

    A way out is offered if all that it names is known: without an archive, there is no `restart`.

    Args:
        code: Its entry in `messages.md`.
        fact: What happened, in which stream, and what was billed.
        known: What the placeholders of the entry stand for; None is not known.
    """
    values = {name: value for name, value in known.items() if value is not None}
    offers = [f"  {one_line(each)}" for each in _offered(code, values)]
    if offers:
        offers.append(f"  {explain_command(code)}")
    return Lines("\n".join([f"{one_line(fact)} [{code}]", *offers]))


def _offered(code: str, values: Mapping[str, str]) -> Iterator[str]:
    for way in entries()[code].ways:
        if named_in(way) <= values.keys():
            yield way.format_map(values)


def named_in(text: str) -> set[str]:
    """Return the names that stand in braces in a text."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def documented(text: str) -> str:
    """Return an entry, or a part of it, as the documentation shows it: without the values."""
    return text.format_map(placeholders())


# `tap-jobo explain`


def codes() -> str:
    """Return all codes, each with the first sentence of its entry."""
    return "\n".join(
        f"{code}\n{_wrapped(_first_sentence(documented(entry.text)), '    ', 76)}"
        for code, entry in entries().items()
    )


def explain(code: str, width: int) -> str | None:
    """Return the entry of a code for a terminal of so many columns, None if there is none.

    The brackets of a code in the log may be there, or not.
    """
    code = code.strip("[]")
    entry = entries().get(code)
    if entry is None:
        return None
    text = documented(entry.text)
    return "\n\n".join([code, *_paragraphs(text, width), *_pages(text, width)])


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
