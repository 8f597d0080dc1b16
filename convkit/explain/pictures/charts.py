"""Sums, bars, histograms and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..style import COLOURS, DASHES, FONT_SIZE, INK, LINES, PLANES, dress, new_axes

__all__ = ["bars", "histogram", "lines", "running_sum"]


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
    ax.xaxis.set_major_locator(MaxNLocator(4))
    return dress(ax, frame="b")


def histogram(
    groups: Mapping[str, np.ndarray],
    ax: Axes | None = None,
    *,
    bins: int = 60,
    outside: float = 0.01,
    xlabel: str = "",
) -> Axes:
    """Draw the histograms of several sets of numbers over each other, on common bins.

    The bins leave out the outermost numbers, a share of `outside` on either side; shares are of all values.
    """
    ax = new_axes(4.4, 2.7) if ax is None else ax
    every = np.concatenate([np.ravel(v) for v in groups.values()])
    low, high = np.quantile(every, (outside, 1 - outside))
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
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.1, columnspacing=1.2)
    return dress(ax)
