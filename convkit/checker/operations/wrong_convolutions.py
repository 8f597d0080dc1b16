"""How rules of a convolution are broken."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...conv import conv2d
from ..model import Call, NotPredicted, Result, Wrong
from .convolutions import both, sorted_channels

__all__ = [
    "bias_along_the_width",
    "bias_everywhere_first",
    "bias_subtracted",
    "bias_times",
    "channels_apart",
    "channels_averaged",
    "channels_broadcast_for_filters",
    "channels_taken_for_filters",
    "compute",
    "filters_first_reshaped",
    "filters_interleaved",
    "filters_last_reshaped",
    "filters_of_the_first_group",
    "filters_restored",
    "first_filter",
    "groups_ignored",
    "groups_interleaved",
    "image_dilated",
    "mirrored",
    "no_bias",
    "one_channel",
    "running_sum",
    "taps_averaged",
    "transposed",
    "transposed_if_square",
    "turned",
    "weights_averaged",
    "weights_in_columns",
    "weights_reordered",
]


def compute(call: Call) -> Result:
    return {"y": conv2d(**call)}


def turned(call: Call) -> Call:
    return {**call, "w": call["w"][..., ::-1, ::-1].copy()}


def mirrored(axis: int) -> Wrong:
    return Wrong(lambda call: {**call, "w": np.flip(call["w"], axis).copy()})


def transposed(call: Call) -> Call:
    return {**call, "w": call["w"].swapaxes(2, 3).copy()}


def transposed_if_square(call: Call) -> Call:
    if call["w"].shape[2] != call["w"].shape[3]:
        raise NotPredicted
    return transposed(call)


def one_channel(which: int) -> Wrong:
    """Only one channel of each group is read: a sum that never happened, or was overwritten."""

    def change(call: Call) -> Call:
        w = np.zeros_like(call["w"])
        w[:, which] = call["w"][:, which]
        return {**call, "w": w}

    return Wrong(change)


def channels_apart(call: Call) -> Result:
    """Keep a result for each filter and channel: the axis that should have been summed over stays."""
    if call.get("groups", 1) != 1:
        raise NotPredicted
    rest = {k: v for k, v in call.items() if k not in ("x", "w", "b")}
    x, w = call["x"], call["w"]
    each = [
        conv2d(x[:, i : i + 1].copy(), w[:, i : i + 1].copy(), call.get("b"), **rest)
        for i in range(w.shape[1])
    ]
    return {"y": np.stack(each, axis=2)}


def channels_averaged(result: Result, call: Call) -> Result:
    return _bias_apart(result, call, 1 / call["w"].shape[1])


def taps_averaged(result: Result, call: Call) -> Result:
    return _bias_apart(result, call, 1 / np.prod(call["w"].shape[2:]))


def weights_averaged(result: Result, call: Call) -> Result:
    return _bias_apart(result, call, 1 / np.prod(call["w"].shape[1:]))


def _bias_apart(result: Result, call: Call, factor: float) -> Result:
    b = call.get("b", np.zeros(len(call["w"])))[:, None, None]
    return {"y": (result["y"] - b) * factor + b}


def first_filter(call: Call) -> Call:
    return {**call, "w": np.broadcast_to(call["w"][:1], call["w"].shape).copy()}


def no_bias(call: Call) -> Call:
    return {k: v for k, v in call.items() if k != "b"}


def bias_times(count: Any) -> Wrong:
    return Wrong(lambda call: {**call, "b": call["b"] * count(call["w"])} if "b" in call else call)


def bias_everywhere_first(call: Call) -> Call:
    return {**call, "b": np.full_like(call["b"], call["b"][0])} if "b" in call else call


def bias_along_the_width(call: Call) -> Result:
    """Add the bias as NumPy broadcasts it: along the last axis."""
    return {"y": compute(no_bias(call))["y"] + call["b"]} if "b" in call else compute(call)


def running_sum(axes: int, bias_inside: bool) -> Wrong:
    """A sum that is set to zero before the loops over the last axes, instead of inside them."""

    def added_up(call: Call) -> Result:
        y = compute(call if bias_inside else no_bias(call))["y"]
        rows = y.reshape(*y.shape[: y.ndim - axes], -1).cumsum(axis=-1).reshape(y.shape)
        return {"y": rows if bias_inside or "b" not in call else rows + call["b"][:, None, None]}

    return Wrong(compute=added_up)


def filters_of_the_first_group(call: Call) -> Call:
    groups = call.get("groups", 1)
    return {**call, "w": np.tile(call["w"][: len(call["w"]) // groups], (groups, 1, 1, 1))}


def filters_last_reshaped(result: Result, call: Call) -> Result:
    """Reshape the windows' rows (N, OH, OW, OC) without moving an axis."""
    y = result["y"]
    return {"y": y.transpose(0, 2, 3, 1).reshape(y.shape)}


