"""The dialects of a convolution as a page of text."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from .dialects import running_mean_after_one_batch
from .ledger import brief
from .systems import CONVENTIONS, Convention

if TYPE_CHECKING:
    from .dialects import Dialects

__all__ = ["coloured", "plain"]


def coloured(found: Dialects) -> Any:
    """Return the page as something that rich prints."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def heading(text: str) -> Text:
        return Text(f"\n{text}", "bold")

    def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
        grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="underline")
        for name in columns:
            grid.add_column(name, overflow="fold")
        for row in rows:
            grid.add_row(*(Text(str(cell)) for cell in row))
        return grid

    g = found.geometry
    parts: list[Any] = [
        Text(
            f"{_by(g.kernel_size)} kernel on {_by(g.size)} pixels, stride {brief(g.stride)}, "
            f"padding {brief(g.padding)} {g.padding_mode}, dilation {brief(g.dilation)}: "
            f"{_by(found.output_size)} outputs",
            "bold",
        ),
        heading("The call"),
    ]
    for statement in found.statements:
        parts.append(Text.assemble("  ", (f"{statement.system} ({statement.layout})", "underline")))
        if statement.call:
            parts.append(Text(f"    {statement.call}"))
        if statement.note:
            parts.append(Text(f"    {statement.note}", "dim"))
    same = [(way, "-" if p is None else brief(p), remark) for way, (p, remark) in found.same.items()]
    parts += [heading('What "same" means here'), table(("request", "padding", ""), same)]
    parts.append(heading("Equal shapes, different values"))
    parts += [Text("  " + str(clash).replace("\n", "\n  ")) for clash in found.clashes] or [
        Text("  None, with this geometry.")
    ]
    parts += [heading("Numbers that mean something else"), table(*_conventions())]
    return Group(*parts)


def _conventions() -> tuple[list[str], list[list[str]]]:
    """Return a column a system, a row a convention."""
    counts = {True: "yes", False: "no", None: "must be said"}

    def row(name: str, say: Callable[[Convention], str]) -> list[str]:
        return [name, *("-" if c.momentum is None else say(c) for c in CONVENTIONS)]

    rows = [
        ["dilation that means none", *(str(c.no_dilation) for c in CONVENTIONS)],
        ["average pooling counts padding", *(counts[c.divisor_counts_padding] for c in CONVENTIONS)],
        ["eps of batch norm", *("must be said" if c.eps is None else f"{c.eps:g}" for c in CONVENTIONS)],
        row("momentum of batch norm", lambda c: f"{c.momentum:g}"),
        row("which is the weight of", lambda c: c.weighs),
        row("a batch of mean 1 moves 0 to", lambda c: f"{running_mean_after_one_batch(c):.2g}"),
        row("running variance", lambda c: c.running_variance),
    ]
    return ["by default", *(c.system for c in CONVENTIONS)], rows


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def plain(found: Dialects) -> str:
    """Return the page as plain text."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=140, color_system=None, force_terminal=False).print(
        coloured(found), soft_wrap=True
    )
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())
