"""Random operations for the tests of the mathematics, and what they check of them.

The numbers are small integers, of which every sum of products is exact: an identity that holds in
mathematics must then hold as an equality.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import assume, settings
from hypothesis import strategies as st

from convkit.geometry import PADDING_MODES, conv_output_size, effective_kernel

quick = settings(deadline=None, max_examples=60, derandomize=True)


def integers(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Return integers in [-4, 4], a different array for each shape and seed."""
    return np.random.default_rng([seed, *shape]).integers(-4, 5, shape).astype(dtype)


def reals(*shape: int, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    """Return normal deviates, a different array for each shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


class Geometry(NamedTuple):
    """A convolution by its shapes and options."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    y: tuple[int, ...]
    options: dict[str, Any]  # stride, padding, dilation, groups


@st.composite
def geometries(draw: Callable, rank: int = 2, batchless: bool = True) -> tuple[Geometry, str]:
    """Draw a convolution of one or two axes, and a padding mode that it can have."""
    mode = draw(st.sampled_from(PADDING_MODES))
    axes, small = range(rank), st.integers(1, 3)
    k, s, d = ([draw(small) for _ in axes] for _ in range(3))
    n = [draw(st.integers(2 if mode == "reflect" else 1, 6)) for _ in axes]
    pads = [(draw(st.integers(0, 4)), draw(st.integers(0, 4))) for _ in axes]
    for a in axes:
        assume(n[a] + sum(pads[a]) >= effective_kernel(k[a], d[a]))
    out = [conv_output_size(n[a], k[a], s[a], d[a], *pads[a]) for a in axes]
    groups, ICG, OCG = draw(small), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    batch = draw(st.sampled_from([(), (1,), (2,)] if batchless else [(1,), (2,)]))
    options = {"stride": tuple(s), "padding": tuple(pads), "dilation": tuple(d), "groups": groups}
    x, y = (*batch, groups * ICG, *n), (*batch, groups * OCG, *out)
    return Geometry(x, (groups * OCG, ICG, *k), y, options), mode


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """Return the inner product of two arrays of one shape, in float64."""
    assert a.shape == b.shape
    return float(np.sum(a.astype(np.float64) * b.astype(np.float64)))


def central_differences(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, grad_y: np.ndarray, h: float = 1e-5
) -> np.ndarray:
    """Return the gradient of ``sum(f(x) * grad_y)`` for `x`, one element at a time, in float64.

    It errs by about ``h*h`` (the third derivative) and ``eps / h`` (the subtraction).
    """
    grad = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        grad[i] = inner(f(up) - f(down), grad_y) / (2 * h)
    return grad
