"""Looks at the built site in a browser, and prints as JSON what it saw: `look.py REQUEST`.

It runs in an environment of its own, with Playwright. REQUEST is the file that test_site writes. A
second argument is a folder for a picture of each page.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--no-zygote",
    "--in-process-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--disable-dev-shm-usage",
]
WIDTHS = (390, 1440)
WAIT_FOR_DIAGRAMS = """
() => document.readyState === "complete"
    && [...document.querySelectorAll("pre.mermaid")]
      .every(each => each.querySelector("svg[viewBox]"))
"""
FAULTS = """
() => {
  const width = document.documentElement.clientWidth, faults = new Set();
  if (document.documentElement.scrollWidth > width)
    faults.add(`the page is ${document.documentElement.scrollWidth} px wide`);
  const scrolls = element => {
    for (let each = element; each && each !== document.body; each = each.parentElement) {
      const style = getComputedStyle(each);
      if (["auto", "scroll"].includes(style.overflowX) || style.position === "fixed") return true;
    }
    return false;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest("script, style, noscript, title, defs")) continue;
    if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const box = range.getBoundingClientRect();
    if (!box.width || box.right <= 0 || (box.left >= width && scrolls(element))) continue;
    const svg = element.closest("svg");
    const inner = svg && element.getScreenCTM ? element.getScreenCTM() : null;
    const drawn = svg && svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const scale = inner ? Math.hypot(inner.a, inner.b) : drawn || 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (size < 11.95) faults.add(`${size.toFixed(1)} px: ${text.slice(0, 40)}`);
    if ((box.right > width + 1 || box.left < -1) && !scrolls(element))
      faults.add(`cut off: ${text.slice(0, 40)}`);
  }
  return [...faults];
}
"""


def main() -> None:
    """Look at each page in each width, and at what each query finds."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    pictures = sys.argv[2:]
    handler = partial(Quiet, directory=request["site"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=request["chromium"],
            args=ARGUMENTS,
            env={**os.environ, **request["env"]},
        )
        faults: dict[str, Any] = {}
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900})
            for name in request["pages"]:
                page.goto(f"{address}/{name}")
                page.wait_for_function(WAIT_FOR_DIAGRAMS)
                if found := page.evaluate(FAULTS):
                    faults[f"{name} at {width} px"] = found
                for folder in pictures:
                    file = f"{name.removesuffix('.html').replace('/', '-')}-{width}.png"
                    page.screenshot(path=Path(folder, file), full_page=True)
        results = {query: _results(page, address, query) for query in request["queries"]}
        browser.close()
    print(json.dumps({"faults": faults, "results": results}))  # noqa: T201 - what it is for


def _results(page: Page, address: str, query: str) -> list[str]:
    """Return where the results of a search lead to, the first one first, or what says that none."""
    page.goto(f"{address}/search.html")
    page.fill("input[name=q] >> visible=true", query)
    page.press("input[name=q] >> visible=true", "Enter")
    summary = "document.querySelector('#search-results p.search-summary')"
    page.wait_for_function(f"() => /found|match/i.test({summary}?.innerText)")
    links = page.query_selector_all("#search-results ul.search li > a")
    if not links:
        return [page.inner_text("#search-results p.search-summary")]
    return [(link.get_attribute("href") or "").split("?")[0] for link in links]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
