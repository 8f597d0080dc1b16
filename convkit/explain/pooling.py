"""Ledgers of poolings: which cells a window holds, and what it divides by."""

from __future__ import annotations

from itertools import product
from math import inf, isfinite, isnan
from typing import Any

import numpy as np

from .. import max_pooling, pooling
from ..arrays import IntOrInts, any_array
from ..geometry import per_axis, pool_windows
from .ledger import Explanation, Line, Ref, Row, Source, brief, given, ran_by
from .rendering import figure

__all__ = ["avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]


@any_array
def avg_pool2d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Average windows as :func:`convkit.avg_pool2d` does, ready to show each output's cells and divisor.

    Parameters
    ----------
    x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, algorithm, backend
        As for :func:`convkit.avg_pool2d`.

    Returns
    -------
    Explanation
        Index it like the output, ``[n, c, oh, ow]``, for the :class:`Ledger` of one number.

    Examples
    --------
    A window in the corner, which hangs over in ceil mode:

    >>> import numpy as np, convkit
    >>> x = np.arange(1.0, 17).reshape(1, 1, 4, 4)
    >>> convkit.explain.avg_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)[0, 0, 2, 2]
    y[0, 0, 2, 2] of avg_pool2d
    window 3, stride 2, padding 1, ceil mode
    <BLANKLINE>
    from           value  sum
    x[0, 0, 3, 3]     16   16
    zero padding       0   16
    overhang           0   16
    zero padding       0   16
    zero padding       0   16
    overhang           0   16
    overhang           0   16
    overhang           0   16
    overhang           0   16
    <BLANKLINE>
    sum      1 real cell of 9                                    = 16
    divisor  the part of the window in the padded image: 2 x 2   = 4
    mean     16 / 4                                              = 4
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    (x,) = given(x=x)
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    y = pooling.avg_pool2d(x, *options, algorithm=algorithm, backend=backend)
    return _average(2, y, x, *options)


