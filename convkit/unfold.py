"""im2col and col2im: images as matrices of windows, in the layout of PyTorch's unfold and fold."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import geometry
from .arrays import IntOrInts, any_array, finish, key, operand, output, shape_of
from .border import recalled
from .conv_plan import Padding
from .dispatch import pick

__all__ = ["col2im", "col2im_backward", "im2col", "im2col_backward"]


class _Plan(NamedTuple):
    x: tuple[int, ...]  # N, C, H, W
    cols: tuple[int, ...]  # N, C, KH, KW, OH, OW
    tables: tuple[Any, ...]
    image: tuple[int, ...]  # x and cols as the caller sees them
    columns: tuple[int, ...]


@geometry.remembered
def _plan(
    shape: tuple[int, ...],
    kernel_size: IntOrInts,
    dilation: IntOrInts,
    padding: Padding,
    stride: IntOrInts,
    padding_mode: str,
) -> _Plan:
    if len(shape) not in (3, 4):
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W), got {shape}")
    if 0 in shape[-3:]:
        raise ValueError(f"only the batch may be empty, got x of shape {shape}")
    k = geometry.per_axis(kernel_size, 2, "kernel_size", least=1)
    d = geometry.per_axis(dilation, 2, "dilation", least=1)
    s = geometry.per_axis(stride, 2, "stride", least=1)
    size = shape[-2:]
    p = geometry.conv_padding(padding, size, k, s, d)
    axes = zip(size, k, s, d, p, strict=True)
    oh, ow = (geometry.conv_output_size(n, k_, s_, d_, *p_) for n, k_, s_, d_, p_ in axes)
    batch = shape[:-3]
    n, c = batch[0] if batch else 1, shape[-3]
    geometry.check_allocation(shape, 4, "image")
    columns = geometry.check_allocation((*batch, c * k[0] * k[1], oh * ow), 4, "columns")
    ih_of, iw_of = (geometry.index_table(n, *p_, padding_mode) for n, p_ in zip(size, p, strict=True))
    return _Plan((n, c, *size), (n, c, *k, oh, ow), (ih_of, iw_of, *s, *d), shape, columns)


@recalled
def _plan_of(
    shape: tuple[int, ...],
    padding_mode: str,
    kernel_size: IntOrInts,
    dilation: IntOrInts,
    padding: Padding,
    stride: IntOrInts,
) -> _Plan:
    k, d = key(kernel_size, "kernel_size"), key(dilation, "dilation")
    return _plan(shape, k, d, key(padding, "padding"), key(stride, "stride"), padding_mode)


@geometry.remembered
def _image_of(columns: tuple[int, ...], output_size: IntOrInts, kernel_size: IntOrInts) -> tuple[int, ...]:
    """Return the shape of the image of `output_size` that such columns are the windows of."""
    size = geometry.per_axis(output_size, 2, "output_size", least=1)
    kh, kw = geometry.per_axis(kernel_size, 2, "kernel_size", least=1)
    if len(columns) not in (2, 3) or columns[-2] % (kh * kw) or columns[-2] == 0:
        raise ValueError(
            f"cols must have shape (N, C*{kh}*{kw}, OH*OW) or (C*{kh}*{kw}, OH*OW), got {columns}"
        )
    return (*columns[:-2], columns[-2] // (kh * kw), *size)


@any_array
def im2col(
    x: Any,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: Padding = 0,
    stride: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Write every window of an image as a column of a matrix.

    With these columns convolution is one matrix product:
    ``conv2d(x, w) == (w.reshape(OC, -1) @ im2col(x, (KH, KW))).reshape(N, OC, OH, OW)``.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images.
    kernel_size, dilation, stride : int or (int, int)
        Taps of a window, input pixels between them, and between windows.
    padding, padding_mode
        As for :func:`convkit.conv2d`.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array, shape (N, C*KH*KW, OH*OW) or (C*KH*KW, OH*OW)
        A row a channel and tap, a column a window: :func:`torch.nn.functional.unfold`'s layout.

    Raises
    ------
    ValueError, TypeError, MemoryError
        As :func:`convkit.conv2d`; the columns are up to KH*KW times larger than the image.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.arange(9.0).reshape(1, 3, 3)
    >>> convkit.im2col(x, 2)  # each column is one 2x2 window
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.],
           [3., 4., 6., 7.],
           [4., 5., 7., 8.]])
    """
    x = operand(x, "x")
    plan = _plan_of(x.shape, padding_mode, kernel_size, dilation, padding, stride)
    cols = output(plan.columns, x.dtype, out, (x,))
    kernel = pick("im2col", backend, algorithm)
    if x.size:
        kernel(cols.reshape(plan.cols), x.reshape(plan.x), *plan.tables)
    return finish(cols, out)


