"""Ledgers of convolutions: the products behind one output number."""

from __future__ import annotations

from itertools import product
from math import inf, isfinite
from typing import Any

import numpy as np

from .. import conv
from ..arrays import IntOrInts, any_array
from ..conv_plan import Padding
from ..geometry import conv_padding, per_axis
from .ledger import Explanation, Line, Ref, Row, brief, given, ran_by
from .rendering import figure
from .sources import Axis, axis, source

__all__ = ["conv1d", "conv2d"]


@any_array
def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Convolve as :func:`convkit.conv2d` does, and be ready to show each output's products.

    Parameters
    ----------
    x, w, b, stride, padding, dilation, groups, padding_mode, flip, algorithm, backend
        As for :func:`convkit.conv2d`.

    Returns
    -------
    Explanation
        Index it like the output, ``[n, oc, oh, ow]``, for the :class:`Ledger` of one number.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As :func:`convkit.conv2d`.
    Mismatch
        When indexed, if products and bias do not come to the kernel's own output.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> w = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> y = convkit.explain.conv2d(x, w, np.array([0.5]), padding=1, padding_mode="reflect")
    >>> y[0, 0, 0, 1]
    y[0, 0, 0, 1] of conv2d
    stride 1, padding 1 reflect, dilation 1, groups 1
    <BLANKLINE>
    tap            from                         value  weight  product  sum
    w[0, 0, 0, 0]  mirrored from x[0, 0, 1, 0]      3       1        3    3
    w[0, 0, 0, 1]  mirrored from x[0, 0, 1, 1]      4       2        8   11
    w[0, 0, 1, 0]  x[0, 0, 0, 0]                    0       3        0   11
    w[0, 0, 1, 1]  x[0, 0, 0, 1]                    1       4        4   15
    <BLANKLINE>
    sum   4 products  = 15
    bias  15 + b[0]   = 15.5
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    x, w, b = given(x=x, w=w, b=b)
    y = conv.conv2d(
        x, w, b, stride, padding, dilation, groups,
        padding_mode=padding_mode, flip=flip, algorithm=algorithm, backend=backend,
    )  # fmt: skip
    return _explain(2, y, x, w, b, (stride, padding, dilation), groups, padding_mode, flip)


@any_array
def conv1d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Convolve signals as :func:`convkit.conv1d` does, ready to show each output's products.

    Parameters and results are those of :func:`conv2d`, with one axis less.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.explain.conv1d(np.array([[1.0, 2.0, 4.0]]), np.array([[[1.0, 10.0]]]))
    >>> [row["product"] for row in y[0, 1].rows], y[0, 1].value
    ([2.0, 40.0], 42.0)
    """
    x, w, b = given(x=x, w=w, b=b)
    y = conv.conv1d(
        x, w, b, stride, padding, dilation, groups,
        padding_mode=padding_mode, flip=flip, algorithm=algorithm, backend=backend,
    )  # fmt: skip
    return _explain(1, y, x, w, b, (stride, padding, dilation), groups, padding_mode, flip)


def _explain(
    rank: int,
    y: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    window: tuple[Any, Any, Any],
    groups: int,
    padding_mode: str,
    flip: bool,
) -> Explanation:
    """Explain a convolution whose arguments the kernel's own function has accepted."""
    ran = ran_by()
    size, kernel = x.shape[-rank:], w.shape[2:]
    s, d = (per_axis(window[i], rank, name) for i, name in ((0, "stride"), (2, "dilation")))
    pads = conv_padding(window[1], size, kernel, s, d)
    axes = [axis(n, *p, padding_mode) for n, p in zip(size, pads, strict=True)]
    per_filter = w.shape[0] // groups
    bounds = _Bounds(x, w, b, axes, ran.algorithm)

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        batch, oc, out = at[: -rank - 1], at[-rank - 1], at[-rank:]
        first = oc // per_filter * w.shape[1]  # the first input channel of this filter's group
        rows: list[Row] = []
        total = size_of_terms = 0.0
        for c, *taps in product(range(w.shape[1]), *map(range, kernel)):
            padded = [o * s_ + t * d_ for o, s_, t, d_ in zip(out, s, taps, d, strict=True)]
            came = source("x", (*batch, first + c), axes, padded)
            if flip:
                taps = [k - 1 - t for k, t in zip(kernel, taps, strict=True)]
            weight = Ref("w", (oc, c, *taps))
            value = float(x[came.cell.index]) if came.cell else 0.0
            factor = float(w[weight.index])
            total += value * factor
            size_of_terms += abs(value * factor)
            rows.append({
                "tap": weight, "from": came, "value": value, "weight": factor,
                "product": value * factor, "sum": total,
            })  # fmt: skip
        lines = [Line("sum", f"{len(rows)} product{'s' if len(rows) != 1 else ''}", total)]
        if b is not None:
            bias = float(b[oc])
            lines.append(Line("bias", f"{figure(total)} + {Ref('b', (oc,))}", total + bias))
            size_of_terms += abs(bias)
        return rows, lines, bounds.of(at, size_of_terms, len(rows) + 1)

    options = (
        f"stride {brief(s)}, padding {brief(pads)}{'' if padding_mode == 'zeros' else ' ' + padding_mode}, "
        f"dilation {brief(d)}, groups {groups}{', kernel turned round' if flip else ''}"
    )
    return Explanation(f"conv{rank}d", y, ran, make, options, _FORMULA[rank])


