"""A convolution as a matrix, and as windows on an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from ..style import COLOURS, FONT_SIZE, INK, bare, dress, new_axes
from .cells import cell

__all__ = ["operator", "windows"]


def operator(
    rows: np.ndarray, columns: np.ndarray, ties: np.ndarray, shape: tuple[int, int], ax: Axes | None = None
) -> Axes:
    """Draw a sparse weight-tied matrix, one colour a weight.

    Small ones show every cell with its weight's letter; in large ones the cells that follow each
    other down a diagonal become one line.

    Parameters
    ----------
    rows, columns : ndarray of int
        Where the stored terms are.
    ties : ndarray of int
        Which weight each of them is, counted from 0: ``a`` is weight 0.
    shape : (int, int)
        Rows and columns of the whole matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import convkit
    >>> A = convkit.convolution_operator(np.ones((1, 1, 1, 2)), (1, 1, 3))
    >>> ax = convkit.explain.pictures.operator(A.row, A.column, A.tie, A.shape)
    >>> sorted(text.get_text() for text in ax.texts)
    ['a', 'a', 'b', 'b']
    """
    height, width = shape
    lettered = height * width <= 1200
    unit = 0.24 if lettered else 4.0 / width
    ax = new_axes(max(unit * width, 1.2) + 0.7, max(unit * height, 1.0) + 0.7) if ax is None else ax
    ax.add_patch(Rectangle((0, 0), width, height, facecolor=INK, alpha=0.10, linewidth=0))
    if lettered:
        for i, j, tie in zip(rows, columns, ties, strict=True):
            letter = chr(ord("a") + tie) if tie < 26 else ""
            cell(ax, i, j, COLOURS[tie % len(COLOURS)], letter)
    else:
        for tie in np.unique(ties):
            here = ties == tie
            runs = _diagonal_runs(rows[here], columns[here])
            ax.add_collection(
                LineCollection(runs, colors=COLOURS[tie % len(COLOURS)], linewidths=max(72 * unit, 0.55))
            )
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.set(xticks=[0, width], yticks=[0, height], xlabel="input pixels", ylabel="output pixels")
    return dress(ax, frame="lrtb")


def _diagonal_runs(rows: np.ndarray, columns: np.ndarray) -> list[list[tuple[float, float]]]:
    """Join cells (r, c), (r+1, c+1), ... into line segments from corner to corner."""
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(columns) != 1)) + 1
    return [
        [(float(c[0]), float(r[0])), (float(c[-1]) + 1, float(r[-1]) + 1)]
        for r, c in zip(np.split(rows, breaks), np.split(columns, breaks), strict=True)
    ]


def windows(reads: Sequence[Sequence[int]], n: int, padding: int = 0, ax: Axes | None = None) -> Axes:
    """Draw which input cells each output of one axis reads, and mark those that none reads.

    Parameters
    ----------
    reads : sequence of sequence of int
        For each output, the cells that its window reads.
    n, padding : int
        Number of input cells, 0 to n - 1, and of padding cells on either side of them.
    """
    first, last = -padding, n - 1 + padding
    read = {number for cells in reads for number in cells}
    ax = new_axes(0.33 * (last - first + 1) + 0.9, 0.27 * (len(reads) + 1) + 0.2) if ax is None else ax
    for number in range(first, last + 1):
        inside = 0 <= number < n
        colour = ("#d9d6cf" if number in read else "#e8894a") if inside else "none"
        cell(ax, 0, number, colour, str(number) if inside else "0")
        if not inside:
            ax.texts[-1].set_color(INK)
    for i, cells in enumerate(reads):
        colour = COLOURS[i % len(COLOURS)]
        y = i + 1.6
        ax.plot([min(cells) + 0.5, max(cells) + 0.5], [y, y], color=colour, linewidth=2)
        ax.plot([c + 0.5 for c in cells], [y] * len(cells), "o", color=colour, markersize=6)
        ax.text(last + 1.3, y, f"out {i}", va="center", fontsize=FONT_SIZE, color=INK)
    ax.set(xlim=(first - 0.1, last + 3.2), ylim=(len(reads) + 1.2, -0.1))
    return bare(ax)
