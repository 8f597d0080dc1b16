"""Rules of unfolding an image into columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...geometry import conv_output_size
from ...unfold import im2col
from ..model import Call, Case, Operation, Result, Rule, Wrong
from .convolutions import (
    BATCH,
    DILATION,
    PADDING,
    STRIDE,
    both,
    counting,
    rule_with,
    scattered,
    small_geometries,
    taps,
)
from .window_counts import LAST_WINDOW_LOST, SPANS, SQUARES, WINDOW_PAST_THE_EDGE

__all__ = ["OPERATION"]


def compute(call: Call) -> Result:
    return {"cols": im2col(**call)}


def extents(call: Call) -> tuple[int, ...]:
    """Return C, KH, KW, OH and OW."""
    s, p, d = (both(call.get(k, v)) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1)))
    axes = zip(call["x"].shape[2:], taps(call), s, p, d, strict=True)
    sizes = (conv_output_size(n, k, s_, d_, p_, p_) for n, k, s_, p_, d_ in axes)
    return (call["x"].shape[1], *taps(call), *sizes)


def reordered(*order: int) -> Callable[[Result, Call], Result]:
    """Return a detour that lists (C, KH, KW, OH, OW) in another order, rows and columns as before."""

    def after(result: Result, call: Call) -> Result:
        cols = result["cols"]
        each = cols.reshape(len(cols), *extents(call)).transpose(0, *(1 + axis for axis in order))
        return {"cols": each.reshape(cols.shape)}

    return after


def rows_are_windows(result: Result, call: Call) -> Result:
    return {"cols": result["cols"].swapaxes(-1, -2)}


def batch_beside(result: Result, call: Call) -> Result:
    """Put the images' columns side by side in one matrix."""
    return {"cols": np.concatenate(list(result["cols"]), axis=1)}


def batch_innermost(result: Result, call: Call) -> Result:
    """One matrix, in which the images take turns: a window of each, then the next window."""
    cols = result["cols"]
    return {"cols": cols.transpose(1, 2, 0).reshape(cols.shape[1], -1)}


