"""Pictures of what an operation does, in one style.

There are two kinds. :func:`signed`, :func:`grey`, :func:`heat`, :func:`outlined` and :func:`overlay`
turn numbers into the pixels of an image, a ``uint8`` array of shape (H, W, 3). All others draw into a
Matplotlib Axes and return it; without `ax` they make a Figure of their own, without pyplot, so
that nothing global changes and any thread may draw.

All are in the style of :mod:`convkit.explain.style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from .style import (
    COLOURS,
    DASHES,
    DIVERGING,
    FONT_SIZE,
    INK,
    LINES,
    PLANES,
    bare,
    dress,
    new_axes,
    shade,
    text_on,
)

__all__ = [
    "bars",
    "columns",
    "grey",
    "heat",
    "histogram",
    "lines",
    "mask",
    "numbers",
    "operator",
    "outlined",
    "overlay",
    "running_sum",
    "signed",
    "windows",
]

# --- pixels --------------------------------------------------------------------------------


def grey(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Return a plane as a grey image, black at `low` and white at `high` (its own ends by default)."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    level = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return np.repeat(np.round(255 * level).astype(np.uint8)[..., None], 3, axis=2)


def signed(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Return a plane as an image, blue below zero and red above; `limit` is where colours end."""
    limit = float(np.abs(values).max()) if limit is None else limit
    return DIVERGING(values / (2 * limit or 1.0) + 0.5, bytes=True)[..., :3]


def outlined(image: np.ndarray, top: int, left: int, height: int, width: int, line: int = 2) -> np.ndarray:
    """Return a copy of `image` with a white-and-black frame just outside a rectangle of it."""
    image = image.copy()
    for grow, colour in ((2 * line, 0), (line, 255)):
        inside = np.zeros(image.shape[:2], dtype=bool)
        inside[max(top - grow, 0) : top + height + grow, max(left - grow, 0) : left + width + grow] = True
        inside[top : top + height, left : left + width] = False
        image[inside] = colour
    return image


def heat(values: np.ndarray) -> np.ndarray:
    """Return a plane of numbers from 0 upwards as an image that glows where they are large."""
    limit = float(np.percentile(values, 99.5)) or 1.0  # a few extreme ones would leave the rest dark
    return colormaps["inferno"](values / limit, bytes=True)[..., :3]


def overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.62) -> np.ndarray:
    """Lay :func:`heat` of a smaller plane over `image`, block by block, and return the image."""
    rows = np.arange(image.shape[0]) * values.shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * values.shape[1] // image.shape[1]
    glow = heat(values)[rows][:, columns]
    plain = image.mean(axis=2, keepdims=True)
    return np.round(plain * (1 - opacity) + glow * opacity).astype(np.uint8)


# --- grids of numbers ----------------------------------------------------------------------


def numbers(
    values: np.ndarray,
    ax: Axes | None = None,
    *,
    two_sided: bool = True,
    form: str = "{:g}",
    size: float = 0.42,
) -> Axes:
    """Draw a small matrix as coloured cells with their numbers inside.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        The numbers.
    two_sided : bool
        Colour by sign, or from zero upwards.
    form : str
        Format of a number.
    size : float
        Side of a cell in inches, where no `ax` is given.
    """
    height, width = values.shape
    ax = new_axes(size * width + 0.1, size * height + 0.1) if ax is None else ax
    limit = float(np.abs(values).max())
    for (i, j), value in np.ndenumerate(values):
        colour = shade(float(value), limit, two_sided)
        _cell(ax, i, j, colour, form.format(value))
    return _grid_limits(ax, height, width)


def _cell(ax: Axes, row: float, column: float, colour: str, label: str = "") -> None:
    ax.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=INK, linewidth=0.4))
    if label:
        ax.text(
            column + 0.5,
            row + 0.53,
            label,
            ha="center",
            va="center",
            fontsize=FONT_SIZE,
            color=text_on(colour),
        )


def _grid_limits(ax: Axes, height: int, width: int) -> Axes:
    ax.set(xlim=(-0.04 * width**0.5, width + 0.04 * width**0.5), ylim=(height + 0.08, -0.08), aspect="equal")
    return bare(ax)


def columns(values: np.ndarray, ax: Axes | None = None) -> Axes:
    """Draw an im2col matrix: a row a tap, with the letter and colour it has in :func:`operator`."""
    height, width = values.shape
    ax = new_axes(0.34 * (width + 2) + 0.3, 0.3 * height + 0.4) if ax is None else ax
    limit = float(np.abs(values).max())
    for (i, j), value in np.ndenumerate(values):
        _cell(ax, i, j, shade(float(value), limit, two_sided=False), f"{value:g}")
    for i in range(height):
        _cell(ax, i, -1.4, COLOURS[i % len(COLOURS)], chr(ord("a") + i) if i < 26 else "")
    ax.set(xlim=(-1.5, width + 0.1), ylim=(height + 0.1, -0.1), xlabel="output pixels", ylabel="taps")
    return bare(ax)


