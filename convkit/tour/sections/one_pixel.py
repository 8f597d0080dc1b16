"""Section: every product behind one output number."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

import convkit

from ...explain import pictures
from ..page import Section, cells, drawing, picture, plural
from ..photo import Photo
from .filters import greenness

NAMES = ("red", "green", "blue")


def one_pixel(it: Photo) -> Section:
    """Follow the 27 products of one output pixel to their sum."""
    s = Section("one-pixel", "One output pixel: 27 products and a sum")
    x, w, b = it.x, greenness(), np.array([8.0], dtype=np.float32)
    y = convkit.conv2d(x, w, b, padding=1)[0]
    row, column = divmod(int(np.abs(y).argmax()), y.shape[1])
    window = convkit.pad(x, (1, 1, 1, 1))[:, row : row + 3, column : column + 3]
    products = window * w[0]
    sums = list(accumulate(products.ravel().tolist()))
    total = sums[-1] + float(b[0])
    s.text(
        "Nothing is hidden in a convolution. Here is the filter from above, with a bias of "
        f"{b[0]:g}, at the pixel where it answers most strongly: row {row}, column {column}. Its window holds 3 × 3 "
        "pixels of three channels, 27 numbers; each meets the weight in its own place."
    )
    s.formula(
        "y[row, column] = bias + Σ<sub>c</sub> Σ<sub>kh</sub> Σ<sub>kw</sub> "
        "x[c, row + kh − 1, column + kw − 1] · w[c, kh, kw]"
    )
    s.figures(
        picture(*_place(it, row, column)),
        picture(
            window.transpose(1, 2, 0).astype(np.uint8),
            "<b>The window</b>, nine pixels.",
            "The nine pixels of the window, enlarged",
            width=220,
        ),
        least=260,
    )
    if min(it.shape) < 3:
        s.note(
            f"A full window needs 3 × 3 pixels, and this image has {it.shape[0]} × {it.shape[1]}: the places "
            "outside are padding, zeros, which multiply like any other number."
        )
    rows = []
    for c, name in enumerate(NAMES):
        rows.append(
            '<div class="product">'
            + cells(window[c], 255.0, two_sided=False, name=f"{name} pixels")
            + '<span class="sign">×</span>'
            + cells(w[0, c] * 32, 8.0, name="weights, in 1/32")
            + '<span class="sign">=</span>'
            + cells(products[c] * 32, 32 * float(np.abs(products).max()) or 1.0, name="products, in 1/32")
            + f'<span class="total">sum {_number(32 * products[c].sum())} / 32 = {_number(products[c].sum())}</span></div>'
        )
    s.blocks.append(f'<div class="card">{"".join(rows)}</div>')
    parts = " + ".join(f"({_number(float(p.sum()))})" for p in products)
    s.formula(f"{parts} + bias {b[0]:g} = <b>{_number(total)}</b>")
    s.figures(
        drawing(
            pictures.running_sum(products.reshape(3, 9), NAMES),
            f"<b>The sum as it grows</b>, product by product, to {_number(sums[-1])}; the bias makes it {_number(total)}.",
            f"A chart of 27 bars that add up to {sums[-1]:g}",
            wide=True,
        )
    )
    s.check(
        f"The 27 products and the bias sum to the kernel’s own output, {_number(float(y[row, column]))}.",
        total,
        y[row, column],
    )
    work = 27 * y.size
    s.text(
        f"The weights are multiples of 1/32 and the pixels whole numbers, so float32 rounds nothing here and the two "
        f"agree to the last bit. The whole output, {plural(y.size, 'number')}, takes {work:,} multiplications and as many additions."
    )
    s.code(
        f"w = np.ones((1, 3, 3, 3), dtype=np.float32)\n"
        f"y = convkit.conv2d(x, w, padding=1)\n"
        f"window = convkit.pad(x, (1, 1, 1, 1))[:, {row}:{row + 3}, {column}:{column + 3}]\n"
        f"assert y[0, {row}, {column}] == (window * w[0]).sum()"
    )
    return s


def _place(it: Photo, row: int, column: int) -> tuple[np.ndarray, str, str]:
    """Mark the window in the photograph."""
    caption, alt = (
        "<b>Where it is</b>: the window is in the middle of the frame.",
        "The photograph with a small frame",
    )
    around = max(it.shape) // 60
    if around < 2:
        return it.pixels, "<b>The photograph.</b>", "The photograph"
    top, left = max(row - around, 0), max(column - around, 0)
    side = 2 * around + 1
    return pictures.outlined(it.pixels, top, left, side, side, line=2), caption, alt


def _number(value: float) -> str:
    return f"{value:.10g}".replace("-", "−")
