"""Batch normalisation, in training and in evaluation, and its gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arrays import any_array, flag, local, operand, vector
from .norm_plan import (
    NormGradients,
    View,
    affine,
    backward,
    batch_view,
    check_eps,
    check_momentum,
    check_running,
    check_values,
    grad_operands,
    normalize,
    normalize_given,
    own_statistics,
    running_statistics,
)

__all__ = ["BatchNorm", "batch_norm", "batch_norm_backward", "batch_norm_forward"]


class BatchNorm(NamedTuple):
    """A batch norm's output with the statistics that its gradient needs, in float64."""

    y: Any
    mean: Any
    invstd: Any


@any_array
def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Normalise each channel over batch and pixels, then scale and shift it.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``, channel by channel.

    In training mean and (biased) variance are those of x, and the running statistics are moved
    towards them; they do not enter the output. In evaluation the running statistics are used,
    and x's own are not looked at.

    Parameters
    ----------
    x : array, shape (N, C), (N, C, L), (N, C, H, W) or (N, C, D, H, W)
        float32 or float64.
    running_mean, running_var : array, shape (C,), or None
        Updated **in place** in training: ``running = (1 - momentum) * running + momentum * batch``,
        where the batch's variance is the unbiased one. Needed in evaluation.
    weight, bias : array, shape (C,), optional
        gamma, which sets the standard deviation of the output (its absolute value does), and
        beta, which sets the mean. They are learned; mean and variance are computed.
    training : bool
        Normalise by x's own statistics, or by the running ones.
    momentum : float in [0, 1], or None
        Weight of the **new** batch in the running statistics. None: the plain average of all
        batches so far, for which `num_batches_tracked` is needed.
    eps : float
        Added to the variance, inside the square root.
    num_batches_tracked : int, optional
        With ``momentum=None``: how many batches there were, this one counted.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError
        If a channel has a single value in training, a vector has the wrong length, an option is
        out of range, or running statistics are missing in evaluation or share memory with x.
    TypeError
        If an argument is not a float array, or dtypes differ.

    References
    ----------
    Ioffe and Szegedy, "Batch Normalization", 2015. Santurkar et al., "How Does Batch
    Normalization Help Optimization?", 2018.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[1.0], [3.0]])
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> convkit.batch_norm(x, mean, var, training=True, eps=0.0)
    array([[-1.],
           [ 1.]])
    >>> mean, var  # a tenth of the way to mean 2 and unbiased variance 2
    (array([0.2]), array([1.1]))
    """
    return _batch_norm(
        x, running_mean, running_var, weight, bias, training, momentum, eps, num_batches_tracked,
        (backend, algorithm), out, False,
    )[0]  # fmt: skip


@any_array
def batch_norm_forward(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = True,
    momentum: float | None = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: int | None = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> BatchNorm:
    """Do what :func:`batch_norm` does, and return the statistics that it used as well.

    Parameters
    ----------
    x, running_mean, running_var, weight, bias, training, momentum, eps
        As for :func:`batch_norm`.
    num_batches_tracked, algorithm, backend, out
        As for :func:`batch_norm`.

    Returns
    -------
    BatchNorm
        ``(y, mean, invstd)``: hand the last two to :func:`batch_norm_backward`. They are float64
        whatever x is, so that nothing is lost on the way. Of a channel that holds an infinity, none of the
        two is finite.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.batch_norm_forward(np.array([[1.0], [3.0]]), eps=0.0).mean
    array([2.])
    """
    return BatchNorm(
        *_batch_norm(
            x, running_mean, running_var, weight, bias, training, momentum, eps, num_batches_tracked,
            (backend, algorithm), out, True,
        )
    )  # fmt: skip


def _batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float | None,
    eps: float,
    num_batches_tracked: int | None,
    choice: tuple[str, str],
    out: Any,
    with_invstd: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return y, the mean and 1/sqrt(var + eps), this one if it is wanted."""
    given, x, eps = x, operand(x, "x"), check_eps(eps)
    view = batch_view(x.shape)
    gamma, beta = affine(weight, bias, view, x.dtype)
    training = flag(training, "training")
    factor = check_momentum(momentum, num_batches_tracked, needed=training)
    if not training:
        mean, invstd = running_statistics(running_mean, running_var, view, x.dtype, eps)
        return normalize_given(x, view, mean, invstd, gamma, beta, choice, out), mean, invstd
    values = view.x[0] * view.x[3]
    check_values(values, x)
    running = check_running(
        running_mean, running_var, view.weight[0], x.dtype, x=given, weight=weight, bias=bias, out=out
    )
    y, mean, var = normalize(x, view, gamma, beta, eps, choice, out)
    if running is not None and x.size:  # from an empty batch nothing is learned
        move = local().move
        move(running[0], mean, factor, 1.0)
        move(running[1], var, factor, values / (values - 1))
    return y, mean, local().invstd_of(var, eps) if with_invstd else None


@any_array
def batch_norm_backward(
    grad_y: Any,
    x: Any,
    weight: Any = None,
    mean: Any = None,
    invstd: Any = None,
    *,
    running_mean: Any = None,
    running_var: Any = None,
    training: bool = True,
    eps: float = 1e-5,
    algorithm: str = "auto",
    backend: str = "auto",
) -> NormGradients:
    """Return the gradients of a loss for a batch norm's input, weight and bias.

    In training mean and variance depend on x, and two terms of ``grad_x`` say so::

        grad_x = weight * invstd * (grad_y - mean(grad_y) - xhat * mean(grad_y * xhat))

    In evaluation they are constants, and the two terms are not there.

    Parameters
    ----------
    grad_y, x : array, the same shape
        Gradient for the output, and the input.
    weight : array, shape (C,), optional
        As it was given to :func:`batch_norm`.
    mean, invstd : array, shape (C,), optional
        What :func:`batch_norm_forward` returned; both or neither. Computed anew if left out.
    running_mean, running_var : array, shape (C,)
        Needed in evaluation unless `mean` and `invstd` are given.
    training, eps
        As they were given to :func:`batch_norm`.
    algorithm, backend : str
        Which kernel computes it.

    Returns
    -------
    NormGradients
        ``(grad_x, grad_weight, grad_bias)``.

    Raises
    ------
    ValueError, TypeError
        As :func:`batch_norm`, and if `grad_y` has not x's shape and dtype.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[1.0], [3.0]])
    >>> g = convkit.batch_norm_backward(np.array([[5.0], [7.0]]), x, eps=0.0)
    >>> g.grad_x  # the output is -1 and 1 whatever the two values are: nothing to gain
    array([[0.],
           [0.]])
    """
    grad_y, x = grad_operands(grad_y, x)
    eps = check_eps(eps)
    view, choice = batch_view(x.shape), (backend, algorithm)
    weight, _ = affine(weight, None, view, x.dtype)
    if flag(training, "training"):
        check_values(view.x[0] * view.x[3], x)
    if (mean is None) != (invstd is None):
        raise ValueError("mean and invstd are needed both or neither")
    grad_x = None
    if mean is not None:
        mean, invstd = _statistic(mean, view, "mean"), _statistic(invstd, view, "invstd")
    elif training:
        mean, invstd, grad_x = own_statistics(x, view, eps, choice)
    else:
        mean, invstd = running_statistics(running_mean, running_var, view, x.dtype, eps)
    op = "normalize_backward" if training else "normalize_given_backward"
    return backward(op, grad_y, x, view, weight, mean, invstd, choice, grad_x)


def _statistic(v: Any, view: View, name: str) -> np.ndarray:
    v = operand(v, name)
    return local().doubles(vector(v, view.x[1], name, v.dtype))
