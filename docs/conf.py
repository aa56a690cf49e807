"""Builds the documentation: `uv run just docs`.

The pages are plain Markdown that also reads well in a repository browser: a link that leads out of
`docs` is turned into one to the repository. Pages that belong elsewhere, such as CONTRIBUTING.md,
are shown in place of the stubs that link to them. Charts become part of their page, so that they
have its colors. Mermaid comes from npm, which must be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from html import escape
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes

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

MERMAID = ROOT / ".mermaid/mermaid-11.12.1"
"""Where Mermaid is kept: outside the folders that Sphinx reads and writes."""


def fetch_mermaid() -> None:
    """Fetch what a browser needs of Mermaid, so that no page loads it from a CDN."""
    if MERMAID.is_dir():
        return
    unpacked = MERMAID.with_suffix(f".{os.getpid()}")
    unpacked.mkdir(parents=True)
    command = [shutil.which("npm") or "npm", "pack", "--silent", MERMAID.name.replace("-", "@")]
    subprocess.run(command, cwd=unpacked, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with tarfile.open(unpacked / f"{MERMAID.name}.tgz") as package:
        for member in package:
            name = member.name.removeprefix("package/dist/")
            if re.fullmatch(r"(chunks/mermaid\.esm\.min/.*|mermaid\.esm\.min)\.mjs", name):
                member.name = name
                package.extract(member, unpacked / "mermaid", filter="data")
    (unpacked / f"{MERMAID.name}.tgz").unlink()
    unpacked.rename(MERMAID)


project = "tap-jobo"
release = metadata.version(project).split("+")[0]
html_title = f"{project} {release}"
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
html_favicon = "_static/favicon.svg"
extensions = [
    "myst_parser",
    "sphinx_copybutton",
    "sphinxcontrib.mermaid",
]
myst_heading_anchors = 4
smartquotes = False  # commands are pasted
myst_fence_as_directive = ["mermaid"]
copybutton_prompt_text = "$ "
html_theme = "furo"
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
}
fetch_mermaid()
html_static_path = ["_static", str(MERMAID)]
html_css_files = ["site.css"]
html_js_files = ["search.js"]
mermaid_use_local = "mermaid/mermaid.esm.min.mjs"
mermaid_light_theme = mermaid_dark_theme = "base"
mermaid_init_config = {
    "startOnLoad": False,
    "fontFamily": "system-ui, sans-serif",
    "themeCSS": (DOCS / "_static/mermaid.css").read_text("utf-8"),
}
mermaid_height = "auto"
mermaid_fullscreen = False
html_show_copyright = html_show_sphinx = False
# The repository has no public address yet, and the sandbox's servers are not there.
linkcheck_ignore = [REPOSITORY, "http://127.0.0.1"]
linkcheck_anchors = False


def replace_links(app: Sphinx, name: str, source: list[str]) -> None:
    """Show the project pages, and let links lead to pages of the site or to the repository."""
    page = DOCS / f"{name}.md"
    file = next((root for root, stub in PAGES.items() if stub == page), page)

    def replaced(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / link[1]))
        target = PAGES.get(target, target)
        if target.is_relative_to(DOCS):
            return f"]({os.path.relpath(target, page.parent)}{link[2] or ''})"
        return f"]({REPOSITORY}/blob/main/{target.relative_to(ROOT)}{link[2] or ''})"

    def drawn(image: re.Match[str]) -> str:
        chart = file.parent / image[1]
        app.env.note_dependency(chart)
        svg = chart.read_text("utf-8")
        return f'```{{raw}} html\n<div class="chart">{svg}</div>\n```'

    text = re.sub(r"!\[.*?\]\((\S+\.svg)\)", drawn, file.read_text("utf-8"))
    source[0] = re.sub(r"\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)", replaced, text)


def widen_text(_app: Sphinx, document: nodes.document) -> None:
    """Mark the column of each table that has the longest texts: it gets the most room."""
    for table in document.findall(nodes.table):
        columns = zip(*(row.children for row in table.findall(nodes.row)), strict=True)
        widest = max(columns, key=lambda cells: max(len(cell.astext()) for cell in cells))
        for cell in widest:
            cell["classes"].append("widest")


def read_terms() -> dict[str, str]:
    """Return what the front page explains, by the term."""
    text = (DOCS / "index.md").read_text("utf-8").partition("## Terms\n")[2]
    items = (" ".join(item.split()) for item in re.findall(r"(?ms)^- (.*?)(?=^- |^```)", text))
    return {
        term.removesuffix("s"): item.replace("*", "")
        for item in items
        for term in re.findall(r"\*\*(.*?)\*\*", item)
    }


TERMS = read_terms()
FORMS = {
    "credit": "(?!)",  # never: it is a word of every page
    "quarantine": "quarantined?",
    "run": "(?!)",
    "state": "state(?!s)",  # an error states
    "sync": "(?<!you )(?<!to )syncs?",  # a verb
    "window": "(?<!rolling )(?<!until its )window(?!s)",  # of rate limits
}
"""How a term is found in a text: by default as it is, or with an s."""


def link_terms(app: Sphinx, document: nodes.document, name: str) -> None:
    """Let the first use of a term on a page lead to its explanation, which shows above it."""
    if name == "index":
        return
    address = f"{app.builder.get_relative_uri(name, 'index')}#terms"
    for term, meaning in TERMS.items():
        pattern = re.compile(rf"(?i)\b{FORMS.get(term, f'{term}s?')}\b")
        for text in document.findall(nodes.Text):
            found = pattern.search(text.astext())
            above = text.parent
            while above and not isinstance(above, nodes.reference | nodes.title | nodes.literal):
                above = None if isinstance(above, nodes.literal_block) else above.parent
            if (
                not found
                or found[0].isupper()
                or above
                or text.parent.tagname in {"raw", "mermaid", "literal_block"}
            ):
                continue
            start, end = found.span()
            link = nodes.reference("", found[0], refuri=address, reftitle=meaning, internal=True)
            link["classes"].append("term")
            parts = [nodes.Text(text[:start]), link, nodes.Text(text[end:])]
            text.parent.replace(text, [part for part in parts if part.astext()])
            break


def let_names_break(context: dict[str, Any]) -> None:
    """Let a name in a table continue on the next line after a dot, an underscore, or a slash."""

    def broken(cell: re.Match[str]) -> str:
        return re.sub(r"(?<=[\w\]])[._/](?=\w)(?=[^<>]*</span>)", r"\g<0><wbr>", cell[0])

    context["body"] = re.sub(r"(?s)<td.*?</td>", broken, context["body"])


def describe(
    _app: Sphinx, name: str, _template: str, context: dict[str, Any], page: nodes.document | None
) -> None:
    """Add what search engines and chats show of a page: its first paragraph and a picture."""
    if page is None:
        return
    let_names_break(context)
    paragraph = next(iter(page.findall(nodes.paragraph)), None)
    text = " ".join(paragraph.astext().split()) if paragraph else context["title"]
    title = project if name == "index" else f"{context['title']} - {project}"
    tags = {"og:title": title, "og:description": text, "og:type": "website"}
    if html_baseurl:
        tags["og:url"] = context["pageurl"]
        tags["og:image"] = f"{html_baseurl}_static/social.png"
    lines = [f'<meta property="{key}" content="{escape(tags[key])}" />' for key in tags]
    lines += [f'<meta name="description" content="{escape(text)}" />']
    lines += ['<meta name="twitter:card" content="summary_large_image" />']
    context["metatags"] = context.get("metatags", "") + "\n".join(lines)


def setup(app: Sphinx) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("source-read", replace_links)
    app.connect("doctree-read", widen_text)
    app.connect("doctree-resolved", link_terms)
    app.connect("html-page-context", describe)
