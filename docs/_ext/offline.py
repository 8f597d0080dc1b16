"""The finished pages ask nothing of any other machine: MathJax is copied in, and then all is checked.

A link that a reader may click is no request; a script, style sheet, font, image or frame is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from typing import Any

OUTSIDE = re.compile(r"\s*(https?:)?//", re.I)
CSS_LOAD = re.compile(r"(?:url\(\s*|@import\s+)[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.I)
LOADING = {"src", "srcset", "data", "poster", "action", "xlink:href"}
LOADING_LINKS = {"stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "icon", "manifest"}
MATHJAX = "tex-svg-full.js"  # formulas as outlines: it needs no fonts


class Loads(HTMLParser):
    """Collects what a page makes a browser fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        loads = [value for name, value in named.items() if name in LOADING]
        if tag == "link" and LOADING_LINKS & set(named.get("rel", "").lower().split()):
            loads.append(named.get("href", ""))
        if tag in ("use", "image"):
            loads.append(named.get("href", ""))
        self.found += [value for value in loads if OUTSIDE.match(value)]
        self.found += CSS_LOAD.findall(named.get("style", ""))

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.found += CSS_LOAD.findall(data)


def outside_requests(html: str) -> list[str]:
    """Return the addresses elsewhere that a page would load.

    >>> outside_requests('<a href="https://x.org">a link</a> <script src="https://x.org/a.js"></script>')
    ['https://x.org/a.js']
    """
    parser = Loads()
    parser.feed(html)
    return parser.found


def check_folder(folder: Path) -> Iterator[str]:
    """Yield ``file: address`` for each outside request of the pages and style sheets in a folder."""
    for path in sorted(folder.rglob("*.html")):
        yield from (f"{path}: {address}" for address in outside_requests(path.read_text()))
    for path in sorted(folder.rglob("*.css")):
        yield from (f"{path}: {address}" for address in CSS_LOAD.findall(path.read_text()))


def copy_mathjax(app: Any, error: Exception | None) -> None:
    """Put the one file of MathJax that the pages use beside them."""
    spec = find_spec("sphinx-mathjax-offline")
    if error is None and spec and spec.submodule_search_locations:
        source = Path(spec.submodule_search_locations[0], "static", "mathjax", MATHJAX)
        copyfile(source, Path(app.outdir, "_static", MATHJAX))


def check(app: Any, error: Exception | None) -> None:
    """Fail the build if any page would load something from elsewhere."""
    if error is None and app.builder.format == "html" and (found := list(check_folder(Path(app.outdir)))):
        from sphinx.errors import ExtensionError

        raise ExtensionError("these pages load something from another machine:\n" + "\n".join(found))


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