@any_array
def col2im(
    cols: Any,
    output_size: IntOrInts,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: Padding = 0,
    stride: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Add the columns of :func:`im2col` back into an image: its adjoint, **not** its inverse.

    A pixel that stood in several windows gets their sum.

    Parameters
    ----------
    cols : array, shape (N, C*KH*KW, OH*OW) or (C*KH*KW, OH*OW)
        Columns.
    output_size : int or (int, int)
        Height and width of the image.
    kernel_size, dilation, padding, stride, padding_mode
        As they were given to :func:`im2col`.
    algorithm, backend, out
        As for :func:`im2col`.

    Returns
    -------
    array, shape (N, C, H, W) or (C, H, W)

    Raises
    ------
    ValueError
        If the columns are not those of such an image.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.ones((1, 3, 3))
    >>> convkit.col2im(convkit.im2col(x, 2), 3, 2)[0]  # how many windows hold each pixel
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    cols = operand(cols, "cols")
    image = _image_of(cols.shape, key(output_size, "output_size"), key(kernel_size, "kernel_size"))
    plan = _plan_of(image, padding_mode, kernel_size, dilation, padding, stride)
    if cols.shape != plan.columns:
        raise ValueError(f"cols must have shape {plan.columns} for this geometry, got {cols.shape}")
    x = output(image, cols.dtype, out, (cols,))
    kernel = pick("col2im", backend, algorithm)
    if x.size:
        kernel(x.reshape(plan.x), cols.reshape(plan.cols), *plan.tables)
    return finish(x, out)


@any_array
def im2col_backward(
    grad_cols: Any,
    x: Any,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: Padding = 0,
    stride: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`im2col`'s image: :func:`col2im` of the columns' gradient.

    Parameters
    ----------
    grad_cols : array
        Gradient for the columns.
    x : array or shape
        The image; only its shape is used.
    kernel_size, dilation, padding, stride, padding_mode, algorithm, backend, out
        As for :func:`im2col`.

    Returns
    -------
    array, shape of x

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.im2col_backward(np.ones((2, 2)), (1, 1, 3), (1, 2))
    array([[[1., 2., 1.]]])
    """
    grad_cols, shape = operand(grad_cols, "grad_cols"), shape_of(x)
    plan = _plan_of(shape, padding_mode, kernel_size, dilation, padding, stride)
    if grad_cols.shape != plan.columns:
        raise ValueError(f"grad_cols must have shape {plan.columns}, got {grad_cols.shape}")
    return col2im(
        grad_cols,
        shape[-2:],
        kernel_size,
        dilation,
        padding,
        stride,
        padding_mode=padding_mode,
        algorithm=algorithm,
        backend=backend,
        out=out,
    )


@any_array
def col2im_backward(
    grad_x: Any,
    kernel_size: IntOrInts,
    dilation: IntOrInts = 1,
    padding: Padding = 0,
    stride: IntOrInts = 1,
    *,
    padding_mode: str = "zeros",
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`col2im`'s columns: :func:`im2col` of the image's gradient.

    Parameters
    ----------
    grad_x : array, shape (N, C, H, W) or (C, H, W)
        Gradient for the image.
    kernel_size, dilation, padding, stride, padding_mode, algorithm, backend, out
        As for :func:`im2col`.

    Returns
    -------
    array, shape of the columns

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.col2im_backward(np.array([[[1.0, 2.0, 3.0]]]), (1, 2))
    array([[1., 2.],
           [2., 3.]])
    """
    return im2col(
        operand(grad_x, "grad_x"),
        kernel_size,
        dilation,
        padding,
        stride,
        padding_mode=padding_mode,
        algorithm=algorithm,
        backend=backend,
        out=out,
    )
