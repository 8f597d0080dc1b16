"""Small arrays as grids of cells with their numbers inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Rectangle

from ...geometry import index_table, per_axis
from ...padding import pad
from ..ledger import given
from ..style import COLOURS, FONT_SIZE, INK, LINES, bare, new_axes, pale, shade, text_on

__all__ = ["cell", "columns", "fit", "grid_limits", "mask", "numbers", "padded", "plane_of", "short"]

WIDE = 0.64 * FONT_SIZE / (0.9 * 72)  # inches that a character takes, and some room for it


def plane_of(values: np.ndarray, name: str) -> np.ndarray:
    """Return `values` as an array, if it has rows, columns and something in them."""
    values = np.asarray(values)
    if values.ndim != 2 or not values.size:
        raise ValueError(f"{name} must have shape (H, W), each at least 1, got {values.shape}")
    return values


def numbers(
    values: np.ndarray,
    ax: Axes | None = None,
    *,
    two_sided: bool = True,
    form: str | None = None,
    size: float = 0.42,
) -> Axes:
    """Draw a small matrix as coloured cells with their numbers inside.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        The numbers.
    two_sided : bool
        Colour by sign, or from zero upwards.
    form : str, optional
        Format of a number; by default as many digits as fit.
    size : float
        Side of a cell in inches, where no `ax` is given.

    Examples
    --------
    >>> from convkit.explain import pictures
    >>> [text.get_text() for text in pictures.numbers([[1.0, -0.12345], [12345, 158.25]]).texts]
    ['1', '-0.12', '12345', '158']
    """
    values = plane_of(values, "values")
    height, width = values.shape
    ax = new_axes(size * width + 0.1, size * height + 0.1) if ax is None else ax
    limit = float(np.abs(values).max())
    for (i, j), value in np.ndenumerate(values):
        colour = shade(float(value), limit, two_sided)
        cell(ax, i, j, colour, short(value) if form is None else form.format(value))
    fit(ax, size)
    return grid_limits(ax, height, width)


def cell(ax: Axes, row: float, column: float, colour: str, label: str = "") -> None:
    """Draw one cell, a unit square whose upper left corner is at (row, column), with a label inside."""
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


def fit(ax: Axes, side: float, longest: int = 1) -> None:
    """Let no number, or one of `longest` characters, be wider than its cell of `side` inches."""
    longest = max(longest, *(len(text.get_text()) for text in ax.texts), 1)
    for text in ax.texts:
        text.set_fontsize(FONT_SIZE * min(1.0, side / (WIDE * longest)))


def short(value: float) -> str:
    """Return a number with as many digits as fit into a cell; whole numbers keep all of theirs."""
    text = f"{value:g}"
    if len(text) <= 4 or value == round(value):
        return text
    return f"{value:.0f}" if 100 <= abs(value) < 100_000 else f"{value:.2g}"


def grid_limits(ax: Axes, height: int, width: int) -> Axes:
    """Show cells (0, 0) to (height - 1, width - 1), the first row on top."""
    ax.set(xlim=(-0.04 * width**0.5, width + 0.04 * width**0.5), ylim=(height + 0.08, -0.08), aspect="equal")
    return bare(ax)


def columns(values: np.ndarray, ax: Axes | None = None) -> Axes:
    """Draw an im2col matrix: a row a tap, with the letter and colour it has in :func:`operator`.

    Colours run upwards from zero, or to both sides of it if there are negative numbers.

    Examples
    --------
    >>> from convkit.explain import pictures
    >>> [text.get_text() for text in pictures.columns([[1, 2], [3, 4]]).texts]
    ['1', '2', '3', '4', 'a', 'b']
    """
    values = plane_of(values, "values")
    height, width = values.shape
    longest = max(len(short(value)) for value in values.ravel())
    side = 0.34 if ax is not None else max(0.34, longest * WIDE)
    ax = new_axes(side * (width + 2) + 0.3, 0.3 * height + 0.4) if ax is None else ax
    limit = float(np.abs(values).max())
    for (i, j), value in np.ndenumerate(values):
        cell(ax, i, j, shade(float(value), limit, two_sided=bool((values < 0).any())), short(value))
    fit(ax, side)
    for i in range(height):
        cell(ax, i, -1.4, COLOURS[i % len(COLOURS)], chr(ord("a") + i) if i < 26 else "")
    ax.set(xlim=(-1.5, width + 0.1), ylim=(height + 0.1, -0.1), xlabel="output pixels", ylabel="taps")
    return bare(ax)


def mask(kept: np.ndarray, ax: Axes | None = None, *, xlabel: str = "", ylabel: str = "") -> Axes:
    """Draw a dropout mask: kept cells filled, dropped ones crossed out.

    Examples
    --------
    >>> from convkit.explain import pictures
    >>> ax = pictures.mask([[True, False]])
    >>> len(ax.patches), len(ax.collections[0].get_segments())        # two cells, one cross
    (2, 2)
    """
    kept = plane_of(kept, "kept")
    height, width = kept.shape
    ax = new_axes(0.155 * width + 0.3, 0.155 * height + 0.3) if ax is None else ax
    crosses = []
    for (i, j), keep in np.ndenumerate(kept):
        cell(ax, i, j, LINES[0] if keep else "none")
        if not keep:
            crosses += [[(j + 0.3, i + 0.3), (j + 0.7, i + 0.7)], [(j + 0.3, i + 0.7), (j + 0.7, i + 0.3)]]
    ax.add_collection(LineCollection(crosses, colors=INK, linewidths=0.8))
    grid_limits(ax, height, width)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def padded(
    x: np.ndarray, padding: int | Sequence[int], mode: str = "constant", ax: Axes | None = None
) -> Axes:
    """Draw a small plane and its border: each border cell's number, and below it where it came from.

    Parameters
    ----------
    x : ndarray, shape (H, W)
        The plane.
    padding : int or (int, int)
        Rows above and below, columns left and right.
    mode : str
        As in :func:`convkit.pad`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> ax = pictures.padded(np.arange(4.0).reshape(2, 2), 1, "reflect")
    >>> [text.get_text() for text in ax.texts[:4]]
    ['3', '(1,1)', '2', '(1,0)']
    """
    (x,) = given(x=x)
    H, W = plane_of(x, "x").shape
    ph, pw = per_axis(padding, 2, "padding")
    y = pad(x, (pw, pw, ph, ph), mode)
    rows, columns = (
        index_table(n, p, p, "zeros" if mode == "constant" else mode) for n, p in ((H, ph), (W, pw))
    )
    ax = new_axes(0.5 * y.shape[1] + 0.1, 0.5 * y.shape[0] + 0.1) if ax is None else ax
    limit = float(np.abs(y).max())
    for (i, j), value in np.ndenumerate(y):
        inside = ph <= i < ph + H and pw <= j < pw + W
        colour = shade(float(value), limit)
        if inside:
            cell(ax, i, j, colour, short(value))
            continue
        colour = pale(colour)
        cell(ax, i, j, colour)
        source = f"({rows[i]},{columns[j]})" if rows[i] >= 0 and columns[j] >= 0 else "padding"
        for text, down, smaller in ((short(value), 0.36, 0), (source, 0.76, 2.2)):
            ax.text(
                j + 0.5,
                i + down,
                text,
                ha="center",
                va="center",
                fontsize=FONT_SIZE - smaller,
                color=text_on(colour),
            )
    ax.add_patch(Rectangle((pw, ph), W, H, fill=False, edgecolor=INK, linewidth=2))
    return grid_limits(ax, *y.shape)