_FORMULA = {
    1: r"y_{n,oc,o} = b_{oc} + \sum_{c,k} x_{n,c,\,o S + k D - P}\, w_{oc,c,k}",
    2: r"y_{n,oc,oh,ow} = b_{oc} + \sum_{c,kh,kw} x_{n,c,\,oh S_h + kh D_h - P_h,\,ow S_w + kw D_w - P_w}\, "
    r"w_{oc,c,kh,kw}",
}


class _Bounds:
    """How far an algorithm's output may be from the sum of its products: see :mod:`convkit.rules`."""

    def __init__(
        self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, axes: list[Axis], algorithm: str
    ) -> None:
        self.eps, self.largest = float(np.finfo(x.dtype).eps), float(np.finfo(x.dtype).max)
        self.algorithm = algorithm
        if algorithm not in ("winograd", "fft"):
            return
        cells = tuple(range(-len(axes), 0))
        wide, filters = np.abs(x.astype(np.float64)), np.abs(w.astype(np.float64))
        if algorithm == "winograd":
            self.channels = wide.max(axis=cells)
            self.filters = filters.sum(axis=cells)
            self.factor = 16 + w.shape[1] / 16
        else:
            for i, a in zip(cells, axes, strict=True):
                table = np.array(a.table)
                real = (table >= 0).reshape(-1, *(1,) * (-1 - i))
                wide = np.where(real, np.take(wide, table, axis=i), 0.0)
            self.channels, self.filters = (np.sqrt(np.square(a).sum(axis=cells)) for a in (wide, filters))
            self.factor = 4.0
        self.bias = np.zeros(w.shape[0]) if b is None else np.abs(b.astype(np.float64))

    def of(self, at: tuple[int, ...], size_of_terms: float, roundings: int) -> float:
        """Return the bound of one output; infinity where the dtype's range or a NaN leaves none."""
        if self.algorithm not in ("winograd", "fft"):
            if not isfinite(size_of_terms):
                return 0.0  # infinities and NaNs travel as the arithmetic says
            return inf if size_of_terms > self.largest else roundings * self.eps * size_of_terms
        rank = len(at) - self.channels.ndim
        batch, oc = at[: -rank - 1], at[-rank - 1]
        OC, ICG = self.filters.shape
        channels = self.channels[batch]
        group = oc * (len(channels) // ICG) // OC * ICG
        scale = float(channels[group : group + ICG] @ self.filters[oc] + self.bias[oc])
        return self.factor * self.eps * scale if isfinite(scale) else inf
