"""Ledgers of padding: which cell each cell of the border shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import padding as kernels
from ..arrays import any_array
from .ledger import Explanation, Line, Row, Source, given, ran_by
from .sources import axis, source

__all__ = ["pad"]


@any_array
def pad(
    x: Any,
    padding: Sequence[int],
    mode: str = "constant",
    value: float = 0.0,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Pad as :func:`convkit.pad` does, ready to show which cell each cell of the border came from.

    Parameters
    ----------
    x, padding, mode, value, algorithm, backend
        As for :func:`convkit.pad`.

    Returns
    -------
    Explanation
        Index it like the output for the :class:`Ledger` of one cell.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.explain.pad(np.array([1.0, 2.0, 3.0]), (2, 2), "reflect")
    >>> [str(ledger.rows[0]["from"]) for ledger in y.ledgers()][:3]
    ['mirrored from x[2]', 'mirrored from x[1]', 'x[0]']
    """
    (x,) = given(x=x)
    y = kernels.pad(x, padding, mode, value, algorithm=algorithm, backend=backend)
    rank = len(padding) // 2
    pairs = [(padding[i], padding[i + 1]) for i in range(2 * rank - 2, -1, -2)]
    shown = "zeros" if mode == "constant" else mode
    axes = [axis(n, int(a), int(b), shown) for n, (a, b) in zip(x.shape[-rank:], pairs, strict=True)]

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        came = source("x", at[:-rank], axes, at[-rank:])
        if came.cell is None:
            came = Source("constant padding")
            number = float(value)
        else:
            number = float(x[came.cell.index])
        rows: list[Row] = [{"from": came, "value": number}]
        return rows, [Line("copy", str(came), number)], 0.0

    options = f"padding {tuple(padding)}, last axis first, {mode}"
    return Explanation("pad", y, ran_by(), make, options, r"y_i = x_{\mathrm{table}(i)}")
