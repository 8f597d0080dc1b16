"""How large the rounding error of each output may be: the scale of its terms.

A kernel that adds up t terms in floating point, in any order, errs by at most about
``t * eps * (sum of the terms' absolute values)``. The functions here compute that sum, an array for
each output; :mod:`kernel_cases` multiplies it by the number of roundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convkit import dispatch


def is_operand(a: object) -> bool:
    """Tell an array of numbers from an index table or a size."""
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def magnitudes(
    op: str, outputs: Sequence[np.ndarray], inputs: Sequence[Any], kind: str
) -> Sequence[np.ndarray]:
    """Return the magnitude of each element of each output; `kind` is the numbers', or an algorithm."""
    return MAGNITUDES.get(op, linear_magnitudes)(op, outputs, inputs, kind)


def linear_magnitudes(op, outputs, inputs, kind):
    """Run a sum of products on absolute values: roundings are relative to that."""
    reference = dispatch.load(next(k for k in dispatch.KERNELS if k.op == op and k.backend == "reference"))
    magnitudes = [np.empty(a.shape) for a in outputs]
    reference.kernel(*magnitudes, *(np.abs(a).astype(np.float64) if is_operand(a) else a for a in inputs))
    return magnitudes


def normalize_magnitudes(op, outputs, inputs, kind):
    x, weight, bias, eps = inputs
    G = x.shape[1]
    x, rows = x.astype(np.float64), np.arange(G) % len(weight)
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    var = np.square(x - mean).mean(axis=(0, 2, 3), keepdims=True)
    # A kernel may round the mean to x's dtype before it subtracts; integer means survive that.
    spread = np.abs(x - mean) + (np.abs(mean) if kind in ("reals", "welford", "float_lanes") else 0.0)
    if kind == "welford":  # which rounds the mean, in double, as often as there are numbers
        spread *= 1 + x.size // G * np.finfo("float64").eps / np.finfo(outputs[0].dtype).eps
    y = spread / np.sqrt(var + eps) * np.abs(weight)[rows, :, None] + np.abs(bias)[rows, :, None]
    if kind == "welford":
        var += np.abs(mean) * np.sqrt(var)
    center, var = np.abs(x).mean(axis=(0, 2, 3)), var.ravel()
    if kind == "float_lanes" and outputs[0].dtype == np.float32:
        # norm_float_moments.pxd has both bounds, here for few numbers too, and in units of what
        # kernel_cases allows a sum of M doubles.
        M = x.size // G
        unit = np.finfo("float32").eps / np.finfo("float64").eps / (M + 3)
        center, var = center + min(M + 3, 140) * unit * np.sqrt(var), var + min(M + 3, 770) * unit * var
    return [y, center, var]


def normalize_given_magnitudes(op, outputs, inputs, kind):
    x, mean, invstd, weight, bias = inputs
    rows = np.arange(x.shape[1]) % len(weight)
    xhat = (np.abs(x) + np.abs(mean)[:, None, None]) * invstd[:, None, None]
    return [xhat * np.abs(weight)[rows, :, None] + np.abs(bias)[rows, :, None]]


def normalize_backward_magnitudes(op, outputs, inputs, kind):
    dy, x, weight, mean, invstd = inputs
    rows = np.arange(x.shape[1]) % len(weight)
    invstd = invstd[:, None, None]
    xhat = (np.abs(x) + np.abs(mean)[:, None, None]) * invstd
    dz = np.abs(dy) * np.abs(weight.astype(np.float64))[rows, :, None]
    dx = invstd * dz
    if op == "normalize_backward":
        shift, slope = (a.mean(axis=(0, 2, 3), keepdims=True) for a in (dz, dz * xhat))
        dx = invstd * (dz + shift + xhat * slope)
    terms = np.abs(dy) * xhat, np.abs(dy)
    return [dx, *(a.sum(axis=(0, 3)).reshape(-1, *weight.shape).sum(axis=0) for a in terms)]


# --- algorithms of convolution that do more than reorder the sum ----------------------------


def winograd_bound(x, w, b, ih_of, iw_of, *_):
    """Bound the error, in epsilons, by each channel's largest pixel times all of its weights.

    Pixels of the whole tile go into an output, also those outside its window. 16 is twice what the
    transforms were seen to do to adversarial inputs; sums over channels grow more slowly than IC/16.
    """
    largest = np.abs(x).max(axis=(2, 3))
    return _products(largest, np.abs(w).sum(axis=(2, 3)), b) * (16 + w.shape[1] / 16)


def fft_bound(x, w, b, ih_of, iw_of, *_):
    """Bound the error, in epsilons, by the Euclidean norms of padded planes and filters.

    Every output receives its share of the rounding of every cell. 4 is over five times the 0.7 that was
    seen on large means, alternating signs, one sign and mixed magnitudes.
    """
    planes = x[:, :, ih_of[:, None], iw_of]
    planes[:, :, (ih_of[:, None] < 0) | (iw_of < 0)] = 0
    norms = (np.sqrt(np.square(a).sum(axis=(2, 3))) for a in (planes, w))
    return 4 * _products(*norms, b)


def _products(x, w, b):
    """Return ``sum over ic of x[n, ic]*w[oc, ic] + |b[oc]|`` as (N, OC, 1, 1); w is of one group."""
    (OC, ICG), (N, IC) = w.shape, x.shape
    G = IC // ICG
    sums = np.einsum("ngc,goc->ngo", x.reshape(N, G, ICG), w.reshape(G, OC // G, ICG))
    return (sums.reshape(N, OC) + np.abs(b))[:, :, None, None]


SPREAD = {"winograd": winograd_bound, "fft": fft_bound}
"""Bounds of the kernels that are not exact, by algorithm: functions of a kernel's inputs in float64."""

MAGNITUDES = {
    "normalize": normalize_magnitudes,
    "normalize_given": normalize_given_magnitudes,
    "normalize_backward": normalize_backward_magnitudes,
    "normalize_given_backward": normalize_backward_magnitudes,
}
