"""The documents, and the blocks of code in them that tests run.

A comment above each block says who runs it, `<!-- run: NAME -->`, or why nobody does,
`<!-- not run: REASON -->`.
"""

import re
import textwrap
from pathlib import Path

from tests.support.repository import REPOSITORY, files

PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *(path for folder in ("docs", "examples", "dbt") for path in files(folder, "*.md")),
]
FENCE = r"(?ms)^ *(<!-- (?:not )?run: [^\n]* -->\n *)?```(\w+)\n(.*?)^ *```$"
NO_CODE = ("text", "mermaid", "diff")


def blocks() -> dict[str, str]:
    """The blocks that tests run, by name. A block that is on several pages is the same there."""
    found: dict[str, str] = {}
    for path in PAGES:
        for mark, _, code in re.findall(FENCE, path.read_text("utf-8")):
            if name := mark.strip().removeprefix("<!-- run: ").removesuffix(" -->"):
                if name.startswith("<!--"):
                    continue
                code_ = textwrap.dedent(code)
                assert found.setdefault(name, code_) == code_, f"{path}: {name}"
    return found


def unmarked() -> list[tuple[Path, str]]:
    """The blocks of code that say neither who runs them nor why nobody does."""
    return [
        (path, code)
        for path in PAGES
        for mark, language, code in re.findall(FENCE, path.read_text("utf-8"))
        if language not in NO_CODE and not mark
    ]


def block(name: str) -> str:
    """The block of this name, as shell code if it shows a console."""
    code = blocks()[name]
    if not code.startswith("$ "):
        return code
    lines = re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", code)
    return "".join(f"{line}\n" for line in lines)
