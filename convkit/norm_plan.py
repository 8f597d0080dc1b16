"""What the normalisations of the API share: views of memory, and the running of their kernels.

Batch norm takes mean and variance over (N, H, W) and keeps C; instance norm takes them over
(H, W) alone; group norm over (C/groups, H, W); layer norm over the trailing axes. Each is one
*view* of the same memory as (N, G, P, S), with a mean and variance for each g and a weight for
each (g, p), and so all four run the same kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, prod
from typing import Any, NamedTuple

import numpy as np

from .arrays import (
    constant,
    empty,
    fill,
    finish,
    fraction,
    full,
    local,
    number,
    operand,
    output,
    vector,
)
from .border import is_vector, seen, vector_seen
from .dispatch import pick
from .geometry import option, remembered, whole

__all__ = [
    "NormGradients",
    "View",
    "affine",
    "backward",
    "batch_view",
    "check_eps",
    "check_momentum",
    "check_running",
    "check_values",
    "grad_operands",
    "group_view",
    "instance_view",
    "layer_view",
    "normalize",
    "normalize_given",
    "own_statistics",
    "running_statistics",
]


class NormGradients(NamedTuple):
    """Gradients of a loss for a normalisation's three inputs."""

    grad_x: Any
    grad_weight: Any
    grad_bias: Any


class View(NamedTuple):
    """How a normalisation sees its memory: the (N, G, P, S) and (W, P) of the kernels."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int]


@lru_cache(maxsize=1024)
def batch_view(shape: tuple[int, ...]) -> View:
    if len(shape) < 2:
        raise ValueError(f"x must have shape (N, C) or (N, C, ...), got {shape}")
    if 0 in shape[1:]:
        raise ValueError(f"only the batch may be empty, got x of shape {shape}")
    return View((shape[0], shape[1], 1, prod(shape[2:])), (shape[1], 1))


def instance_view(shape: tuple[int, ...]) -> View:
    if len(shape) < 3:
        raise ValueError(f"x must have shape (N, C, ...) with at least one more axis, got {shape}")
    n, c, _, s = batch_view(shape).x
    return View((1, n * c, 1, s), (c, 1))


def group_view(shape: tuple[int, ...], num_groups: int) -> View:
    n, c, _, s = batch_view(shape).x
    g = whole(num_groups, "num_groups", least=1)
    if c % g:
        raise ValueError(f"num_groups must divide the {c} channels of x {shape}, got {g}")
    return View((1, n * g, c // g, s), (g, c // g))


def layer_view(shape: tuple[int, ...], normalized_shape: int | Sequence[int]) -> tuple[View, tuple[int, ...]]:
    """Return the view, and the trailing axes' shape, which is that of weight and bias."""
    trailing = option(normalized_shape, "normalized_shape")
    trailing = (trailing,) if isinstance(trailing, int) else trailing
    if not trailing or shape[-len(trailing) :] != trailing:
        raise ValueError(f"normalized_shape must be the last axes of x {shape}, got {normalized_shape!r}")
    if 0 in trailing:
        raise ValueError(f"the axes to normalise may not be empty, got x of shape {shape}")
    return View((1, prod(shape[: -len(trailing)]), prod(trailing), 1), (1, prod(trailing))), trailing


# --- what every normalisation does with its view -------------------------------------------


