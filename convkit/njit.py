"""convkit's operations for use inside functions of your own that Numba compiles.

Call them by their module, inside ``@numba.njit``::

    import numba
    from convkit import njit as ck

    @numba.njit
    def network(x, w1, b1, w2, b2):
        x = ck.max_pool2d(np.maximum(ck.conv2d(x, w1, b1, padding=1), 0), 2)
        return ck.conv2d(x, w2, b2, padding=1)

They are named like the functions of convkit and take their arguments in the same order, run the same
kernels and allocate what they return. What compiled code cannot do is left out: there is no choice of a
backend or an algorithm and no ``out=``, arrays are NumPy's with all of their axes (N, C, H, W), ``pad``
takes all four numbers, ``batch_norm`` has no ``momentum=None``, and a message says what is wrong, but not
with which number.

Options are integers or pairs of them; `padding` may also be a pair of (before, after) pairs. The
functions run on one thread, without the GIL: loop over them with ``prange`` for more.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.extending import overload

from ._numba.avg_pooling import avg_pool2d as _avg_pool2d
from ._numba.compile import inner
from ._numba.conv_transpose import conv_transpose2d as _conv_transpose2d
from ._numba.geometry import (
    ZEROS,
    conv_output_size,
    conv_transpose_output_size,
    index_table,
    max_pool_windows,
    mode_number,
    pool_windows,
    same_padding,
)
from ._numba.ladder.conv_threads import conv2d as _conv2d
from ._numba.max_pooling import max_pool2d as _max_pool2d
from ._numba.normalization import normalize as _normalize
from ._numba.normalization import normalize_given as _normalize_given
from ._numba.padding import pad2d as _pad2d
from ._numba.unfold import im2col as _im2col

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "conv_transpose2d",
    "global_avg_pool2d",
    "im2col",
    "max_pool2d",
    "pad",
]

_conv2d_kernel, _conv_transpose2d_kernel = _conv2d.nopython, _conv_transpose2d.nopython
_im2col_kernel, _pad2d_kernel = _im2col.nopython, _pad2d.nopython
_avg_pool2d_kernel, _max_pool2d_kernel = _avg_pool2d.nopython, _max_pool2d.nopython
_normalize_kernel, _normalize_given_kernel = _normalize.nopython, _normalize_given.nopython


_compiled = numba.njit(nogil=True)


# --- options -------------------------------------------------------------------------------


def _both(value: Any) -> Any:
    """Return an option of two axes as a pair."""
    return value if isinstance(value, tuple) else (value, value)


@overload(_both, inline="always")
def _compiled_both(value):
    if isinstance(value, types.BaseTuple):
        return lambda value: value
    return lambda value: (value, value)


def _or(value: Any, default: Any) -> Any:
    """Return an option, or what stands for it if it is None."""
    return default if value is None else value


def _is_none(t: Any) -> bool:
    """Tell whether an argument of this Numba type is None, given or left out."""
    return isinstance(t, types.NoneType) or (isinstance(t, types.Omitted) and t.value is None)


@overload(_or, inline="always")
def _compiled_or(value, default):
    if _is_none(value):
        return lambda value, default: default
    return lambda value, default: value


def _given(value: Any) -> bool:
    """Tell whether an option is something else than None."""
    return value is not None


@overload(_given, inline="always")
def _compiled_given(value):
    if _is_none(value):
        return lambda value: False
    return lambda value: True


def _pairs(padding: Any, n: Any, k: Any, s: Any, d: Any) -> Any:
    """Return a convolution's padding as a (before, after) pair for each axis."""
    if isinstance(padding, str):
        if padding == "same":
            return same_padding(n[0], k[0], s[0], d[0]), same_padding(n[1], k[1], s[1], d[1])
        if padding != "valid":
            raise ValueError('padding must be "same", "valid", ints or pairs of ints')
        return (0, 0), (0, 0)
    if not isinstance(padding, tuple):
        return (padding, padding), (padding, padding)
    if not isinstance(padding[0], tuple):
        return (padding[0], padding[0]), (padding[1], padding[1])
    return padding


@overload(_pairs)
def _compiled_pairs(padding, n, k, s, d):
    if isinstance(padding, types.UnicodeType | types.StringLiteral):

        def named(padding, n, k, s, d):
            if padding == "same":
                return same_padding(n[0], k[0], s[0], d[0]), same_padding(n[1], k[1], s[1], d[1])
            if padding != "valid":
                raise ValueError('padding must be "same", "valid", ints or pairs of ints')
            return (0, 0), (0, 0)

        return named
    if not isinstance(padding, types.BaseTuple):
        return lambda padding, n, k, s, d: ((padding, padding), (padding, padding))
    if not isinstance(padding[0], types.BaseTuple):  # type: ignore[index]
        return lambda padding, n, k, s, d: ((padding[0], padding[0]), (padding[1], padding[1]))
    return lambda padding, n, k, s, d: padding


