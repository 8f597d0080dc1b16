"""What windows see: how often each pixel is used, and how far back an output looks."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..style import DASHES, LINES, SEQUENTIAL, bare, dress
from .cells import grid_limits, numbers

if TYPE_CHECKING:
    from ..coverage import Coverage
    from ..fields import ReceptiveField

__all__ = ["coverage", "receptive_field"]

MOST_CELLS = 16
"""Rows or columns up to which cells have their numbers inside."""


def coverage(found: Coverage) -> Figure:
    """Draw how many outputs use each pixel and how much of each output is padding.

    Pixels that no output uses are crossed out. A larger image is drawn without its numbers.

    Parameters
    ----------
    found : Coverage
        What :func:`convkit.explain.coverage` returned.

    Examples
    --------
    >>> from convkit import explain
    >>> figure = explain.pictures.coverage(explain.coverage(6, 3, stride=2))
    >>> [ax.get_title() for ax in figure.axes], len(figure.axes[0].collections[0].get_paths())
    (['outputs that use each pixel'], 22)
    """
    planes = [("outputs that use each pixel", found.outputs, "{:d}")]
    if found.padding_share.any():
        planes.append(("% of taps on padding", 100 * found.padding_share, "{:.0f}"))
    small = max(max(plane.shape) for _, plane, _ in planes) <= MOST_CELLS
    unit = 0.36 if small else 3.2 / found.outputs.shape[1]  # inches a cell
    widths = [max(unit * plane.shape[1], 1.9) for _, plane, _ in planes]
    height = max(unit * max(plane.shape[0] for _, plane, _ in planes), 0.3 if small else 1.2) + 0.5
    figure = Figure(figsize=(sum(widths) + 0.3, height), layout="constrained")
    grid = figure.subplots(1, len(planes), squeeze=False, width_ratios=widths)[0]
    for ax, (title, plane, form) in zip(grid, planes, strict=True):
        if small:
            numbers(plane, ax, two_sided=False, form=form)
        else:
            _plane(ax, plane)
        ax.set_title(title)
        dress(ax, frame="")
    _cross_out(figure.axes[0], found.no_gradient)
    return figure


def _plane(ax: Axes, plane: np.ndarray) -> None:
    """Draw a plane without numbers, on the grid that cells have."""
    height, width = plane.shape
    shown = ax.imshow(
        plane, cmap=SEQUENTIAL, vmin=0, vmax=float(plane.max()) or 1.0, extent=(0, width, height, 0)
    )
    grid_limits(ax, height, width)
    bar = ax.figure.colorbar(shown, ax=ax, shrink=0.8, ticks=MaxNLocator(integer=True))
    bar.outline.set_visible(False)
    dress(bar.ax, frame="")


def _cross_out(ax: Axes, cells: np.ndarray) -> None:
    crosses = []
    for i, j in np.argwhere(cells):
        crosses += [[(j + 0.2, i + 0.2), (j + 0.8, i + 0.8)], [(j + 0.2, i + 0.8), (j + 0.8, i + 0.2)]]
    ax.add_collection(LineCollection(crosses, colors=LINES[1], linewidths=1.4))


def receptive_field(field: ReceptiveField, oh: int, ow: int, image: np.ndarray | None = None) -> Figure:
    """Draw what one output sees of an image: the field after each layer, and how many ways lead there.

    Parameters
    ----------
    field : ReceptiveField
        What :func:`convkit.explain.receptive_field` returned, with an input size.
    oh, ow : int
        Which output of the last layer.
    image : ndarray, shape (H, W) or (H, W, 3), optional
        What the network looks at; all that the output does not see is dimmed.

    Examples
    --------
    >>> from convkit import explain
    >>> field = explain.receptive_field([{"kernel_size": 3}, {"kernel_size": 3, "stride": 2}], 12)
    >>> figure = explain.pictures.receptive_field(field, 1, 2)
    >>> [patch.get_bbox().extents.tolist() for patch in figure.axes[0].patches]  # left, top, right, bottom
    [[5.0, 3.0, 8.0, 6.0], [4.0, 2.0, 9.0, 7.0]]
    """
    ways, (rows, columns) = field.paths(oh, ow), field.cells(oh, ow)
    if not (rows and columns):
        raise ValueError(f"output {oh, ow} sees nothing of the image, only padding")
    height, width = ways.shape
    figure = Figure(figsize=(6.8, 3.3 * max(height / width, 0.5) + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    if image is not None:
        left.imshow(field.overlay(image, oh, ow), extent=(0, width, height, 0))
    last = field.rows[-1].cells(oh), field.columns[-1].cells(ow)
    middle = [(cells.start + cells.stop) / 2 for cells in last]
    looks = zip(cycle(LINES), cycle(DASHES), strict=False)
    for (h, w), (colour, dash) in zip(
        [(r.size, c.size) for r, c in zip(field.rows[1:], field.columns[1:], strict=True)],
        looks,
        strict=False,
    ):
        corner = middle[1] - w / 2, middle[0] - h / 2
        left.add_patch(
            Rectangle(
                corner, w, h, fill=False, edgecolor=colour, linestyle=dash, linewidth=1.6, label=f"{h} × {w}"
            )
        )
    left.set(xlim=(0, width), ylim=(height, 0), aspect="equal", title="the field after each layer")
    if len(field.windows) <= 8:
        left.legend(loc="upper left", bbox_to_anchor=(0, 0), ncols=3, borderaxespad=0.3, handlelength=1.6)
    seen = ways[rows.start : rows.stop, columns.start : columns.stop]
    extent = (columns.start, columns.stop, rows.stop, rows.start)
    right.imshow(seen / seen.max(), cmap="inferno", vmin=0, vmax=1, extent=extent)
    right.set(title="ways that lead there")
    bare(right)
    bare(left)
    if image is None:
        for spine in left.spines.values():  # the image's edge
            spine.set_visible(True)
    return figure
