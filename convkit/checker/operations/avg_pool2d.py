"""Rules of average pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...padding import pad
from ...pooling import avg_pool2d
from ..model import Call, Case, Operation, Result, Rule, Wrong
from .convolutions import both, counting, scattered
from .poolings import DEFAULTS, WINDOWS, blocks_reshaped, geometries, stride_ignored, strided

__all__ = ["OPERATION"]


def compute(call: Call) -> Result:
    return {"y": avg_pool2d(**call)}


def sums(call: Call) -> np.ndarray:
    return avg_pool2d(**{**call, "divisor_override": 1})


def window_cells(call: Call) -> int:
    return int(np.prod(both(call["kernel_size"])))


def whole_window(call: Call) -> Result:
    """Divide by the window's size wherever it stands, the overhang of ceil mode included."""
    if call.get("divisor_override") or not call.get("count_include_pad", True):
        return compute(call)
    return {"y": sums(call) / window_cells(call)}


def divided_by_a_side(axis: int) -> Wrong:
    """The sum of a window divided by its rows, or by its columns."""

    def short(call: Call) -> Result:
        return {"y": sums(call) / both(call["kernel_size"])[axis]}

    return Wrong(compute=short)


def always_whole_window(call: Call) -> Result:
    return {"y": sums(call) / window_cells(call)}


def border_of(mode: str) -> Callable[[Call], Result]:
    """Show pixels of the image in the padding, which then count as pixels."""

    def changed(call: Call) -> Result:
        ph, pw = both(call.get("padding", 0))
        x = pad(call["x"], (pw, pw, ph, ph), mode)
        rest = {k: v for k, v in call.items() if k not in ("padding", "count_include_pad")}
        y, right = avg_pool2d(**{**rest, "x": x}), compute(call)["y"]
        return {"y": y[:, :, : right.shape[2], : right.shape[3]]}

    return changed


def channels_mixed(result: Result, call: Call) -> Result:
    y = result["y"]
    return {"y": np.broadcast_to(y.mean(axis=1, keepdims=True), y.shape)}


def channels_gone(result: Result, call: Call) -> Result:
    return {"y": result["y"].mean(axis=1, keepdims=True)}


def cases() -> Iterator[Case]:
    for size, options in geometries():
        yield Case({"x": counting(1, 1, *size), **options})
        if options.get("padding") or options.get("ceil_mode"):
            yield Case({"x": counting(1, 1, *size), "count_include_pad": False, **options})
    yield Case({"x": np.array([[[[0.5, 1.25]]]]), "kernel_size": (1, 2)})
    for n, c in ((1, 2), (2, 1), (2, 3)):
        yield Case({"x": counting(n, c, 2, 2), "kernel_size": 2})
        yield Case({"x": scattered(n, c, 3, 5), "kernel_size": 2})
    for divisor in (1, 3):
        yield Case({"x": counting(1, 1, 2, 2), "kernel_size": 2, "divisor_override": divisor})
        yield Case({"x": counting(1, 1, 3, 3), "kernel_size": 2, "padding": 1, "divisor_override": divisor})


RULES = (
    Rule(
        "sum_not_mean",
        says="The window's sum is divided by the number of its cells.",
        instead="returns sums",
        why="Sums grow with the window, means do not: the next layer's weights expect the size of one pixel.",
        wrong=(Wrong(lambda call: {**call, "divisor_override": 1}),),
    ),
    Rule(
        "divisor_is_one_side",
        says="A window of k rows and k columns has k * k cells, and by that number its sum is divided.",
        instead="divides a window's sum by its rows or its columns alone",
        why="The picture comes out k times as bright.",
        wrong=(divided_by_a_side(0), divided_by_a_side(1)),
    ),
    Rule(
        "divisor_ignores_padding",
        says="With count_include_pad=True, the default, cells of the padding count in the divisor.",
        instead="divides by the cells of the image alone, although padding should count",
        why="TensorFlow and ONNX's default leave padding out, PyTorch's default counts it: in a corner, a "
        "3x3 window divides by 4 in one and by 9 in the other.",
        wrong=(Wrong(lambda call: {**call, "count_include_pad": False}),),
    ),
    Rule(
        "divisor_counts_padding",
        says="With count_include_pad=False only cells of the image count in the divisor.",
        instead="counts the padding in the divisor, although it should not",
        why="Zeros that count make the border darker than the picture.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "count_include_pad"}),),
    ),
    Rule(
        "divisor_counts_overhang",
        says="What hangs over the padded image in ceil mode does not count in the divisor.",
        instead="divides by the whole window where it hangs over the edge",
        why="1 to 5 pooled by 2 in ceil mode end in 5 / 1 = 5, not in 5 / 2. ONNX Runtime and others had "
        "this wrong.",
        wrong=(Wrong(compute=whole_window), Wrong(compute=always_whole_window)),
    ),
    Rule(
        "divisor_override_ignored",
        says="divisor_override replaces the number of cells.",
        instead="accepts divisor_override and does not use it",
        why="divisor_override=1 is how sums are pooled; an option that does nothing is worse than one that "
        "is refused.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "divisor_override"}),),
    ),
    *WINDOWS,
    blocks_reshaped(compute, lambda blocks: blocks.mean(axis=(4, 5))),
    stride_ignored(compute),
    Rule(
        "border_not_zero",
        says="The padding is made of zeros.",
        instead="fills the border with pixels of the image",
        why="A window in the corner then averages more of the corner's pixel than there is.",
        wrong=(Wrong(compute=border_of("replicate")), Wrong(compute=border_of("reflect"))),
    ),
    Rule(
        "channels_mixed",
        says="Every channel is pooled on its own.",
        instead="averages over the channels as well",
        why="Channels are different features. The mean over channels is a heatmap, and another operation: "
        "`convkit.channel_mean`.",
        wrong=(
            Wrong(after=channels_mixed),
            Wrong(after=channels_gone),
            Wrong(after=lambda result, call: {"y": result["y"].mean(axis=1)}),
        ),
    ),
)

OPERATION = Operation(
    name="avg_pool2d",
    arrays=("x", "kernel_size"),
    outputs=("y",),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={**DEFAULTS, "stride": strided, "count_include_pad": True, "divisor_override": None},
    axes={"x": "NC", "y": "NC"},
)
