"""Rules of maximum pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...geometry import max_pool_windows
from ...max_pooling import max_pool2d
from ...padding import pad
from ..model import Call, Case, Garbage, Operation, Result, Rule, Wrong
from .convolutions import DILATION, both, counting, scattered
from .poolings import DEFAULTS, WINDOWS, blocks_reshaped, fits, geometries, stride_ignored, strided

__all__ = ["OPERATION"]


HUGE = 1e30  # float32 holds it, and no number that is meant as minus infinity is further from zero than that


def compute(call: Call) -> Result:
    result = max_pool2d(**call)
    if call.get("return_indices"):
        return {"y": result.y, "indices": result.indices.astype(np.float64)}
    return {"y": result}


def padded_with(number: float) -> Wrong:
    """Pad with a number, which wins over smaller pixels."""

    def wrong(call: Call) -> Result:
        ph, pw = both(call.get("padding", 0))
        x = pad(call["x"], (pw, pw, ph, ph), "constant", number)
        whole = {**call, "x": x, "stride": strided(call), "padding": 0, "return_indices": False}
        y, right = compute(whole)["y"], compute(call)
        changed = {"y": y[:, :, : right["y"].shape[2], : right["y"].shape[3]]}
        return {**right, **changed} if not ph + pw else changed

    return Wrong(compute=wrong)


def low(padded: bool) -> Callable[[Call], Result]:
    """Take some very negative number for minus infinity: in the padding, or wherever a search starts."""

    def wrong(call: Call) -> Result:
        if (call.get("padding", 0) != 0 or not padded) and (call["x"] < -HUGE / 2).any():
            raise Garbage
        return compute(call)

    return wrong


def from_zero(result: Result, call: Call) -> Result:
    """Whatever is not above zero is not found, and its index is that of nothing."""
    y = np.maximum(result["y"], 0.0)
    return {**result, "y": y} if (result["y"] > 0).all() else {"y": y}


def magnitudes(call: Call) -> Call:
    return {**call, "x": np.abs(call["x"])}


def averaged(padding_counts: bool) -> Callable[[Result, Call], Result]:
    """Sum over the windows, tap by tap, and divide by how many lie on the image, or on its border too."""

    def change(result: Result, call: Call) -> Result:
        x, (N, C, OH, OW) = call["x"], result["y"].shape
        H, W = x.shape[2:]
        (PH, PW), (DH, DW) = both(call.get("padding", 0)), both(call.get("dilation", 1))
        SH, SW = both(strided(call))
        total, count = np.zeros((N, C, OH, OW)), np.zeros((OH, OW))
        for kh, kw in np.ndindex(*both(call["kernel_size"])):
            ih = np.arange(OH)[:, None] * SH + kh * DH - PH
            iw = np.arange(OW) * SW + kw * DW - PW
            inside = (ih >= 0) & (ih < H) & (iw >= 0) & (iw < W)
            total += np.where(inside, x[:, :, ih.clip(0, H - 1), iw.clip(0, W - 1)], 0.0)
            count += (ih < H + PH) & (iw < W + PW) if padding_counts else inside
        return {**result, "y": total / count}

    return change


def smallest(call: Call) -> Result:
    result = compute({**call, "x": -call["x"]})
    return {**result, "y": -result["y"]}


def nan_lost(call: Call) -> Result:
    """A comparison with NaN is false, so NaN is passed over, unless it is all that there is."""
    return compute({**call, "x": np.where(np.isnan(call["x"]), -np.inf, call["x"])})


def nan_only_first(call: Call) -> Result:
    """`v > best` never replaces a NaN that came first, and never takes one that comes later."""
    x = call["x"]
    if not np.isnan(x).any():
        return compute(call)
    y, starts = nan_lost(call)["y"], compute({**call, "return_indices": False})["y"].copy()
    k, p, d = (both(call.get(k, v)) for k, v in (("kernel_size", 1), ("padding", 0), ("dilation", 1)))
    tables = [
        max_pool_windows(n, k_, s, p_, d_, call.get("ceil_mode", False))[:, 0]
        for n, k_, s, p_, d_ in zip(x.shape[2:], k, strided(call), p, d, strict=True)
    ]
    corner = x[:, :, tables[0][:, None], tables[1]]
    return {"y": np.where(np.isnan(corner), starts, y)}


def last_of_equals(call: Call) -> Result:
    """Find the last of equal maxima: that of the image turned round, counted from the other end."""
    result = compute(call)
    if "indices" not in result:
        return result
    ph, pw = both(call.get("padding", 0))
    x = np.pad(call["x"], [(0, 0), (0, 0), (ph, ph), (pw, pw)], constant_values=-np.inf)
    (SH, SW), (KH, KW) = strided(call), both(call["kernel_size"])
    (DH, DW) = both(call.get("dilation", 1))
    indices = np.zeros_like(result["indices"])
    for at in np.ndindex(indices.shape):
        best = -np.inf
        for kh in range(KH):
            for kw in range(KW):
                ih, iw = at[2] * SH + kh * DH, at[3] * SW + kw * DW
                if ih < x.shape[2] and iw < x.shape[3] and x[at[0], at[1], ih, iw] >= best:
                    best = x[at[0], at[1], ih, iw]
                    indices[at] = (ih - ph) * call["x"].shape[3] + iw - pw
    return {"y": result["y"], "indices": indices}


def located(result: Result, call: Call) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the rows and columns of the maxima, or None where they are not asked for."""
    if "indices" not in result:
        return None
    rows, columns = np.divmod(result["indices"], call["x"].shape[3])
    return rows, columns


