"""The two sides of a comparison: the same case as a call of convkit and as a call of a peer.

A case is plain data, so that it can be sent to another process; each side makes its arrays anew
from the same seed. ``contender(case)`` returns a function without arguments that does the work once
and returns the result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from suites import Layer

Contender = Callable[[], Any]


class ConvCase(NamedTuple):
    """One convolution, forward or all three gradients."""

    layer: Layer
    batch: int = 1
    backward: bool = False
    dtype: str = "float32"
    reuse: bool = True

    @lru_cache(maxsize=1)  # noqa: B019 - both sides in one process shall read the same memory
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, w and the gradient of the output: normal numbers of a fixed seed."""
        layer, rng = self.layer, np.random.default_rng(0)
        out = (layer.size + 2 * layer.padding - layer.kernel) // layer.stride + 1
        shapes = (
            (self.batch, layer.channels, layer.size, layer.size),
            (layer.filters, layer.channels // layer.groups, layer.kernel, layer.kernel),
            (self.batch, layer.filters, out, out),
        )
        x, w, dy = (rng.standard_normal(s).astype(self.dtype) for s in shapes)
        return x, w, dy


class StreamCase(NamedTuple):
    """One streaming operation on one shape."""

    op: str
    shape: tuple[int, ...]
    reuse: bool = True  # of the output; a small call is timed as it is mostly written, without

    @lru_cache(maxsize=1)  # noqa: B019 - as above
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x and two numbers a channel for scale and shift."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal(self.shape).astype(np.float32)
        return x, rng.uniform(0.5, 1.5, (2, self.shape[1])).astype(np.float32)


Case = ConvCase | StreamCase


# --- convkit -------------------------------------------------------------------------------


def ours(case: Case, threads: int, algorithm: str = "auto", backend: str = "auto") -> Contender:
    """Return convkit's call; large outputs are reused by ``out=``."""
    import convkit

    convkit.set_num_threads(threads)
    how = {k: v for k, v in (("algorithm", algorithm), ("backend", backend)) if v != "auto"}
    if isinstance(case, ConvCase):
        x, w, dy = case.arrays()
        layer = case.layer
        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        if case.backward:
            return lambda: convkit.conv2d_backward(dy, x, w, **options, **how)
        into = {"out": np.empty_like(dy)} if case.reuse else {}
        return lambda: convkit.conv2d(x, w, **options, **how, **into)
    return _our_stream(case, how)


POOLS = {
    "2/2": (2, 2, 0),
    "3/2": (3, 2, 0),
    "3/1": (3, 1, 0),
    "5/3": (5, 3, 0),
    "3/2 p1": (3, 2, 1),
    "3/1 p1": (3, 1, 1),
}
PADS = {"constant": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}


def _our_stream(case: StreamCase, how: dict[str, str]) -> Contender:
    import convkit

    def into(y: np.ndarray) -> dict[str, np.ndarray]:
        return {"out": y} if case.reuse else {}

    x, (weight, bias) = case.arrays()
    op, _, variant = case.op.partition(" ")
    if op in ("avg_pool2d", "max_pool2d"):
        k, s, p = POOLS[variant]
        pool = getattr(convkit, op)
        y = np.empty_like(pool(x, k, s, p))
        return lambda: pool(x, k, s, p, **how, **into(y))
    if op == "max_pool2d_indices":
        k, s, p = POOLS[variant]
        y = np.empty_like(convkit.max_pool2d(x, k, s, p))
        return lambda: convkit.max_pool2d(x, k, s, p, return_indices=True, **how, **into(y))
    if op == "pool_backward":
        kind, k, s, p = variant.partition(" ")[0], *POOLS[variant.partition(" ")[2]]
        if kind == "avg":
            dy, y = _gradient(convkit.avg_pool2d(x, k, s, p)), np.empty_like(x)
            return lambda: convkit.avg_pool2d_backward(dy, x, k, s, p, **how, **into(y))
        largest, indices = convkit.max_pool2d(x, k, s, p, return_indices=True)
        dy, y = _gradient(largest), np.empty_like(x)
        return lambda: convkit.max_pool2d_backward(dy, x, k, s, p, indices=indices, **how, **into(y))
    if op == "adaptive_avg_pool2d":
        y = np.empty_like(convkit.adaptive_avg_pool2d(x, int(variant)))
        return lambda: convkit.adaptive_avg_pool2d(x, int(variant), **how, **into(y))
    if op == "channel_mean":
        return lambda: convkit.channel_mean(x, **how)
    if op == "pad_backward":
        dy, y = _gradient(convkit.pad(x, (1, 1, 1, 1))), np.empty_like(x)
        return lambda: convkit.pad_backward(dy, x, (1, 1, 1, 1), PADS[variant], **how, **into(y))
    if op in ("instance_norm", "group_norm", "layer_norm"):
        return _our_norm(op, x, weight, bias, how, into(np.empty_like(x)))
    if op == "pad":
        y = np.empty_like(convkit.pad(x, (1, 1, 1, 1)))
        return lambda: convkit.pad(x, (1, 1, 1, 1), PADS[variant], **how, **into(y))
    if op == "batch_norm":
        mean, var = np.zeros_like(weight), np.ones_like(weight)
        if variant == "backward":
            forward = convkit.batch_norm_forward(x, weight=weight, bias=bias)
            dy = np.ascontiguousarray(x[..., ::-1])  # x itself would have a gradient of nothing
            return lambda: convkit.batch_norm_backward(dy, x, weight, forward.mean, forward.invstd, **how)
        y = np.empty_like(x)
        training = variant == "training"
        return lambda: convkit.batch_norm(x, mean, var, weight, bias, training, **how, **into(y))
    if op == "dropout_backward":
        mask, y = np.random.default_rng(1).random(x.shape) < 0.5, np.empty_like(x)
        return lambda: convkit.dropout_backward(x, 0.5, mask=mask, **how, **into(y))
    if op in ("dropout", "dropout2d", "dropout_rows"):
        drop, told, y = getattr(convkit, op), variant == "mask", np.empty_like(x)
        return lambda: drop(x, 0.5, seed=1, return_mask=told, **how, **into(y))
    if op == "im2col":
        cols = np.empty_like(convkit.im2col(x, 3, padding=1, stride=_stride(variant)))
        return lambda: convkit.im2col(x, 3, padding=1, stride=_stride(variant), **how, **into(cols))
    if op == "col2im":
        cols, y = convkit.im2col(x, 3, padding=1, stride=_stride(variant)), np.empty_like(x)
        return lambda: convkit.col2im(
            cols, x.shape[2:], 3, padding=1, stride=_stride(variant), **how, **into(y)
        )
    raise ValueError(f"no such streaming operation: {case.op!r}")


def _gradient(y: np.ndarray) -> np.ndarray:
    """Return a gradient for y, the same on both sides."""
    return np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)


