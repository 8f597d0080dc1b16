"""Convolution and its gradients.

What networks call convolution is cross-correlation; ``flip=True`` turns the kernel round and
gives the convolution of mathematics. One-dimensional operations are the two-dimensional ones on
images of height 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import IntOrInts, any_array, finish, is_array, key, operand, output, same_dtype, shape_of
from .conv_plan import (
    ConvGradients,
    Padding,
    bias_of,
    check_grad_y,
    conv_plan,
    grad_b_of,
    grad_w_of,
    run,
    three_needs,
    turned,
)
from .dispatch import pick
from .rules import Layer

__all__ = ["ConvGradients", "conv1d", "conv1d_backward", "conv2d", "conv2d_backward"]


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
    out: np.ndarray | None = None,
) -> Any:
    """Convolve images with a bank of filters.

    Each output number is a bias plus a sum of products, one product a channel and tap::

        y[n, oc, oh, ow] = b[oc] + sum over ic, kh, kw of
                           x[n, ic, oh*SH + kh*DH - top, ow*SW + kw*DW - left] * w[oc, ic, kh, kw]

    Parameters
    ----------
    x : array, shape (N, IC, IH, IW) or (IC, IH, IW)
        Images; float32 or float64.
    w : array, shape (OC, IC / groups, KH, KW)
        Filters, of x's dtype. One filter makes one output channel.
    b : array, shape (OC,), optional
        Bias.
    stride, dilation : int or (int, int)
        Input pixels between windows, and between the taps of a window (1: no gaps).
    padding : int, (int, int), ((top, bottom), (left, right)), "same" or "valid"
        Pixels of padding. ``"same"`` gives ``ceil(IH / stride)`` rows; an odd pixel goes after.
    groups : int
        Parts into which the channels are split; filters of a part see its channels alone.
        ``groups=IC`` is depthwise convolution.
    padding_mode : {"zeros", "reflect", "replicate", "circular", "symmetric"}
        What padding shows: see :func:`convkit.geometry.index_table`.
    flip : bool
        Turn the kernel round: true convolution instead of cross-correlation.
    algorithm, backend : str
        Which kernel computes it: see :func:`convkit.algorithms` and :func:`convkit.backends`.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array, shape (N, OC, OH, OW) or (OC, OH, OW)
        Of x's kind and dtype, with ``OH = floor((IH + top + bottom - DH*(KH - 1) - 1) / SH) + 1``.

    Raises
    ------
    ValueError
        If shapes do not fit together, no window fits, or an option is out of range.
    TypeError
        If an argument is not a float32 or float64 array, or dtypes differ.
    MemoryError
        If the output would not fit the machine's memory.

    Notes
    -----
    Costs ``2 * N * OC * OH * OW * (IC / groups) * KH * KW`` FLOPs.

    References
    ----------
    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> box = np.ones((1, 1, 3, 3))
    >>> convkit.conv2d(x, box)  # 0+1+2 + 4+5+6 + 8+9+10 = 45
    array([[[[45., 54.],
             [81., 90.]]]])
    """
    return _conv(2, x, w, b, stride, padding, dilation, groups, padding_mode, flip, algorithm, backend, out)


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
    out: np.ndarray | None = None,
) -> Any:
    """Convolve signals with a bank of filters: :func:`conv2d` along one axis.

    Parameters
    ----------
    x : array, shape (N, IC, L) or (IC, L)
        Signals.
    w : array, shape (OC, IC / groups, K)
        Filters.
    b, stride, padding, dilation, groups, padding_mode, flip, algorithm, backend, out
        As for :func:`conv2d`; a pair for `padding` is written ``[(before, after)]``.

    Returns
    -------
    array, shape (N, OC, O) or (OC, O)

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, w = np.array([[[1.0, 2.0, 4.0, 8.0]]]), np.array([[[1.0, 10.0]]])
    >>> convkit.conv1d(x, w)
    array([[[21., 42., 84.]]])
    >>> convkit.conv1d(x, w, flip=True)
    array([[[12., 24., 48.]]])
    """
    return _conv(1, x, w, b, stride, padding, dilation, groups, padding_mode, flip, algorithm, backend, out)


def _conv(
    rank: int,
    x: Any,
    w: Any,
    b: Any,
    stride: IntOrInts,
    padding: Padding,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    flip: bool,
    algorithm: str,
    backend: str,
    out: np.ndarray | None,
    made_ready: Callable[[Layer], tuple] | None = None,
) -> np.ndarray:
    """Validate, plan, pick and call. `made_ready` gives a kernel's further arguments, if it has any."""
    x, w = operand(x, "x"), operand(w, "w")
    options = key(stride, "stride"), key(padding, "padding"), key(dilation, "dilation"), key(groups, "groups")
    plan = conv_plan(x.shape, w.shape, rank, *options, padding_mode)
    if w.dtype != x.dtype:
        same_dtype(x=x, w=w)
    b = bias_of(b, plan.y[1], x.dtype)
    y = output(plan.result, x.dtype, out, (x, w, b))
    kernel = pick("conv2d", backend, algorithm, plan.layer)
    w = turned(w, flip)
    if x.size:
        more = made_ready(plan.layer) if made_ready else ()
        seen = (y.reshape(plan.y), x.reshape(plan.x), w.reshape(plan.w)) if plan.lifted else (y, x, w)
        kernel(*seen, b, *plan.tables, *more)
    return finish(y, out)