def by_width(width: Callable[[Result, Call], int]) -> Callable[[Result, Call], Result]:
    def after(result: Result, call: Call) -> Result:
        if (at := located(result, call)) is None:
            return result
        return {**result, "indices": at[0] * width(result, call) + at[1]}

    return after


def in_the_window(result: Result, call: Call) -> Result:
    """Count within the window instead of within the plane."""
    if (at := located(result, call)) is None:
        return result
    (ph, pw), (SH, SW) = both(call.get("padding", 0)), strided(call)
    (DH, DW) = both(call.get("dilation", 1))
    kh = (at[0] + ph - np.arange(at[0].shape[2])[:, None] * SH) / DH
    kw = (at[1] + pw - np.arange(at[1].shape[3]) * SW) / DW
    return {**result, "indices": kh * both(call["kernel_size"])[1] + kw}


def in_the_padded_plane(result: Result, call: Call) -> Result:
    if (at := located(result, call)) is None:
        return result
    ph, pw = both(call.get("padding", 0))
    return {**result, "indices": (at[0] + ph) * (call["x"].shape[3] + 2 * pw) + at[1] + pw}


def column_by_column(result: Result, call: Call) -> Result:
    if (at := located(result, call)) is None:
        return result
    return {**result, "indices": at[1] * call["x"].shape[2] + at[0]}


def in_the_whole_array(result: Result, call: Call) -> Result:
    """Count on through channels and batch."""
    if "indices" not in result:
        return result
    N, C, H, W = call["x"].shape
    return {**result, "indices": result["indices"] + H * W * np.arange(N * C).reshape(N, C, 1, 1)}


def cases() -> Iterator[Case]:
    for size, options in geometries():
        yield Case({"x": counting(1, 1, *size), **options})
        if options.get("padding") or not options.get("ceil_mode"):
            yield Case({"x": -counting(1, 1, *size), **options})
    for kernel in (2, (1, 2), 3):
        for dilation in (2, (1, 2), (2, 1)):
            for size in ((1, 3), (3, 3), (4, 5), (5, 5)):
                for more in ({}, {"stride": 1}):
                    call = {"kernel_size": kernel, "dilation": dilation, **more}
                    if fits(size, call):
                        yield Case({"x": scattered(1, 1, *size), **call})
    yield Case({"x": np.array([[[[0.5, 1.25]]]]), "kernel_size": (1, 2)})
    for n, c in ((1, 2), (2, 1), (2, 3)):
        yield Case({"x": counting(n, c, 1, 2), "kernel_size": (1, 2)})
        yield Case({"x": scattered(n, c, 3, 5), "kernel_size": 2})
    for row in ([np.nan, 1.0], [1.0, np.nan], [1.0, np.nan, 2.0], [np.nan, 2.0, 1.0]):
        yield Case({"x": np.array([[[row]]]), "kernel_size": (1, len(row))})
    yield Case({"x": np.full((1, 1, 1, 2), -np.inf), "kernel_size": (1, 2)})
    for shape in ((1, 2), (2, 2), (3, 4)):
        very_small = -HUGE * counting(1, 1, *shape)
        yield Case({"x": very_small, "kernel_size": 2 if shape[0] > 1 else shape})
        yield Case({"x": very_small, "kernel_size": 2, "padding": 1})
    equal = np.array([[[[3.0, 3.0], [1.0, 3.0]]]])
    for x in (equal[:, :, :1], equal, counting(1, 1, 2, 3), counting(2, 2, 2, 2), scattered(1, 1, 4, 5)):
        for more in ({}, {"stride": 1}, {"stride": 1, "padding": 1}, {"dilation": 2, "stride": 1}):
            kernel = (1, 2) if x.shape[2] == 1 else 2
            call = {"kernel_size": kernel, "return_indices": True, **more}
            p = both(call.get("padding", 0))
            k = both(kernel)
            if fits(x.shape[2:], call) and all(2 * p_ <= k_ for p_, k_ in zip(p, k, strict=True)):
                yield Case({"x": x, **call})