def _stride(variant: str) -> int:
    return int(variant.removeprefix("/") or 1)


GROUPS = {64: 32, 512: 32, 3: 3}
"""The groups of group norm, by the number of channels."""


def _our_norm(
    op: str,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    how: dict[str, str],
    into: dict[str, np.ndarray],
) -> Contender:
    import convkit

    if op == "instance_norm":
        return lambda: convkit.instance_norm(x, weight=weight, bias=bias, **how, **into)
    if op == "group_norm":
        return lambda: convkit.group_norm(x, GROUPS[x.shape[1]], weight, bias, **how, **into)
    return lambda: convkit.layer_norm(x, x.shape[-1:], **how, **into)


# --- PyTorch -------------------------------------------------------------------------------


def torch_peer(case: Case, threads: int, onednn: bool = False, channels_last: bool = False) -> Contender:
    """Return PyTorch's call; with `onednn`, oneDNN's convolution itself.

    With `channels_last` an x that streams lies in memory with a pixel's channels side by side.
    """
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    if isinstance(case, ConvCase):
        x, w, dy = map(torch.from_numpy, case.arrays())
        layer = case.layer
        stride, padding, groups = [layer.stride] * 2, [layer.padding] * 2, layer.groups
        if case.backward:
            return lambda: torch.ops.aten.convolution_backward(
                dy, x, w, [layer.filters], stride, padding, [1, 1], False, [0, 0], groups, [True] * 3
            )
        if onednn:
            return lambda: torch.mkldnn_convolution(x, w, None, padding, stride, [1, 1], groups)
        return lambda: torch.nn.functional.conv2d(x, w, None, stride, padding, 1, groups)
    return _torch_stream(case, torch.channels_last if channels_last else torch.contiguous_format)