# --- gradients of a convolution ------------------------------------------------------------


@any_array
def conv2d_backward(
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: str = "auto",
    backend: str = "auto",
) -> ConvGradients:
    """Return the gradients of a loss for a convolution's image, filters and bias.

    Parameters
    ----------
    grad_y : array, shape of y
        Gradient of the loss for :func:`conv2d`'s result.
    x : array, or its shape where ``needs[1]`` is false
        The image that was convolved.
    w : array
        The filters.
    stride, padding, dilation, groups, padding_mode, flip
        As they were given to :func:`conv2d`.
    needs : (bool, bool, bool)
        Which of the three gradients to compute.
    algorithm, backend : str
        Which kernels compute `grad_x` (a ``conv_transpose2d``) and `grad_w` (a
        ``conv2d_grad_w``): an algorithm that is named must be there for both.

    Returns
    -------
    ConvGradients
        ``(grad_x, grad_w, grad_b)``, None for those not asked for.

    Raises
    ------
    ValueError
        As :func:`conv2d`, and if `grad_y` has not the shape that x, w and the options give.
    TypeError
        As :func:`conv2d`.

    Notes
    -----
    `grad_x` is the adjoint: each output's gradient goes back to the pixels that it was made of,
    weighted as they were. Pixels that a stride skipped get zero; pixels that padding showed
    again collect the gradient of every place they were shown in. Each of the first two costs as
    many FLOPs as the convolution.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    >>> convkit.conv2d_backward(np.ones((1, 1, 2, 2)), x, w).grad_x[0, 0]  # how often each was used
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    return _conv_backward(
        2, grad_y, x, w, stride, padding, dilation, groups, padding_mode, flip, needs, algorithm, backend
    )


@any_array
def conv1d_backward(
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: str = "auto",
    backend: str = "auto",
) -> ConvGradients:
    """Return the gradients of a one-dimensional convolution: see :func:`conv2d_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, w = np.ones((1, 1, 4)), np.array([[[1.0, 10.0]]])
    >>> convkit.conv1d_backward(np.ones((1, 1, 3)), x, w).grad_x
    array([[[ 1., 11., 11., 10.]]])
    """
    return _conv_backward(
        1, grad_y, x, w, stride, padding, dilation, groups, padding_mode, flip, needs, algorithm, backend
    )


def _conv_backward(
    rank: int,
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts,
    padding: Padding,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
    flip: bool,
    needs: tuple[bool, bool, bool],
    algorithm: str,
    backend: str,
) -> ConvGradients:
    grad_y, w = operand(grad_y, "grad_y"), operand(w, "w")
    need_x, need_w, need_b = three_needs(needs)
    if need_w or is_array(x):
        x = operand(x, "x")
        same_dtype(grad_y=grad_y, x=x, w=w)
    same_dtype(grad_y=grad_y, w=w)
    options = key(stride, "stride"), key(padding, "padding"), key(dilation, "dilation"), key(groups, "groups")
    plan = conv_plan(shape_of(x), w.shape, rank, *options, padding_mode)
    check_grad_y(grad_y, plan.result)
    grad_x = grad_w = grad_b = None
    dy = grad_y.reshape(plan.y)
    if need_x:
        dx = run(pick("conv_transpose2d", backend, algorithm), plan.x, dy, turned(w, flip), plan)
        grad_x = dx.reshape(shape_of(x))
    if need_w:
        kernel = pick("conv2d_grad_w", backend, algorithm)
        dw = grad_w_of(kernel, plan.w, dy, x.reshape(plan.x), plan.tables)
        grad_w = turned(dw.reshape(w.shape), flip)
    if need_b:
        grad_b = grad_b_of(dy, backend)
    return ConvGradients(grad_x, grad_w, grad_b)
