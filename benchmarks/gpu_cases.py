"""What is timed on a GPU: layers of known networks, and streaming operations on arrays beyond all caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from kernel_cases import (
    Case,
    Output,
    avg_pool_cases,
    channel_mean_cases,
    conv_cases,
    dropout_cases,
    grad_b_case,
    max_pool_cases,
    normalize_cases,
    pad_cases,
)
from kernel_geometries import Convolution
from suites import RESNET50, VGG16, Layer

from convkit.geometry import max_pool_windows, pool_windows

__all__ = ["Timed", "convolutions", "ladder_layers", "rng_block", "streaming"]

Peer = Callable[[Any, list[Any]], Callable[[], Any]]


class Timed(NamedTuple):
    """A case, and a function ``peer(torch, inputs)`` that returns PyTorch's way to do the same."""

    name: str
    case: Case
    peer: Peer | None
    flops: int = 0


def rng_block(shape: Sequence[int]) -> np.ndarray:
    """Return normal deviates, the same million over and over: large arrays are made in a moment."""
    block = np.random.default_rng(1).standard_normal(2**20, np.float32)
    return np.resize(block, tuple(shape))


def geometry(layer: Layer, batch: int, shrink: int) -> Convolution:
    """Return a layer's convolution; `shrink` divides channels and, twice, pixels, for the simulator."""
    size, p = max(layer.size // shrink**2, layer.kernel), layer.padding
    channels, filters = max(layer.channels // shrink, 1), max(layer.filters // shrink, 1)
    return Convolution(
        layer.name,
        (batch, channels, size, size),
        filters,
        (layer.kernel, layer.kernel),
        (layer.stride, layer.stride),
        padding=((p, p), (p, p)),
    )


def conv_peers(c: Convolution) -> dict[str, Peer]:
    s, p = c.stride, c.padding[0][0]

    def forward(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        x, w, b = inputs[:3]
        return lambda: torch.nn.functional.conv2d(x, w, b, s, p)

    def backward(which: int) -> Peer:
        def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
            dy, other = inputs[:2]
            x = other if which else torch.empty(c.x, device=dy.device)
            w = torch.empty(c.w, device=dy.device) if which else other
            mask = [which == 0, which == 1, False]
            run = torch.ops.aten.convolution_backward
            return lambda: run(dy, x, w, None, s, (p, p), (1, 1), False, (0, 0), 1, mask)[which]

        return peer

    return {"conv2d": forward, "conv_transpose2d": backward(0), "conv2d_grad_w": backward(1)}


def max_backward(planes: int, H: int, windows: np.ndarray) -> Case:
    """Return a gradient of max pooling in which each window's maximum was its first cell."""
    first = windows[:, 0]
    shape = (planes, len(first), len(first))
    indices = np.ascontiguousarray(np.broadcast_to(first[:, None] * H + first, shape))
    outputs = [Output((planes, H, H))]
    return Case("max_pool2d_backward", "first cells", lambda draw: (outputs, [draw(shape), indices]))


def convolutions(simulate: bool) -> Iterator[Timed]:
    """Yield ResNet-50's and VGG-16's layers forward, and ResNet-50's backward, at batch 32."""
    batch, shrink = (1, 7) if simulate else (32, 1)
    for network, layers in (("resnet50", RESNET50), ("vgg16", VGG16)):
        for layer in layers[:3] if simulate else layers:
            c = geometry(layer, batch, shrink)
            for case in conv_cases(c):
                if case.op == "conv2d" or (network == "resnet50" and case.op in conv_peers(c)):
                    flops = 2 * int(np.prod(c.y)) * int(np.prod(c.w[1:]))
                    yield Timed(f"{network} {layer.name}", case, conv_peers(c)[case.op], flops)


def ladder_layers(simulate: bool) -> Iterator[Timed]:
    """Yield the layers on which every rung is timed: 3x3 early and late, 1x1, and the first one."""
    layers = RESNET50[2], RESNET50[16], RESNET50[3], RESNET50[0]
    for layer in layers[:1] if simulate else layers:
        c = geometry(layer, 1 if simulate else 32, 7 if simulate else 1)
        flops = 2 * int(np.prod(c.y)) * int(np.prod(c.w[1:]))
        yield Timed(f"ladder {layer.name}", conv_cases(c)[0], conv_peers(c)["conv2d"], flops)


def streaming(simulate: bool) -> Iterator[Timed]:
    """Yield the operations that memory limits."""
    N, C, H = (2, 2, 6) if simulate else (64, 64, 112)
    planes, cells, size = N * C, H * H, (H, H)

    def functional(name: str, *arguments: Any, shape: Sequence[int] = (N, C, H, H), **options: Any) -> Peer:
        def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
            x, function = inputs[0].view(tuple(shape)), getattr(torch.nn.functional, name)
            return lambda: function(x, *arguments, **options)

        return peer

    for mode, theirs in (("zeros", "constant"), ("reflect", "reflect"), ("circular", "circular")):
        forward, backward = pad_cases(planes, size, ((1, 1), (1, 1)), mode, 0.0)
        yield Timed(f"pad {mode}", forward, functional("pad", (1, 1, 1, 1), mode=theirs))
        yield Timed(f"pad {mode} backward", backward, None)
    for k, s in ((2, 2), (3, 2), (3, 1)):
        average, maximum = ([table(H, k, s, (k - 1) // 2)] * 2 for table in (pool_windows, max_pool_windows))
        for case in avg_pool_cases(f"{k}/{s}", planes, average, size):
            peer = functional("avg_pool2d", k, s, (k - 1) // 2) if case.op == "avg_pool2d" else None
            yield Timed(f"{case.op} {k}/{s}", case, peer)
        for case in max_pool_cases(f"{k}/{s}", planes, maximum, size):
            if case.op == "max_pool2d_backward":  # its test's indices are scattered as no pooling's are
                yield Timed(f"{case.op} {k}/{s}", max_backward(planes, H, maximum[0]), None)
            else:
                indices = case.op == "max_pool2d_indices"
                peer = functional("max_pool2d", k, s, (k - 1) // 2, return_indices=indices)
                yield Timed(f"{case.op} {k}/{s}", case, peer)
    for case in channel_mean_cases(N, C, cells):
        yield Timed(case.op, case, None)

    def batch_norm(training: bool) -> Peer:
        def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
            x = inputs[0]
            weight, bias = (inputs[1], inputs[2]) if training else (inputs[3], inputs[4])
            weight, bias = weight.view(-1), bias.view(-1)
            mean, var = torch.zeros(C, device=x.device), torch.ones(C, device=x.device)
            x = x.view(N, C, H, H)
            return lambda: torch.nn.functional.batch_norm(x, mean, var, weight, bias, training)

        return peer

    peers = {"normalize": batch_norm(True), "normalize_given": batch_norm(False)}
    for case in normalize_cases("batch", N, C, 1, cells, C):
        yield Timed(f"batch norm {case.op}", case, peers.get(case.op))
    for case in normalize_cases("layer", 1, planes * H, H, 1, 1):
        yield Timed(f"layer norm {case.op}", case, None)
    for case in dropout_cases(planes * cells, 1, 1, 2**31, 2.0):
        peer = functional("dropout", 0.5) if case.op == "dropout" else None
        yield Timed(case.op, case, peer)
    small = Convolution("3x3", (max(N // 8, 1), C, H, H), C, (3, 3), padding=((1, 1), (1, 1)))
    for case in conv_cases(small):
        if case.op in ("im2col", "col2im"):
            unfold = functional("unfold", 3, padding=1, shape=small.x)
            fold = functional("fold", (H, H), 3, padding=1, shape=(small.x[0], C * 9, cells))
            yield Timed(f"{case.op} 3x3", case, unfold if case.op == "im2col" else fold)
    yield Timed("conv2d_grad_b", grad_b_case(N, C, H, H), None)
