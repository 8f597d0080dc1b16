"""What is timed on a GPU: layers of known networks.

:mod:`gpu_streaming` has the operations that memory limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from kernel_cases import Case, conv_cases
from kernel_geometries import Convolution
from suites import RESNET50, VGG16, Layer

__all__ = ["Peer", "Timed", "convolutions", "ladder_layers", "rng_block"]

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
