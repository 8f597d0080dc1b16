"""Several small pictures side by side: what filters do to an image, and what dropout leaves of one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ...conv import conv2d
from ...dropout import dropout, dropout2d, dropout_rows
from ...geometry import per_axis
from ..style import FONT_SIZE, INK, bare
from .cells import mask, numbers, plane_of
from .images import grey, signed

__all__ = ["gallery", "masks"]


CLIPPED = 0.25
"""Share of a result that grey may show as plain black or white."""


def gallery(image: np.ndarray, kernels: Mapping[str, np.ndarray], columns: int = 4) -> Figure:
    """Draw an image, and for each kernel its weights and what a convolution by it makes of the image.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        A grey image.
    kernels : mapping of str to ndarray, each of shape (KH, KW)
        Kernels and their names. The edge is replicated, so that no filter sees a border that is not there.
    columns : int, optional
        Filters in a row.

    Returns
    -------
    matplotlib.figure.Figure
        Results are blue and red about a neutral zero where the kernel's weights add up to zero, or where much
        of the result is darker or brighter than anything in the image; others are grey like the image.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> figure = pictures.gallery(np.eye(8), {"blur": np.ones((3, 3)) / 9, "edge": np.array([[-1.0, 1.0]])})
    >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
    ['image', 'blur', 'edge']
    """
    image = np.ascontiguousarray(plane_of(image, "image"), dtype=np.float64)
    H, W = image.shape
    shown: list[tuple[str, np.ndarray | None, np.ndarray]] = [("image", None, grey(image))]
    for name, kernel in kernels.items():
        w = plane_of(kernel, f"kernels[{name!r}]").astype(np.float64)
        KH, KW = w.shape
        padding = [((KH - 1) // 2, KH // 2), ((KW - 1) // 2, KW // 2)]
        y = conv2d(image[None], w[None, None], padding=padding, padding_mode="replicate")[0]
        low, high = float(image.min()), float(image.max())
        differences = abs(w.sum()) < 1e-9 * np.abs(w).sum()
        if differences or np.mean((y < low) | (y > high)) > CLIPPED:
            pixels = signed(y, float(np.percentile(np.abs(y), 99)))  # the steepest few set no scale
        else:
            pixels = grey(y, low, high)
        shown.append((name, w, pixels))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(1.7 * columns, rows * (1.25 + 1.6 * H / W)), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[0.62, H / W] * rows)
    for ax in grid.flat:
        ax.set_visible(False)
    for number, (name, weights, pixels) in enumerate(shown):
        row, column = divmod(number, columns)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        if weights is not None:
            above.set_visible(True)
            form = "{:.2g}" if weights.size <= 9 else ""
            numbers(weights, above, form=form)
            for text in above.texts:
                text.set_fontsize(FONT_SIZE - 2.5)
        below.set_visible(True)
        below.imshow(pixels)
        bare(below).set_title(name, fontsize=FONT_SIZE, color=INK)
    return figure


def masks(shape: tuple[int, int, int] = (6, 4, 4), p: float = 0.5, seed: int = 0) -> Figure:
    """Draw the masks of the three kinds of dropout on a stack of C small maps.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, rows and columns. A row of the picture is a channel, its cells the channel's cells.
    p, seed
        As in :func:`convkit.dropout`.

    Examples
    --------
    >>> from convkit.explain import pictures
    >>> [ax.get_title() for ax in pictures.masks().axes]
    ['dropout: elements', 'dropout2d: channels', 'dropout_rows: rows']
    """
    C, H, W = per_axis(shape, 3, "shape", 1)
    x = np.ones((C, H, W), np.float32)
    kept = {
        "dropout: elements": dropout(x, p, seed=seed) > 0,
        "dropout2d: channels": dropout2d(x, p, seed=seed) > 0,
        "dropout_rows: rows": dropout_rows(x.reshape(C, H * W), p, seed=seed + 1) > 0,
    }
    figure = Figure(figsize=(3 * (0.17 * H * W + 0.3), 0.17 * C + 0.75), layout="constrained")
    for ax, (title, keep) in zip(figure.subplots(1, 3), kept.items(), strict=True):
        mask(keep.reshape(C, H * W), ax, ylabel="channels", xlabel=f"their {H} × {W} cells")
        ax.set_title(title, fontsize=FONT_SIZE, color=INK)
    figure.axes[2].set(ylabel="rows of a table", xlabel="their numbers")
    return figure