def _four(padding: Any) -> Any:
    """Return the four numbers of a border."""
    if not isinstance(padding, tuple) or len(padding) != 4:
        raise TypeError(f"padding must be (left, right, top, bottom), got {padding!r}")
    return padding


@overload(_four, inline="always")
def _compiled_four(padding):
    if not isinstance(padding, types.BaseTuple) or len(padding) != 4:
        raise TypingError(f"padding must be (left, right, top, bottom), got {padding}")
    return lambda padding: padding


# --- operands ------------------------------------------------------------------------------


def _images(x: Any, like: Any) -> np.ndarray:
    """Return a contiguous array of four axes, of the float type of `like`."""
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
        raise TypeError(f"expected an array of float32 or float64, got {x!r}")
    if x.ndim != 4:
        raise TypeError(f"expected an array of 4 axes, got {x.ndim}")
    if x.dtype != like.dtype:
        raise TypeError(f"the arrays must be of one float type, got {like.dtype} and {x.dtype}")
    return _not_empty(np.ascontiguousarray(x))


@overload(_images)
def _compiled_images(x, like):
    if not isinstance(x, types.Array) or x.dtype not in (types.float32, types.float64):
        raise TypingError(f"expected an array of float32 or float64, got {x}")
    if x.ndim != 4:
        raise TypingError(f"expected an array of 4 axes, got {x.ndim}")
    if x.dtype != like.dtype:
        raise TypingError(f"the arrays must be of one float type, got {like.dtype} and {x.dtype}")
    return lambda x, like: _not_empty(np.ascontiguousarray(x))


@_compiled
def _not_empty(x):
    """Return images or filters; of the batch alone there may be nothing."""
    if x.shape[1] == 0 or x.shape[2] == 0 or x.shape[3] == 0:
        raise ValueError("only the batch may be empty")
    return x


@_compiled
def _filters(w, like):
    """Return filters as a contiguous array of four axes, none of them empty."""
    if w.shape[0] == 0:
        raise ValueError("w must not be empty")
    return _images(w, like)


def _vector(v: Any, n: int, value: float, like: Any) -> np.ndarray:
    """Return a vector of n numbers of the float type of `like`, all `value` if it is None."""
    if v is None:
        return np.full(n, value, like.dtype)
    if not isinstance(v, np.ndarray) or v.ndim != 1 or v.dtype != like.dtype:
        raise TypeError(f"weight and bias must be vectors of {like.dtype} or None, got {v!r}")
    if len(v) != n:
        raise ValueError("a vector has another length than there are channels")
    return np.ascontiguousarray(v)


@overload(_vector)
def _compiled_vector(v, n, value, like):
    if _is_none(v):
        return lambda v, n, value, like: np.full(n, value, like.dtype)
    if not isinstance(v, types.Array) or v.ndim != 1 or v.dtype != like.dtype:
        raise TypingError(f"weight and bias must be vectors of {like.dtype} or None, got {v}")

    def given(v, n, value, like):
        if len(v) != n:
            raise ValueError("a vector has another length than there are channels")
        return np.ascontiguousarray(v)

    return given


def _statistic(v: Any, n: int, like: Any) -> np.ndarray:
    """Return a running statistic itself, since training changes it; an empty vector if it is None."""
    if v is None:
        return np.empty(0, like.dtype)
    if not isinstance(v, np.ndarray) or v.ndim != 1 or v.dtype != like.dtype:
        raise TypeError(f"a running statistic must be a vector of {like.dtype} or None, got {v!r}")
    if len(v) != n:
        raise ValueError("a running statistic has another length than there are channels")
    return v


@overload(_statistic)
def _compiled_statistic(v, n, like):
    if _is_none(v):
        return lambda v, n, like: np.empty(0, like.dtype)
    if not isinstance(v, types.Array) or v.ndim != 1 or v.dtype != like.dtype:
        raise TypingError(f"a running statistic must be a vector of {like.dtype} or None, got {v}")

    def given(v, n, like):
        if len(v) != n:
            raise ValueError("a running statistic has another length than there are channels")
        return v

    return given


def _new_weight(momentum: Any) -> float:
    """Return momentum, the weight of the new batch."""
    if momentum is None:
        raise TypeError("momentum must be a number in [0, 1]: averages of all batches are not here")
    return momentum


@overload(_new_weight, inline="always")
def _compiled_new_weight(momentum):
    if _is_none(momentum):
        raise TypingError("momentum must be a number in [0, 1]: averages of all batches are not here")
    return lambda momentum: momentum


