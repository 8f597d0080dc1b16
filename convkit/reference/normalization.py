"""Batch, instance, group and layer normalisation: one arithmetic over different axes.

    mean = sum(x) / M                              M = N*P*S values of one statistic
    var  = sum((x - mean)^2) / M                   the biased variance
    xhat = (x - mean) / sqrt(var + eps)            eps is inside the root
    y    = weight * xhat + bias

Arrays are (N, G, P, S), with one mean and variance for each g; which axes of an image stand for which
letter makes the difference between the four (see :mod:`convkit.dispatch`). `weight` and `bias` are
(W, P) and element (n, g, p, s) takes ``weight[g % W, p]``. Statistics are (G,), in float64.

Ioffe and Szegedy, "Batch normalization" (2015), algorithm 1 and the gradients of its section 3.
"""

from __future__ import annotations

import numpy as np

from . import quiet

ONE_STATISTIC = (0, 2, 3)  # the axes that one mean averages over


@quiet
def normalize(y, mean, var, x, weight, bias, eps):
    """Normalise x (N, G, P, S) by its own statistics, which go to mean and var (G,)."""
    x = x.astype(np.float64)
    m = x.mean(axis=ONE_STATISTIC, keepdims=True)
    # Rounded, the mean of equal numbers can miss them by an ulp. The mean of what it missed puts
    # it right, and a constant input has variance zero, exactly.
    m += (x - m).mean(axis=ONE_STATISTIC, keepdims=True)
    v = np.square(x - m).mean(axis=ONE_STATISTIC, keepdims=True)
    mean[...], var[...] = m.ravel(), v.ravel()
    y[...] = (x - m) / np.sqrt(v + eps) * _spread(weight, x) + _spread(bias, x)


@quiet
def normalize_given(y, x, mean, invstd, weight, bias):
    """Normalise x by a mean and 1/sqrt(var + eps) (G,) that are given, as in evaluation."""
    y[...] = _xhat(x, mean, invstd) * _spread(weight, x) + _spread(bias, x)


@quiet
def normalize_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """Gradients of :func:`normalize`, whose statistics depend on x.

    With dz = dy * weight, the gradient for xhat::

        dx = invstd * (dz - mean(dz) - xhat * mean(dz * xhat))

    Through the mean and the variance, x moves every output of its statistic: the two subtracted terms.
    """
    xhat = _xhat(x, mean, invstd)
    dz = dy * _spread(weight, x)
    shift = dz.mean(axis=ONE_STATISTIC, keepdims=True)
    slope = (dz * xhat).mean(axis=ONE_STATISTIC, keepdims=True)
    dx[...] = invstd[:, None, None] * (dz - shift - xhat * slope)
    _grad_weight_bias(dweight, dbias, dy, xhat)


@quiet
def normalize_given_backward(dx, dweight, dbias, dy, x, weight, mean, invstd):
    """Gradients of :func:`normalize_given`, whose statistics are constants: dx = dy * weight * invstd."""
    dx[...] = dy * _spread(weight, x) * invstd[:, None, None]
    _grad_weight_bias(dweight, dbias, dy, _xhat(x, mean, invstd))


def _xhat(x: np.ndarray, mean: np.ndarray, invstd: np.ndarray) -> np.ndarray:
    return (x - mean[:, None, None]) * invstd[:, None, None]


def _spread(weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Give each g its row of `weight` (W, P): a float64 array (G, P, 1), which broadcasts against x."""
    G, W = x.shape[1], len(weight)
    return weight[np.arange(G) % W, :, None].astype(np.float64)


def _grad_weight_bias(dweight, dbias, dy, xhat):
    """Sum dy * xhat and dy over all that share an element of weight and bias (W, P)."""
    W, P = dweight.shape
    for grad, terms in ((dweight, dy * xhat), (dbias, dy.astype(np.float64))):
        grad[...] = terms.sum(axis=(0, 3)).reshape(-1, W, P).sum(axis=0)
