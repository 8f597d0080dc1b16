"""The operations that memory limits, on arrays beyond all caches, and PyTorch's way to do each.

Where PyTorch has no operation of its own (the gradient of circular padding, layer norm by given statistics)
there is no peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from gpu_cases import Peer, Timed
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
from kernel_geometries import SAME, Convolution

from convkit.geometry import max_pool_windows, pool_windows

__all__ = ["streaming"]


def streaming(simulate: bool) -> Iterator[Timed]:
    """Yield all of them."""
    shape = (2, 2, 6, 6) if simulate else (64, 64, 112, 112)
    yield from padding(*shape)
    yield from pooling(*shape)
    yield from normalization(*shape)
    yield from others(*shape)


def functional(name: str, shape: Sequence[int], *arguments: Any, **options: Any) -> Peer:
    """Return a function of ``torch.nn.functional``, of the first input in a shape of four axes."""

    def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        x, function = inputs[0].view(tuple(shape)), getattr(torch.nn.functional, name)
        return lambda: function(x, *arguments, **options)

    return peer


def padding(N: int, C: int, H: int, W: int) -> Iterator[Timed]:
    y = N, C, H + 2, W + 2

    def reflection_backward(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        dy = inputs[0].view(y)
        x, run = dy.new_empty((N, C, H, W)), torch.ops.aten.reflection_pad2d_backward
        return lambda: run(dy, x, [1, 1, 1, 1])

    for mode, theirs, gradient in (
        ("zeros", "constant", functional("pad", y, (-1, -1, -1, -1))),
        ("reflect", "reflect", reflection_backward),
        ("circular", "circular", None),
    ):
        forward, backward = pad_cases(N * C, (H, W), SAME, mode, 0.0)
        yield Timed(f"pad {mode}", forward, functional("pad", (N, C, H, W), (1, 1, 1, 1), mode=theirs))
        yield Timed(f"pad {mode} backward", backward, gradient)


def pooling(N: int, C: int, H: int, W: int) -> Iterator[Timed]:
    x, size = (N, C, H, W), (H, W)

    def backward(name: str, options: list[Any]) -> Peer:
        def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
            dy, *indices = (a.view(N, C, *a.shape[1:]) for a in inputs if hasattr(a, "new_empty"))
            before, run = dy.new_empty(x), getattr(torch.ops.aten, name)
            return lambda: run(dy, before, *options, *indices)

        return peer

    for k, s in ((2, 2), (3, 2), (3, 1)):
        p = (k - 1) // 2
        window = [k, k], [s, s], [p, p]
        peers = {
            "avg_pool2d": functional("avg_pool2d", x, k, s, p),
            "avg_pool2d_backward": backward("avg_pool2d_backward", [*window, False, True, None]),
            "max_pool2d": functional("max_pool2d", x, k, s, p),
            "max_pool2d_indices": functional("max_pool2d", x, k, s, p, return_indices=True),
            "max_pool2d_backward": backward("max_pool2d_with_indices_backward", [*window, [1, 1], False]),
        }
        averaged, maximal = ([table(n, k, s, p) for n in size] for table in (pool_windows, max_pool_windows))
        for case in (
            *avg_pool_cases(f"{k}/{s}", N * C, averaged, size),
            *(c for c in max_pool_cases(f"{k}/{s}", N * C, maximal, size) if "backward" not in c.op),
            max_backward(N * C, size, maximal),  # a test's indices are scattered as no pooling's are
        ):
            yield Timed(f"{case.op} {k}/{s}", case, peers[case.op])


def max_backward(P: int, size: tuple[int, int], windows: list[np.ndarray]) -> Case:
    """Return a gradient of max pooling in which each window's maximum was its first cell."""
    rows, columns = (w[:, 0] for w in windows)
    shape = P, len(rows), len(columns)
    indices = np.ascontiguousarray(np.broadcast_to(rows[:, None] * size[1] + columns, shape))
    meeting = int(np.bincount(rows).max() * np.bincount(columns).max())  # windows that begin at one cell
    outputs = [Output((P, *size), on_reals=meeting)]
    return Case("max_pool2d_backward", "first cells", lambda draw: (outputs, [draw(shape), indices]))


