"""Ledgers of batch norm: a channel's statistics, step by step, and what they make of one number."""

from __future__ import annotations

from math import inf, isfinite, sqrt
from typing import Any

import numpy as np

from .. import normalization
from ..arrays import any_array
from .ledger import Explanation, Line, Ref, Row, Source, given, ran_by
from .rendering import figure

__all__ = ["batch_norm"]


@any_array
def batch_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
) -> Explanation:
    """Normalise as :func:`convkit.batch_norm` does, ready to show each step for one number.

    Parameters
    ----------
    x, running_mean, running_var, weight, bias, training, momentum, eps, num_batches_tracked
        As for :func:`convkit.batch_norm`; the running statistics are **not** updated here.
    algorithm, backend
        As for :func:`convkit.batch_norm`.

    Returns
    -------
    Explanation
        Index it like the output, ``[n, c, h, w]``, for the :class:`Ledger` of one number.

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.batch_norm`; in evaluation, if there are no running statistics.
    Mismatch
        When indexed, if the steps do not come to the kernel's own output.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[1.0], [2.0], [6.0]])
    >>> gamma, beta = np.array([2.0]), np.array([10.0])
    >>> convkit.explain.batch_norm(x, weight=gamma, bias=beta, training=True, eps=0.0)[2, 0]
    y[2, 0] of batch_norm
    training, eps 0
    <BLANKLINE>
    from     value  sum  deviation  squared  sum of squares
    x[0, 0]      1    1         -2        4               4
    x[1, 0]      2    3         -1        1               5
    x[2, 0]      6    9          3        9              14
    <BLANKLINE>
    mean        9 / 3                             = 3
    variance    14 / 3, biased                    = 4.666667
    deviation   sqrt(4.666667 + eps)              = 2.160247
    normalised  (6 - 3) / 2.160247                = 1.38873
    scaled      2 * 1.38873, 2 is weight[0]       = 2.77746
    shifted     2.77746 + 10, 10 is bias[0]       = 12.77746
    <BLANKLINE>
    The kernel (cython, direct) returned the same number.
    """
    x, weight, bias, running_mean, running_var = given(
        x=x, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var
    )
    statistics = {"running_mean": running_mean, "running_var": running_var}
    missing = [name for name, v in statistics.items() if v is None]
    if missing and not training:
        raise ValueError(
            f"evaluation needs {' and '.join(missing)}: for x's own statistics, pass training=True"
        )
    own_mean, own_var = (None if v is None else v.copy() for v in (running_mean, running_var))
    y = normalization.batch_norm(
        x, own_mean, own_var, weight, bias, training, momentum, eps,
        num_batches_tracked=num_batches_tracked, algorithm=algorithm, backend=backend,
    )  # fmt: skip
    wide = x.astype(np.float64)
    unit = float(np.finfo(x.dtype).eps)

    def make(at: tuple[int, ...]) -> tuple[list[Row], list[Line], float]:
        value, c = float(x[at]), at[1]
        if training:
            rows, mean, var, lines = _own_statistics(wide, c)
        else:
            rows = [{"from": Source("real", Ref("x", at)), "value": value}]
            mean, var = float(running_mean[c]), float(running_var[c])
            lines = [
                Line("mean", str(Ref("running_mean", (c,))), mean),
                Line("variance", str(Ref("running_var", (c,))), var),
            ]
        deviation = sqrt(var + eps) if var + eps >= 0 else float("nan")
        with np.errstate(divide="ignore", invalid="ignore"):
            number = float(np.float64(value - mean) / deviation)
        lines += [
            Line("deviation", f"sqrt({figure(var)} + eps)", deviation),
            Line("normalised", f"({figure(value)} - {figure(mean)}) / {figure(deviation)}", number),
        ]
        size = (abs(value - mean) + abs(mean)) / deviation if deviation else inf
        for what, vector, sign in (("scaled", weight, "*"), ("shifted", bias, "+")):
            if vector is None:
                continue
            name, factor = "weight" if sign == "*" else "bias", float(vector[c])
            size = size * abs(factor) if sign == "*" else size + abs(factor)
            terms = (factor, number) if sign == "*" else (number, factor)
            number = number * factor if sign == "*" else number + factor
            how = f"{figure(terms[0])} {sign} {figure(terms[1])}, {figure(factor)} is {name}[{c}]"
            lines.append(Line(what, how, number))
        # The rounded mean and variance carry an error for each value that was added, the rest is 8 steps.
        return rows, lines, (len(rows) + 8) * unit * size if isfinite(size) else inf

    options = (
        f"{'training' if training else 'evaluation, by the running statistics'}, eps {figure(float(eps))}"
    )
    formula = r"y = \gamma_c\, \frac{x - \mu_c}{\sqrt{\sigma_c^2 + \varepsilon}} + \beta_c"
    return Explanation("batch_norm", y, ran_by(), make, options, formula)


def _own_statistics(x: np.ndarray, c: int) -> tuple[list[Row], float, float, list[Line]]:
    """Return one row a value of channel `c`, and its mean and biased variance in two passes."""
    channel = x[:, c]
    values, count = channel.ravel(), channel.size
    with np.errstate(invalid="ignore"):  # of infinities
        mean = float(values[0] + (values - values[0]).sum() / count)  # equal values have exactly their mean
    rows: list[Row] = []
    total = squares = 0.0
    for inside in np.ndindex(channel.shape):
        value = float(channel[inside])
        total += value
        squares += (value - mean) ** 2
        came = Source("real", Ref("x", (inside[0], c, *inside[1:])))
        rows.append({
            "from": came, "value": value, "sum": total, "deviation": value - mean,
            "squared": (value - mean) ** 2, "sum of squares": squares,
        })  # fmt: skip
    var = squares / count
    lines = [
        Line("mean", f"{figure(total)} / {count}", mean),
        Line("variance", f"{figure(squares)} / {count}, biased", var),
    ]
    return rows, mean, var, lines