@remembered
def _constant(value: float, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    filled = np.full(shape, value, dtype)
    filled.flags.writeable = False
    return filled


def affine(
    weight: Any, bias: Any, view: View, dtype: np.dtype, shape: tuple[int, ...] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return weight (1 if None) and bias (0 if None) as the kernels' (W, P) arrays."""
    if shape is not None:  # layer norm: its weight has the shape that is normalised
        weight, bias = _flat(weight, shape, "weight"), _flat(bias, shape, "bias")
    return _or(1.0, weight, "weight", view, dtype), _or(0.0, bias, "bias", view, dtype)


def _or(value: float, v: Any, name: str, view: View, dtype: np.dtype) -> np.ndarray:
    """Return weight or bias as the kernels see it, or an array of `value` where there is none."""
    if v is None:
        return constant(_constant(value, view.weight, dtype))
    if (shaped := vector_seen(v, view.weight, dtype)) is not None:
        return shaped
    return seen(vector(v, view.weight[0] * view.weight[1], name, dtype), view.weight)


def _flat(v: Any, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if v is None:
        return None
    v = operand(v, name)
    if v.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {v.shape}")
    return v.reshape(-1)


def check_eps(eps: float) -> float:
    value = number(eps, "eps")
    if not (isfinite(value) and value >= 0):
        raise ValueError(f"eps must be finite and at least 0, got {eps!r}")
    return value


def normalize(
    x: np.ndarray,
    view: View,
    weight: np.ndarray,
    bias: np.ndarray,
    eps: float,
    choice: tuple[str, str],
    out: Any,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y and the mean and variance of each g, by the statistics of x itself."""
    y = output(x.shape, x.dtype, out, (x, weight, bias))
    kernel = pick("normalize", *choice)
    if x.size:
        mean, var = empty(view.x[1:2], np.float64), empty(view.x[1:2], np.float64)
        kernel(seen(y, view.x), mean, var, seen(x, view.x), weight, bias, eps)
    else:  # an empty batch has no statistics
        mean, var = full(view.x[1:2], np.nan, np.float64), full(view.x[1:2], np.nan, np.float64)
    return finish(y, out), mean, var


def normalize_given(
    x: np.ndarray,
    view: View,
    mean: np.ndarray,
    invstd: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    choice: tuple[str, str],
    out: Any,
) -> np.ndarray:
    """Return y by statistics that are given."""
    y = output(x.shape, x.dtype, out, (x, weight, bias))
    kernel = pick("normalize_given", *choice)
    if x.size:
        kernel(seen(y, view.x), seen(x, view.x), mean, invstd, weight, bias)
    return finish(y, out)


def backward(
    op: str,
    grad_y: np.ndarray,
    x: np.ndarray,
    view: View,
    weight: np.ndarray,
    mean: np.ndarray,
    invstd: np.ndarray,
    choice: tuple[str, str],
    grad_x: np.ndarray | None = None,
) -> NormGradients:
    """Return the gradients by the kernel `op`, the first of them in `grad_x` if that is given."""
    if grad_x is None:
        grad_x = output(x.shape, x.dtype, None, ())
    values = view.weight[0] * view.weight[1]
    grad_weight = output((values,), x.dtype, None, ())
    grad_bias = output((values,), x.dtype, None, ())
    kernel = pick(op, *choice)
    if x.size:
        kernel(
            seen(grad_x, view.x), seen(grad_weight, view.weight), seen(grad_bias, view.weight),
            seen(grad_y, view.x), seen(x, view.x), weight, mean, invstd,
        )  # fmt: skip
    else:  # an empty batch teaches nothing
        fill(grad_weight, 0)
        fill(grad_bias, 0)
    return NormGradients(grad_x, grad_weight, grad_bias)


def grad_operands(grad_y: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    grad_y, x = operand(grad_y, "grad_y"), operand(x, "x")
    if grad_y.shape != x.shape:
        raise ValueError(f"grad_y must have x's shape {x.shape}, got {grad_y.shape}")
    if grad_y.dtype != x.dtype:
        raise TypeError(f"grad_y must be {x.dtype} as x is, got {grad_y.dtype}")
    return grad_y, x


def own_statistics(
    x: np.ndarray, view: View, eps: float, choice: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean and 1/sqrt(var + eps) of each g, for a gradient that was given none.

    And an array of x's shape for that gradient: it held the output that nobody asked for, and its
    memory need not be got a second time, which takes as long as the statistics.
    """
    one, zero = affine(None, None, view, x.dtype)
    y, mean, var = normalize(x, view, one, zero, eps, (choice[0], "auto"), None)
    return mean, local().invstd_of(var, eps), y


# --- running statistics --------------------------------------------------------------------


def check_values(values: int, x: np.ndarray) -> None:
    if values == 1:
        raise ValueError(f"more than 1 value per mean and variance is needed, got x of shape {x.shape}")


def check_momentum(momentum: float | None, batches: int | None, needed: bool = True) -> float:
    """Return the weight of a new batch; evaluation has none, and needs no count of batches."""
    if momentum is None:
        if not needed:
            return 0.0
        if batches is None:
            raise ValueError("momentum=None is the average of all batches: num_batches_tracked is needed")
        return 1.0 / whole(batches, "num_batches_tracked", least=1)
    return fraction(momentum, "momentum")


def check_running(
    running_mean: Any, running_var: Any, channels: int, dtype: np.dtype, **others: Any
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the running statistics once it is known that they can be updated in place.

    `others` are the call's other arrays, as the caller gave them: an update that showed in one of
    those would change an input.
    """
    if running_mean is None and running_var is None:
        return None
    writeable, overlap = local().writeable, local().overlap
    for name, v in (("running_mean", running_mean), ("running_var", running_var)):
        vector(v, channels, name, dtype)
        if not writeable(v):
            raise ValueError(f"{name} is read-only, and training updates it in place")
        for other, a in others.items():
            if a is not None and overlap(v, a):
                raise ValueError(f"{name} shares memory with {other}, and training updates it in place")
    if overlap(running_mean, running_var):
        raise ValueError("running_mean and running_var share memory")
    return running_mean, running_var


def running_statistics(
    running_mean: Any, running_var: Any, view: View, dtype: np.dtype, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and 1/sqrt(var + eps) of evaluation, in float64."""
    channels, statistics = view.weight[0], []
    if is_vector(running_mean, channels, dtype) and is_vector(running_var, channels, dtype):
        return local().given_statistics(running_mean, running_var, eps)
    for name, v in (("running_mean", running_mean), ("running_var", running_var)):
        if v is None:
            raise ValueError(f"evaluation needs {name}: only training, by x's own statistics, can do without")
        statistics.append(vector(v, channels, name, dtype))
    mean, var = statistics
    return local().given_statistics(mean, var, eps)
