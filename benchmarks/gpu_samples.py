"""Single numbers of large convolutions, in float64: what a tile on a GPU computes is compared with them.

The reference would take minutes for layers of this size; a number of theirs takes none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["assert_samples"]

SAMPLES = 48


def _conv2d(at: tuple[int, ...], x, w, b, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    """Return the products of one output of a convolution, and what is added to them."""
    n, oc, oh, ow = at
    _, _, KH, KW = w.shape
    rows, columns = ih_of[oh * SH + np.arange(KH) * DH], iw_of[ow * SW + np.arange(KW) * DW]
    cells = x[n][:, rows[:, None], columns].astype(np.float64)
    cells[:, (rows[:, None] < 0) | (columns < 0)] = 0
    return w[oc] * cells, float(b[oc])


def _conv_transpose2d(at: tuple[int, ...], x, w, b, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    n, ic, ih, iw = at
    _, _, OH, OW = x.shape
    _, _, KH, KW = w.shape
    kh, oh = np.nonzero(ih_of[np.arange(OH) * SH + np.arange(KH)[:, None] * DH] == ih)
    kw, ow = np.nonzero(iw_of[np.arange(OW) * SW + np.arange(KW)[:, None] * DW] == iw)
    weights = w[:, ic, kh[:, None], kw].astype(np.float64)
    return weights * x[n][:, oh[:, None], ow], float(b[ic])


def _conv2d_grad_w(at: tuple[int, ...], dy, x, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    oc, ic, kh, kw = at
    _, _, OH, OW = dy.shape
    rows, columns = ih_of[np.arange(OH) * SH + kh * DH], iw_of[np.arange(OW) * SW + kw * DW]
    cells = x[:, ic][:, rows[:, None], columns].astype(np.float64)
    cells[:, (rows[:, None] < 0) | (columns < 0)] = 0
    return dy[:, oc] * cells, 0.0


OF = {"conv2d": _conv2d, "conv_transpose2d": _conv_transpose2d, "conv2d_grad_w": _conv2d_grad_w}


def assert_samples(op: str, result: np.ndarray, inputs: list[Any]) -> None:
    """Check some numbers of a convolution without groups, its corners among them.

    A sum of t rounded products errs by at most about ``t * eps`` times the sum of their absolute values.
    """
    rng = np.random.default_rng(3)
    places = [(0,) * 4, tuple(n - 1 for n in result.shape)]
    places += [tuple(int(rng.integers(n)) for n in result.shape) for _ in range(SAMPLES)]
    for at in places:
        products, more = OF[op](at, *inputs)
        want, magnitude = products.sum() + more, np.abs(products).sum() + abs(more)
        bound = (products.size + 1) * np.finfo(result.dtype).eps * magnitude
        if not abs(float(result[at]) - want) <= bound:
            raise AssertionError(
                f"{op} at {at}: got {result[at]!r}, want {want!r}, allowed distance {bound:.3g}"
            )
