"""Rules that average and maximum pooling share, and their cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...geometry import pool_output_size
from ..model import Call, Garbage, NotPredicted, Result, Rule, Wrong
from .convolutions import BATCH, PADDING, STRIDE, both, option, rule_with, windows_apart
from .window_counts import AXES, SQUARES, square

__all__ = ["DEFAULTS", "WINDOWS", "blocks_reshaped", "fits", "geometries", "stride_ignored", "strided"]

DEFAULTS = {"stride": None, "padding": 0, "ceil_mode": False}

SIZES = ((1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 2), (3, 3), (4, 4), (1, 5), (5, 5), (4, 6), (6, 7))
KERNELS: tuple[int | tuple[int, int], ...] = (1, 2, 3, (1, 2), (2, 1), (1, 3), (2, 3))
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"stride": 1},
    {"stride": 2},
    {"stride": 3},
    {"stride": (1, 2)},
    {"stride": (2, 1)},
    {"padding": 1},
    {"padding": (0, 1)},
    {"padding": (1, 0)},
    {"ceil_mode": True},
    {"stride": 2, "ceil_mode": True},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 1, "ceil_mode": True},
    {"stride": 3, "ceil_mode": True},
    {"stride": 1, "padding": 1},
)


def geometries() -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    """Yield (image size, options) of every small geometry that pooling allows."""
    for size in SIZES:
        for kernel in KERNELS:
            for chosen in OPTIONS:
                call = {"kernel_size": kernel, **chosen}
                if fits(size, call):
                    yield size, call


def fits(size: tuple[int, int], call: Call) -> bool:
    try:
        extents(size, call)
    except ValueError:
        return False
    return True


def strided(call: Call) -> tuple[int, ...]:
    """Return the stride of rows and columns."""
    return both(call.get("stride") or call["kernel_size"])


def extents(size: tuple[int, int], call: Call) -> list[int]:
    """Return the output's rows and columns."""
    k, p, d = (both(call.get(k, v)) for k, v in (("kernel_size", 1), ("padding", 0), ("dilation", 1)))
    ceil = call.get("ceil_mode", False)
    axes = zip(size, k, strided(call), p, d, strict=True)
    return [pool_output_size(n, k_, s, p_, d_, ceil) for n, k_, s, p_, d_ in axes]


def counted(call: Call) -> tuple[int, int]:
    rows, columns = extents(call["x"].shape[2:], call)
    return rows, columns


# --- detours -------------------------------------------------------------------------------


def windows_lost(always: bool, axes: tuple[int, ...]) -> Callable[[Result, Call], Result]:
    """Lose the last window of some axes: always, or where it ends on the edge."""

    def after(result: Result, call: Call) -> Result:
        if call.get("ceil_mode"):
            return result
        k, p, d = (both(call.get(k, v)) for k, v in (("kernel_size", 1), ("padding", 0), ("dilation", 1)))
        keep: list[slice] = []
        for axis, (n, k_, s, p_, d_) in enumerate(
            zip(call["x"].shape[2:], k, strided(call), p, d, strict=True)
        ):
            lost = axis in axes and (always or (n + 2 * p_ - d_ * (k_ - 1) - 1) % s == 0)
            keep.append(slice(0, next(iter(result.values())).shape[2 + axis] - lost))
        return {name: y[:, :, keep[0], keep[1]] for name, y in result.items()}

    return after


