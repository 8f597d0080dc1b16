"""Ledgers of transposed convolutions: the inputs whose kernels reach one output, and by which tap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import inf, isfinite
from typing import Any

import numpy as np

from .. import conv_transpose
from ..arrays import IntOrInts, any_array
from ..conv_plan import Padding
from ..geometry import conv_padding, per_axis
from .ledger import Explanation, Line, Ref, Row, Source, brief, given, ran_by
from .rendering import figure
from .sources import SHOWN, Axis, axis

__all__ = ["conv_transpose1d", "conv_transpose2d"]


@any_array
def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Convolve backwards as :func:`convkit.conv_transpose2d` does, ready to show what reached each output.

    Parameters
    ----------
    x, w, b, stride, padding, output_padding, groups, dilation, padding_mode, flip, algorithm, backend
        As for :func:`convkit.conv_transpose2d`.

    Returns
    -------
    Explanation
        Index it like the output, ``[n, oc, oh, ow]``, for the :class:`Ledger` of one number.

    Examples
    --------
    Three taps at stride 2: every other output is reached twice, the others once.

    >>> import numpy as np, convkit
    >>> x, w = np.array([[[5.0, 7.0]]]), np.array([[[[1.0, 2.0, 3.0]]]])
    >>> y = convkit.explain.conv_transpose2d(x, w, stride=(1, 2))
    >>> [len(ledger.rows) for ledger in y.ledgers()]
    [1, 1, 2, 1, 1]
    >>> y[0, 0, 2]
    y[0, 0, 2] of conv_transpose2d
    stride (1, 2), padding 0, output padding 0, dilation 1, groups 1
    <BLANKLINE>
    from        tap            lands     value  weight  product  sum
    x[0, 0, 1]  w[0, 0, 0, 0]  directly      7       1        7    7
    x[0, 0, 0]  w[0, 0, 0, 2]  directly      5       3       15   22
    <BLANKLINE>
    sum  2 products  = 22
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    x, w, b = given(x=x, w=w, b=b)
    y = conv_transpose.conv_transpose2d(
        x, w, b, stride, padding, output_padding, groups, dilation,  # type: ignore[arg-type]
        padding_mode=padding_mode, flip=flip, algorithm=algorithm, backend=backend,
    )  # fmt: skip
    return _explain(2, y, x, w, b, (stride, padding, output_padding, dilation), groups, padding_mode, flip)


@any_array
def conv_transpose1d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Convolve signals backwards as :func:`convkit.conv_transpose1d` does: see :func:`conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.explain.conv_transpose1d(np.array([[5.0, 7.0]]), np.ones((1, 1, 3)), stride=2)
    >>> [str(row["from"]) for row in y[0, 2].rows]
    ['x[0, 1]', 'x[0, 0]']
    """
    x, w, b = given(x=x, w=w, b=b)
    y = conv_transpose.conv_transpose1d(
        x, w, b, stride, padding, output_padding, groups, dilation,  # type: ignore[arg-type]
        padding_mode=padding_mode, flip=flip, algorithm=algorithm, backend=backend,
    )  # fmt: skip
    return _explain(1, y, x, w, b, (stride, padding, output_padding, dilation), groups, padding_mode, flip)


def _explain(
    rank: int,
    y: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    window: tuple[Any, Any, Any, Any],
    groups: int,
    padding_mode: str,
    flip: bool,
) -> Explanation:
    """Explain a transposed convolution whose arguments the kernel's own function has accepted."""
    ran, kernel = ran_by(), w.shape[2:]
    s, extra, d = (
        per_axis(window[i], rank, name) for i, name in ((0, "stride"), (2, "output_padding"), (3, "dilation"))
    )
    pads = conv_padding(window[1], x.shape[-rank:], kernel, s, d)
    axes = [axis(n, *p, padding_mode) for n, p in zip(y.shape[-rank:], pads, strict=True)]
    eps, largest = float(np.finfo(x.dtype).eps), float(np.finfo(x.dtype).max)
    per_group = w.shape[0] // groups

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        batch, oc, out = at[: -rank - 1], at[-rank - 1], at[-rank:]
        group, within = divmod(oc, w.shape[1])
        rows: list[Row] = []
        total = size_of_terms = 0.0
        for c, *taps in product(range(per_group), *map(range, kernel)):
            ic = group * per_group + c
            turned = [k - 1 - t for k, t in zip(kernel, taps, strict=True)] if flip else taps
            weight = Ref("w", (ic, within, *turned))
            ends_of = zip(axes, out, taps, s, d, x.shape[-rank:], strict=True)
            reached = [list(_reaching(a, o, t, s_, d_, n)) for a, o, t, s_, d_, n in ends_of]
            for ends in product(*reached):
                came = Ref("x", (*batch, ic, *(cell for cell, _ in ends)))
                value, factor = float(x[came.index]), float(w[weight.index])
                total += value * factor
                size_of_terms += abs(value * factor)
                direct = all(real for _, real in ends)
                rows.append({
                    "from": Source("real", came), "tap": weight,
                    "lands": "directly" if direct else f"where it was {SHOWN[padding_mode]}",
                    "value": value, "weight": factor, "product": value * factor, "sum": total,
                })  # fmt: skip
        lines = [Line("sum", f"{len(rows)} product{'s' if len(rows) != 1 else ''}", total)]
        if b is not None:
            lines.append(Line("bias", f"{figure(total)} + {Ref('b', (oc,))}", total + float(b[oc])))
            size_of_terms += abs(float(b[oc]))
        bound = (len(rows) + 1) * eps * size_of_terms if isfinite(size_of_terms) else 0.0
        return rows, lines, inf if largest < size_of_terms < inf else bound

    options = (
        f"stride {brief(s)}, padding {brief(pads)}{'' if padding_mode == 'zeros' else ' ' + padding_mode}, "
        f"output padding {brief(extra)}, dilation {brief(d)}, groups {groups}"
        f"{', kernel turned round' if flip else ''}"
    )
    formula = (
        r"y_{oc,i} = b_{oc} + \sum_{ic,\,o,\,k \,:\, \mathrm{table}(o S + k D) = i} x_{ic,o}\, w_{ic,oc,k}"
    )
    return Explanation(f"conv_transpose{rank}d", y, ran, make, options, formula)


def _reaching(a: Axis, cell: int, tap: int, s: int, d: int, n: int) -> Iterator[tuple[int, bool]]:
    """Yield the inputs, of `n`, that reach a cell of the output by a tap, and whether not through padding."""
    for padded, shown in enumerate(a.table):
        i, rest = divmod(padded - tap * d, s)
        if shown == cell and rest == 0 and 0 <= i < n:
            yield i, a.before <= padded < a.before + a.n
