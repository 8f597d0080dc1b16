"""What the poolings of the API share: plans, and the running of their kernels."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import geometry
from .arrays import SMALL, IntOrInts, finish, flag, key, operand, output, shape_of
from .border import filled, recalled, seen
from .dispatch import pick

__all__ = [
    "PoolPlan",
    "adaptive_plan",
    "avg_backward",
    "avg_plan",
    "forward",
    "grad_y_of",
    "max_plan",
]


class PoolPlan(NamedTuple):
    x: tuple[int, ...]  # as the kernels see it: planes, rows, columns
    y: tuple[int, ...]
    h_windows: np.ndarray
    w_windows: np.ndarray
    result: tuple[int, ...]


def plan_of(x_shape: tuple[int, ...], rank: int, windows: list[np.ndarray]) -> PoolPlan:
    planes = prod(x_shape[:-rank])
    size, out = x_shape[-rank:], tuple(map(len, windows))
    result = geometry.check_allocation((*x_shape[:-rank], *out), 4)
    if rank == 1:
        size, out, windows = (1, *size), (1, *out), [geometry.pool_windows(1, 1, 1), *windows]
    h_windows, w_windows = windows
    return PoolPlan((planes, *size), (planes, *out), h_windows, w_windows, result)


def check_shape(x_shape: tuple[int, ...], rank: int) -> None:
    if len(x_shape) not in (rank + 1, rank + 2):
        axes = "L" if rank == 1 else "H, W"
        raise ValueError(f"x must have shape (N, C, {axes}) or (C, {axes}), got {x_shape}")
    if 0 in x_shape[-rank - 1 :]:
        raise ValueError(f"only the batch may be empty, got x of shape {x_shape}")


@recalled
def avg_plan(
    x_shape: tuple[int, ...],
    rank: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: Any,
    count_include_pad: Any,
    divisor_override: Any = None,
) -> PoolPlan:
    """Plan average pooling by what a caller wrote."""
    options = key(kernel_size, "kernel_size"), key(stride, "stride"), key(padding, "padding")
    return _avg_plan(x_shape, rank, *options, ceil_mode, count_include_pad, divisor_override)


@geometry.remembered
def _avg_plan(
    x_shape: tuple[int, ...],
    rank: int,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> PoolPlan:
    check_shape(x_shape, rank)
    k = geometry.per_axis(kernel_size, rank, "kernel_size", least=1)
    s = k if stride is None else geometry.per_axis(stride, rank, "stride", least=1)
    p = geometry.per_axis(padding, rank, "padding")
    ceil, include = flag(ceil_mode, "ceil_mode"), flag(count_include_pad, "count_include_pad")
    windows = [
        geometry.pool_windows(n, k_, s_, p_, ceil, include)
        for n, k_, s_, p_ in zip(x_shape[-rank:], k, s, p, strict=True)
    ]
    if divisor_override is not None:
        if geometry.whole(divisor_override, "divisor_override") == 0:
            raise ValueError("divisor_override must not be 0")
        divisors = (divisor_override, *(1,) * (rank - 1))
        windows = [geometry.with_divisor(w, d) for w, d in zip(windows, divisors, strict=True)]
    return plan_of(x_shape, rank, windows)


@recalled
def max_plan(
    x_shape: tuple[int, ...],
    rank: int,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
) -> PoolPlan:
    """Plan max pooling by what a caller wrote."""
    options = (
        key(kernel_size, "kernel_size"), key(stride, "stride"), key(padding, "padding"),
        key(dilation, "dilation"),
    )  # fmt: skip
    return _max_plan(x_shape, rank, *options, ceil_mode)


@geometry.remembered
def _max_plan(
    x_shape: tuple[int, ...],
    rank: int,
    kernel_size: IntOrInts,
    stride: IntOrInts | None,
    padding: IntOrInts,
    dilation: IntOrInts,
    ceil_mode: bool,
) -> PoolPlan:
    check_shape(x_shape, rank)
    k = geometry.per_axis(kernel_size, rank, "kernel_size", least=1)
    s = k if stride is None else geometry.per_axis(stride, rank, "stride", least=1)
    p = geometry.per_axis(padding, rank, "padding")
    d = geometry.per_axis(dilation, rank, "dilation", least=1)
    ceil = flag(ceil_mode, "ceil_mode")
    windows = [
        geometry.max_pool_windows(n, k_, s_, p_, d_, ceil)
        for n, k_, s_, p_, d_ in zip(x_shape[-rank:], k, s, p, d, strict=True)
    ]
    return plan_of(x_shape, rank, windows)


@geometry.remembered
def adaptive_plan(x_shape: tuple[int, ...], output_size: Any) -> PoolPlan:
    check_shape(x_shape, 2)
    o = geometry.per_axis(output_size, 2, "output_size", least=1)
    windows = [geometry.adaptive_windows(n, o_) for n, o_ in zip(x_shape[-2:], o, strict=True)]
    return plan_of(x_shape, 2, windows)


# --- what every pooling does with a plan ---------------------------------------------------


def forward(
    op: str, x: np.ndarray, plan: PoolPlan, algorithm: str, backend: str, out: np.ndarray | None
) -> np.ndarray:
    kernel = pick(op, backend, algorithm)
    if out is None and (small := filled(kernel, x, plan, (), SMALL)) is not None:
        return small
    y = output(plan.result, x.dtype, out, (x,))
    if x.size:
        kernel(seen(y, plan.y), seen(x, plan.x), plan.h_windows, plan.w_windows)
    return finish(y, out)


def grad_y_of(grad_y: Any, plan: PoolPlan) -> np.ndarray:
    grad_y = operand(grad_y, "grad_y")
    if grad_y.shape != plan.result:
        raise ValueError(f"grad_y must have the output's shape {plan.result}, got {grad_y.shape}")
    return grad_y


def avg_backward(
    grad_y: Any, x: Any, plan: PoolPlan, algorithm: str, backend: str, out: np.ndarray | None
) -> np.ndarray:
    grad_y = grad_y_of(grad_y, plan)
    grad_x = output(shape_of(x), grad_y.dtype, out, (grad_y,))
    kernel = pick("avg_pool2d_backward", backend, algorithm)
    if grad_x.size:
        kernel(seen(grad_x, plan.x), seen(grad_y, plan.y), plan.h_windows, plan.w_windows)
    return finish(grad_x, out)