def normalization(N: int, C: int, H: int, W: int) -> Iterator[Timed]:
    def batch(op: str) -> Peer:
        def peer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
            tensors = [a.view(N, C, H, W) for a in inputs if getattr(a, "ndim", 0) == 4]
            weights = [a.view(C) for a in inputs if getattr(a, "ndim", 0) == 2]
            mean, invstd = [a.float() for a in inputs if getattr(a, "ndim", 0) == 1] or (None, None)
            var = None if invstd is None else invstd**-2  # with eps = 0, whose root's inverse is invstd
            if op == "normalize":
                return lambda: torch.nn.functional.batch_norm(
                    *tensors, mean, var, *weights, training=True, eps=inputs[3]
                )
            if op == "normalize_given":
                return lambda: torch.nn.functional.batch_norm(*tensors, mean, var, *weights, eps=0.0)
            training, run = op == "normalize_backward", torch.ops.aten.native_batch_norm_backward
            return lambda: run(*tensors, *weights, mean, var, mean, invstd, training, 0.0, [True] * 3)

        return peer

    def layer(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        x, weight, bias, eps = inputs
        rows = x.view(-1, W)
        return lambda: torch.nn.functional.layer_norm(rows, (W,), weight.view(W), bias.view(W), eps)

    def layer_backward(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        dy, x, weight, mean, invstd = inputs
        dy, x, weight = dy.view(-1, W), x.view(-1, W), weight.view(W)
        mean, invstd = mean.float().view(-1, 1), invstd.float().view(-1, 1)
        bias, run = torch.zeros_like(weight), torch.ops.aten.native_layer_norm_backward
        return lambda: run(dy, x, [W], mean, invstd, weight, bias, [True] * 3)

    for case in normalize_cases("batch", N, C, 1, H * W, C):
        yield Timed(f"batch norm {case.op}", case, batch(case.op))
    layers = {"normalize": layer, "normalize_backward": layer_backward}
    for case in normalize_cases("layer", 1, N * C * H, W, 1, 1):
        yield Timed(f"layer norm {case.op}", case, layers.get(case.op))


def others(N: int, C: int, H: int, W: int) -> Iterator[Timed]:
    def mean(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        return lambda: inputs[0].mean(1)

    def mean_backward(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        dy = inputs[0][:, None].expand(-1, C, -1)
        return lambda: dy / C

    def with_mask(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        return lambda: torch.native_dropout(inputs[0], 0.5, True)

    def by_mask(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        x, mask, scale = inputs
        mask, run = mask.view(x.shape), torch.ops.aten.native_dropout_backward
        return lambda: run(x, mask, scale)

    def sum_of_channels(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        return lambda: inputs[0].sum((0, 2, 3))

    forward, backward = channel_mean_cases(N, C, H * W)
    yield Timed("channel_mean", forward, mean)
    yield Timed("channel_mean_backward", backward, mean_backward)
    drop, keep, given = dropout_cases(N * C * H * W, 1, 1, 2**31, 2.0)
    yield Timed("dropout", drop, functional("dropout", (N, C, H, W), 0.5))
    yield Timed("dropout_mask", keep, with_mask)
    yield Timed("dropout_given", given, by_mask)
    yield Timed("conv2d_grad_b", grad_b_case(N, C, H, W), sum_of_channels)
    small = Convolution("3x3", (max(N // 8, 1), C, H, W), C, (3, 3), padding=SAME)
    patches = (small.x[0], C * 9, H * W)

    def fold(torch: Any, inputs: list[Any]) -> Callable[[], Any]:
        cols = inputs[0].view(patches)
        return lambda: torch.nn.functional.fold(cols, (H, W), 3, padding=1)

    peers = {"im2col": functional("unfold", small.x, 3, padding=1), "col2im": fold}
    for case in conv_cases(small):
        if case.op in peers:
            yield Timed(f"{case.op} 3x3", case, peers[case.op])