def mask(kept: np.ndarray, ax: Axes | None = None, *, xlabel: str = "", ylabel: str = "") -> Axes:
    """Draw a dropout mask: kept cells filled, dropped ones crossed out."""
    height, width = kept.shape
    ax = new_axes(0.155 * width + 0.3, 0.155 * height + 0.3) if ax is None else ax
    crosses = []
    for (i, j), keep in np.ndenumerate(kept):
        _cell(ax, i, j, LINES[0] if keep else "none")
        if not keep:
            crosses += [[(j + 0.3, i + 0.3), (j + 0.7, i + 0.7)], [(j + 0.3, i + 0.7), (j + 0.7, i + 0.3)]]
    ax.add_collection(LineCollection(crosses, colors=INK, linewidths=0.8))
    _grid_limits(ax, height, width)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


# --- a convolution as a matrix, and as windows ---------------------------------------------


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
    """
    height, width = shape
    lettered = height * width <= 1200
    unit = 0.24 if lettered else 4.0 / width
    ax = new_axes(max(unit * width, 1.2) + 0.7, max(unit * height, 1.0) + 0.7) if ax is None else ax
    ax.add_patch(Rectangle((0, 0), width, height, facecolor=INK, alpha=0.10, linewidth=0))
    if lettered:
        for i, j, tie in zip(rows, columns, ties, strict=True):
            letter = chr(ord("a") + tie) if tie < 26 else ""
            _cell(ax, i, j, COLOURS[tie % len(COLOURS)], letter)
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
    read = {cell for cells in reads for cell in cells}
    ax = new_axes(0.33 * (last - first + 1) + 0.9, 0.27 * (len(reads) + 1) + 0.2) if ax is None else ax
    for cell in range(first, last + 1):
        inside = 0 <= cell < n
        colour = ("#d9d6cf" if cell in read else "#e8894a") if inside else "none"
        _cell(ax, 0, cell, colour, str(cell) if inside else "0")
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


# --- charts --------------------------------------------------------------------------------


def running_sum(products: np.ndarray, names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw a sum as it grows: one bar a product, each from the sum before it to the sum after.

    Parameters
    ----------
    products : ndarray, shape (C, K)
        The products, channel by channel.
    names : sequence of str
        The channels' names; red, green and blue get their own colour.
    """
    ax = new_axes(4.6, 2.3) if ax is None else ax
    ends = np.cumsum(products)
    starts = ends - products.ravel()
    count = products.shape[1]
    for c, name in enumerate(names):
        at = np.arange(c * count, (c + 1) * count)
        colour = PLANES.get(name, COLOURS[c % len(COLOURS)])
        ax.bar(at + 1, products[c], bottom=starts[at], width=0.82, color=colour, label=name)
    steps = np.append(np.arange(1, ends.size + 1) + 0.5, 0.5)
    ax.hlines(ends, steps[:-1] - 1, np.minimum(steps[:-1] + 0.9, ends.size + 0.5), color=INK, linewidth=0.7)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.use_sticky_edges = False
    ax.margins(y=0.07)
    ax.set(xlabel="product number", ylabel="sum so far", xlim=(0.3, ends.size + 0.7))
    ax.set_xticks(np.arange(count, ends.size + 1, count))
    ax.legend(ncols=len(names), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1)
    return dress(ax)


def bars(values: np.ndarray, names: Sequence[str], ax: Axes | None = None, *, xlabel: str = "") -> Axes:
    """Draw one horizontal bar a name, with its number at the end."""
    ax = new_axes(3.1, 0.24 * len(names) + 0.6) if ax is None else ax
    at = np.arange(len(names))
    ax.barh(at, values, color=LINES[0], height=0.7)
    for i, value in enumerate(values):
        ax.annotate(
            f"{value:.3g}",
            (value, i),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=FONT_SIZE,
            color=INK,
        )
    ax.set(yticks=at, ylim=(len(names) - 0.4, -0.6), xlabel=xlabel)
    ax.set_yticklabels(names)
    ax.margins(x=0.16)
    return dress(ax, frame="b")


def histogram(
    groups: Mapping[str, np.ndarray], ax: Axes | None = None, *, bins: int = 60, xlabel: str = ""
) -> Axes:
    """Draw the histograms of several sets of numbers over each other, on common bins.

    The bins leave out the outermost 1 % on either side; shares are of all values.
    """
    ax = new_axes(4.4, 2.7) if ax is None else ax
    every = np.concatenate([np.ravel(v) for v in groups.values()])
    low, high = np.percentile(every, (1, 99))
    edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
    for (name, values), colour, dash in zip(groups.items(), cycle(LINES), cycle(DASHES), strict=False):
        share = np.histogram(values, edges)[0] / np.size(values)
        ax.stairs(share, edges, color=colour, linestyle=dash, linewidth=1.6, label=name)
    ax.set(xlabel=xlabel, ylabel="share of values", ylim=(0, None))
    ax.yaxis.set_major_formatter(lambda v, _: f"{100 * v:g} %")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.1, columnspacing=1.2)
    return dress(ax)


def lines(
    curves: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    dots: np.ndarray | None = None,
    dots_name: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw curves over 0, 1, 2, ... and, if given, `dots` over 1, 2, ... behind them."""
    ax = new_axes(4.6, 2.7) if ax is None else ax
    if dots is not None:
        at = np.arange(1, len(dots) + 1)
        ax.plot(at, dots, "o", color=INK, alpha=0.55, markersize=3, label=dots_name)
    for (name, y), colour, dash in zip(curves.items(), cycle(LINES), cycle(DASHES), strict=False):
        ax.plot(np.arange(len(y)), y, color=colour, linestyle=dash, linewidth=1.8, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.margins(x=0.02)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1, columnspacing=1.2)
    return dress(ax)
