"""Transposed convolution, the adjoint of convolution, and its gradients.

It shares its kernel with the gradient of a convolution for its image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import IntOrInts, any_array, finish, is_array, key, operand, output, same_dtype, shape_of
from .conv_plan import (
    ConvGradients,
    Padding,
    bias_of,
    check_grad_y,
    grad_b_of,
    grad_w_of,
    run,
    three_needs,
    transpose_plan,
    turned,
)
from .dispatch import pick

__all__ = [
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
]


@any_array
def conv_transpose2d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: IntOrInts | Sequence[tuple[int, int]] = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Apply the transpose (the adjoint) of a convolution: every input number is spread by a kernel.

    It is what a convolution's gradient does to ``grad_y``: the matrix of :func:`conv2d`,
    transposed. It undoes the *shape* of a convolution, not the convolution.

    Parameters
    ----------
    x : array, shape (N, IC, IH, IW) or (IC, IH, IW)
        Images.
    w : array, shape (IC, OC / groups, KH, KW)
        Filters; the channel axes stand as in the convolution that this transposes.
    b : array, shape (OC,), optional
        Bias.
    stride, dilation : int or (int, int)
        As in the convolution that this transposes: the stride *enlarges* the output.
    padding : int, (int, int) or ((top, bottom), (left, right))
        As in that convolution: it *crops* the output.
    output_padding : int or (int, int)
        Chooses one of the sizes that a strided convolution maps to x's; smaller than stride or
        dilation.
    groups, flip, algorithm, backend, out
        As for :func:`conv2d`.
    padding_mode : str
        With another mode than ``"zeros"``, what falls on the padding is not cropped: it is added
        to the pixels that the padding would have shown. The exact adjoint, for every mode.

    Returns
    -------
    array, shape (N, OC, OH, OW) or (OC, OH, OW)
        ``OH = SH*(IH - 1) + DH*(KH - 1) + 1 + output_padding - top - bottom``.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As :func:`conv2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[[[1.0, 2.0]]]])
    >>> convkit.conv_transpose2d(x, np.ones((1, 1, 1, 3)), stride=2)
    array([[[[1., 1., 3., 2., 2.]]]])
    """
    return _conv_transpose(
        2, x, w, b, stride, padding, output_padding, groups, dilation, padding_mode, flip,
        algorithm, backend, out,
    )  # fmt: skip


@any_array
def conv_transpose1d(
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: IntOrInts | Sequence[tuple[int, int]] = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Apply the transpose of a one-dimensional convolution: see :func:`conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.conv_transpose1d(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 3)), stride=2)
    array([[[1., 1., 3., 2., 2.]]])
    """
    return _conv_transpose(
        1, x, w, b, stride, padding, output_padding, groups, dilation, padding_mode, flip,
        algorithm, backend, out,
    )  # fmt: skip


def _conv_transpose(
    rank: int,
    x: Any,
    w: Any,
    b: Any,
    stride: IntOrInts,
    padding: Padding,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    padding_mode: str,
    flip: bool,
    algorithm: str,
    backend: str,
    out: np.ndarray | None,
) -> np.ndarray:
    x, w = operand(x, "x"), operand(w, "w")
    same_dtype(x=x, w=w)
    options = (
        key(stride, "stride"), key(padding, "padding"), key(output_padding, "output_padding"),
        key(groups, "groups"), key(dilation, "dilation"),
    )  # fmt: skip
    plan = transpose_plan(x.shape, w.shape, rank, *options, padding_mode)
    b = bias_of(b, plan.y[1], x.dtype)
    y = output(plan.result, x.dtype, out, (x, w, b))
    kernel = pick("conv_transpose2d", backend, algorithm)
    if x.size:
        kernel(y.reshape(plan.y), x.reshape(plan.x), turned(w, flip).reshape(plan.w), b, *plan.tables)
    return finish(y, out)


@any_array
def conv_transpose2d_backward(
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts = 1,
    padding: IntOrInts | Sequence[tuple[int, int]] = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: str = "auto",
    backend: str = "auto",
) -> ConvGradients:
    """Return the gradients of a transposed convolution; `grad_x` is a plain convolution.

    Parameters
    ----------
    grad_y, x, w, stride, padding, output_padding, groups, dilation, padding_mode, flip
        As for :func:`conv_transpose2d`, and the gradient for its result.
    needs, algorithm, backend
        As for :func:`conv2d_backward`.

    Returns
    -------
    ConvGradients
        ``(grad_x, grad_w, grad_b)``.

    Raises
    ------
    ValueError, TypeError
        As :func:`conv2d_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, w = np.array([[[[1.0, 2.0]]]]), np.ones((1, 1, 1, 3))
    >>> convkit.conv_transpose2d_backward(np.ones((1, 1, 1, 5)), x, w, stride=2).grad_x
    array([[[[3., 3.]]]])
    """
    return _conv_transpose_backward(
        2, grad_y, x, w, stride, padding, output_padding, groups, dilation, padding_mode, flip, needs,
        algorithm, backend,
    )  # fmt: skip


@any_array
def conv_transpose1d_backward(
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts = 1,
    padding: IntOrInts | Sequence[tuple[int, int]] = 0,
    output_padding: IntOrInts = 0,
    groups: int = 1,
    dilation: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    needs: tuple[bool, bool, bool] = (True, True, True),
    algorithm: str = "auto",
    backend: str = "auto",
) -> ConvGradients:
    """Return the gradients of :func:`conv_transpose1d`: see :func:`conv_transpose2d_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, w = np.array([[[1.0, 2.0]]]), np.ones((1, 1, 3))
    >>> convkit.conv_transpose1d_backward(np.ones((1, 1, 5)), x, w, stride=2).grad_w
    array([[[3., 3., 3.]]])
    """
    return _conv_transpose_backward(
        1, grad_y, x, w, stride, padding, output_padding, groups, dilation, padding_mode, flip, needs,
        algorithm, backend,
    )  # fmt: skip


def _conv_transpose_backward(
    rank: int,
    grad_y: Any,
    x: Any,
    w: Any,
    stride: IntOrInts,
    padding: Padding,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
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
    options = (
        key(stride, "stride"), key(padding, "padding"), key(output_padding, "output_padding"),
        key(groups, "groups"), key(dilation, "dilation"),
    )  # fmt: skip
    plan = transpose_plan(shape_of(x), w.shape, rank, *options, padding_mode)
    check_grad_y(grad_y, plan.result)
    grad_x = grad_w = grad_b = None
    dy = grad_y.reshape(plan.y)
    if need_x:
        dx = run(pick("conv2d", backend, algorithm, plan.layer), plan.x, dy, turned(w, flip), plan)
        grad_x = dx.reshape(shape_of(x))
    if need_w:  # the convolution that this transposes read dy and made x
        kernel = pick("conv2d_grad_w", backend, algorithm)
        dw = grad_w_of(kernel, plan.w, x.reshape(plan.x), dy, plan.tables)
        grad_w = turned(dw.reshape(w.shape), flip)
    if need_b:
        grad_b = grad_b_of(dy, backend)
    return ConvGradients(grad_x, grad_w, grad_b)
