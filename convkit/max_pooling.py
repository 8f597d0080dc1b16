"""Max pooling: windows of an image reduced to their largest number."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from .arrays import (
    SMALL,
    IntOrInts,
    any_array,
    finish,
    flag,
    is_array,
    operand,
    output,
    same_dtype,
    shape_of,
)
from .border import filled, seen
from .dispatch import last_call, pick
from .place import here
from .pool_plan import PoolPlan, forward, grad_y_of, max_plan

__all__ = ["MaxPool", "max_pool1d", "max_pool1d_backward", "max_pool2d", "max_pool2d_backward"]

INT64 = np.dtype(np.int64)


class MaxPool(NamedTuple):
    """Maxima, and where in its plane each was found (``ih * IW + iw``)."""

    y: Any
    indices: Any


@any_array
def max_pool2d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Take the largest number in each window of an image, channel by channel.

    A NaN in a window wins; of equal numbers the first does. Padding stands for -infinity.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images; float32 or float64.
    kernel_size, stride, padding, ceil_mode
        As for :func:`avg_pool2d`.
    dilation : int or (int, int)
        Pixels between the taps of a window.
    return_indices : bool
        Return also where each maximum was found.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the maxima.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)
        With `return_indices`, :class:`MaxPool`: ``(y, indices)``, where an index is
        ``ih * W + iw`` in its plane, int64.

    Raises
    ------
    ValueError
        If an option is out of range, no window fits, or one would hold padding alone.
    TypeError
        If x is not a float32 or float64 array.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y, indices = convkit.max_pool2d(np.array([[[1.0, 7.0], [7.0, 2.0]]]), 2, return_indices=True)
    >>> y, indices
    (array([[[7.]]]), array([[[1]]]))
    """
    x = operand(x, "x")
    plan = max_plan(x.shape, 2, kernel_size, stride, padding, dilation, ceil_mode)
    return max_forward(x, plan, return_indices, algorithm, backend, out)


@any_array
def max_pool2d_backward(
    grad_y: Any,
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    indices: Any = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`max_pool2d`'s input: all of it goes to the winners.

    Parameters
    ----------
    grad_y : array
        Gradient for the maxima.
    x : array, or its shape where `indices` are given
        What was pooled.
    kernel_size, stride, padding, dilation, ceil_mode
        As they were given to :func:`max_pool2d`.
    indices : array of int64, optional
        What ``return_indices=True`` returned; found anew if left out.
    algorithm, backend, out
        As for :func:`max_pool2d`.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError
        As :func:`max_pool2d`, and if `grad_y` or `indices` have not the result's shape, or an
        index lies outside its plane.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[[1.0, 7.0, 3.0]]])
    >>> convkit.max_pool2d_backward(np.ones((1, 1, 2)), x, (1, 2), 1)
    array([[[0., 2., 0.]]])
    """
    plan = max_plan(shape_of(x), 2, kernel_size, stride, padding, dilation, ceil_mode)
    return max_backward(grad_y, x, plan, indices, algorithm, backend, out)


@any_array
def max_pool1d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Take the largest number in each window of a signal, (N, C, L) or (C, L): see :func:`max_pool2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.max_pool1d(np.array([[1.0, 5.0, 2.0, 4.0]]), 2)
    array([[5., 4.]])
    """
    x = operand(x, "x")
    plan = max_plan(x.shape, 1, kernel_size, stride, padding, dilation, ceil_mode)
    return max_forward(x, plan, return_indices, algorithm, backend, out)


@any_array
def max_pool1d_backward(
    grad_y: Any,
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    dilation: IntOrInts = 1,
    ceil_mode: bool = False,
    *,
    indices: Any = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`max_pool1d`'s input: see :func:`max_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.max_pool1d_backward(np.array([[3.0]]), np.array([[1.0, 5.0]]), 2)
    array([[0., 3.]])
    """
    plan = max_plan(shape_of(x), 1, kernel_size, stride, padding, dilation, ceil_mode)
    return max_backward(grad_y, x, plan, indices, algorithm, backend, out)


# --- running the kernels -------------------------------------------------------------------


def max_forward(
    x: np.ndarray, plan: PoolPlan, return_indices: bool, algorithm: str, backend: str, out: np.ndarray | None
) -> Any:
    if not flag(return_indices, "return_indices"):
        return forward("max_pool2d", x, plan, algorithm, backend, out)
    kernel = pick("max_pool2d_indices", backend, algorithm)
    if out is None and (pair := filled(kernel, x, plan, (), SMALL, INT64)) is not None:
        return MaxPool(*pair)
    y = output(plan.result, x.dtype, out, (x,))
    where = output(plan.result, INT64, None, ())
    if x.size:
        kernel(seen(y, plan.y), seen(where, plan.y), seen(x, plan.x), plan.h_windows, plan.w_windows)
    return MaxPool(finish(y, out), where)


def max_backward(
    grad_y: Any,
    x: Any,
    plan: PoolPlan,
    indices: Any,
    algorithm: str,
    backend: str,
    out: np.ndarray | None,
) -> np.ndarray:
    grad_y = grad_y_of(grad_y, plan)
    shape = shape_of(x)
    if indices is None:
        if isinstance(x, tuple | list):
            raise TypeError(
                f"x must be the array itself, to find its maxima again, got {x}: "
                "a shape is enough only with indices="
            )
        x = operand(x, "x")
        same_dtype(grad_y=grad_y, x=x)
        indices = max_forward(x, plan, True, "auto", backend, None).indices
        kernel = pick("max_pool2d_backward", backend, algorithm)
    else:
        indices = given_indices(indices, plan)
        kernel = pick("max_pool2d_backward", backend, algorithm)
        # A kernel that checks while it scatters may have written by then: no matter in an array of our own.
        if out is not None or not (chosen := last_call()) or not chosen.checks_indices:
            check_range(indices, prod(plan.x[1:]))
    grad_x = output(shape, grad_y.dtype, out, (grad_y, indices))
    if grad_x.size:
        kernel(seen(grad_x, plan.x), seen(grad_y, plan.y), seen(indices, plan.y))
    return finish(grad_x, out)


def given_indices(indices: Any, plan: PoolPlan) -> np.ndarray:
    """Return the caller's indices as kernels take them."""
    if not is_array(indices) or indices.dtype.newbyteorder("=") != np.int64:
        kind = getattr(indices, "dtype", type(indices).__name__)
        raise TypeError(f"indices must be an array of int64, got {kind}")
    if indices.shape != plan.result:
        raise ValueError(f"indices must have the output's shape {plan.result}, got {indices.shape}")
    return here().indices(indices) if here() is not None else np.require(indices, np.int64, ("C", "A"))


def check_range(indices: np.ndarray, cells: int) -> None:
    """Accept indices that each lie inside a plane of so many cells."""
    if here() is not None:  # a kernel there uses none that lies outside, and to look would take a wait
        return
    # One pass for both ends: read without its sign, a negative number is beyond all cells.
    if indices.size and indices.view(np.uint64).max() >= cells:
        outside = indices[(indices < 0) | (indices >= cells)][0]
        raise ValueError(f"indices must be at least 0 and below {cells}, got {outside}")