def _torch_stream(case: StreamCase, memory_format: Any) -> Contender:
    import torch
    from torch.nn import functional

    array, scale = case.arrays()
    x, weight, bias = map(torch.from_numpy, (array, *scale))
    x = x.contiguous(memory_format=memory_format)
    op, _, variant = case.op.partition(" ")
    if op in ("avg_pool2d", "max_pool2d"):
        k, s, p = POOLS[variant]
        pool = getattr(functional, op)
        return lambda: pool(x, k, s, p)
    if op == "max_pool2d_indices":
        k, s, p = POOLS[variant]
        return lambda: functional.max_pool2d(x, k, s, p, return_indices=True)
    if op == "pool_backward":
        kind, k, s, p = variant.partition(" ")[0], *POOLS[variant.partition(" ")[2]]
        if kind == "avg":
            dy = torch.from_numpy(_gradient(functional.avg_pool2d(x, k, s, p).numpy()))
            back = torch.ops.aten.avg_pool2d_backward
            return lambda: back(dy, x, [k, k], [s, s], [p, p], False, True, None)
        y, indices = functional.max_pool2d(x, k, s, p, return_indices=True)
        dy, back = torch.from_numpy(_gradient(y.numpy())), torch.ops.aten.max_pool2d_with_indices_backward
        return lambda: back(dy, x, [k, k], [s, s], [p, p], [1, 1], False, indices)
    if op == "adaptive_avg_pool2d":
        return lambda: functional.adaptive_avg_pool2d(x, int(variant))
    if op == "channel_mean":
        return lambda: x.mean(1)
    if op == "pad_backward":
        dy = torch.from_numpy(_gradient(functional.pad(x, (1, 1, 1, 1)).numpy()))
        if variant == "constant":  # the gradient is a crop
            return lambda: functional.pad(dy, (-1, -1, -1, -1))
        names = {"reflect": "reflection_pad2d_backward", "replicate": "replication_pad2d_backward"}
        back = getattr(torch.ops.aten, names[variant])
        return lambda: back(dy, x, [1, 1, 1, 1])
    if op == "instance_norm":
        return lambda: functional.instance_norm(x, weight=weight, bias=bias)
    if op == "group_norm":
        return lambda: functional.group_norm(x, GROUPS[x.shape[1]], weight, bias)
    if op == "layer_norm":
        return lambda: functional.layer_norm(x, x.shape[-1:])
    if op == "pad":
        return lambda: functional.pad(x, (1, 1, 1, 1), PADS[variant])
    if op == "batch_norm":
        mean, var = torch.zeros_like(weight), torch.ones_like(weight)
        if variant == "backward":
            _, m, invstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.1, 1e-5)
            dy = x.flip(-1)
            return lambda: torch.ops.aten.native_batch_norm_backward(
                dy, x, weight, None, None, m, invstd, True, 1e-5, [True] * 3
            )
        training = variant == "training"
        return lambda: functional.batch_norm(x, mean, var, weight, bias, training)
    if op == "dropout_backward":
        mask = torch.from_numpy(np.random.default_rng(1).random(array.shape) < 0.5)
        return lambda: torch.ops.aten.native_dropout_backward(x, mask, 2.0)
    if op == "dropout":
        if variant == "mask":
            return lambda: torch.native_dropout(x, 0.5, True)
        return lambda: functional.dropout(x, 0.5)
    if op == "dropout2d":
        return lambda: functional.dropout2d(x, 0.5)
    if op == "dropout_rows":  # PyTorch has no function for it
        return lambda: x * (torch.rand(len(x), 1, 1, 1) >= 0.5) * 2.0
    if op == "im2col":
        return lambda: functional.unfold(x, 3, padding=1, stride=_stride(variant))
    if op == "col2im":
        cols = functional.unfold(x, 3, padding=1, stride=_stride(variant))
        return lambda: functional.fold(cols, x.shape[2:], 3, padding=1, stride=_stride(variant))
    raise ValueError(f"no such streaming operation: {case.op!r}")


def results_of(value: Any) -> list[np.ndarray]:
    """Return a contender's result as a list of NumPy arrays."""
    if isinstance(value, tuple | list):
        return [a for v in value if v is not None for a in results_of(v)]
    return [np.asarray(value)]
