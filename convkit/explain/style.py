"""The one style of all pictures: ink, colours, sizes.

Signed numbers go from blue through near-white, which is zero, to red; things that only need telling
apart take a colour of :data:`COLOURS` or :data:`LINES`, and a letter or a line style besides, so that
no picture depends on colour vision. Text and lines are :data:`INK`, a grey that reads on white and on
black.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

__all__ = [
    "COLOURS",
    "DASHES",
    "DIVERGING",
    "FONT_SIZE",
    "INK",
    "LINES",
    "PLANES",
    "SEQUENTIAL",
    "bare",
    "dress",
    "new_axes",
    "pale",
    "shade",
    "text_on",
]

INK = "#767676"
FONT_SIZE = 9.0
COLOURS = ("#cc6677", "#5a55b5", "#c2a83e", "#2e8b57", "#5aa9d6", "#a83c74", "#3da393", "#8a8a2f", "#b06fc0")
"""Paul Tol's nine muted colours, the darkest ones lightened to be seen on black."""

LINES = ("#0072b2", "#d55e00", "#009e73", "#b864a0")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
PLANES = {"red": "#d1495b", "green": "#2e9e62", "blue": "#3b7dd8"}
DIVERGING = LinearSegmentedColormap.from_list(
    "convkit.signed", ["#14487f", "#3f8ec0", "#a9d0e5", "#f5f3ef", "#f6b796", "#d6604d", "#8c1127"]
)
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "convkit.positive", ["#f5f3ef", "#a9d0e5", "#3f8ec0", "#14487f"]
)


def new_axes(width: float = 4.4, height: float = 2.6) -> Axes:
    """Return the Axes of a new Figure of `width` by `height` inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure.add_subplot()


def dress(ax: Axes, frame: str = "lb") -> Axes:
    """Give text, ticks and the sides in `frame` (of l, r, t, b) the style's ink and size."""
    for name, spine in ax.spines.items():
        spine.set_visible(name[0] in frame)
        spine.set(color=INK, linewidth=0.8)
    ax.set_facecolor("none")
    ax.tick_params(colors=INK, labelsize=FONT_SIZE, length=3, width=0.8)
    for label in (ax.xaxis.label, ax.yaxis.label, ax.title):
        label.set(color=INK, fontsize=FONT_SIZE + 0.5)
    if legend := ax.get_legend():
        legend.set_frame_on(False)
        for text in legend.findobj(Text):
            text.set(color=INK, fontsize=FONT_SIZE)
    return ax


def bare(ax: Axes) -> Axes:
    """Dress axes without sides and ticks: a grid of cells needs neither."""
    ax.set(xticks=[], yticks=[])
    return dress(ax, frame="")


def text_on(colour: Any) -> str:
    """Return black or white, whichever reads better on `colour`.

    >>> text_on("#f5f3ef"), text_on("#14487f")
    ('#000000', '#ffffff')
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return "#000000" if luminance > 0.179 else "#ffffff"  # where both have the same contrast


def pale(colour: str) -> str:
    """Return a colour half way to white: what is there, but not of the input itself.

    >>> pale("#000080")
    '#8080c0'
    """
    return "#" + "".join(f"{round(255 * (c + 1) / 2):02x}" for c in to_rgb(colour))


def shade(value: float, limit: float, two_sided: bool = True) -> str:
    """Return the colour of one number, as ``#rrggbb``: zero is neutral, `limit` the end of the scale."""
    share = value / limit if limit else 0.0
    rgb = DIVERGING((share + 1) / 2)[:3] if two_sided else SEQUENTIAL(share)[:3]
    return "#" + "".join(f"{round(255 * c):02x}" for c in rgb)