def filters_first_reshaped(result: Result, call: Call) -> Result:
    """Reshape (OC, N, OH, OW), the product by the columns of the whole batch, without moving an axis."""
    y = result["y"]
    return {"y": y.transpose(1, 0, 2, 3).reshape(y.shape)}


def groups_ignored(call: Call) -> Call:
    """Every filter reads the first channels, as many as it has weights for."""
    x, w = call["x"], call["w"]
    return {**call, "x": np.tile(x[:, : w.shape[1]], (1, call.get("groups", 1), 1, 1))}


def groups_interleaved(call: Call) -> Call:
    """Channel c goes to group c % groups."""
    return {**call, "x": sorted_channels(call, call.get("groups", 1))}


def filters_interleaved(call: Call) -> Call:
    """Filter o goes to group o % groups: computed by sorting filters, and undone in the result."""
    return {**call, **{k: call[k][_sorted(call)] for k in ("w", "b") if k in call}}


def filters_restored(result: Result, call: Call) -> Result:
    y = np.empty_like(result["y"])
    y[:, _sorted(call)] = result["y"]
    return {"y": y}


def _sorted(call: Call) -> np.ndarray:
    filters = np.arange(len(call["w"]))
    return np.argsort(filters % call.get("groups", 1), kind="stable")


def bias_subtracted(call: Call) -> Call:
    return {**call, "b": -call["b"]} if "b" in call else call


def channels_taken_for_filters(call: Call) -> Call:
    return {**call, "w": call["w"].swapaxes(0, 1).copy()}


def channels_broadcast_for_filters(call: Call) -> Result:
    """The same by einsum, which stretches an axis of length 1 to fit the other array's."""
    if call.get("groups", 1) != 1 or call.get("padding_mode", "zeros") != "zeros" or call.get("flip"):
        raise NotPredicted
    w, (ph, pw), (sh, sw) = call["w"], both(call.get("padding", 0)), both(call.get("stride", 1))
    (dh, dw), (KH, KW) = both(call.get("dilation", 1)), w.shape[2:]
    x = np.pad(call["x"], [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    seen = np.lib.stride_tricks.sliding_window_view(x, (dh * (KH - 1) + 1, dw * (KW - 1) + 1), (2, 3))
    y = np.einsum("nchwij,coij->nohw", seen[:, :, ::sh, ::sw, ::dh, ::dw], w)
    return {"y": y + call["b"][:, None, None] if "b" in call else y}


def weights_reordered(order: tuple[int, ...]) -> Wrong:
    """Weights in their own order against columns in another, of (channels, rows, columns of taps)."""

    def change(call: Call) -> Call:
        w = call["w"]
        read = w.reshape(len(w), *(w.shape[1 + axis] for axis in order))
        return {**call, "w": read.transpose(0, *(1 + order.index(axis) for axis in range(3))).copy()}

    return Wrong(change)


def weights_in_columns(call: Call) -> Call:
    """`w.reshape(-1, OC)` where `w.reshape(OC, -1).T` is meant."""
    w = call["w"]
    return {**call, "w": w.reshape(-1, len(w)).T.reshape(w.shape).copy()}


def image_dilated(call: Call) -> Call:
    """Every d-th pixel of the padded image, and its neighbours there for the taps."""
    (ph, pw), (dh, dw) = both(call.get("padding", 0)), both(call.get("dilation", 1))
    if (dh, dw) == (1, 1) or call.get("padding_mode", "zeros") != "zeros":
        return call
    x = np.pad(call["x"], [(0, 0), (0, 0), (ph, ph), (pw, pw)])[:, :, ::dh, ::dw].copy()
    return {**{k: v for k, v in call.items() if k not in ("padding", "dilation")}, "x": x}
