"""Builds the documentation: `uv run just docs`.

The pages are plain Markdown that also reads well in a repository browser. A link to a file outside
of `docs` becomes a download. The page of the dbt package is its README.md, shown in place of the
stub that links to it. Links to other documents lead to the repository, once it is public. Charts
become part of their page, so that they have its colors. A search looks through sections, with the
words of searches.toml. Mermaid and MiniSearch come from npm, which must be installed.
"""

from __future__ import annotations

import json
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
    from collections.abc import Iterator

    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"
]
IS_PUBLIC = "EXAMPLE-" not in REPOSITORY
PAGES = {ROOT / "dbt/README.md": DOCS / "query/dbt.md"}

NPM = ROOT / ".mermaid"
"""Where packages of npm are kept: outside the folders that Sphinx reads and writes."""


def fetch(package: str, version: str, pattern: str) -> str:
    """Return a folder with files of an npm package, so that no page loads them from a CDN."""
    folder = NPM / f"{package}-{version}"
    if folder.is_dir():
        return str(folder)
    unpacked = folder.with_suffix(f".{os.getpid()}")
    unpacked.mkdir(parents=True)
    command = [shutil.which("npm") or "npm", "pack", "--silent", f"{package}@{version}"]
    subprocess.run(command, cwd=unpacked, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    with tarfile.open(unpacked / f"{folder.name}.tgz") as archive:
        for member in archive:
            name = member.name.removeprefix("package/dist/")
            if re.fullmatch(pattern, name):
                member.name = name
                archive.extract(member, unpacked / package, filter="data")
    (unpacked / f"{folder.name}.tgz").unlink()
    unpacked.rename(folder)
    return str(folder)


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
if IS_PUBLIC:  # else, the links to edit a page would lead nowhere
    html_theme_options = {
        "source_repository": REPOSITORY,
        "source_branch": "main",
        "source_directory": "docs/",
    }
html_static_path = [
    "_static",
    fetch("mermaid", "11.12.1", r"(chunks/mermaid\.esm\.min/.*|mermaid\.esm\.min)\.mjs"),
    fetch("minisearch", "7.2.0", r"umd/index\.js"),
]
html_css_files = ["site.css"]
mermaid_use_local = "mermaid/mermaid.esm.min.mjs"
mermaid_light_theme = mermaid_dark_theme = "base"
mermaid_init_config = {
    "startOnLoad": False,
    "flowchart": {"useMaxWidth": False},  # a wide diagram scrolls; its text does not shrink
    "er": {"useMaxWidth": False},
    "fontFamily": "system-ui, sans-serif",
    "themeCSS": (DOCS / "_static/mermaid.css").read_text("utf-8"),
}
mermaid_height = "auto"
mermaid_fullscreen = False
html_show_copyright = html_show_sphinx = False
linkcheck_ignore = ["http://127.0.0.1"]  # the sandbox's servers are not there
exclude_patterns = ["_build"]
linkcheck_anchors = False


def replace_links(app: Sphinx, name: str, source: list[str]) -> None:
    """Show the project pages, and let links lead to pages of the site or to downloads."""
    page = DOCS / f"{name}.md"
    file = next((root for root, stub in PAGES.items() if stub == page), page)

    def replaced(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(file.parent / link[2]))
        target = PAGES.get(target, target)
        is_shown = target.is_relative_to(DOCS) or (target.is_file() and target.suffix != ".md")
        if not is_shown:
            address = f"{REPOSITORY}/blob/main/{os.path.relpath(target, ROOT)}{link[3] or ''}"
            return f"[{link[1]}]({address})" if IS_PUBLIC else link[1]
        return f"[{link[1]}]({os.path.relpath(target, page.parent)}{link[3] or ''})"

    def drawn(image: re.Match[str]) -> str:
        chart = file.parent / image[1]
        app.env.note_dependency(chart)
        svg = chart.read_text("utf-8")
        return f'```{{raw}} html\n<div class="chart">{svg}</div>\n```'

    text = re.sub(r"!\[.*?\]\((\S+\.svg)\)", drawn, file.read_text("utf-8"))
    text = re.sub(r"\[([^][]+)\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)", replaced, text)
    source[0] = text


def widen_text(_app: Sphinx, document: nodes.document) -> None:
    """Mark the column of each table that has the longest texts: it gets the most room."""
    for table in document.findall(nodes.table):
        columns = zip(*(row.children for row in table.findall(nodes.row)), strict=True)
        widest = max(columns, key=lambda cells: max(len(cell.astext()) for cell in cells))
        for cell in widest:
            cell["classes"].append("widest")


TERMS_PAGE = "start/how-it-works"


def read_terms() -> dict[str, str]:
    """Return what TERMS_PAGE explains, by the term."""
    text = (DOCS / f"{TERMS_PAGE}.md").read_text("utf-8").partition("## Terms\n")[2]
    items = (" ".join(item.split()) for item in re.findall(r"(?ms)^- (.*?)(?=^- |\n\n|\Z)", text))
    return {
        term.removesuffix("s"): item.replace("*", "")
        for item in items
        for term in re.findall(r"\*\*(.*?)\*\*", item)
    }


TERMS = read_terms()
NEVER = "(?!)"
FORMS = dict.fromkeys(
    ("buy", "code", "credit", "filter", "limit", "load", "page", "run", "stream", "target"), NEVER
) | {
    "state": "state(?!s)",  # an error states
    "sync": "(?<!you )(?<!to )syncs?",  # a verb
}
"""How a term is found in a text: as it is, or with an s. Words of every page never are."""


def link_terms(app: Sphinx, document: nodes.document, name: str) -> None:
    """Let the first use of a term in a page's text lead to its explanation, which shows above it.

    Tables have some of the words in other senses, such as the state of an address.
    """
    if name in {"index", TERMS_PAGE}:
        return
    address = f"{app.builder.get_relative_uri(name, TERMS_PAGE)}#terms"
    for term, meaning in TERMS.items():
        pattern = re.compile(rf"(?i)\b{FORMS.get(term, f'{term}s?')}\b")
        for text in document.findall(nodes.Text):
            found = pattern.search(text.astext())
            above = text.parent
            while above and not isinstance(
                above, nodes.reference | nodes.title | nodes.literal | nodes.table
            ):
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


SEARCHES: dict[str, str] = tomllib.loads((DOCS / "searches.toml").read_text("utf-8"))
SECTIONS = "sections.js"


def read_wordings() -> dict[str, str]:
    """Return the wordings of the messages with a code, by the code: what a reader pastes."""
    lines = (ROOT / "tests/snapshots/messages.txt").read_text("utf-8").splitlines()
    wordings: dict[str, str] = {}
    for line in lines:
        if coded := re.fullmatch(r"[A-Z]+ (.*) \[([a-z-]+)\]", line):
            wordings[coded[2]] = f"{wordings.get(coded[2], '')}\n{coded[1]}"
    return wordings


WORDINGS = read_wordings()


def write_sections(app: Sphinx, failure: Exception | None) -> None:
    """Write what a search looks through: the sections, each with its own text."""
    if failure or app.builder.name != "html":
        return
    sections = [
        section
        for name in sorted(app.env.found_docs)
        for section in sections_of(name, app.env.get_doctree(name))
    ]
    script = f"const SECTIONS = {json.dumps(sections)};\n"
    Path(app.outdir, "_static", SECTIONS).write_text(script, "utf-8")


def sections_of(name: str, document: nodes.document) -> Iterator[dict[str, Any]]:
    """Yield the sections of a page; the first one stands for the page."""
    page = ""
    for section in document.findall(nodes.section):
        title = section[0].astext()
        searches = SEARCHES.get(f"{name}#{section['slug']}" if page else name, "")
        place = f"{name}#{section['ids'][0]}" if page else name
        page = page or title
        own = (part for part in section[1:] if not isinstance(part, nodes.section | nodes.raw))
        text = "\n".join(part.astext() for part in own)
        if name == "reference/messages":
            text += WORDINGS.get(title, "")
        titles = [title, *searches.split(", ")]
        yield {"place": place, "page": page, "titles": titles, "text": text}


def let_names_break(context: dict[str, Any]) -> None:
    """Let a name in a table continue on the next line after a dot, an underscore, or a slash."""

    def broken(cell: re.Match[str]) -> str:
        return re.sub(r"(?<=[\w\]])[._/](?=\w)(?=[^<>]*</span>)", r"\g<0><wbr>", cell[0])

    context["body"] = re.sub(r"(?s)<td.*?</td>", broken, context["body"])


def describe(
    app: Sphinx, name: str, _template: str, context: dict[str, Any], page: nodes.document | None
) -> None:
    """Add what search engines and chats show of a page: its first paragraph and a picture."""
    if name == "search":
        for script in ("minisearch/umd/index.js", SECTIONS, "search.js"):
            app.add_js_file(script)
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
    app.connect("build-finished", write_sections)
