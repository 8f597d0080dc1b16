"""Ledgers of dropout: the random bits that decided about one number."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from .. import dropout as kernels
from ..arrays import any_array
from ..reference.dropout import random_bits
from .ledger import Explanation, Line, Ref, Row, Source, given, ran_by
from .rendering import figure

__all__ = ["dropout", "dropout2d", "dropout_rows"]


@any_array
def dropout(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Drop elements as :func:`convkit.dropout` does, ready to show what decided about each.

    Parameters
    ----------
    x, p, training, seed, algorithm, backend
        As for :func:`convkit.dropout`. Without a seed one is drawn, which the ledger tells.

    Returns
    -------
    Explanation
        Index it like x for the :class:`Ledger` of one number.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.explain.dropout(np.array([3.0, 5.0]), p=0.2, seed=1)[1]
    y[1] of dropout
    p 0.2, training, seed 1
    <BLANKLINE>
    from  value
    x[1]      5
    <BLANKLINE>
    random  2886210587 / 2**32, by Philox4x32-10 of seed 1 at unit 1  = 0.6719983
    limit   858993459 / 2**32, which is p: numbers below it drop      = 0.2
    scale   kept: 1 / (1 - p)                                         = 1.25
    output  5 * 1.25                                                  = 6.25
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    return _explain("dropout", x, p, training, seed, algorithm, backend, None)


@any_array
def dropout2d(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Drop whole feature maps as :func:`convkit.dropout2d` does: all pixels of a map are one unit.

    Parameters and result are those of :func:`dropout`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.explain.dropout2d(np.ones((1, 3, 2, 2)), seed=3)
    >>> {ledger.lines[0].value for ledger in y.ledgers() if ledger.output.index[1] == 0} == {
    ...     y[0, 0, 0, 0].lines[0].value
    ... }
    True
    """
    return _explain("dropout2d", x, p, training, seed, algorithm, backend, -2)


@any_array
def dropout_rows(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Drop whole rows as :func:`convkit.dropout_rows` does: a row is one unit.

    Parameters and result are those of :func:`dropout`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.explain.dropout_rows(np.ones((4, 2)), seed=1)[2, 1].lines[0].how
    '1062581232 / 2**32, by Philox4x32-10 of seed 1 at unit 2'
    """
    return _explain("dropout_rows", x, p, training, seed, algorithm, backend, 1)


class _Bits:
    """The 32 random bits of each unit, drawn when first asked for."""

    def __init__(self, seed: int, units: int) -> None:
        self.seed, self.units = seed, units

    @cached_property
    def of(self) -> np.ndarray:
        return random_bits(self.seed, self.units)


def _explain(
    op: str,
    x: Any,
    p: float,
    training: bool,
    seed: int | None,
    algorithm: str,
    backend: str,
    stop: int | None,
) -> Explanation:
    """Explain a dropout whose units are counted by x's axes up to `stop`."""
    (x,) = given(x=x)
    seed = secrets.randbits(64) if seed is None else seed
    run: Callable[..., np.ndarray] = getattr(kernels, op)
    y = run(x, p, training, seed=seed, algorithm=algorithm, backend=backend)
    units = x.shape[:stop]
    bits = _Bits(int(seed), prod(units))
    threshold = round(p * 2**32)

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        value = float(x[at])
        rows: list[Row] = [{"from": Source("real", Ref("x", at)), "value": value}]
        if not training or p == 0:
            why = "evaluation is the identity" if not training else "nothing is dropped with p 0"
            return rows, [Line("output", why, value)], 0.0
        unit = int(np.ravel_multi_index(at[:stop], units)) if units else 0
        drawn = int(bits.of[unit])
        kept = p < 1 and drawn >= threshold
        scale = 1 / (1 - p) if kept else 0.0
        lines = [
            Line("random", f"{drawn} / 2**32, by Philox4x32-10 of seed {seed} at unit {unit}", drawn / 2**32),
            Line("limit", f"{threshold} / 2**32, which is p: numbers below it drop", threshold / 2**32),
            Line("scale", "kept: 1 / (1 - p)" if kept else "dropped", scale),
            Line("output", f"{figure(value)} * {figure(scale)}", value * scale if kept else 0.0),
        ]
        # scale and product are rounded once each
        return rows, lines, 2 * float(np.finfo(y.dtype).eps) * abs(value * scale) if kept else 0.0

    options = f"p {figure(float(p))}, {f'training, seed {seed}' if training else 'evaluation'}"
    formula = (
        r"y = \begin{cases} x / (1 - p) & \text{where a random number reaches } p \\ "
        r"0 & \text{elsewhere} \end{cases}"
    )
    return Explanation(op, y, ran_by(), make, options, formula)