def image_reshaped(padded: bool) -> Callable[[Result, Call], Result]:
    """Return the image, with or without its border, in its own order."""

    def after(result: Result, call: Call) -> Result:
        ph, pw = both(call.get("padding", 0)) if padded else (0, 0)
        x = np.pad(call["x"], ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        return {"cols": x.reshape(*x.shape[:2], -1)}

    return after


def in_the_plane(after: Callable[[Result, Call], Result]) -> Wrong:
    """A detour of results that have rows and columns of windows."""

    def changed(result: Result, call: Call) -> Result:
        cols = result["cols"]
        planes = after({"cols": cols.reshape(*cols.shape[:2], *extents(call)[-2:])}, call)["cols"]
        return {"cols": planes.reshape(*cols.shape[:2], -1)}

    return Wrong(after=changed)


def taps_turned(result: Result, call: Call) -> Result:
    cols = result["cols"]
    each = cols.reshape(len(cols), *extents(call))[:, :, ::-1, ::-1]
    return {"cols": each.reshape(cols.shape)}


def split(result: Result, call: Call) -> Result:
    return {"cols": result["cols"].reshape(len(result["cols"]), *extents(call))}


def windows_apart(call: Call) -> Result:
    """Unfold as many windows as the stride asks for, but one pixel apart."""
    OH, OW = extents(call)[-2:]
    close = {**call, "stride": 1}
    each = split(compute(close), close)["cols"][..., :OH, :OW]
    return {"cols": each.reshape(compute(call)["cols"].shape)}


def stride_and_dilation_exchanged(call: Call) -> Call:
    return {**call, "stride": call.get("dilation", 1), "dilation": call.get("stride", 1)}


def window_by_window(call: Call) -> Call:
    return {**call, "stride": taps(call)}


def cases() -> Iterator[Case]:
    for size, kernel, options in small_geometries():
        k = kernel[0] if kernel[0] == kernel[1] else kernel
        yield Case({"x": counting(1, 1, *size), "kernel_size": k, **options})
    half = np.array([[[[0.5, 1.25, -2.75]]]])
    yield Case({"x": half, "kernel_size": 1})
    for n, c, size, k in ((1, 2, (1, 2), 1), (2, 1, (1, 2), 1), (1, 2, (1, 2), (1, 2)), (2, 2, (3, 4), 2)):
        yield Case({"x": counting(n, c, *size), "kernel_size": k})
    for options in (
        {"stride": 2, "padding": 1},
        {"stride": 2, "dilation": 2},
        {"padding": (1, 2), "stride": (1, 2)},
    ):
        yield Case({"x": scattered(2, 3, 5, 6), "kernel_size": 2, **options})
        yield Case({"x": scattered(1, 2, 5, 6), "kernel_size": (3, 2), **options})


RULES = (
    Rule(
        "rows_are_windows",
        says="A column is a window: cols has shape (N, C*KH*KW, OH*OW).",
        instead="returns windows as rows",
        why="With windows as columns the convolution is `w.reshape(OC, -1) @ cols`, and its result is "
        "already in the order of the picture. With windows as rows everything after has to be transposed.",
        wrong=(Wrong(after=rows_are_windows),),
    ),
    Rule(
        "batch_side_by_side",
        says="Each image has a matrix of its own: the first axis of cols is the batch.",
        instead="puts the columns of all images side by side in one matrix",
        why="It is a good layout too, and one product then serves the whole batch, but the result is no "
        "longer in the order (N, OC, OH, OW).",
        wrong=(Wrong(after=batch_beside), Wrong(after=batch_innermost)),
    ),
    Rule(
        "axes_not_joined",
        says="Channels and taps share one axis, rows and columns of the output another: two axes after the "
        "batch.",
        instead="keeps channels, taps and output positions on axes of their own",
        why="The point of the layout is that what follows is a product of two matrices.",
        wrong=(Wrong(after=split),),
    ),
    Rule(
        "columns_reshaped",
        says="The axes of channels and taps stand before those of the output when they are joined.",
        instead="reshapes its windows to the right shape, and leaves their numbers in another order",
        why="A view of windows has the axes (N, C, OH, OW, KH, KW). `reshape` joins neighbours and never "
        "moves an axis: `.transpose(0, 1, 4, 5, 2, 3)` comes first.",
        wrong=(Wrong(after=reordered(0, 3, 4, 1, 2)), Wrong(after=reordered(3, 4, 0, 1, 2))),
    ),
    Rule(
        "taps_before_channels",
        says="In a column the channels come first: row c*KH*KW + kh*KW + kw.",
        instead="lets the channel vary fastest",
        why="The rows have to stand in the order of `w.reshape(OC, -1)`, and w is (OC, IC, KH, KW). The "
        "other order belongs to images with the channels last.",
        wrong=(Wrong(after=reordered(1, 2, 0, 3, 4)),),
    ),
    Rule(
        "taps_column_by_column",
        says="Within a channel taps are listed row by row: row kh*KW + kw.",
        instead="lists the taps of a window column by column",
        why="It is the same as a transposed kernel, and as hard to see.",
        wrong=(Wrong(after=reordered(0, 2, 1, 3, 4)),),
    ),
    Rule(
        "taps_reversed",
        says="Taps are listed from the window's first pixel to its last.",
        instead="lists the taps of a window backwards",
        why="It turns the kernel round: the product is then the convolution of mathematics.",
        wrong=(Wrong(after=taps_turned),),
    ),
    Rule(
        "windows_column_by_column",
        says="Windows are listed row by row: column oh*OW + ow.",
        instead="lists the windows column by column",
        why="Reshaped to (OH, OW), each picture of the result would be transposed, or scrambled if it is "
        "not square.",
        wrong=(Wrong(after=reordered(0, 1, 2, 4, 3)),),
    ),
    Rule(
        "stride_and_dilation_exchanged",
        says="Stride is the distance of windows, dilation the distance of taps within one.",
        instead="takes stride for dilation and dilation for stride",
        why="PyTorch's unfold lists dilation before padding and stride, its conv2d stride first. By "
        "position they are easily confused.",
        wrong=(Wrong(stride_and_dilation_exchanged),),
    ),
    Rule(
        "windows_do_not_overlap",
        says="Without a stride windows move by one pixel, and overlap.",
        instead="moves each window by its own size",
        why="That is pooling's default. A convolution of stride 1 needs a window at every pixel.",
        wrong=(Wrong(window_by_window),),
    ),
    rule_with(STRIDE[0], *STRIDE[0].wrong, Wrong(compute=windows_apart)),
    *STRIDE[1:],
    *(
        rule_with(rule, *(in_the_plane(wrong.after) for wrong in rule.wrong))
        for rule in (LAST_WINDOW_LOST, SQUARES)
    ),
    WINDOW_PAST_THE_EDGE,
    *(rule for rule in PADDING if rule.name != "border_not_zero"),
    Rule(
        "border_not_zero",
        says="Padding is zero unless another padding mode is asked for.",
        instead="fills the border with pixels of the image",
        why="Zeros are what networks are trained with. A border of copies adds brightness at the edge that "
        "the weights do not expect.",
        wrong=(
            Wrong(lambda call: {**call, "padding_mode": "replicate"}),
            Wrong(lambda call: {**call, "padding_mode": "reflect"}),
        ),
    ),
    *DILATION,
    rule_with(SPANS, *(in_the_plane(wrong.after) for wrong in SPANS.wrong)),
    Rule(
        "result_in_the_image_s_order",
        says="Every window is copied, so a pixel that is in several windows comes several times.",
        instead="copies every pixel once",
        why="A 3x3 window makes the columns up to nine times as large as the image; that is the price of "
        "the product.",
        wrong=(Wrong(after=image_reshaped(False)), Wrong(after=image_reshaped(True))),
    ),
    *BATCH,
)

OPERATION = Operation(
    name="im2col",
    arrays=("x", "kernel_size"),
    outputs=("cols",),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={"dilation": 1, "padding": 0, "stride": 1, "padding_mode": "zeros"},
    axes={"x": "NC", "cols": "N"},
)
