"""A ledger in four forms: plain text, coloured text, LaTeX and HTML."""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

from .ledger import Ref, Source

if TYPE_CHECKING:
    from .ledger import Ledger

__all__ = ["coloured", "figure", "html", "latex", "plain"]

SIGNED = {"product", "deviation"}  # columns coloured by sign
COLOURS = {"negative": "#3f8ec0", "positive": "#d6604d"}  # those of pictures of signed numbers


def figure(value: float) -> str:
    """Return a number with seven digits, as many as float32 can tell apart; a whole one with all.

    >>> figure(0.1 + 0.2), figure(-0.0), figure(123456789.0)
    ('0.3', '0', '123456789')
    """
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.7g}"


def text_of(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else ""
    return figure(cell) if isinstance(cell, float) else str(cell)


def shortened(ledger: Ledger, most_rows: int) -> Iterable[dict[str, Any] | int]:
    """Yield the rows; of more than `most_rows`, the first and last, with the number left out between."""
    rows = ledger.rows
    if len(rows) <= most_rows:
        yield from rows
        return
    head = (most_rows + 1) // 2
    tail = most_rows - head
    yield from rows[:head]
    yield len(rows) - most_rows
    yield from rows[len(rows) - tail :]


def sign_of(name: str, cell: object) -> str | None:
    if name not in SIGNED or not isinstance(cell, float) or cell == 0 or cell != cell:
        return None
    return "positive" if cell > 0 else "negative"


# --- text ----------------------------------------------------------------------------------


def coloured(ledger: Ledger, most_rows: int) -> Any:
    """Return the ledger as something that rich prints."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = [Text(f"{ledger.output} of {ledger.op}", "bold"), Text(ledger.options, "dim")]
    if ledger.rows:
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        for name, cell in ledger.rows[0].items():
            number = isinstance(cell, float)
            table.add_column(
                name,
                justify="right" if number else "left",
                no_wrap=True,
                header_style="underline",
            )
        for row in shortened(ledger, most_rows):
            if isinstance(row, int):
                table.add_row(Text(f"... {row:,} more ...", "dim"))
                continue
            padding = any(isinstance(c, Source) and c.cell is None for c in row.values())
            cells = [
                Text(text_of(cell), COLOURS.get(sign_of(name, cell) or "", "")) for name, cell in row.items()
            ]
            table.add_row(*cells, style="dim" if padding else "")
        parts += [Text(), table]
    steps = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=False)
    for _ in range(2):
        steps.add_column(no_wrap=True)
    steps.add_column(justify="right", no_wrap=True)
    for line in ledger.lines:
        last = line is ledger.lines[-1]
        steps.add_row(line.what, line.how, "= " + figure(line.value), style="bold" if last else "")
    return Group(*parts, Text(), steps, Text(), Text(ledger.verdict))


def plain(ledger: Ledger, most_rows: int) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=1000, color_system=None, force_terminal=False).print(coloured(ledger, most_rows))
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


# --- LaTeX ---------------------------------------------------------------------------------


def latex_of(cell: object) -> str:
    r"""Return a cell of the table for math mode.

    >>> print(latex_of(Source("mirrored", Ref("x", (0, 2)))), latex_of(1e-05), latex_of(float("inf")))
    x_{0,2}\ \text{(mirrored)} 10^{-5} \infty
    """
    if isinstance(cell, Ref):
        return f"{cell.name}_{{{','.join(map(str, cell.index))}}}"
    if isinstance(cell, Source):
        if cell.cell is None:
            return rf"\text{{{cell.kind}}}"
        return latex_of(cell.cell) + ("" if cell.kind == "real" else rf"\ \text{{({cell.kind})}}")
    if isinstance(cell, float):
        return latex_number(figure(cell))
    return rf"\text{{{latex_words(text_of(cell))}}}"


def latex_number(text: str) -> str:
    if "nan" in text:
        return r"\mathrm{NaN}"
    if "inf" in text:
        return text.replace("inf", r"\infty")
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa}\cdot {power}"


def latex_words(text: str) -> str:
    return "".join(rf"\{c}" if c in "#$%&_{}" else rf"\char`\{c} " if c in "^~\\" else c for c in text)


def latex(ledger: Ledger, most_rows: int) -> str:
    lines = [
        r"\begin{array}{l}",
        rf"{ledger.formula} \\[1ex]",
    ]
    if ledger.rows:
        names = list(ledger.rows[0])
        aligned = "".join("r" if isinstance(cell, float) else "l" for cell in ledger.rows[0].values())
        header = " & ".join(rf"\text{{{name}}}" for name in names)
        lines += [rf"\begin{{array}}{{{aligned}}}", rf"{header} \\ \hline"]
        for row in shortened(ledger, most_rows):
            if isinstance(row, int):
                lines.append(rf"\text{{... {row} more ...}} \\")
            else:
                lines.append(" & ".join(map(latex_of, row.values())) + r" \\")
        lines += [r"\end{array} \\[1ex]"]
    lines.append(r"\begin{array}{llr}")
    for line in ledger.lines:
        cells = (line.what, line.how)
        lines.append(
            " & ".join(rf"\text{{{latex_words(c)}}}" for c in cells)
            + rf" & = {latex_number(figure(line.value))} \\"
        )
    lines += [r"\end{array} \\", rf"{latex_of(ledger.output)} = {latex_number(figure(ledger.value))}"]
    return "\n".join([*lines, r"\end{array}"])


# --- HTML ----------------------------------------------------------------------------------

CELL = "padding:0.1em 0.9em 0.1em 0;text-align:left"
NUMBER = "padding:0.1em 0.9em 0.1em 0;text-align:right;font-variant-numeric:tabular-nums"


def html(ledger: Ledger, most_rows: int) -> str:
    from .style import shade, text_on

    limits = {
        name: max((abs(row[name]) for row in ledger.rows if row[name] == row[name]), default=0.0)  # type: ignore[arg-type]
        for name in SIGNED & set(ledger.rows[0] if ledger.rows else ())
    }

    def table_cell(name: str, cell: object) -> str:
        style = NUMBER if isinstance(cell, float) else CELL
        if sign_of(name, cell) and isinstance(cell, float) and abs(limits[name]) != float("inf"):
            colour = shade(cell, limits[name])
            style += f";background:{colour};color:{text_on(colour)}"
        return f'<td style="{style}">{escape(text_of(cell))}</td>'

    parts = [
        '<figure class="convkit-ledger" style="margin:1em 0;overflow-x:auto">',
        f'<figcaption style="text-align:left;margin:0;padding:0;color:inherit;font-weight:normal">'
        f"<b>{escape(str(ledger.output))} of {ledger.op}</b> "
        f'<span style="opacity:0.75">{escape(ledger.options)}</span></figcaption>',
    ]
    if ledger.rows:
        names = ledger.rows[0]
        parts.append('<table style="border-collapse:collapse;margin:0"><thead><tr>')
        parts += [
            f'<th scope="col" style="{NUMBER if isinstance(cell, float) else CELL};'
            f'border-bottom:1px solid">{name}</th>'
            for name, cell in names.items()
        ]
        parts.append("</tr></thead><tbody>")
        for row in shortened(ledger, most_rows):
            if isinstance(row, int):
                parts.append(f'<tr><td colspan="{len(names)}">… {row:,} more …</td></tr>')
            else:
                padding = any(isinstance(c, Source) and c.cell is None for c in row.values())
                fade = ' style="opacity:0.7"' if padding else ""
                cells = "".join(table_cell(name, cell) for name, cell in row.items())
                parts.append(f"<tr{fade}>{cells}</tr>")
        parts.append("</tbody></table>")
    parts.append('<table style="border-collapse:collapse;margin:0.6em 0 0"><tbody>')
    for line in ledger.lines:
        weight = ";font-weight:bold" if line is ledger.lines[-1] else ""
        parts.append(
            f'<tr><td style="{CELL}{weight}">{escape(line.what)}</td>'
            f'<td style="{CELL}">{escape(line.how)}</td>'
            f'<td style="{NUMBER};white-space:nowrap{weight}">= {figure(line.value)}</td></tr>'
        )
    parts.append(f'</tbody></table><p style="margin:0.4em 0 0">{escape(ledger.verdict)}</p></figure>')
    return "\n".join(parts)
