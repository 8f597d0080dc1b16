"""The page: sections made of text, pictures, tables and checked statements, and the frame around."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..explain.style import shade, text_on
from .checks import Check
from .encode import img, svg

__all__ = ["Section", "cells", "document", "drawing", "picture", "plural"]


@dataclass
class Section:
    """A numbered part of the page, filled from top to bottom."""

    slug: str
    title: str
    blocks: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs of HTML."""
        self.blocks += [f"<p>{_joined(paragraph)}</p>" for paragraph in paragraphs]

    def note(self, html: str) -> None:
        """Add a remark that stands apart: what this photograph is too small for, say."""
        self.blocks.append(f'<p class="note">{html}</p>')

    def formula(self, html: str) -> None:
        self.blocks.append(f'<p class="formula">{html}</p>')

    def code(self, source: str) -> None:
        """Add Python that a reader can run, given ``x``, the photograph as a tensor."""
        self.blocks.append(f'<pre class="python"><code>{escape(source.strip())}</code></pre>')

    def figures(self, *figures: str, least: int = 300) -> None:
        """Add figures side by side, as many in a row as fit at `least` pixels each."""
        self.blocks.append(f'<div class="figures" style="--least:{least}px">{"".join(figures)}</div>')

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> None:
        """Add a table; columns whose cells are numbers are set flush right."""
        body = [[str(cell) for cell in row] for row in rows]
        right = [_are_numbers([row[j] for row in body]) for j in range(len(header))]
        css = [' class="number"' if r else "" for r in right]
        head = "".join(f'<th scope="col"{c}>{cell}</th>' for cell, c in zip(header, css, strict=True))
        lines = "".join(
            f"<tr>{''.join(f'<td{c}>{cell}</td>' for cell, c in zip(row, css, strict=True))}</tr>"
            for row in body
        )
        top = f"<caption>{caption}</caption>" if caption else ""
        self.blocks.append(
            f'<div class="scroll" tabindex="0"><table>{top}<thead><tr>{head}</tr></thead>'
            f"<tbody>{lines}</tbody></table></div>"
        )

    def check(self, statement: str, got: Any, expected: Any, bound: float = 0.0) -> Check:
        """State that two results agree, now that it has been found to be so."""
        check = Check.of(statement, got, expected, bound)
        self.checks.append(check)
        return check

    def html(self, number: int) -> str:
        return (
            f'<section id="{self.slug}"><h2><span class="count">{number}</span>{self.title}</h2>'
            f"{''.join(self.blocks)}{self._checked()}</section>"
        )

    def _checked(self) -> str:
        items = "".join(
            f"<li>{_joined(c.statement)} <small>{_how_close(c)}</small></li>" for c in self.checks
        )
        return (
            f'<ul class="checks" aria-label="Checked when this page was made">{items}</ul>' if items else ""
        )


def _joined(html: str) -> str:
    """Keep ``3 × 3``, ``p = 0.5`` and ``50 %`` from being broken between two lines."""
    for sign in ("×", "="):
        html = html.replace(f" {sign} ", f"\u00a0{sign}\u00a0")
    return html.replace(" %", "\u00a0%")


def _how_close(check: Check) -> str:
    if check.bound == 0:
        return "exactly equal"
    return f"largest difference {check.difference:.2g}, allowed {check.bound:.2g}"


def _are_numbers(cells: list[str]) -> bool:
    """Tell whether a column holds numbers and, at most, dashes in place of missing ones."""
    present = [cell for cell in cells if cell != "–"]
    return bool(present) and all(re.fullmatch(r"[−-]?[\d,.]+(e[-+]\d+)?", cell) for cell in present)


def plural(n: int, noun: str, many: str = "") -> str:
    """Return ``1 pixel`` or ``2 pixels``, with separators in large numbers.

    >>> plural(1, "pixel"), plural(1200, "pixel")
    ('1 pixel', '1,200 pixels')
    """
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"


# --- figures -------------------------------------------------------------------------------


def picture(
    pixels: np.ndarray, caption: str, alt: str, *, width: int | None = None, hard: bool = False
) -> str:
    """Return a figure of a uint8 image (H, W, 3), `width` pixels wide or as wide as there is room."""
    below = f"<figcaption>{_joined(caption)}</figcaption>" if caption else ""
    return f"<figure>{img(pixels, escape(alt), width, hard)}{below}</figure>"


def drawing(ax: Axes, caption: str, alt: str, *, wide: bool = False, scroll: bool = False) -> str:
    """Return a figure of a Matplotlib drawing.

    A wide one has a row of its own. On a narrow screen drawings shrink, but for those with `scroll`,
    which would become unreadable: they scroll inside their frame.
    """
    kind = "drawing" + " wide" * wide
    picture = svg(ax, escape(alt))
    if scroll:
        picture = f'<div class="scroll" tabindex="0">{picture}</div>'
    return f'<figure class="{kind}">{picture}<figcaption>{_joined(caption)}</figcaption></figure>'


def cells(
    values: np.ndarray, limit: float, *, form: str = "{:g}", two_sided: bool = True, name: str = ""
) -> str:
    """Return a small matrix as a table of coloured cells; `limit` is where the colours end."""
    rows = []
    for row in values:
        tds = []
        for value in row:
            colour = shade(float(value), limit, two_sided)
            number = form.format(float(value) + 0.0).replace("-", "−")
            tds.append(f'<td style="background:{colour};color:{text_on(colour)}">{number}</td>')
        rows.append(f"<tr>{''.join(tds)}</tr>")
    label = f"<caption>{name}</caption>" if name else ""
    return f'<table class="cells">{label}{"".join(rows)}</table>'


# --- the whole page ------------------------------------------------------------------------


def document(title: str, head: str, sections: Sequence[Section], foot: str) -> str:
    """Return the whole document; everything that it needs is inside it."""
    css = files("convkit.tour").joinpath("style.css").read_text(encoding="utf-8")
    links = "".join(f'<li><a href="#{s.slug}">{s.title}</a></li>' for s in sections)
    body = "".join(s.html(i) for i, s in enumerate(sections, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<header>{head}</header>
<div class="frame">
<nav aria-label="Contents"><h2>Contents</h2><ol>{links}</ol></nav>
<main>{body}</main>
</div>
<footer>{foot}</footer>
</body>
</html>
"""
