"""Average pooling: windows of an image, whole channels or all channels reduced to their mean."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .arrays import IntOrInts, any_array, finish, key, operand, output, shape_of
from .dispatch import pick
from .pool_plan import adaptive_plan, avg_backward, avg_plan, forward

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "channel_mean",
    "channel_mean_backward",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
]


@any_array
def avg_pool2d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Average each window of an image, channel by channel.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images; float32 or float64.
    kernel_size : int or (int, int)
        Pixels in a window.
    stride : int or (int, int), optional
        Pixels between windows; the window's size where it is left out.
    padding : int or (int, int)
        Pixels of zeros on each side, at most half the window.
    ceil_mode : bool
        Keep a last window that hangs over the edge, if it starts inside.
    count_include_pad : bool
        Divide by the cells of the window that lie in the padded image; otherwise by those in the
        image itself. What hangs over in ceil mode never counts.
    divisor_override : int, optional
        Divide by this instead.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)

    Raises
    ------
    ValueError
        If an option is out of range or no window fits.
    TypeError
        If x is not a float32 or float64 array.

    Notes
    -----
    A window is summed first and divided once. Compiled kernels for the CPU add in x's own dtype where
    windows are common (2, 3 or 5 columns at their usual strides) or planes small (up to 256 cells), and
    in float64 elsewhere, as the reference does everywhere and ``algorithm="separable"`` for any window.
    A sum has at most KH*KW roundings behind it, most have KH + KW, each of half an eps of the sum of the
    absolute values. Where every *partial* sum is a number of x's dtype there are none, and the result has
    the one rounding of the division.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.arange(1.0, 17).reshape(1, 4, 4)
    >>> convkit.avg_pool2d(x, 2)[0]  # (1 + 2 + 5 + 6) / 4 = 3.5
    array([[ 3.5,  5.5],
           [11.5, 13.5]])
    """
    x = operand(x, "x")
    plan = avg_plan(x.shape, 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return forward("avg_pool2d", x, plan, algorithm, backend, out)


@any_array
def avg_pool2d_backward(
    grad_y: Any,
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient of a loss for :func:`avg_pool2d`'s input.

    Every pixel gets, from each window it was in, an equal share of that window's gradient.

    Parameters
    ----------
    grad_y : array
        Gradient for the result.
    x : array or shape
        What was pooled; only its shape is used.
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As they were given to :func:`avg_pool2d`.
    algorithm, backend, out
        As for :func:`avg_pool2d`.

    Returns
    -------
    array, shape of x

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.avg_pool2d_backward(np.array([[[4.0]]]), (1, 2, 2), 2)
    array([[[1., 1.],
            [1., 1.]]])
    """
    plan = avg_plan(
        shape_of(x), 2, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
    return avg_backward(grad_y, x, plan, algorithm, backend, out)


@any_array
def avg_pool1d(
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Average each window of a signal, shape (N, C, L) or (C, L): see :func:`avg_pool2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.avg_pool1d(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2, ceil_mode=True)
    array([[1.5, 3.5, 5. ]])
    """
    x = operand(x, "x")
    plan = avg_plan(x.shape, 1, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return forward("avg_pool2d", x, plan, algorithm, backend, out)


@any_array
def avg_pool1d_backward(
    grad_y: Any,
    x: Any,
    kernel_size: IntOrInts,
    stride: IntOrInts | None = None,
    padding: IntOrInts = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`avg_pool1d`'s input: see :func:`avg_pool2d_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.avg_pool1d_backward(np.array([[2.0, 4.0]]), (1, 3), 2, 1)
    array([[1., 3., 2.]])
    """
    plan = avg_plan(shape_of(x), 1, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return avg_backward(grad_y, x, plan, algorithm, backend, out)


@any_array
def adaptive_avg_pool2d(
    x: Any,
    output_size: IntOrInts,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Average an image down to `output_size`, over windows as even as can be.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images.
    output_size : int or (int, int)
        Rows and columns of the result; window ``i`` of ``o`` covers the cells from
        ``floor(i*n/o)`` to ``ceil((i+1)*n/o)``.
    algorithm, backend, out
        As for :func:`avg_pool2d`.

    Returns
    -------
    array, shape (N, C, OH, OW) or (C, OH, OW)

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.adaptive_avg_pool2d(np.array([[[1.0, 2.0, 3.0]]]), (1, 2))
    array([[[1.5, 2.5]]])
    """
    x = operand(x, "x")
    plan = adaptive_plan(x.shape, key(output_size, "output_size"))
    return forward("avg_pool2d", x, plan, algorithm, backend, out)


@any_array
def adaptive_avg_pool2d_backward(
    grad_y: Any,
    x: Any,
    output_size: IntOrInts,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`adaptive_avg_pool2d`'s input `x`, an array or its shape.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.adaptive_avg_pool2d_backward(np.array([[[2.0, 4.0]]]), (1, 1, 3), (1, 2))
    array([[[1., 3., 2.]]])
    """
    plan = adaptive_plan(shape_of(x), key(output_size, "output_size"))
    return avg_backward(grad_y, x, plan, algorithm, backend, out)


@any_array
def global_avg_pool2d(x: Any, *, algorithm: str = "auto", backend: str = "auto") -> Any:
    """Average each channel over all its pixels: C numbers an image.

    Not to be taken for :func:`channel_mean`, which averages over the channels and keeps the
    pixels.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images.
    algorithm, backend
        As for :func:`avg_pool2d`.

    Returns
    -------
    array, shape (N, C) or (C,)

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.global_avg_pool2d(np.arange(8.0).reshape(2, 2, 2))
    array([1.5, 5.5])
    """
    x = operand(x, "x")
    plan = adaptive_plan(x.shape, 1)
    return forward("avg_pool2d", x, plan, algorithm, backend, None).reshape(x.shape[:-2])


@any_array
def global_avg_pool2d_backward(grad_y: Any, x: Any, *, algorithm: str = "auto", backend: str = "auto") -> Any:
    """Return the gradient for :func:`global_avg_pool2d`'s input `x`, an array or its shape.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.global_avg_pool2d_backward(np.array([8.0]), (1, 2, 2))
    array([[[2., 2.],
            [2., 2.]]])
    """
    grad_y, shape = operand(grad_y, "grad_y"), shape_of(x)
    plan = adaptive_plan(shape, 1)
    if grad_y.shape != shape[:-2]:
        raise ValueError(f"grad_y must have the output's shape {shape[:-2]}, got {grad_y.shape}")
    return avg_backward(grad_y.reshape(plan.result), x, plan, algorithm, backend, None)


# --- over the channels ---------------------------------------------------------------------


def _check_channels(shape: tuple[int, ...]) -> None:
    if len(shape) not in (3, 4):
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W), got {shape}")
    if 0 in shape[-3:]:
        raise ValueError(f"only the batch may be empty, got x of shape {shape}")


@any_array
def channel_mean(
    x: Any, *, algorithm: str = "auto", backend: str = "auto", out: np.ndarray | None = None
) -> Any:
    """Average over the channels: one map of pixels an image, the usual heatmap.

    Not to be taken for :func:`global_avg_pool2d`, which averages over the pixels and keeps the
    channels.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images.
    algorithm, backend, out
        As for :func:`avg_pool2d`.

    Returns
    -------
    array, shape (N, H, W) or (H, W)

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.channel_mean(np.arange(8.0).reshape(2, 2, 2))
    array([[2., 3.],
           [4., 5.]])
    """
    x = operand(x, "x")
    _check_channels(x.shape)
    channels, pixels = x.shape[-3], prod(x.shape[-2:])
    y = output((*x.shape[:-3], *x.shape[-2:]), x.dtype, out, (x,))
    kernel = pick("channel_mean", backend, algorithm)
    if x.size:
        kernel(y.reshape(-1, pixels), x.reshape(-1, channels, pixels))
    return finish(y, out)


@any_array
def channel_mean_backward(
    grad_y: Any, x: Any, *, algorithm: str = "auto", backend: str = "auto", out: np.ndarray | None = None
) -> Any:
    """Return the gradient for :func:`channel_mean`'s input `x`, an array or its shape.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.channel_mean_backward(np.array([[6.0]]), (2, 1, 1))
    array([[[3.]],
    <BLANKLINE>
           [[3.]]])
    """
    grad_y, shape = operand(grad_y, "grad_y"), shape_of(x)
    _check_channels(shape)
    expected = (*shape[:-3], *shape[-2:])
    if grad_y.shape != expected:
        raise ValueError(f"grad_y must have the output's shape {expected}, got {grad_y.shape}")
    channels, pixels = shape[-3], prod(shape[-2:])
    grad_x = output(shape, grad_y.dtype, out, (grad_y,))
    kernel = pick("channel_mean_backward", backend, algorithm)
    if grad_x.size:
        kernel(grad_x.reshape(-1, channels, pixels), grad_y.reshape(-1, pixels))
    return finish(grad_x, out)
