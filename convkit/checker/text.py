"""Reports and rules as text: for a terminal, with or without colours."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from .model import Rule

if TYPE_CHECKING:
    from rich.text import Text

    from .report import Counterexample, Report

__all__ = [
    "array_block",
    "beside",
    "coloured",
    "example_lines",
    "html",
    "plain",
    "report_lines",
    "rule_lines",
    "rules_lines",
]

WIDTH = 80
INDENT = "    "
LEDGERS = ("conv2d", "pad", "avg_pool2d", "max_pool2d", "batch_norm")
LONGEST = 9  # rows of a ledger
LARGEST = 36  # numbers of an array that are written out

Piece = tuple[str, str]  # text and what it is: a key of COLOURS
Line = list[Piece]

COLOURS = {"": "", "good": "bold green", "bad": "bold red", "head": "bold", "name": "cyan", "faint": "dim"}
STYLES = {
    "": "",
    "good": "color: #2e8b57; font-weight: bold",
    "bad": "color: #d1495b; font-weight: bold",
    "head": "font-weight: bold",
    "name": "color: #3f8ec0",
    "faint": "color: #767676",
}


def plain(lines: Iterable[Line]) -> str:
    """Return lines without colours."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def coloured(lines: Iterable[Line]) -> Text:
    """Return lines as Rich prints them."""
    from rich.text import Text

    whole = Text()
    for i, line in enumerate(lines):
        if i:
            whole.append("\n")
        for text, kind in line:
            whole.append(text, style=COLOURS[kind])
    return whole


def html(lines: Iterable[Line]) -> str:
    """Return lines as preformatted HTML."""
    text = "\n".join(
        "".join(
            f'<span style="{STYLES[kind]}">{escape(text)}</span>' if STYLES[kind] else escape(text)
            for text, kind in line
        )
        for line in lines
    )
    return f"<pre>{text}</pre>"


def paragraph(text: str, label: str = "", kind: str = "head") -> list[Line]:
    """Wrap a text; a label stands before its first line."""
    width = 15
    lines = textwrap.wrap(text, WIDTH - width, break_on_hyphens=False) or [""]
    return [[(f"{label if not i else '':<{width}}", kind), (line, "")] for i, line in enumerate(lines)]


# --- arrays --------------------------------------------------------------------------------


def array_block(
    name: str, array: np.ndarray, wrong: np.ndarray | None = None, marked: bool = True
) -> list[Line]:
    """Write an array plane by plane under its name and shape; wrong cells stand between marks."""
    shape = str(array.shape).replace(",)", ")")
    block: list[Line] = [[(name, "head"), (f" {shape}", "faint")]]
    if array.size == 0:
        return [*block, [("(empty)", "faint")]]
    if array.size > LARGEST:
        return block + _excerpt(array, wrong, marked)
    texts = np.array([_number(v) for v in array.ravel()]).reshape(array.shape)
    width = max(len(t) for t in texts.ravel())
    marking = wrong is not None and marked
    marks = wrong if wrong is not None and marked else np.zeros(array.shape, bool)
    rows = texts.shape[-1:] if array.ndim else (1,)
    planes = array.shape[:-2]
    several = int(np.prod(planes)) > 1
    for plane in np.ndindex(planes):
        if several:
            block.append([(f"[{', '.join(map(str, plane))}]", "faint")])
        for row in np.ndindex(array.shape[len(planes) : -1]):
            cells = texts[plane + row].reshape(rows), marks[plane + row].reshape(rows)
            block.append([_cell(t, width, bool(m), marking) for t, m in zip(*cells, strict=True)])
    return block


def _excerpt(array: np.ndarray, wrong: np.ndarray | None, marked: bool) -> list[Line]:
    """Write the plane of a large array where it is first wrong, or its ends."""
    if array.ndim > 2 and wrong is not None and wrong.any() and array[0, 0].size <= LARGEST:
        plane = tuple(int(i) for i in np.argwhere(wrong)[0][:-2])
        block = array_block("", array[plane], wrong[plane], marked)
        return [[(f"[{', '.join(map(str, plane))}]", "faint")], *block[1:]]
    ends = [_number(v) for v in array.ravel()[[0, 1, 2, -1]]]
    return [[(f"{', '.join(ends[:3])} ... {ends[3]}", "")]]


def _cell(text: str, width: int, wrong: bool, room: bool) -> Piece:
    if wrong:
        return f"{'>' + text:>{width + 1}}< ", "bad"
    return (f"{text:>{width + 1}}  " if room else f"{text:>{width}}  "), ""


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def beside(blocks: Sequence[list[Line]], gap: int = 4) -> list[Line]:
    """Set blocks side by side, as many in a row as fit."""
    rows: list[list[Line]] = []
    width = WIDTH + 1
    for block in blocks:
        wide = max(sum(len(t) for t, _ in line) for line in block)
        if width + gap + wide > WIDTH or not rows:
            rows.append([[(INDENT, "")] for _ in block])
            width = len(INDENT)
        band = rows[-1]
        for _ in range(len(block) - len(band)):
            band.append([])
        for i, line in enumerate(band):
            here = sum(len(t) for t, _ in line)
            if i < len(block):
                line += [(" " * (width - here), ""), *block[i]]
        width += wide + gap
    return [line for band in rows for line in [*band, []]]


