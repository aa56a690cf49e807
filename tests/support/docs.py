"""The documents, and the blocks of code in them that tests run.

A comment above each block says who runs it, `<!-- run: NAME -->`, or why nobody does,
`<!-- not run: REASON -->`.
"""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.support.repository import REPOSITORY, files

PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *(path for folder in ("docs", "examples", "dbt") for path in files(folder, "*.md")),
]
FENCE = r"(?ms)^ *(<!-- (?:not )?run: [^\n]* -->\n *)?```(\w+)\n(.*?)^ *```$"
NO_CODE = ("text", "mermaid", "diff")


def marked() -> Iterator[tuple[Path, str, str, str]]:
    """Each block of the documents: its page, its mark, its language, and its code."""
    for path in PAGES:
        for mark, language, code in re.findall(FENCE, path.read_text("utf-8")):
            yield path, mark.strip(), language, textwrap.dedent(code)


def blocks() -> dict[str, str]:
    """The blocks that tests run, by name. A block that is on several pages is the same there."""
    found: dict[str, str] = {}
    for path, mark, _, code in marked():
        if match := re.fullmatch("<!-- run: (.*) -->", mark):
            assert found.setdefault(match[1], code) == code, f"{path}: {match[1]}"
    return found


def block(name: str) -> str:
    """The block of this name, as shell code if it shows a console."""
    code = blocks()[name]
    if not code.startswith("$ "):
        return code
    lines = re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", code)
    return "".join(f"{line}\n" for line in lines)
