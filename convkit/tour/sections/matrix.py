"""Section: convolution is a matrix product, twice over."""

from __future__ import annotations

import numpy as np

import convkit

from ...explain import pictures
from ...explain.style import COLOURS, text_on
from ..checks import rounding_bound
from ..page import Section, cells, drawing, plural
from ..photo import Photo

WEIGHTS = np.array([[2, 7, 6], [9, 5, 1], [4, 3, 8]], dtype=np.float32)  # nine different whole numbers
CORNER = (60, 130)  # of the operator on 28 x 28 pixels


def matrix(it: Photo) -> Section:
    """Draw a small convolution as its matrix, and show that three ways to compute it agree."""
    s = Section("matrix", "The same convolution as a matrix")
    grey = it.x[1:2]
    side = min(6, *it.shape)
    top, left = ((n - side) // 2 for n in it.shape)
    crop = grey[:, top : top + side, left : left + side]
    p = 0 if side >= 3 else 1
    w = WEIGHTS[None, None]
    A = convkit.convolution_operator(w, crop.shape, padding=p)
    cols = convkit.im2col(crop, 3, padding=p)
    y = convkit.conv2d(crop, w, padding=p)[0]
    s.text(
        "Write the input pixels as one long column of numbers, and the output pixels too. Then convolution is a "
        "matrix: row <i>i</i> says which pixels output <i>i</i> reads, and with which weight. Here for a crop of "
        f"{side} × {side} pixels of the green plane and a 3 × 3 kernel with nine different weights, one colour and one letter each. "
        "The same nine values come again in every row, further to the right each time: the matrix is <b>sparse</b>, and its weights are "
        "<b>tied</b>."
    )
    if p:
        s.note(
            f"A 3 × 3 window needs 3 × 3 pixels, and this image has {it.shape[0]} × {it.shape[1]}: here it has one pixel of "
            "zero padding all round. Taps that fall on the padding have no place in the matrix."
        )
    s.blocks.append(
        '<div class="card product">'
        + cells(crop[0], 255.0, two_sided=False, name="input pixels")
        + '<span class="sign">∗</span>'
        + _letters()
        + '<span class="sign">=</span>'
        + cells(y, float(np.abs(y).max()) or 1.0, two_sided=False, name="output pixels")
        + "</div>"
    )
    rows, columns, ties = A.row, A.column, A.tie
    s.figures(
        drawing(
            pictures.operator(rows, columns, ties, A.shape),
            f"<b>The operator</b>: {plural(A.shape[0], 'row')}, one an output; {plural(A.shape[1], 'column')}, one an "
            "input pixel. "
            f"{A.nonzeros:,} of {A.cells:,} cells can differ from zero, and they hold {plural(len(np.unique(ties)), 'free value')}.",
            "A sparse matrix whose nine weights lie on diagonals, one colour each",
            wide=True,
            scroll=True,
        ),
        drawing(
            pictures.columns(cols),
            f"<b>im2col</b> instead copies each window into a column: {cols.shape[0]} × {cols.shape[1]} numbers made of "
            f"{crop.size}. A row of nine weights times this matrix is the same convolution, now as a <i>dense</i> product that any "
            "fast matrix routine can do.",
            "The im2col matrix of the crop, a row a tap",
            wide=True,
            scroll=True,
        ),
    )
    flat = w.ravel()
    by_hand = (flat @ cols).reshape(y.shape)
    s.check("On the crop, matrix × pixels equals direct convolution.", (A @ crop.ravel()).reshape(y.shape), y)
    s.check("On the crop, weights × im2col equals direct convolution.", by_hand, y)
    _agreement(s, it)
    _large(s, it)
    s.code(
        "w = np.ones((1, 3, 3, 3), dtype=np.float32)\n"
        "crop = convkit.pad(x, (4, 4, 4, 4))[:, :8, :8]\n"
        "A = convkit.convolution_operator(w, crop.shape)\n"
        "direct = convkit.conv2d(crop, w)\n"
        "assert np.array_equal((A @ crop.ravel()).reshape(direct.shape), direct)\n"
        "assert np.array_equal((w.reshape(1, -1) @ convkit.im2col(crop, 3)).reshape(direct.shape), direct)"
    )
    return s


def _letters() -> str:
    """The kernel with each weight's letter and colour: the legend of the matrix."""
    body = ""
    for i, row in enumerate(WEIGHTS):
        body += "<tr>"
        for j, weight in enumerate(row):
            colour = COLOURS[3 * i + j]
            letter = chr(ord("a") + 3 * i + j)
            body += f'<td style="background:{colour};color:{text_on(colour)}">{letter} = {weight:g}</td>'
        body += "</tr>"
    return f'<table class="cells"><caption>weights</caption>{body}</table>'


def _agreement(s: Section, it: Photo) -> None:
    """Three ways on a larger crop of all channels, with real weights: equal but for rounding."""
    h, w_ = (min(n, 96) for n in it.shape)
    crop = np.ascontiguousarray(it.x[:, :h, :w_])
    w = np.random.default_rng(3).standard_normal((4, 3, 3, 3), dtype=np.float32)
    direct = convkit.conv2d(crop, w, padding=1)
    columns = convkit.im2col(crop, 3, padding=1)
    by_columns = (w.reshape(4, -1) @ columns).reshape(direct.shape)
    by_matrix = (convkit.convolution_operator(w, crop.shape, padding=1) @ crop.ravel()).reshape(direct.shape)
    bound = rounding_bound(27, float((np.abs(w).reshape(4, -1) @ np.abs(columns)).max()))
    where = f"With real weights, on {h} × {w_} pixels of three channels,"
    a = s.check(f"{where} im2col agrees with direct but for rounding.", by_columns, direct, bound)
    b = s.check(f"{where} the sparse matrix agrees with direct but for rounding.", by_matrix, direct, bound)
    s.text(
        "With whole numbers the three ways agree <b>exactly</b>. With random real weights each of them rounds, in its own "
        f"order: the outputs here reach ±{np.abs(direct).max():,.0f}, and the largest differences from <i>direct</i> are "
        f"{a.difference:.2g} (im2col) and {b.difference:.2g} (matrix). The theory of rounding allows {bound:.2g}."
    )


def _large(s: Section, it: Photo) -> None:
    """The operator at the size that lecture notes ask about, 28 x 28."""
    H, W = it.shape
    x = (
        it.x[1:2, :28, :28]
        if min(H, W) >= 28
        else convkit.pad(it.x[1:2], (0, max(28 - W, 0), 0, max(28 - H, 0)), "circular")
    )
    x = np.ascontiguousarray(x[:, :28, :28])
    if min(H, W) < 28:
        s.note(
            "This image is smaller than 28 × 28, so for the next matrix it is repeated, by circular padding."
        )
    A = convkit.convolution_operator(WEIGHTS[None, None], x.shape)
    y = convkit.conv2d(x, WEIGHTS[None, None])
    cols = convkit.im2col(x, 3)
    s.check(
        "On 28 × 28 pixels, matrix × pixels equals direct convolution.", (A @ x.ravel()).reshape(y.shape), y
    )
    rows, columns, ties = A.row, A.column, A.tie
    near = (rows < CORNER[0]) & (columns < CORNER[1])
    s.text(
        f"“Convolution is a matrix product, but nobody computes it so, because it is slow.” Half of this is right. At 28 × 28 "
        f"pixels the dense matrix has <b>{A.cells:,} cells, of which {A.nonzeros:,} are not zero, with {A.free_values} free "
        f"values</b>: {100 * (1 - A.nonzeros / A.cells):.1f} % of a dense product would multiply by zero. But im2col asks for only "
        f"{cols.shape[0]} × {cols.shape[1]:,} = {cols.size:,} numbers, {cols.size / x.size:.1f} times the image, and wastes nothing: "
        "it is a standard fast path."
    )
    s.figures(
        drawing(
            pictures.operator(rows, columns, ties, A.shape),
            "<b>28 × 28 pixels, 3 × 3 kernel</b>: three thin bands, one for each row of the kernel, of three weights each.",
            "Three thin diagonal bands in a large, otherwise empty matrix",
            wide=True,
        ),
        drawing(
            pictures.operator(rows[near], columns[near], ties[near], CORNER),
            f"<b>Its upper left corner</b>, {CORNER[0]} rows and {CORNER[1]} columns: each line is one weight, on diagonal "
            f"pieces of {y.shape[2]}, one for each row of the output; between them the window skips the 2 pixels where it would straddle two "
            "rows of the image.",
            "Nine diagonals of short coloured lines",
            wide=True,
        ),
    )
