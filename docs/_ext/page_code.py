"""The Python inside a page: one namespace a page, run from top to bottom like a notebook.

A page is Markdown with two additions. A fence ``{run}`` holds statements; ``{value}`` inside a
line holds an expression, whose value takes its place. So no number in a page was typed by hand.
Nothing here knows Sphinx: the tests run a page's code without it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PIECES = re.compile(
    r"^(?P<fence>`{3,})\{run\}[^\n]*\n(?P<options>(?::[\w-]+:[^\n]*\n)*)(?P<code>.*?)^(?P=fence)\s*$"
    r"|\{value\}(?P<ticks>`+)(?P<expression>.+?)(?P=ticks)",
    re.M | re.S,
)


class Result(NamedTuple):
    """What a block of code printed, and the value of its last line if that is an expression."""

    printed: str
    value: Any


class PageCode:
    """The namespace of one page; `where` is the page's name in tracebacks."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.names: dict[str, Any] = {}

    def run(self, code: str, line: int = 1) -> Result:
        """Run statements that begin at `line` of the page."""
        tree = ast.parse(code, self.where)
        ast.increment_lineno(tree, line - 1)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        printed, value = io.StringIO(), None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, self.where, "exec"), self.names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), self.where, "eval"), self.names)
        return Result(printed.getvalue(), value)

    def text_of(self, expression: str) -> str:
        """Return the value of an expression as a reader wants to see it in a sentence."""
        return readable(eval(expression, self.names))


def readable(value: Any) -> str:
    """Write a number as prose does: thousands apart, three digits of a fraction.

    >>> readable(529984), readable(7.7602), readable((1, 28, 28)), readable(-2)
    ('529,984', '7.76', '(1, 28, 28)', '−2')
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float | np.floating):
        return f"{value:.3g}".replace("-", "−")
    return str(value)


def run_page(path: Path) -> Iterator[str]:
    """Run all the code of a page in order, and yield the text of each value in its prose."""
    page, text = PageCode(str(path)), path.read_text()
    for piece in PIECES.finditer(text):
        if piece["expression"]:
            yield page.text_of(piece["expression"])
        else:
            page.run(piece["code"], 1 + text.count("\n", 0, piece.start("code")))