@any_array
def avg_pool1d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Average windows of signals as :func:`convkit.avg_pool1d` does: see :func:`avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.explain.avg_pool1d(np.array([[1.0, 2.0, 6.0]]), 2, ceil_mode=True)[0, 1].value
    6.0
    """
    (x,) = given(x=x)
    options = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    y = pooling.avg_pool1d(x, *options, algorithm=algorithm, backend=backend)
    return _average(1, y, x, *options, None)


def _average(
    rank: int,
    y: np.ndarray,
    x: np.ndarray,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Explanation:
    k, s, p = _window(rank, kernel_size, stride, padding)
    n, eps = x.shape[-rank:], float(np.finfo(x.dtype).eps)
    largest = float(np.finfo(x.dtype).max)
    windows = [
        pool_windows(*axis, ceil_mode, count_include_pad).tolist() for axis in zip(n, k, s, p, strict=True)
    ]

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        leading, out = at[:-rank], at[-rank:]
        rows: list[Row] = []
        total = size_of_terms = 0.0
        for taps in product(*map(range, k)):
            cells = tuple(o * s_ + t - p_ for o, s_, t, p_ in zip(out, s, taps, p, strict=True))
            came = _came(leading, cells, n, p, "zero padding")
            value = float(x[came.cell.index]) if came.cell else 0.0
            total += value
            size_of_terms += abs(value)
            rows.append({"from": came, "value": value, "sum": total})
        real = sum(isinstance(c := row["from"], Source) and c.cell is not None for row in rows)
        factors = [w[o][2] for w, o in zip(windows, out, strict=True)]
        within = "in the padded image" if count_include_pad else "in the image"
        if divisor_override is None:
            divisor = float(np.prod(factors))
            how = f"the part of the window {within}: {' x '.join(map(str, factors))} "
        else:
            divisor, how = float(divisor_override), "divisor_override "
        lines = [
            Line("sum", f"{real} real cell{'s' if real != 1 else ''} of {len(rows)}", total),
            Line("divisor", how.rstrip(), divisor),
            Line("mean", f"{figure(total)} / {figure(divisor)}", total / divisor),
        ]
        bound = (len(rows) + 2) * eps * size_of_terms / abs(divisor)
        if not isfinite(size_of_terms):
            bound = 0.0  # infinities and NaNs travel as the arithmetic says
        return rows, lines, inf if largest < size_of_terms < inf else bound

    options = f"window {brief(k)}, stride {brief(s)}, padding {brief(p)}{', ceil mode' if ceil_mode else ''}"
    if not count_include_pad:
        options += ", padding does not count"
    formula = r"y = \frac{1}{d} \sum_{\text{window}} x"
    return Explanation(f"avg_pool{rank}d", y, ran_by(), make, options, formula)


def _window(rank: int, kernel_size: Any, stride: Any, padding: Any) -> tuple[tuple[int, ...], ...]:
    k = per_axis(kernel_size, rank, "kernel_size")
    s = k if stride is None else per_axis(stride, rank, "stride")
    return k, s, per_axis(padding, rank, "padding")


def _came(
    leading: tuple[int, ...], cells: tuple[int, ...], n: tuple[int, ...], p: tuple[int, ...], padding: str
) -> Source:
    """Tell a window's cell in the image from one in its padding, and that from one beyond."""
    axes = list(zip(cells, n, p, strict=True))
    if all(0 <= c < n_ for c, n_, _ in axes):
        return Source("real", Ref("x", (*leading, *cells)))
    return Source(padding if all(c < n_ + p_ for c, n_, p_ in axes) else "overhang")


# --- maxima --------------------------------------------------------------------------------


@any_array
def max_pool2d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Take maxima as :func:`convkit.max_pool2d` does, ready to show which cell won each window, and when.

    Parameters
    ----------
    x, kernel_size, stride, padding, dilation, ceil_mode, algorithm, backend
        As for :func:`convkit.max_pool2d`.

    Returns
    -------
    Explanation
        Index it like the output, ``[n, c, oh, ow]``, for the :class:`Ledger` of one number.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[[[-3.0, -1.0], [-1.0, -2.0]]]])
    >>> convkit.explain.max_pool2d(x, 2, stride=1, padding=1)[0, 0, 1, 1]
    y[0, 0, 1, 1] of max_pool2d
    window 2, stride 1, padding 1, dilation 1
    <BLANKLINE>
    from           value  takes over  best
    x[0, 0, 0, 0]     -3  yes           -3
    x[0, 0, 0, 1]     -1  yes           -1
    x[0, 0, 1, 0]     -1                -1
    x[0, 0, 1, 1]     -2                -1
    <BLANKLINE>
    maximum  x[0, 0, 0, 1], the first of equals  = -1
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    (x,) = given(x=x)
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    y = max_pooling.max_pool2d(x, *options, algorithm=algorithm, backend=backend)
    return _maximum(2, y, x, *options)


@any_array
def max_pool1d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Take maxima of signals as :func:`convkit.max_pool1d` does: see :func:`max_pool2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.explain.max_pool1d(np.array([[1.0, 5.0, 2.0, 3.0]]), 2)[0, 1].lines[-1].how
    'x[0, 3]'
    """
    (x,) = given(x=x)
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    y = max_pooling.max_pool1d(x, *options, algorithm=algorithm, backend=backend)
    return _maximum(1, y, x, *options)


def _maximum(
    rank: int,
    y: np.ndarray,
    x: np.ndarray,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Explanation:
    k, s, p = _window(rank, kernel_size, stride, padding)
    n, d = x.shape[-rank:], per_axis(dilation, rank, "dilation")

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        leading, out = at[:-rank], at[-rank:]
        rows: list[Row] = []
        best, winner, ties = -inf, None, 0
        for taps in product(*map(range, k)):
            cells = tuple(o * s_ + t * d_ - p_ for o, s_, t, d_, p_ in zip(out, s, taps, d, p, strict=True))
            came = _came(leading, cells, n, p, "-inf padding")
            value = float(x[came.cell.index]) if came.cell else -inf
            takes_over = came.cell is not None and (winner is None or value > best or isnan(value))
            if takes_over:
                best, winner, ties = value, came.cell, 0
            elif came.cell and value == best:
                ties += 1
            rows.append({"from": came, "value": value, "takes over": takes_over, "best": best})
        how = f"{winner}, the first of equals" if ties else f"{winner}"
        return rows, [Line("maximum", how, best)], 0.0

    options = (
        f"window {brief(k)}, stride {brief(s)}, padding {brief(p)}, dilation {brief(d)}"
        f"{', ceil mode' if ceil_mode else ''}"
    )
    formula = r"y = \max_{\text{window}} x"
    return Explanation(f"max_pool{rank}d", y, ran_by(), make, options, formula)