def starts_in_the_padding(result: Result, call: Call) -> Result:
    """Keep a last window that starts behind the image; what stands in it, nobody can know."""
    if call.get("ceil_mode"):
        k, p, d = (both(call.get(k, v)) for k, v in (("kernel_size", 1), ("padding", 0), ("dilation", 1)))
        axes = zip(call["x"].shape[2:], k, strided(call), p, d, strict=True)
        wanted = [-(-(n + 2 * p_ - d_ * (k_ - 1) - 1) // s) + 1 for n, k_, s, p_, d_ in axes]
        if any(y.shape[2:] != tuple(wanted) for y in result.values()):
            raise Garbage
    return result


def one_of_the_axes(name: str) -> tuple[Wrong, ...]:
    return (
        Wrong(option(name, lambda h, w: (w, h))),
        Wrong(option(name, lambda h, w: (h, h))),
        Wrong(option(name, lambda h, w: (w, w))),
    )


def kept_stride(change: Callable[[Call], Call]) -> Callable[[Call], Call]:
    """Keep the stride as it was, where it follows from the window's size and `change` alters that."""
    return lambda call: change({**call, "stride": strided(call)})


def blocks_reshaped(compute: Callable[[Call], Result], pooled: Callable[[np.ndarray], np.ndarray]) -> Rule:
    """Return the rule about windows side by side that are made by reshaping, for one kind of pooling."""

    def reshaped(call: Call) -> Result:
        x, (OH, OW) = call["x"], counted(call)
        KH, KW = both(call["kernel_size"])
        others = ("padding", "ceil_mode", "divisor_override", "return_indices")
        if strided(call) != (KH, KW) or call.get("dilation", 1) != 1 or any(call.get(o) for o in others):
            raise NotPredicted
        blocks = x[:, :, : OH * KH, : OW * KW].reshape(*x.shape[:2], OH, OW, KH, KW)
        return {"y": pooled(blocks)}

    def where_it_can_be(call: Call) -> Result:
        try:
            return reshaped(call)
        except NotPredicted:
            return compute(call)

    return Rule(
        "blocks_reshaped",
        says="A window holds neighbours: x[kh + KH * oh, kw + KW * ow] for the KH * KW taps.",
        instead="reshapes the image so that each window holds pixels that follow one another in memory",
        why="In memory a row of the image is followed by the next row, not by the next window: "
        "`reshape(OH, KH, OW, KW)` and then the axes 1 and 3, not `reshape(OH, OW, KH, KW)`.",
        wrong=(Wrong(compute=reshaped), Wrong(compute=where_it_can_be)),
    )


def stride_ignored(compute: Callable[[Call], Result]) -> Rule:
    """Return the rule of the stride, for one kind of pooling."""
    rule = STRIDE[0]
    return rule_with(
        rule,
        Wrong(lambda call: {**call, "stride": 1}),
        Wrong(lambda call: {**call, "stride": (1, strided(call)[1])}),
        Wrong(lambda call: {**call, "stride": (strided(call)[0], 1)}),
        Wrong(compute=windows_apart(compute)),
    )


WINDOWS = (
    Rule(
        "stride_defaults_to_one",
        says="Without a stride, windows stand side by side: the stride is the window's size.",
        instead="moves its window by one pixel where no stride is given",
        why="A convolution's stride is 1 by default, a pooling's is its window: pooling by 2 is there to "
        "halve the image.",
        wrong=(Wrong(lambda call: {"stride": 1, **call}),),
    ),
    Rule(
        "stride_is_the_window",
        says="The stride is an option of its own: windows may overlap, or leave gaps.",
        instead="moves by the window's size whatever the stride",
        why="Many networks pool with windows of 3 and stride 2, so that neighbours overlap.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "stride"}),),
    ),
    Rule(
        "stride_swapped",
        says="Of stride=(SH, SW) the first number moves the window down, the second to the right.",
        instead="mixes up the strides of rows and columns",
        why="Options are written rows first, like shapes. Code that thinks in x and y exchanges them, and "
        "equal numbers hide it.",
        wrong=one_of_the_axes("stride"),
    ),
    Rule(
        "window_swapped",
        says="Of kernel_size=(KH, KW) the first number counts rows, the second columns.",
        instead="mixes up the rows and columns of its window",
        why="Options are written rows first, like shapes.",
        wrong=(
            *one_of_the_axes("kernel_size"),
            *(Wrong(kept_stride(wrong.change)) for wrong in one_of_the_axes("kernel_size")),
        ),
    ),
    Rule(
        "last_window_lost",
        says="The last window counts, also where it ends on the very edge: o = floor((n + 2p - k) / s) + 1.",
        instead="stops one window early",
        why="`range(0, n - k, s)` leaves out its end, and the end is a window. The + 1 of the formula is "
        "the window that stands at the start, before any step was made.",
        wrong=tuple(Wrong(after=windows_lost(always, axes)) for always in (True, False) for axes in AXES),
    ),
    Rule(
        "ceil_mode_ignored",
        says="With ceil_mode=True a last window that hangs over the edge counts too: o = ceil((n + 2p - k) "
        "/ s) + 1.",
        instead="leaves out the last, incomplete window in ceil mode as well",
        why="Five pixels in windows of two leave one over: floor drops it, ceil pools it alone.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "ceil_mode"}),),
    ),
    Rule(
        "always_ceil",
        says="Without ceil_mode an incomplete last window is left out.",
        instead="keeps an incomplete last window although ceil_mode is false",
        why="TensorFlow's `SAME` keeps it, `VALID` and PyTorch's default do not.",
        wrong=(
            Wrong(lambda call: {**call, "ceil_mode": True}),
            Wrong(lambda call: {**call, "ceil_mode": True}, starts_in_the_padding),
        ),
    ),
    Rule(
        "ceil_rule",
        says="In ceil mode the last window must start inside the image or the padding before it; one that "
        "starts in the padding behind is left out.",
        instead="keeps a last window that lies in padding alone",
        why="Such a window holds no pixel: its average is 0 / 0 and its maximum that of nothing. Several "
        "well-known engines had this wrong.",
        wrong=(Wrong(after=starts_in_the_padding),),
    ),
    rule_with(SQUARES, *square(counted)),
    *(rule for rule in PADDING if rule.name in ("padding_ignored", "padding_swapped")),
    *BATCH,
)