@inner
def _check_groups(channels, filters, of_a_filter, groups):
    if groups < 1 or channels % groups or filters % groups:
        raise ValueError("groups must divide the channels of x and the filters")
    if channels != of_a_filter * groups:
        raise ValueError("the filters must have the channels of x, divided by groups")


# --- convolution ---------------------------------------------------------------------------


@_compiled
def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    """Convolve images (N, IC, IH, IW) with filters (OC, IC/groups, KH, KW): :func:`convkit.conv2d`.

    Examples
    --------
    >>> import numba, numpy as np
    >>> from convkit import njit as ck
    >>> @numba.njit
    ... def twice(x, w):
    ...     return ck.conv2d(ck.conv2d(x, w, padding=1), w)
    >>> twice(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)))
    array([[[[49.]]]])
    """
    x, w = _images(x, x), _filters(w, x)
    (N, IC, IH, IW), (OC, ICG, KH, KW) = x.shape, w.shape
    _check_groups(IC, OC, ICG, groups)
    (SH, SW), (DH, DW) = _both(stride), _both(dilation)
    (h0, h1), (w0, w1) = _pairs(padding, (IH, IW), (KH, KW), (SH, SW), (DH, DW))
    OH, OW = conv_output_size(IH, KH, SH, DH, h0, h1), conv_output_size(IW, KW, SW, DW, w0, w1)
    mode = mode_number(padding_mode)
    y, bias = np.empty((N, OC, OH, OW), x.dtype), _vector(b, OC, 0.0, x)
    if y.size > 0:
        ih_of, iw_of = index_table(IH, h0, h1, mode), index_table(IW, w0, w1, mode)
        _conv2d_kernel(y, x, w, bias, ih_of, iw_of, SH, SW, DH, DW, 1)
    return y


@_compiled
def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Apply the transpose of a convolution, with filters (IC, OC/groups, KH, KW).

    See :func:`convkit.conv_transpose2d`.
    """
    x, w = _images(x, x), _filters(w, x)
    (N, IC, IH, IW), (OCW, OCG, KH, KW) = x.shape, w.shape
    if groups < 1 or IC % groups or OCW != IC:
        raise ValueError("groups must divide the channels of x, which the filters must have")
    OC = OCG * groups
    (SH, SW), (DH, DW), (h, v) = _both(stride), _both(dilation), _both(output_padding)
    (h0, h1), (w0, w1) = _pairs(padding, (IH, IW), (KH, KW), (SH, SW), (DH, DW))
    OH = conv_transpose_output_size(IH, KH, SH, DH, h0, h1, h)
    OW = conv_transpose_output_size(IW, KW, SW, DW, w0, w1, v)
    y, bias = np.empty((N, OC, OH, OW), x.dtype), _vector(b, OC, 0.0, x)
    if y.size > 0:
        ih_of, iw_of = index_table(OH, h0, h1, ZEROS), index_table(OW, w0, w1, ZEROS)
        _conv_transpose2d_kernel(y, x, w, bias, ih_of, iw_of, SH, SW, DH, DW, 1)
    return y


@_compiled
def im2col(x, kernel_size, dilation=1, padding=0, stride=1, padding_mode="zeros"):
    """Write every window of images (N, C, H, W) as a column: :func:`convkit.im2col`."""
    x = _images(x, x)
    N, C, IH, IW = x.shape
    (KH, KW), (SH, SW), (DH, DW) = _both(kernel_size), _both(stride), _both(dilation)
    (h0, h1), (w0, w1) = _pairs(padding, (IH, IW), (KH, KW), (SH, SW), (DH, DW))
    OH, OW = conv_output_size(IH, KH, SH, DH, h0, h1), conv_output_size(IW, KW, SW, DW, w0, w1)
    mode = mode_number(padding_mode)
    cols = np.empty((N, C, KH, KW, OH, OW), x.dtype)
    if cols.size > 0:
        ih_of, iw_of = index_table(IH, h0, h1, mode), index_table(IW, w0, w1, mode)
        _im2col_kernel(cols, x, ih_of, iw_of, SH, SW, DH, DW, 1)
    return cols.reshape((N, C * KH * KW, OH * OW))


# --- padding and pooling -------------------------------------------------------------------


@_compiled
def pad(x, padding, mode="constant", value=0.0):
    """Put a border (left, right, top, bottom) around images (N, C, H, W): :func:`convkit.pad`."""
    x = _images(x, x)
    N, C, IH, IW = x.shape
    left, right, top, bottom = _four(padding)
    if mode == "zeros":
        raise ValueError("mode must be constant, reflect, replicate, circular or symmetric")
    number = ZEROS if mode == "constant" else mode_number(mode)
    ih_of, iw_of = index_table(IH, top, bottom, number), index_table(IW, left, right, number)
    y = np.empty((N, C, len(ih_of), len(iw_of)), x.dtype)
    if y.size > 0:
        planes = N * C
        to, of = y.reshape((planes, len(ih_of), len(iw_of))), x.reshape((planes, IH, IW))
        _pad2d_kernel(to, of, ih_of, iw_of, float(value))
    return y


@_compiled
def avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """Average the windows of images (N, C, H, W): :func:`convkit.avg_pool2d`."""
    x = _images(x, x)
    N, C, IH, IW = x.shape
    (KH, KW), (PH, PW) = _both(kernel_size), _both(padding)
    SH, SW = _both(_or(stride, (KH, KW)))
    h_windows = pool_windows(IH, KH, SH, PH, ceil_mode, count_include_pad)
    w_windows = pool_windows(IW, KW, SW, PW, ceil_mode, count_include_pad)
    if _given(divisor_override):
        divisor = _or(divisor_override, 1)
        if divisor == 0:
            raise ValueError("divisor_override must not be 0")
        h_windows[:, 2] = divisor
        w_windows[:, 2] = 1
    y = np.empty((N, C, len(h_windows), len(w_windows)), x.dtype)
    if y.size > 0:
        to, of = y.reshape((N * C, *y.shape[2:])), x.reshape((N * C, IH, IW))
        _avg_pool2d_kernel(to, of, h_windows, w_windows)
    return y


@_compiled
def global_avg_pool2d(x):
    """Average whole planes, (N, C, H, W) to (N, C): :func:`convkit.global_avg_pool2d`."""
    return avg_pool2d(x, x.shape[2:], (1, 1)).reshape(x.shape[:2])


@_compiled
def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Take the largest number in each window of images (N, C, H, W): :func:`convkit.max_pool2d`."""
    x = _images(x, x)
    N, C, IH, IW = x.shape
    (KH, KW), (PH, PW), (DH, DW) = _both(kernel_size), _both(padding), _both(dilation)
    SH, SW = _both(_or(stride, (KH, KW)))
    h_windows = max_pool_windows(IH, KH, SH, PH, DH, ceil_mode)
    w_windows = max_pool_windows(IW, KW, SW, PW, DW, ceil_mode)
    y = np.empty((N, C, len(h_windows), len(w_windows)), x.dtype)
    if y.size > 0:
        to, of = y.reshape((N * C, *y.shape[2:])), x.reshape((N * C, IH, IW))
        _max_pool2d_kernel(to, of, h_windows, w_windows)
    return y


