"""Builds the documentation: `uv run just docs`.

The pages are plain Markdown that also reads well in a repository browser: a link that leads out of
`docs` is turned into one to the repository. Pages that belong elsewhere, such as CONTRIBUTING.md,
are shown in place of the stubs that link to them.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"
]
PAGES = {
    ROOT / f"{name.upper()}.md": DOCS / f"project/{name}.md"
    for name in ("architecture", "contributing", "changelog", "security")
} | {ROOT / "dbt/README.md": DOCS / "reference/dbt-models.md"}

project = "tap-jobo"
html_title = "tap-jobo"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
copybutton_prompt_text = "$ "
html_theme = "furo"
html_theme_options = {"source_repository": REPOSITORY, "source_directory": "docs/"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
mermaid_height = "auto"
mermaid_fullscreen = False
html_show_copyright = html_show_sphinx = False
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# The repository has no public address yet, and the sandbox's servers are not there.
linkcheck_ignore = [REPOSITORY, "http://127.0.0.1"]
linkcheck_anchors = False


def replace_links(_app: Sphinx, name: str, source: list[str]) -> None:
    """Show the project pages, and let links lead to pages of the site or to the repository."""
    page = DOCS / f"{name}.md"
    file = next((root for root, stub in PAGES.items() if stub == page), page)

    def replaced(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / link[1]))
        target = PAGES.get(target, target)
        if target.is_relative_to(DOCS):
            return f"]({os.path.relpath(target, page.parent)}{link[2] or ''})"
        return f"]({REPOSITORY}/blob/main/{target.relative_to(ROOT)}{link[2] or ''})"

    text = file.read_text("utf-8")
    source[0] = re.sub(r"\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)", replaced, text)


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", replace_links)
