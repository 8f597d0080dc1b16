"""The rules of semantics.md a second time, with no index table in sight.

Everything here follows another road than convkit does: NumPy's own padding, SciPy's correlation on
kernels with zeros between their taps, poolings that ask of each single cell where it lies, exact
fractions for statistics, and gradients taken one basis vector at a time. Slow, and meant to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import inf, isnan, prod, sqrt

import numpy as np
from scipy.signal import convolve2d, correlate2d

NUMPY_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


def pad(x, padding, mode, value=0.0):
    """Pad, or crop where negative, the last two axes."""
    for axis, (before, after) in zip((-2, -1), padding, strict=True):
        n = x.shape[axis]
        x = np.take(x, range(max(-before, 0), n - max(-after, 0)), axis)
        pads = [(0, 0)] * x.ndim
        pads[axis] = max(before, 0), max(after, 0)
        options = {"constant_values": value} if mode == "zeros" else {}
        x = np.pad(x, pads, NUMPY_MODES[mode], **options)
    return x


# --- convolution ---------------------------------------------------------------------------


def spaced(plane, gaps):
    """Put zeros between the cells of a plane: a dilated kernel, or a strided image."""
    H, W = ((n - 1) * gap + 1 for n, gap in zip(plane.shape, gaps, strict=True))
    wide = np.zeros((H, W))
    wide[:: gaps[0], :: gaps[1]] = plane
    return wide


def conv2d(x, w, b, stride, dilation, padding, groups, mode):
    planes = pad(x, padding, mode)
    OC, ICG = w.shape[:2]
    images = []
    for image in planes:
        channels = []
        for oc in range(OC):
            group = image.reshape(groups, ICG, *image.shape[1:])[oc * groups // OC]
            kernels = (spaced(kernel, dilation) for kernel in w[oc])
            full = sum(correlate2d(p, k, "valid") for p, k in zip(group, kernels, strict=True))
            channels.append(full[:: stride[0], :: stride[1]] + b[oc])
        images.append(channels)
    return np.array(images)


def conv_transpose2d(x, w, b, stride, dilation, padding, groups, size):
    """The transposed convolution as it is drawn: zeros between the pixels, then a full convolution."""
    OC, ICG = w.shape[:2]
    (top, _), (left, _) = padding
    images = np.zeros((len(x), groups * ICG, *size)) + b[:, None, None]
    for n, oc, c in np.ndindex(len(x), OC, ICG):
        full = convolve2d(spaced(x[n, oc], stride), spaced(w[oc, c], dilation))
        room = np.zeros((top + size[0] + full.shape[0], left + size[1] + full.shape[1]))
        room[: full.shape[0], : full.shape[1]] = full
        images[n, oc * groups // OC * ICG + c] += room[top : top + size[0], left : left + size[1]]
    return images


def adjoint(linear: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dy: np.ndarray):
    """Gradient of ``sum(linear(a) * dy)`` for `a`: what each basis vector alone would add."""
    grad = np.zeros(shape)
    for i in range(prod(shape)):
        basis = np.zeros(shape)
        basis.flat[i] = 1.0
        grad.flat[i] = np.sum(linear(basis) * dy)
    return grad


# --- pooling -------------------------------------------------------------------------------


def windows(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> Iterator[list[int]]:
    """Cells of each window of one axis, padding and overhang included, counted from the first real one.

    In ceil mode there is another window as long as the last one left cells over, and it starts
    before the right padding (rule 2).
    """
    start, end = -p, -inf
    while True:
        cells = [start + j * d for j in range(k)]
        fits = cells[-1] < n + p
        if not fits and not (ceil_mode and start < n and end + 1 < n + p):
            return
        yield cells
        start, end = start + s, cells[-1]


def avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad):
    IH, IW = x.shape[1:]
    (ph, pw) = padding
    rows = list(windows(IH, kernel[0], stride[0], ph, 1, ceil_mode))
    columns = list(windows(IW, kernel[1], stride[1], pw, 1, ceil_mode))
    y = np.empty((len(x), len(rows), len(columns)))
    for p, i, j in np.ndindex(y.shape):
        total, count = 0.0, 0
        for ih in rows[i]:
            for iw in columns[j]:
                real = 0 <= ih < IH and 0 <= iw < IW
                explicit_padding = not real and -ph <= ih < IH + ph and -pw <= iw < IW + pw
                if real:
                    total += x[p, ih, iw]
                count += real or (count_include_pad and explicit_padding)
        y[p, i, j] = total / count
    return y


def max_pool2d(x, kernel, stride, padding, dilation, ceil_mode):
    """Return maxima and indices."""
    IH, IW = x.shape[1:]
    rows = list(windows(IH, kernel[0], stride[0], padding[0], dilation, ceil_mode))
    columns = list(windows(IW, kernel[1], stride[1], padding[1], dilation, ceil_mode))
    y = np.empty((len(x), len(rows), len(columns)))
    indices = np.empty(y.shape, np.int64)
    for p, i, j in np.ndindex(y.shape):
        best, where = None, None
        for ih in rows[i]:
            for iw in columns[j]:
                if 0 <= ih < IH and 0 <= iw < IW:
                    v = x[p, ih, iw]
                    if best is None or v > best or isnan(v):
                        best, where = v, ih * IW + iw
        y[p, i, j], indices[p, i, j] = best, where
    return y, indices


# --- normalisation -------------------------------------------------------------------------


def normalize(x, weight, bias, eps):
    """Return y, mean and var, with the statistics as exact fractions until the end."""
    y, means, variances = np.empty(x.shape), [], []
    for g in range(x.shape[1]):
        values = [Fraction(v) for v in x[:, g].ravel().tolist()]
        mean = sum(values) / len(values)
        var = sum((v - mean) ** 2 for v in values) / len(values)
        means.append(float(mean))
        variances.append(float(var))
        for n, p, s in np.ndindex(x[:, g].shape):
            xhat = float(Fraction(x[n, g, p, s]) - mean) / sqrt(float(var) + eps)
            y[n, g, p, s] = xhat * weight[g % len(weight), p] + bias[g % len(weight), p]
    return y, np.array(means), np.array(variances)


def normalize_loss(dy, x, weight, bias, eps, mean=None, var=None):
    """``sum(y * dy)`` by formulas that hold for complex numbers too, with the statistics given or its own."""
    loss = 0.0
    for g in range(x.shape[1]):
        values = x[:, g].ravel()
        m = values.sum() / values.size if mean is None else mean[g]
        v = ((values - m) ** 2).sum() / values.size if var is None else var[g]
        for p in range(x.shape[2]):
            y = (x[:, g, p] - m) / np.sqrt(v + eps) * weight[g % len(weight), p] + bias[g % len(weight), p]
            loss = loss + (y * dy[:, g, p]).sum()
    return loss


def complex_step(function: Callable[[np.ndarray], complex], a: np.ndarray) -> np.ndarray:
    """Derivative of `function` at each element of `a`, exact to rounding: no two values are subtracted.

    Squire and Trapp, "Using complex variables to estimate derivatives of real functions" (1998).
    """
    h, grad = 1e-100, np.empty(a.shape)
    for i in range(a.size):
        moved = a.astype(complex)
        moved.flat[i] += h * 1j
        grad.flat[i] = function(moved).imag / h
    return grad
