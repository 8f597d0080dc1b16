"""Rules of a convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..model import Case, Operation, Rule, Wrong
from .convolutions import (
    BATCH,
    BORDER,
    DILATION,
    PADDING,
    STRIDE,
    counting,
    digits,
    option,
    rule_with,
    scattered,
    small_geometries,
    windows_apart,
)
from .window_counts import LAST_WINDOW_LOST, SPANS, SQUARES, UNCOUNTED, WINDOW_PAST_THE_EDGE
from .wrong_convolutions import (
    bias_along_the_width,
    bias_everywhere_first,
    bias_subtracted,
    bias_times,
    channels_apart,
    channels_averaged,
    channels_broadcast_for_filters,
    channels_taken_for_filters,
    compute,
    filters_first_reshaped,
    filters_interleaved,
    filters_last_reshaped,
    filters_of_the_first_group,
    filters_restored,
    first_filter,
    groups_ignored,
    groups_interleaved,
    image_dilated,
    mirrored,
    no_bias,
    one_channel,
    running_sum,
    taps_averaged,
    transposed,
    transposed_if_square,
    turned,
    weights_averaged,
    weights_in_columns,
    weights_reordered,
)

__all__ = ["OPERATION"]


# --- cases ---------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    for size, kernel, options in small_geometries():
        yield Case({"x": counting(1, 1, *size), "w": digits(1, 1, *kernel), **options})
    half = np.array([[[[0.5, 1.25, -2.75]]]])
    yield Case({"x": half, "w": np.ones((1, 1, 1, 1))})
    yield Case({"x": half.astype(np.float32), "w": np.ones((1, 1, 1, 2), np.float32)})
    for shape in ((1, 1), (2, 2)):
        yield Case({"x": counting(2, 1, *shape), "w": digits(1, 1, *shape)})
        yield Case({"x": counting(1, 2, *shape), "w": digits(1, 2, *shape)})
        yield Case({"x": counting(1, 3, *shape), "w": scattered(1, 3, *shape)})
        yield Case({"x": counting(1, 1, *shape), "w": digits(2, 1, *shape)})
    yield Case({"x": counting(1, 1, 1, 2), "w": digits(2, 1, 1, 1)})
    yield Case({"x": counting(1, 2, 1, 1), "w": digits(2, 2, 1, 1)})
    yield Case({"x": scattered(1, 2, 3, 3), "w": scattered(2, 2, 2, 2)})
    yield Case({"x": scattered(2, 2, 3, 4), "w": scattered(3, 2, 2, 2)})
    for oc, ic, k in (
        (1, 1, (1, 1)),
        (1, 1, (1, 2)),
        (1, 2, (1, 1)),
        (1, 2, (2, 2)),
        (2, 1, (1, 1)),
        (3, 2, (2, 2)),
    ):
        b = 100.0 * np.arange(1, oc + 1)
        yield Case({"x": counting(1, ic, 2, 2), "w": scattered(oc, ic, *k), "b": b})
    for groups, oc, ic in ((2, 2, 2), (2, 4, 4), (2, 2, 4), (2, 4, 2), (3, 3, 3)):
        x, w = counting(1, ic, 1, 2), scattered(oc, ic // groups, 1, 1)
        yield Case({"x": x, "w": w, "groups": groups})
        yield Case({"x": x, "w": w, "b": 100.0 * np.arange(1, oc + 1), "groups": groups})
    for mode in ("reflect", "symmetric", "replicate", "circular"):
        for n, p in ((2, 1), (3, 1), (3, 2), (4, 3)):
            call = {"x": counting(1, 1, n, n), "w": np.ones((1, 1, 1, 1)), "padding": p, "padding_mode": mode}
            yield Case(call)
        x, w = scattered(1, 2, 4, 5), scattered(2, 2, 3, 3)
        yield Case({"x": x, "w": w, "padding": (2, 1), "stride": 2, "padding_mode": mode})
    for k in ((1, 2), (2, 3)):
        yield Case({"x": counting(1, 1, 2, 3), "w": digits(1, 1, *k), "flip": True})
    combined: tuple[dict[str, Any], ...] = (
        {"stride": 2, "padding": 1},
        {"stride": 2, "dilation": 2},
        {"padding": 2, "dilation": 2},
        {"stride": 3, "padding": 1, "dilation": 2},
        {"stride": (2, 1), "padding": (0, 2)},
        {"stride": 2, "padding": 1, "groups": 2},
        {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 2},
    )
    for options in combined:
        ic = 2 * options.get("groups", 1)
        call = {"x": scattered(2, ic, 6, 7), "w": scattered(4, 2, 3, 2), "b": scattered(4), **options}
        yield Case({k: v for k, v in call.items() if k != "b"})
        yield Case(call)


RULES = (
    Rule(
        "kernel_flipped",
        says="Tap (kh, kw) meets the pixel kh rows below and kw columns right of the window's corner: the "
        "kernel is not turned round.",
        instead="returns what a kernel turned by 180 degrees gives",
        why="What networks call convolution is cross-correlation; mathematics turns the kernel first, and "
        "so does `scipy.signal.convolve2d`. Weights trained one way give another picture the other way, and "
        "a symmetric kernel does not show it.",
        wrong=(Wrong(turned),),
    ),
    Rule(
        "kernel_mirrored",
        says="Both axes of the kernel are read in their own order: w[oc, ic, kh, kw] meets the pixel kh rows "
        "below and kw columns right of the window's corner.",
        instead="returns what a kernel gives whose rows, or whose columns, are in the reverse order",
        why="`w[..., ::-1]` and `np.flip(w, 3)` reverse columns alone. Cross-correlation reverses neither "
        "axis, mathematics' convolution both.",
        wrong=(mirrored(2), mirrored(3)),
    ),
    Rule(
        "flip_ignored",
        says="With flip=True the kernel is turned round first.",
        instead="returns the same with flip=True as without",
        why="An option that is accepted and does nothing is worse than one that is refused.",
        wrong=(Wrong(option("flip", False)),),
    ),
    Rule(
        "kernel_transposed",
        says="The kernel's first index counts rows and its second columns: w[oc, ic, kh, kw].",
        instead="returns what a kernel with rows and columns exchanged gives",
        why="It goes unnoticed with symmetric kernels such as a blur, and turns a detector of horizontal "
        "edges into one of vertical edges.",
        wrong=(Wrong(transposed), Wrong(transposed_if_square)),
    ),
    Rule(
        "channels_taken_for_filters",
        says="w is (OC, IC, KH, KW): the first axis counts filters, the second the channels that each reads.",
        instead="takes the first axis of w for the input's channels",
        why="TensorFlow's weights are (KH, KW, IC, OC), and a transposed convolution's (IC, OC, KH, KW). "
        "With as many filters as channels nothing fails.",
        wrong=(Wrong(channels_taken_for_filters), Wrong(compute=channels_broadcast_for_filters)),
    ),
    Rule(
        "weights_in_another_order",
        says="Rows of the columns and columns of the weights are in one order: c*KH*KW + kh*KW + kw, as in "
        "`w.reshape(OC, -1)`.",
        instead="lays out its columns in one order and its weights in another",
        why="A product of matrices does not know what its rows stand for. Columns with the channels last "
        "need `w.transpose(0, 2, 3, 1).reshape(OC, -1)`; and `w.reshape(-1, OC)` is no transpose.",
        wrong=(weights_reordered((1, 2, 0)), weights_reordered((2, 1, 0)), Wrong(weights_in_columns)),
    ),
    Rule(
        "channels_not_summed",
        says="One filter has weights for every input channel, and all their products go into one sum.",
        instead="does not add the channels up",
        why="A 3x3 filter on a colour image has 27 weights and makes one number from 27 pixels. Code that "
        "was tried on grey images alone may keep only the last channel, because each overwrote the one "
        "before.",
        wrong=(one_channel(0), one_channel(-1), Wrong(compute=channels_apart)),
    ),
    Rule(
        "channels_averaged",
        says="Channels are added up, not averaged.",
        instead="divides the sum by the number of channels",
        why="The size of the weights is learned; a division that nobody expects makes weights from "
        "elsewhere useless.",
        wrong=(Wrong(after=channels_averaged),),
    ),
    Rule(
        "taps_averaged",
        says="Products are added up, not averaged: a kernel of ones sums its window.",
        instead="divides the sum by the number of weights",
        why="Averaging is what the weights 1/9 are for. An edge detector whose weights sum to zero needs "
        "none of it.",
        wrong=(Wrong(after=taps_averaged), Wrong(after=weights_averaged)),
    ),
    Rule(
        "one_filter_for_all",
        says="Every output channel has a filter of its own: y[:, oc] is made with w[oc].",
        instead="makes every output channel with the first filter",
        why="A layer with 64 filters is worth 64 features; with one filter used 64 times it is worth one.",
        wrong=(Wrong(first_filter),),
    ),
    Rule(
        "bias_missing",
        says="Each output channel's bias is added to all of its pixels.",
        instead="accepts a bias and does not add it",
        why="Without its bias a layer of a trained network is off by a constant in every channel.",
        wrong=(Wrong(no_bias),),
    ),
    Rule(
        "bias_subtracted",
        says="The bias is added: y = sum + b[oc].",
        instead="subtracts the bias",
        why="A layer that trains its own bias would learn the other sign; weights from elsewhere are off by "
        "twice the bias.",
        wrong=(Wrong(bias_subtracted),),
    ),
    Rule(
        "bias_repeated",
        says="The bias is added once to each output number.",
        instead="adds the bias more than once",
        why="It belongs outside the loops over channels and taps. Inside, it is added as often as they turn.",
        wrong=(
            bias_times(lambda w: w[0].size),
            bias_times(lambda w: w.shape[1]),
            bias_times(lambda w: w[0, 0].size),
            bias_times(len),
        ),
    ),
    Rule(
        "bias_of_the_first_filter",
        says="Output channel oc takes b[oc].",
        instead="adds the first bias to every channel",
        why="It is right as long as there is one filter, and as long as all biases are zero, as they are "
        "before training.",
        wrong=(Wrong(bias_everywhere_first),),
    ),
    Rule(
        "bias_along_the_width",
        says="Output channel oc takes b[oc], for all of its pixels.",
        instead="adds the bias along the width of the picture",
        why="`y + b` lines b up with the last axis, which is the columns: with as many columns as filters "
        "nothing fails. `b[:, None, None]`, or `b.reshape(1, -1, 1, 1)`, lines it up with the channels.",
        wrong=(Wrong(compute=bias_along_the_width),),
    ),
    Rule(
        "sum_not_reset",
        says="Every output number is a sum of its own, which starts at zero.",
        instead="goes on adding to the sum of the output before",
        why="`total = 0` belongs inside the loops over output pixels and outside those over channels and "
        "taps: one line too far out, and each output contains all that were made before it.",
        wrong=tuple(running_sum(axes, inside) for axes in (1, 2, 3) for inside in (False, True)),
    ),
    rule_with(STRIDE[0], *STRIDE[0].wrong, Wrong(compute=windows_apart(compute))),
    *STRIDE[1:],
    LAST_WINDOW_LOST,
    WINDOW_PAST_THE_EDGE,
    SQUARES,
    *PADDING,
    UNCOUNTED,
    *BORDER,
    *DILATION,
    Rule(
        "image_dilated",
        says="Dilation spreads the taps of a window; the windows still start at every pixel.",
        instead="takes every d-th pixel of the image, and a plain convolution of these",
        why="`x[:, :, ::d, ::d]` makes the picture d times as small, as a stride does. Dilation is there to "
        "see further without losing a pixel.",
        wrong=(Wrong(image_dilated),),
    ),
    SPANS,
    Rule(
        "groups_ignored",
        says="A filter of group g reads the channels of its own group: g * IC/groups and those after it.",
        instead="lets every group read the first channels",
        why="Depthwise convolution (groups = channels) would look at the red channel only, three times.",
        wrong=(Wrong(groups_ignored),),
    ),
    Rule(
        "groups_interleaved",
        says="A group's channels, and its filters, stand next to one another.",
        instead="deals channels or filters out in turn, one to each group",
        why="Weights from elsewhere have the other order, and shapes do not tell the two apart.",
        wrong=(Wrong(groups_interleaved), Wrong(filters_interleaved, filters_restored)),
    ),
    Rule(
        "groups_share_filters",
        says="A group has filters of its own: group g those from g * OC/groups on.",
        instead="makes every group's outputs with the filters of the first",
        why="With groups = 2 half of the weights are never read, and half of the gradient is lost.",
        wrong=(Wrong(filters_of_the_first_group),),
    ),
    *BATCH,
    Rule(
        "result_reshaped",
        says="A product of matrices has a row for each window and a column for each filter, or the reverse: "
        "the filters' axis has to be moved to its place.",
        instead="reshapes its product to the right shape, and leaves the numbers in another order",
        why="`reshape` changes the shape and never the order. `(cols @ w.T).reshape(N, OH, OW, OC)` comes "
        "first, then `.transpose(0, 3, 1, 2)`. With one filter nothing shows.",
        wrong=(Wrong(after=filters_last_reshaped), Wrong(after=filters_first_reshaped)),
    ),
    Rule(
        "result_transposed",
        says="The result's rows are the image's rows: y[n, oc, oh, ow].",
        instead="exchanges rows and columns of the result",
        why="Square images hide it until the picture is looked at.",
        wrong=(Wrong(after=lambda result, call: {"y": result["y"].swapaxes(-1, -2)}),),
    ),
    Rule(
        "result_clipped",
        says="A convolution's result may be negative; clipping it is another layer's work.",
        instead="returns zero, or the absolute value, where the result is negative",
        why="An edge has two sides, one positive and one negative. ReLU comes after the convolution, and "
        "often after a BatchNorm between them.",
        wrong=(
            Wrong(after=lambda result, call: {"y": np.maximum(result["y"], 0)}),
            Wrong(after=lambda result, call: {"y": np.abs(result["y"])}),
        ),
    ),
)

OPERATION = Operation(
    name="conv2d",
    arrays=("x", "w"),
    outputs=("y",),
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={
        "b": lambda call: np.zeros(len(call["w"]), call["w"].dtype),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "padding_mode": "zeros",
        "flip": False,
    },
    axes={"x": "NC", "w": "OC", "b": "O", "y": "NO"},
)