# --- normalisation -------------------------------------------------------------------------


@_compiled
def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Normalise each channel of images (N, C, H, W) over batch and pixels: :func:`convkit.batch_norm`.

    In training the running statistics are updated in place, unless both are None.
    """
    x = _images(x, x)
    N, C, H, W = x.shape
    if not 0 <= eps < np.inf:
        raise ValueError("eps must be finite and at least 0")
    momentum = _new_weight(momentum)
    if not 0 <= momentum <= 1:
        raise ValueError("momentum must be in [0, 1]")
    run_mean, run_var = _statistic(running_mean, C, x), _statistic(running_var, C, x)
    if _given(running_mean) != _given(running_var):
        raise ValueError("running_mean and running_var are needed both or neither")
    M = N * H * W
    scale, shift = _vector(weight, C, 1.0, x).reshape((C, 1)), _vector(bias, C, 0.0, x).reshape((C, 1))
    y, of = np.empty(x.shape, x.dtype), x.reshape((N, C, 1, H * W))
    to = y.reshape(of.shape)
    if training:
        if M == 1:
            raise ValueError("training needs more than one value per channel")
        if M > 0:
            mean, var = np.empty(C), np.empty(C)
            _normalize_kernel(to, mean, var, of, scale, shift, float(eps))
            for c in range(len(run_mean)):
                run_mean[c] = (1 - momentum) * run_mean[c] + momentum * mean[c]
                run_var[c] = (1 - momentum) * run_var[c] + momentum * var[c] * M / (M - 1)
        return y
    if not _given(running_mean):
        raise ValueError("evaluation needs running statistics: only training can do without")
    for v in run_var:
        if v < 0:
            raise ValueError("running_var must be at least 0")
    if M > 0:
        mean, invstd = np.empty(C), np.empty(C)
        for c in range(C):
            mean[c], invstd[c] = run_mean[c], 1.0 / np.sqrt(np.float64(run_var[c]) + eps)
        _normalize_given_kernel(to, of, mean, invstd, scale, shift)
    return y
