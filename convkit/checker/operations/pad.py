"""Rules of padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...padding import pad
from ..model import Call, Case, NotPredicted, Operation, Result, Rule, Wrong
from .convolutions import EDGE_NOT_REPEATED, EDGE_REPEATED, counting, modes_exchanged, other_mode, rule_with

__all__ = ["OPERATION"]

MODES = ("reflect", "symmetric", "replicate", "circular")


def compute(call: Call) -> Result:
    return {"y": pad(**call)}


def sides(change: Callable[..., tuple[int, ...]]) -> Callable[[Call], Call]:
    """Return a detour that pads (left, right, top, bottom) as `change` of them says."""

    def detour(call: Call) -> Call:
        padding = call["padding"]
        full = change(*padding, *(0,) * (4 - len(padding)))
        return {**call, "padding": full[: len(padding)] if not any(full[len(padding) :]) else full}

    return detour


def rows_first(call: Call) -> Call:
    p = call["padding"]
    if len(p) == 2:
        if call["x"].ndim < 2:
            raise NotPredicted
        return {**call, "padding": (0, 0, *p)}
    return {**call, "padding": (*p[2:], *p[:2])}


def two_axes_exchanged(call: Call) -> Call:
    """Rows first where four numbers are given; two numbers are for the columns as they should be."""
    return rows_first(call) if len(call["padding"]) == 4 else call


def rows_first_in_images(call: Call) -> Call:
    return rows_first(call) if call["x"].ndim > 1 else call


def reordered(*order: int) -> tuple[Wrong, Wrong]:
    """(left, right, top, bottom) read in another order: where four are given, or two as well."""

    def four(call: Call) -> Call:
        p = call["padding"]
        return {**call, "padding": tuple(p[i] for i in order)} if len(p) == 4 else call

    def two(call: Call) -> Call:
        given = (*call["padding"], 0, 0)[:4]
        padding = tuple(given[i] for i in order)
        if call["x"].ndim == 1 and any(padding[2:]):
            raise NotPredicted
        return {**call, "padding": padding if any(padding[2:]) else padding[:2]}

    return Wrong(four), Wrong(two)


def first_axes(call: Call) -> Result:
    """Pad the first axes of the array instead of the last ones."""
    x, padding = call["x"], call["padding"]
    axes = len(padding) // 2
    if x.ndim == axes:
        return compute(call)
    moved = np.moveaxis(x, range(axes), range(-axes, 0)).copy()
    y = pad(moved, padding, call.get("mode", "constant"), call.get("value", 0.0))
    return {"y": np.moveaxis(y, range(-axes, 0), range(axes))}


def all_axes(call: Call) -> Result:
    """Pad every axis by the first number, as np.pad does with a single one."""
    x, p = call["x"], call["padding"]
    if p[0] < 0:
        raise NotPredicted
    modes = {"constant": "constant", "replicate": "edge", "circular": "wrap"}
    mode = call.get("mode", "constant")
    more: dict[str, Any] = {"constant_values": call.get("value", 0.0)} if mode == "constant" else {}
    if mode in ("reflect", "symmetric") and 1 in x.shape:
        raise NotPredicted
    numpy_mode: Any = modes.get(mode, mode)
    return {"y": np.pad(x, p[0], numpy_mode, **more)}


def wrapped_to_the_wrong_side(call: Call) -> Result:
    """The start before the start, the end behind the end: copies that continue nothing."""
    if call.get("mode") != "circular":
        return compute(call)
    y, padding = call["x"], call["padding"]
    for axis, (before, after) in enumerate(zip(padding[::2], padding[1::2], strict=True)):
        at = y.ndim - 1 - axis
        n = y.shape[at]
        if max(before, after) > n:
            raise NotPredicted
        index = np.r_[np.arange(before), np.arange(n), np.arange(n - after, n)]
        y = y.take(index, axis=at)
    return {"y": y}


def up_to_minus_zero(always_both: bool) -> Wrong:
    """X written to `y[..., top:-bottom, left:-right]`: an empty slice where the number behind is 0.

    Of two numbers the columns alone are sliced, or the rows as well, from 0 to -0. What does not fit into
    an empty slice raises, but one pixel fits.
    """

    def wrong(call: Call) -> Result:
        if call.get("mode", "constant") != "constant":
            return compute(call)
        padding = (*call["padding"], 0, 0)[:4] if always_both else call["padding"]
        if min(padding) < 0 or call["x"].ndim < len(padding) // 2:
            raise NotPredicted
        y = np.full_like(compute(call)["y"], call.get("value", 0.0))
        pairs = list(zip(padding[::2], padding[1::2], strict=True))[::-1]
        inside: Any = (..., *(slice(before, -after) for before, after in pairs))
        y[inside] = call["x"]
        return {"y": y}

    return Wrong(compute=wrong)


def uncropped(call: Call) -> Call:
    return {**call, "padding": tuple(max(p, 0) for p in call["padding"])}


def crop_taken_for_padding(call: Call) -> Call:
    return {**call, "padding": tuple(abs(p) for p in call["padding"])}


def cases() -> Iterator[Case]:
    padding: tuple[int, ...]
    for padding in ((1, 0), (0, 1), (1, 1), (1, 2), (2, 0), (0, 2), (2, 1)):
        for x in (counting(1), counting(2), counting(3), counting(1, 3), counting(2, 2), counting(2, 1, 3)):
            yield Case({"x": x, "padding": padding})
    for padding in (
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 0, 1),
        (1, 1, 1, 1),
        (1, 2, 3, 0),
        (0, 1, 2, 3),
    ):
        for x in (counting(1, 1), counting(2, 2), counting(2, 3), counting(1, 1, 2, 2), counting(2, 2, 1, 2)):
            yield Case({"x": x, "padding": padding})
    for value in (5.0, -1.5):
        for padding in ((1, 0), (1, 1), (0, 1, 1, 0)):
            yield Case({"x": counting(1, 2), "padding": padding, "value": value})
    yield Case({"x": np.array([0.5, -1.25]), "padding": (1, 1)})
    for padding in ((-1, 0), (0, -1), (1, -1)):
        for x in (counting(3), counting(2, 4)):
            yield Case({"x": x, "padding": padding})
    for mode in MODES:
        for x in (counting(2), counting(3), counting(4), counting(1, 3), counting(3, 2)):
            for padding in ((1, 0), (0, 1), (1, 1), (2, 0), (0, 2), (2, 1), (3, 3)):
                n = x.shape[-1]
                yield Case({"x": x, "padding": padding, "mode": mode}, may_refuse=max(padding) >= n)
        for padding in ((1, 0, 0, 2), (2, 1, 0, 1), (1, 1, 1, 1)):
            yield Case({"x": counting(1, 2, 3, 4), "padding": padding, "mode": mode})


RULES = (
    Rule(
        "rows_first",
        says="The numbers begin with the last axis: (left, right, top, bottom).",
        instead="takes the first two numbers for the rows",
        why="So does every other option, which makes this the trap. PyTorch's `pad` counts from the last "
        "axis so that two numbers pad a signal and four an image.",
        wrong=(Wrong(rows_first), Wrong(rows_first_in_images), Wrong(two_axes_exchanged)),
    ),
    Rule(
        "sides_swapped",
        says="Of each pair the first number goes before, the second behind: left before right, top before "
        "bottom.",
        instead="exchanges the sides",
        why="Equal padding on both sides hides it; `same` padding of an even kernel does not.",
        wrong=(
            Wrong(sides(lambda left, right, top, bottom: (right, left, bottom, top))),
            Wrong(sides(lambda left, right, top, bottom: (right, left, top, bottom))),
            Wrong(sides(lambda left, right, top, bottom: (left, right, bottom, top))),
        ),
    ),
    Rule(
        "sides_interleaved",
        says="The pairs are (left, right) and then (top, bottom), not (left, top) and (right, bottom).",
        instead="reads the four numbers in another order, such as (left, top, right, bottom)",
        why="Image libraries write rectangles as left, top, right, bottom, and CSS as top, right, bottom, "
        "left.",
        wrong=(*reordered(0, 2, 1, 3), *reordered(3, 1, 0, 2)),
    ),
    Rule(
        "one_side_only",
        says="Both numbers of a pair count: the second is the padding behind.",
        instead="pads one of the two sides alone, or both by the same number",
        why="A border on one side moves the picture.",
        wrong=(
            Wrong(sides(lambda left, right, top, bottom: (left, 0, top, 0))),
            Wrong(sides(lambda left, right, top, bottom: (0, right, 0, bottom))),
            Wrong(sides(lambda left, right, top, bottom: (left, left, top, top))),
            Wrong(sides(lambda left, right, top, bottom: (right, right, bottom, bottom))),
        ),
    ),
    Rule(
        "wrong_axes_padded",
        says="The last axes are padded; batch and channels, the first ones, stay as they are.",
        instead="pads the first axes, or all of them",
        why="`np.pad(x, 1)` pads every axis: it adds two images to the batch and two channels to each.",
        wrong=(Wrong(compute=first_axes), Wrong(compute=all_axes)),
    ),
    Rule(
        "zero_padding_behind",
        says="A padding of 0 adds nothing: on that side the image ends where the result does.",
        instead="loses the image, or fails, where no padding is asked for behind it",
        why="`y[left:-right] = x` is an empty slice for right = 0, because -0 is 0 and not the end. "
        "`y[left : left + n] = x` is right for both.",
        wrong=(up_to_minus_zero(False), up_to_minus_zero(True)),
    ),
    Rule(
        "value_ignored",
        says="In mode constant the border holds `value`.",
        instead="fills the border with zeros whatever the value",
        why="Max pooling needs a border of minus infinity: with zeros it would find maxima in the padding.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "value"}),),
    ),
    Rule(
        "mode_ignored",
        says="What the border shows is for `mode` to say.",
        instead="fills the border with zeros whatever the mode",
        why="The other modes are there to avoid the dark frame that zeros make.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "mode"}),),
    ),
    modes_exchanged("mode"),
    rule_with(EDGE_REPEATED, other_mode("mode", "reflect", "symmetric")),
    rule_with(EDGE_NOT_REPEATED, other_mode("mode", "symmetric", "reflect")),
    Rule(
        "replicate_mirrors",
        says="The mode replicate repeats the edge cell: a a a | a b c | c c c.",
        instead="mirrors where the edge should be repeated",
        why="One cell of padding by replicate and by symmetric is the same; from the second on they differ.",
        wrong=(other_mode("mode", "replicate", "symmetric"), other_mode("mode", "replicate", "reflect")),
    ),
    Rule(
        "circular_on_the_wrong_side",
        says="The mode circular continues the image: its end stands before its start: b c | a b c | a b.",
        instead="repeats the start before the start and the end behind the end",
        why="Circular padding is for what closes on itself, such as a panorama or the hours of a day: to "
        "the left of midnight stands 23 o'clock.",
        wrong=(Wrong(compute=wrapped_to_the_wrong_side),),
    ),
    Rule(
        "circular_mirrors",
        says="The mode circular wraps around; it does not mirror.",
        instead="mirrors where it should wrap",
        why="A mirrored border has no seam in brightness, a wrapped one none in direction: they serve "
        "different data.",
        wrong=(other_mode("mode", "circular", "reflect"), other_mode("mode", "circular", "symmetric")),
    ),
    Rule(
        "crop_ignored",
        says="A negative number crops: it takes cells away.",
        instead="treats a negative padding as none, or as a positive one",
        why="Cropping is how the gradient of padding undoes it, and how a skip connection is cut to size.",
        wrong=(Wrong(uncropped), Wrong(crop_taken_for_padding)),
    ),
)

OPERATION = Operation(
    name="pad",
    arrays=("x", "padding"),
    outputs=("y",),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={"mode": "constant", "value": 0.0},
)