# --- reports and rules ---------------------------------------------------------------------


def example_lines(example: Counterexample) -> list[Line]:
    """Write a call, its arguments, what was expected and what came instead."""
    lines: list[Line] = [[(INDENT, ""), (example.call, "name")], []]
    arrays = {k: v for k, v in example.arguments.items() if isinstance(v, np.ndarray)}
    lines += beside([array_block(name, a) for name, a in arrays.items()])
    of = f" {example.output}" if example.output not in ("", "y", "cols") else ""
    blocks = []
    for title, value in ((f"expected{of}", example.expected), (f"got{of}", example.got)):
        if isinstance(value, str):
            words = [part for line in value.splitlines() for part in textwrap.wrap(line, 56)]
            blocks.append([[(title, "head")], *([(word, "")] for word in words)])
        else:
            blocks.append(array_block(title, value, example.wrong, marked=value is example.got))
    return lines + beside(blocks)


def ledger_lines(operation: str, example: Counterexample) -> list[Line]:
    """Write how the right number comes about where the function's first differs, if that is short."""
    if operation not in LEDGERS or example.output != "y" or example.where is None:
        return []
    from .. import explain

    arguments = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in example.everything.items()}
    arguments.pop("return_indices", None)
    where = (0,) * (arguments["x"].ndim - len(example.where)) + example.where  # a layout may lack axes
    ledger = getattr(explain, operation)(**arguments)[where]
    if len(ledger.rows) > LONGEST:
        return []
    table = ledger.to_text().split("\n\n", 1)[1].rpartition("\n\n")[0].splitlines()
    title = f"How y[{', '.join(map(str, where))}] comes about:"
    return [[(title, "head")], [], *([(INDENT + line, "")] for line in table), []]


def rule_lines(rule: Rule, where: str = "") -> list[Line]:
    """Write what a rule says, how it is broken and why it matters."""
    lines: list[Line] = [[(rule.name, "name"), (f"  ({where})" if where else "", "faint")], []]
    lines += paragraph(rule.says, "The rule")
    lines += paragraph(f"A function that breaks it {rule.instead}.", "Broken")
    return lines + paragraph(rule.why, "Why it matters")


def rules_lines(table: Mapping[str, Mapping[str, Rule]]) -> list[Line]:
    """Write a list of rules by operation."""
    lines: list[Line] = []
    for like, of in table.items():
        lines += [[(like, "head"), (f", {len(of)} rules", "faint")], []]
        width = max(map(len, of)) + 2
        for rule in of.values():
            says = textwrap.wrap(rule.says, max(WIDTH - width, 40), break_on_hyphens=False)
            lines += [
                [(f"{rule.name if not i else '':<{width}}", "name"), (text, "")]
                for i, text in enumerate(says)
            ]
        lines.append([])
    return lines[:-1]


def report_lines(report: Report) -> list[Line]:
    """Write a report."""
    if report:
        return _good(report)
    many = len(report.broken) > 1
    headline: Line = [
        (f"{report.operation}: ", "head"),
        (report.function, "name"),
        (f" breaks {len(report.broken)} rules: " if many else " breaks a rule: ", ""),
        (", ".join(report.broken), "bad"),
    ]
    lines: list[Line] = [headline]
    for finding, example in zip(report.findings, report.counterexamples, strict=True):
        rule = finding.rule
        lines += [[], [(rule.name, "bad")]]
        lines += paragraph(rule.says, "The rule")
        lines += paragraph(f"It {rule.instead}.", "Your function")
        lines += paragraph(rule.why, "Why it matters")
        if finding.hint:
            lines += paragraph(finding.hint, "Seen")
        lines += [[], [("The smallest call that shows it:", "head")], []]
        lines += example_lines(example)
        lines += ledger_lines(report.operation, example)
        lines.append([("Read more: ", ""), (f"convkit check --explain {rule.name}", "name")])
        lines.append([("           in the documentation, ", ""), (rule.link, "name")])
    return lines + _remarks(report)


def _good(report: Report) -> list[Line]:
    lines: list[Line] = [
        [
            (f"{report.operation}: ", "head"),
            (report.function, "name"),
            (" is right", "good"),
            (f": {len(report.held)} rules hold on {report.calls} calls.", ""),
        ]
    ]
    if report.unchecked:
        lines += paragraph(", ".join(report.unchecked), "Not checked", "")
    return lines + _remarks(report)


def _remarks(report: Report) -> list[Line]:
    lines: list[Line] = []
    for reason, calls in report.skipped.items():
        lines += paragraph(f"{reason}: {calls} call{'s' if calls > 1 else ''} left out.", "Not asked", "")
    for note in report.notes:
        lines += paragraph(f"{note}.", "Note", "")
    return [[], *lines] if lines else []
