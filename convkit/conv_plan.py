"""What the convolutions of the API share: plans, and the running of their kernels.

A plan holds every integer that a kernel needs. It is made once for each combination of shapes
and options, and looked up from then on, so that a small call stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import geometry
from .arrays import IntOrInts, constant, empty, flag, full, output, vector
from .dispatch import pick
from .place import here
from .rules import Layer

__all__ = [
    "ConvGradients",
    "Padding",
    "Plan",
    "bias_of",
    "check_grad_y",
    "conv_plan",
    "grad_b_of",
    "grad_w_of",
    "no_bias",
    "run",
    "three_needs",
    "transpose_plan",
    "turned",
]

Padding = str | int | Sequence[int] | Sequence[tuple[int, int]]


class ConvGradients(NamedTuple):
    """Gradients of a loss for a convolution's three inputs; None where none was asked for."""

    grad_x: np.ndarray | None
    grad_w: np.ndarray | None
    grad_b: np.ndarray | None


# --- plans: geometry, once for each combination of shapes and options ----------------------


class Plan(NamedTuple):
    """A convolution's integers. Shapes are those of the kernels, always (N, C, H, W)."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    tables: tuple[Any, ...]  # ih_of, iw_of, SH, SW, DH, DW: the end of every kernel's arguments
    result: tuple[int, ...]  # y as the caller sees it: without the axes that he did not give
    lifted: bool  # whether there are such axes: then arrays have to be reshaped
    layer: Layer  # the numbers of the convolution, or of the one that this transposes


@geometry.remembered
def conv_plan(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    rank: int,
    stride: IntOrInts,
    padding: Padding,
    dilation: IntOrInts,
    groups: int,
    padding_mode: str,
) -> Plan:
    _check_shapes(x_shape, w_shape, rank)
    channels, size, kernel = x_shape[-rank - 1], x_shape[-rank:], w_shape[2:]
    out_channels, per_group = w_shape[:2]
    s = geometry.per_axis(stride, rank, "stride", least=1)
    d = geometry.per_axis(dilation, rank, "dilation", least=1)
    (g,) = geometry.per_axis(groups, 1, "groups", least=1)
    if channels % g or out_channels % g:
        raise ValueError(
            f"groups must divide the channels, got groups {g}, x {x_shape} with {channels} channels "
            f"and w {w_shape} with {out_channels}"
        )
    if per_group != channels // g:
        raise ValueError(
            f"w must have {channels} / {g} = {channels // g} input channels, as x {x_shape} and "
            f"groups {g} say, got w {w_shape}"
        )
    p = geometry.conv_padding(padding, size, kernel, s, d)
    axes = zip(size, kernel, s, d, p, strict=True)
    out = tuple(geometry.conv_output_size(n, k, s_, d_, *p_) for n, k, s_, d_, p_ in axes)
    y_shape = geometry.check_allocation((*x_shape[: -rank - 1], out_channels, *out), 4)
    tables = tuple(geometry.index_table(n, *p_, padding_mode) for n, p_ in zip(size, p, strict=True))
    # A stride beyond the padded size means nothing, and one near 2^63 would overflow in a kernel.
    s = tuple(min(s_, n + sum(p_)) for s_, n, p_ in zip(s, size, p, strict=True))
    return _lifted(x_shape, w_shape, y_shape, rank, tables, s, d)


@geometry.remembered
def transpose_plan(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    rank: int,
    stride: IntOrInts,
    padding: Padding,
    output_padding: IntOrInts,
    groups: int,
    dilation: IntOrInts,
    padding_mode: str,
) -> Plan:
    _check_shapes(x_shape, w_shape, rank)
    channels, size, kernel = x_shape[-rank - 1], x_shape[-rank:], w_shape[2:]
    s = geometry.per_axis(stride, rank, "stride", least=1)
    d = geometry.per_axis(dilation, rank, "dilation", least=1)
    extra = geometry.per_axis(output_padding, rank, "output_padding")
    (g,) = geometry.per_axis(groups, 1, "groups", least=1)
    if w_shape[0] != channels:
        raise ValueError(f"w must have {channels} input channels, as x {x_shape} says, got w {w_shape}")
    if channels % g:
        raise ValueError(f"groups must divide the channels, got groups {g} and x {x_shape}")
    if isinstance(padding, str):
        raise ValueError(f"padding of a transposed convolution must be ints or pairs, got {padding!r}")
    p = geometry.conv_padding(padding, size, kernel, s, d)
    axes = zip(size, kernel, s, d, p, extra, strict=True)
    out = tuple(
        geometry.conv_transpose_output_size(n, k, s_, d_, p0, p1, x_) for n, k, s_, d_, (p0, p1), x_ in axes
    )
    y_shape = geometry.check_allocation((*x_shape[: -rank - 1], w_shape[1] * g, *out), 4)
    # It is the convolution from `out` back to `size` whose tables are needed.
    tables = tuple(geometry.index_table(n, *p_, padding_mode) for n, p_ in zip(out, p, strict=True))
    return _lifted(x_shape, w_shape, y_shape, rank, tables, s, d, transposed=True)


def _check_shapes(x_shape: tuple[int, ...], w_shape: tuple[int, ...], rank: int) -> None:
    axes = "L" if rank == 1 else "H, W"
    if len(x_shape) not in (rank + 1, rank + 2):
        raise ValueError(f"x must have shape (N, C, {axes}) or (C, {axes}), got {x_shape}")
    if len(w_shape) != rank + 2:
        kernel = "K" if rank == 1 else "KH, KW"
        raise ValueError(f"w must have shape (out channels, in channels / groups, {kernel}), got {w_shape}")
    if 0 in x_shape[-rank - 1 :] or 0 in w_shape:
        raise ValueError(f"only the batch may be empty, got x {x_shape} and w {w_shape}")


def _lifted(
    x: tuple[int, ...],
    w: tuple[int, ...],
    y: tuple[int, ...],
    rank: int,
    tables: tuple[np.ndarray, ...],
    s: tuple[int, ...],
    d: tuple[int, ...],
    transposed: bool = False,
) -> Plan:
    """Add the axes that a kernel has and the caller left out: a batch of 1, a height of 1."""

    def lift(shape: tuple[int, ...]) -> Any:
        batch = shape[:1] if len(shape) == rank + 2 else (1,)
        return (*batch, shape[-rank - 1], *(1,) * (2 - rank), *shape[-rank:])

    if rank == 1:
        tables = (geometry.index_table(1, 0, 0), *tables)
        s, d = (1, *s), (1, *d)
    x4, w4, y4 = lift(x), lift(w), lift(y)
    large, small = (y4, x4) if transposed else (x4, y4)
    layer = Layer.of(small, large, w4, *s, *d)
    return Plan(x4, w4, y4, (*tables, *s, *d), y, len(y) < 4, layer)


# --- running kernels -----------------------------------------------------------------------


@geometry.remembered
def no_bias(length: int, dtype: np.dtype) -> np.ndarray:
    zeros = np.zeros(length, dtype)
    zeros.flags.writeable = False
    return zeros


def bias_of(b: Any, length: int, dtype: np.dtype) -> np.ndarray:
    return constant(no_bias(length, dtype)) if b is None else vector(b, length, "b", dtype)


def turned(w: np.ndarray, flip: bool) -> np.ndarray:
    """Return the filters, turned by 180 degrees if they are to be."""
    if not flag(flip, "flip"):
        return w
    if here() is not None:
        return here().flipped(w)
    return np.ascontiguousarray(np.flip(w, axis=tuple(range(2, w.ndim))))


def three_needs(needs: Sequence[bool]) -> tuple[bool, bool, bool]:
    if not isinstance(needs, tuple | list) or len(needs) != 3:
        raise ValueError(f"needs must be three booleans, for grad_x, grad_w and grad_b, got {needs!r}")
    need_x, need_w, need_b = map(bool, needs)
    return need_x, need_w, need_b


def check_grad_y(grad_y: np.ndarray, shape: tuple[int, ...]) -> None:
    if grad_y.shape != shape:
        raise ValueError(f"grad_y must have the output's shape {shape}, got {grad_y.shape}")


def run(
    kernel: Callable[..., None], shape: tuple[int, ...], a: np.ndarray, w: np.ndarray, plan: Plan
) -> np.ndarray:
    """Run a kernel of conv2d's signature without a bias into a fresh array."""
    result = output(shape, a.dtype, None, ())
    if result.size:
        kernel(result, a, w.reshape(plan.w), constant(no_bias(shape[1], a.dtype)), *plan.tables)
    return result


def grad_w_of(
    kernel: Callable[..., None], shape: tuple[int, ...], dy: np.ndarray, x: np.ndarray, tables: tuple
) -> np.ndarray:
    if not x.size:
        return full(shape, 0, x.dtype)  # the sum over an empty batch
    dw = empty(shape, x.dtype)
    kernel(dw, dy, x, *tables)
    return dw


def grad_b_of(dy: np.ndarray, backend: str) -> np.ndarray:
    kernel = pick("conv2d_grad_b", backend)
    if not dy.size:
        return full(dy.shape[1:2], 0, dy.dtype)
    db = empty(dy.shape[1:2], dy.dtype)
    kernel(db, dy)
    return db
