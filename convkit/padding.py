"""Padding an array's border, and the gradient of that."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, prod
from typing import Any, NamedTuple

import numpy as np

from . import geometry
from .arrays import SMALL, any_array, finish, key, number, operand, output, shape_of
from .border import filled, recalled, seen
from .dispatch import pick

__all__ = ["pad", "pad_backward"]

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


class _Plan(NamedTuple):
    x: tuple[int, ...]  # as the kernels see it: planes, rows, columns
    y: tuple[int, ...]
    ih_of: np.ndarray
    iw_of: np.ndarray
    result: tuple[int, ...]


@recalled
def _plan(x_shape: tuple[int, ...], padding: Any, mode: Any) -> _Plan:
    """Plan padding by what a caller wrote."""
    return _plan_of(x_shape, key(padding, "padding"), mode)


@geometry.remembered
def _plan_of(x_shape: tuple[int, ...], padding: Any, mode: str) -> _Plan:
    if not isinstance(padding, tuple) or len(padding) not in (2, 4):
        raise ValueError(
            f"padding must be (left, right) or (left, right, top, bottom), last axis first, got {padding!r}"
        )
    padding = geometry.per_axis(padding, len(padding), "padding", least=-geometry.LARGEST)
    axes = len(padding) // 2
    if len(x_shape) < axes:
        raise ValueError(f"x must have at least {axes} axes to pad, got shape {x_shape}")
    if 0 in x_shape[-axes:]:
        raise ValueError(f"the axes to pad may not be empty, got x of shape {x_shape}")
    modes = ("constant", *geometry.PADDING_MODES[1:])
    if not isinstance(mode, str) or mode not in modes:
        names = ", ".join(modes)
        raise ValueError(f"mode must be one of {names}, got {mode!r}")
    table_mode = "zeros" if mode == "constant" else mode
    size = (*((1,) * (2 - axes)), *x_shape[-axes:])
    pairs = (*((0, 0),) * (2 - axes), *((padding[i], padding[i + 1]) for i in range(2 * axes - 2, -1, -2)))
    planes = prod(x_shape[:-axes])
    grown = tuple(max(before + n + after, 0) for n, (before, after) in zip(size, pairs, strict=True))
    result = geometry.check_allocation((*x_shape[:-axes], *grown[-axes:]), 4)
    ih_of, iw_of = (geometry.index_table(n, *p, table_mode) for n, p in zip(size, pairs, strict=True))
    return _Plan((planes, *size), (planes, *grown), ih_of, iw_of, result)


@any_array
def pad(
    x: Any,
    padding: Sequence[int],
    mode: str = "constant",
    value: float = 0.0,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Put a border around the last one or two axes of an array.

    Parameters
    ----------
    x : array, any shape with at least one or two axes
        float32 or float64.
    padding : (left, right) or (left, right, top, bottom)
        Cells to add, **last axis first**, as in PyTorch. Negative numbers crop, in mode
        ``"constant"`` alone.
    mode : {"constant", "reflect", "replicate", "circular", "symmetric"}
        What the border shows: see :func:`convkit.geometry.index_table`. ``"reflect"`` does not
        repeat the edge, ``"symmetric"`` does.
    value : float
        What fills the border in mode ``"constant"``.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array
        x, grown by `padding`.

    Raises
    ------
    ValueError
        For an unknown mode, a border that the mode cannot make, a crop that leaves nothing, or a finite
        `value` that would be infinite in x's type.
    TypeError
        If x is not a float32 or float64 array.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.pad(np.array([1.0, 2.0, 3.0]), (2, 2), "reflect")
    array([3., 2., 1., 2., 3., 2., 1.])
    >>> convkit.pad(np.array([1.0, 2.0, 3.0]), (1, -1), value=9)
    array([9., 1., 2.])
    """
    x = operand(x, "x")
    plan = _plan(x.shape, padding, mode)
    value = number(value, "value")
    if LARGEST_FLOAT32 < abs(value) < inf and x.dtype == np.float32:
        raise ValueError(f"value must be finite in {x.dtype}, the type of x, got {value}")
    return _padded(x, plan, value, algorithm, backend, out)


def _padded(
    x: np.ndarray, plan: _Plan, value: float, algorithm: str, backend: str, out: np.ndarray | None
) -> np.ndarray:
    kernel = pick("pad2d", backend, algorithm)
    if out is None and (small := filled(kernel, x, plan, (value,), SMALL)) is not None:
        return small
    y = output(plan.result, x.dtype, out, (x,))
    if y.size:
        kernel(seen(y, plan.y), seen(x, plan.x), plan.ih_of, plan.iw_of, value)
    return finish(y, out)


@any_array
def pad_backward(
    grad_y: Any,
    x: Any,
    padding: Sequence[int],
    mode: str = "constant",
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient of a loss for the input of :func:`pad`.

    Each cell of x collects the gradient of every cell that showed it: under ``"reflect"`` a cell
    beside the edge is shown twice, and its two gradients are added. They are added in x's dtype, one
    after another: a border of p cells that show one cell, as ``"replicate"`` makes, costs up to p roundings.
    A ``"constant"`` border shows no cell, and what is left is to crop it: :func:`pad` by `padding` with its
    signs turned.

    Parameters
    ----------
    grad_y : array
        Gradient of the loss for :func:`pad`'s result.
    x : array or shape
        What was padded; only its shape is used.
    padding, mode
        As they were given to :func:`pad`.
    algorithm, backend, out
        As for :func:`pad`.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError
        As :func:`pad`, and if `grad_y` has not the shape of its result.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.pad_backward(np.ones(5), (3,), (1, 1), "reflect")
    array([1., 3., 1.])
    """
    grad_y = operand(grad_y, "grad_y")
    shape = shape_of(x)
    padding = key(padding, "padding")
    plan = _plan(shape, padding, mode)
    if grad_y.shape != plan.result:
        raise ValueError(f"grad_y must have the output's shape {plan.result}, got {grad_y.shape}")
    if mode == "constant":
        back = _plan(plan.result, tuple(-p for p in padding), mode)
        return _padded(grad_y, back, 0.0, algorithm, backend, out)
    grad_x = output(shape, grad_y.dtype, out, (grad_y,))
    kernel = pick("pad2d_backward", backend, algorithm)
    if grad_x.size:
        kernel(seen(grad_x, plan.x), seen(grad_y, plan.y), plan.ih_of, plan.iw_of)
    return finish(grad_x, out)
