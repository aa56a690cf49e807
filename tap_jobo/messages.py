"""What a user is told: a fact, its code, and the ways out that `messages.md` has for the code.

`message` makes the lines of the log, and `tap-jobo explain CODE` prints the whole entry, as
`rustc --explain` does.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Final

import click

from tap_jobo.commands import explain_command
from tap_jobo.wording import Lines, one_line

Known = Mapping[str, str | None]
"""What the ways out of a message may name; None is not known."""
_ENTRY: Final = re.compile(r"(?ms)^### (\S+)\n(.*?)(?=^##|\Z)")
_LINK: Final = re.compile(r"""\[([^]]+)\]\(([^) ]+)(?: "([^"]+)")?\)""")
_BULLET: Final = "- "
_PLACEHOLDER: Final = re.compile(r"(?m)^\| \{(\w+)\} \| (.*) \|$")


@dataclass(frozen=True)
class Entry:
    """What `messages.md` has for a code, in Markdown."""

    text: str  #: all of it, with placeholders in braces

    @property
    def ways(self) -> list[str]:
        """The ways out: the items of its list."""
        lines = self.text.splitlines()
        items = (line.removeprefix(_BULLET) for line in lines if line.startswith(_BULLET))
        return [_LINK.sub(r"\1", item) for item in items]


@cache
def entries() -> dict[str, Entry]:
    """Return the entry of each code."""
    return {code: Entry(found.strip()) for code, found in _ENTRY.findall(_text())}


@cache
def placeholders() -> dict[str, str]:
    """Return what stands for each value in the documentation, where it is not known."""
    return dict(_PLACEHOLDER.findall(_text()))


def _text() -> str:
    return files("tap_jobo").joinpath("messages.md").read_text("utf-8")


def message(code: str, fact: str, **known: str | None) -> Lines:
    """Return the lines of a message: the fact with its code, and the ways out.

    A way out is offered if all that it names is known: without an archive, there is no `restart`.

    Args:
        code: Its entry in `messages.md`.
        fact: What happened, in which stream, and what was billed.
        known: What the placeholders of the entry stand for; None is not known.
    """
    values = {name: value for name, value in known.items() if value is not None}
    offered = [each for each in entries()[code].ways if named_in(each) <= values.keys()]
    offers = [f"  {one_line(each.format_map(values))}" for each in offered]
    if offers:
        offers.append(f"  {explain_command(code)}")
    return Lines("\n".join([f"{one_line(fact)} [{code}]", *offers]))


def named_in(text: str) -> set[str]:
    """Return the names that stand in braces in a text."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def documented(text: str) -> str:
    """Return an entry, or a part of it, as the documentation shows it: without the values."""
    return text.format_map(placeholders())


# `tap-jobo explain`


def explain(code: str, width: int) -> str | None:
    """Return the entry of a code for a terminal of so many columns, None if there is none.

    The brackets of a code in the log may be there, or not. Titles stand for the pages that the
    entry links to: they have no address yet.
    """
    code = code.strip("[]")
    entry = entries().get(code)
    if entry is None:
        return None
    text = _LINK.sub(_link, documented(entry.text))
    paragraphs = [code, text.replace(f"\n{_BULLET}", f"\n\n{_BULLET}")]
    if titles := [f"'{link[3]}'" for link in _LINK.finditer(entry.text) if link[3]]:
        paragraphs.append(f"See {' and '.join(titles)} in the documentation.")
    return click.wrap_text("\n\n".join(paragraphs), width, preserve_paragraphs=True)


def _link(link: re.Match[str]) -> str:
    """Return the text of a link; a terminal can open only the address of another site."""
    return f"{link[1]} ({link[2]})" if link[2].startswith("https:") else link[1]