RULES = (
    Rule(
        "padding_is_zero",
        says="Padding is minus infinity, so that it never wins.",
        instead="pads with zeros, or another number, which wins over smaller pixels",
        why="A zero is a number like any other. Where all pixels of a window are negative the maximum "
        "would be found outside the image. With -1e9 it takes longer to happen: `-np.inf` is below them all.",
        wrong=(padded_with(0.0), padded_with(-1.0), Wrong(compute=low(padded=True))),
    ),
    Rule(
        "starts_from_zero",
        says="The search for the maximum starts from the window's first pixel, or from minus infinity.",
        instead="starts its search from zero, or from another number, and returns none that is smaller",
        why="Zero passes every test on images, whose pixels are not negative, and fails behind a BatchNorm. "
        "-1e9 passes more, and fails where numbers are smaller still.",
        wrong=(Wrong(after=from_zero), Wrong(compute=low(padded=False))),
    ),
    Rule(
        "magnitudes_compared",
        says="The largest number wins, not the one furthest from zero.",
        instead="compares magnitudes",
        why="-5 is smaller than 1.",
        wrong=(Wrong(magnitudes),),
    ),
    Rule(
        "smallest_wins",
        says="The largest number of the window wins.",
        instead="returns the smallest number of each window",
        why="Erosion is an operation of its own: it is max pooling of -x, negated.",
        wrong=(Wrong(compute=smallest),),
    ),
    Rule(
        "mean_not_maximum",
        says="The largest number of the window is returned, not its mean.",
        instead="returns means",
        why="A maximum says that a feature is there, a mean how much of it.",
        wrong=(Wrong(after=averaged(True)), Wrong(after=averaged(False))),
    ),
    Rule(
        "nan_lost",
        says="A NaN in the window wins.",
        instead="passes over NaN",
        why="`v > best` is false for NaN on either side. A NaN that pooling swallows hides the layer that "
        "made it; PyTorch had this bug.",
        wrong=(Wrong(compute=nan_lost), Wrong(compute=nan_only_first)),
    ),
    Rule(
        "last_of_equals",
        says="Of equal maxima the first one's index is returned.",
        instead="returns the index of the last of equal maxima",
        why="`>=` instead of `>` sends the gradient to another pixel. After a ReLU, windows full of zeros "
        "are common.",
        wrong=(Wrong(compute=last_of_equals),),
    ),
    Rule(
        "index_in_the_window",
        says="An index counts in the plane of the image: ih * W + iw.",
        instead="counts indices within each window",
        why="Unpooling and the gradient write to that place of the plane.",
        wrong=(Wrong(after=in_the_window),),
    ),
    Rule(
        "index_in_the_padded_plane",
        says="An index counts in the image, not in the padded one.",
        instead="counts indices in the padded image",
        why="Every place is then off by the border, and the last ones lie outside the image.",
        wrong=(Wrong(after=in_the_padded_plane),),
    ),
    Rule(
        "index_by_another_width",
        says="An index counts ih rows of the image's width W: ih * W + iw.",
        instead="multiplies the row by another number than the image's width",
        why="By the output's width, or by the image's height, indices are right in the first row alone, and "
        "on square images by the height everywhere.",
        wrong=(
            Wrong(after=by_width(lambda result, call: result["y"].shape[3])),
            Wrong(after=by_width(lambda result, call: call["x"].shape[2])),
        ),
    ),
    Rule(
        "index_column_by_column",
        says="An index counts row by row: ih * W + iw.",
        instead="counts indices column by column, as iw * H + ih",
        why="On square images the result is a valid index of another pixel.",
        wrong=(Wrong(after=column_by_column),),
    ),
    Rule(
        "index_in_the_whole_array",
        says="An index counts within its own plane; every channel of every image starts from 0.",
        instead="goes on counting through channels and batch",
        why="PyTorch's indices are those of a plane. As offsets into another one they reach outside it.",
        wrong=(Wrong(after=in_the_whole_array),),
    ),
    *WINDOWS,
    blocks_reshaped(compute, lambda blocks: blocks.max(axis=(4, 5))),
    stride_ignored(compute),
    *DILATION,
)

OPERATION = Operation(
    name="max_pool2d",
    arrays=("x", "kernel_size"),
    outputs=("y", "indices"),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={**DEFAULTS, "stride": strided, "dilation": 1, "return_indices": False},
    only_with={"indices": "return_indices"},
    axes={"x": "NC", "y": "NC", "indices": "NC"},
)
