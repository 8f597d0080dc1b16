"""Instance, group and layer normalisation: batch norm's arithmetic over other axes.

None of them looks at more than one image, so training and evaluation do the same; only instance
norm may keep running statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import any_array, flag, local, operand
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
    group_view,
    instance_view,
    layer_view,
    normalize,
    normalize_given,
    own_statistics,
    running_statistics,
)

__all__ = [
    "group_norm",
    "group_norm_backward",
    "instance_norm",
    "instance_norm_backward",
    "layer_norm",
    "layer_norm_backward",
]


@any_array
def instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Normalise each channel of each image by itself: over (H, W), not over the batch.

    Parameters
    ----------
    x : array, shape (N, C, ...) with at least one more axis
        float32 or float64.
    running_mean, running_var : array, shape (C,), optional
        Moved towards the mean over the batch of the images' statistics; used, not moved, without
        `use_input_stats`.
    weight, bias : array, shape (C,), optional
        Scale and shift of each channel.
    use_input_stats : bool
        Normalise by x's own statistics, or by the running ones.
    momentum, eps, algorithm, backend, out
        As for :func:`convkit.batch_norm`.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.batch_norm`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.array([[[1.0, 3.0]], [[10.0, 30.0]]])
    >>> convkit.instance_norm(x, eps=0.0)  # each image is normalised alone
    array([[[-1.,  1.]],
    <BLANKLINE>
           [[-1.,  1.]]])
    """
    given = {"x": x, "weight": weight, "bias": bias, "out": out}
    x, eps = operand(x, "x"), check_eps(eps)
    view, choice = instance_view(x.shape), (backend, algorithm)
    weight, bias = affine(weight, bias, view, x.dtype)
    use_input_stats = flag(use_input_stats, "use_input_stats")
    factor = check_momentum(momentum, None, needed=use_input_stats)
    if not use_input_stats:
        by_channel = batch_view(x.shape)
        mean, invstd = running_statistics(running_mean, running_var, by_channel, x.dtype, eps)
        return normalize_given(x, by_channel, mean, invstd, weight, bias, choice, out)
    values = view.x[3]
    check_values(values, x)
    running = check_running(running_mean, running_var, x.shape[1], x.dtype, **given)
    y, mean, var = normalize(x, view, weight, bias, eps, choice, out)
    if running is not None and x.size:
        mean_of, move = local().mean_of_rows, local().move
        move(running[0], mean_of(mean.reshape(x.shape[:2])), factor, 1.0)
        move(running[1], mean_of(var.reshape(x.shape[:2])), factor, values / (values - 1))
    return y


@any_array
def instance_norm_backward(
    grad_y: Any,
    x: Any,
    weight: Any = None,
    *,
    running_mean: Any = None,
    running_var: Any = None,
    use_input_stats: bool = True,
    eps: float = 1e-5,
    algorithm: str = "auto",
    backend: str = "auto",
) -> NormGradients:
    """Return the gradients of :func:`instance_norm`: see :func:`convkit.batch_norm_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, grad_y = np.array([[[1.0, 3.0]]]), np.array([[[5.0, 7.0]]])
    >>> convkit.instance_norm_backward(grad_y, x, eps=0.0).grad_weight  # -1*5 + 1*7
    array([2.])
    """
    grad_y, x = grad_operands(grad_y, x)
    eps, choice = check_eps(eps), (backend, algorithm)
    if not flag(use_input_stats, "use_input_stats"):
        view = batch_view(x.shape)
        weight, _ = affine(weight, None, view, x.dtype)
        given = running_statistics(running_mean, running_var, view, x.dtype, eps)
        return backward("normalize_given_backward", grad_y, x, view, weight, *given, choice)
    view = instance_view(x.shape)
    check_values(view.x[3], x)
    return _own_backward(grad_y, x, view, weight, eps, choice)


@any_array
def group_norm(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Normalise groups of neighbouring channels, image by image.

    Parameters
    ----------
    x : array, shape (N, C, ...)
        float32 or float64.
    num_groups : int
        Groups into which the channels are split; it divides C.
    weight, bias : array, shape (C,), optional
        Scale and shift of each channel.
    eps, algorithm, backend, out
        As for :func:`convkit.batch_norm`.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.batch_norm`.

    References
    ----------
    Wu and He, "Group Normalization", 2018.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.group_norm(np.array([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1., -1.,  1.]])
    """
    x, eps = operand(x, "x"), check_eps(eps)
    view = group_view(x.shape, num_groups)
    weight, bias = affine(weight, bias, view, x.dtype)
    return normalize(x, view, weight, bias, eps, (backend, algorithm), out)[0]


@any_array
def group_norm_backward(
    grad_y: Any,
    x: Any,
    num_groups: int,
    weight: Any = None,
    eps: float = 1e-5,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> NormGradients:
    """Return the gradients of :func:`group_norm`: see :func:`convkit.batch_norm_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, grad_y = np.array([[1.0, 3.0]]), np.array([[5.0, 7.0]])
    >>> convkit.group_norm_backward(grad_y, x, 1, eps=0.0).grad_bias
    array([5., 7.])
    """
    grad_y, x = grad_operands(grad_y, x)
    view = group_view(x.shape, num_groups)
    return _own_backward(grad_y, x, view, weight, check_eps(eps), (backend, algorithm))


@any_array
def layer_norm(
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Normalise over the trailing axes: each row by itself.

    Parameters
    ----------
    x : array, any shape
        float32 or float64.
    normalized_shape : int or sequence of int
        Sizes of the trailing axes to normalise over.
    weight, bias : array of that shape, optional
        Scale and shift of each element of a row.
    eps, algorithm, backend, out
        As for :func:`convkit.batch_norm`.

    Returns
    -------
    array, shape of x

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.batch_norm`.

    References
    ----------
    Ba, Kiros and Hinton, "Layer Normalization", 2016.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0)
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    x, eps = operand(x, "x"), check_eps(eps)
    view, shape = layer_view(x.shape, normalized_shape)
    weight, bias = affine(weight, bias, view, x.dtype, shape)
    return normalize(x, view, weight, bias, eps, (backend, algorithm), out)[0]


@any_array
def layer_norm_backward(
    grad_y: Any,
    x: Any,
    normalized_shape: int | Sequence[int],
    weight: Any = None,
    eps: float = 1e-5,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
) -> NormGradients:
    """Return the gradients of :func:`layer_norm`: see :func:`convkit.batch_norm_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x, grad_y = np.array([[1.0, 3.0]]), np.array([[5.0, 7.0]])
    >>> convkit.layer_norm_backward(grad_y, x, 2, eps=0.0).grad_weight
    array([-5.,  7.])
    """
    grad_y, x = grad_operands(grad_y, x)
    view, shape = layer_view(x.shape, normalized_shape)
    g = _own_backward(grad_y, x, view, weight, check_eps(eps), (backend, algorithm), shape)
    return NormGradients(g.grad_x, g.grad_weight.reshape(shape), g.grad_bias.reshape(shape))


def _own_backward(
    grad_y: np.ndarray,
    x: np.ndarray,
    view: View,
    weight: Any,
    eps: float,
    choice: tuple[str, str],
    shape: tuple[int, ...] | None = None,
) -> NormGradients:
    """Return the gradients of a normalisation by x's own statistics."""
    weight, _ = affine(weight, None, view, x.dtype, shape)
    mean, invstd, grad_x = own_statistics(x, view, eps, choice)
    return backward("normalize_backward", grad_y, x, view, weight, mean, invstd, choice, grad_x)
