"""Rules of the gradients of a convolution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...geometry import conv_output_size
from ..model import Call, Case, Operation, Rule, Wrong
from .convolution_gradients import (
    OUTPUTS,
    as_if,
    assigned,
    border_dropped,
    compute,
    continued,
    cropped_at_the_start,
    cropped_to_minus_zero,
    filter_alone,
    gradients_swapped,
    image,
    of_the_last_window,
    on_the_padded,
    only_what_was_reached,
    other,
    result_with,
    shifted,
    turned,
    uncropped,
)
from .convolutions import both, counting, digits, scattered, small_geometries

__all__ = ["OPERATION"]

# --- cases ---------------------------------------------------------------------------------


def with_grad_y(call: Call) -> Call:
    """Return the call with a gradient of the shape of the output."""
    s, p, d = (both(call.get(k, v)) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1)))
    axes = zip(call["x"].shape[2:], call["w"].shape[2:], s, p, d, strict=True)
    shape = [conv_output_size(n, k, s_, d_, p_, p_) for n, k, s_, p_, d_ in axes]
    return {"grad_y": digits(len(call["x"]), len(call["w"]), *shape), **call}


def cases() -> Iterator[Case]:
    for size, kernel, options in small_geometries():
        if options.get("stride") != 3 and options.get("padding") != 2 and 3 not in kernel[:1]:
            yield Case(with_grad_y({"x": counting(1, 1, *size), "w": digits(1, 1, *kernel) + 1, **options}))
    for size in ((3, 3), (4, 4)):
        for stride in (1, 2):
            yield Case(
                with_grad_y({"x": counting(1, 1, *size), "w": scattered(1, 1, 3, 3), "stride": stride})
            )
    half = {"x": np.array([[[[0.5, 1.25]]]]), "w": np.array([[[[0.5, 1.5]]]])}
    yield Case(with_grad_y(half))
    shapes: tuple[tuple[Any, ...], ...] = ((2, 1, 1), (1, 2, 1), (1, 1, 2), (2, 2, 2), (3, 2, 4))
    for n, ic, oc in shapes:
        for size, kernel in (((1, 1), (1, 1)), ((1, 2), (1, 2)), ((2, 3), (2, 2))):
            yield Case(with_grad_y({"x": scattered(n, ic, *size), "w": scattered(oc, ic, *kernel)}))
    for groups, oc, ic in ((2, 2, 2), (2, 4, 2), (2, 2, 4)):
        yield Case(
            with_grad_y(
                {"x": scattered(1, ic, 1, 2), "w": scattered(oc, ic // groups, 1, 1), "groups": groups}
            )
        )
    for mode in ("reflect", "symmetric", "replicate", "circular"):
        for n, p, k in ((2, 1, 1), (3, 1, 1), (3, 2, 2)):
            call = {"x": counting(1, 1, n, n), "w": digits(1, 1, k, k), "padding": p, "padding_mode": mode}
            yield Case(with_grad_y(call))
    combined: tuple[dict[str, Any], ...] = (
        {"stride": 2, "padding": 1},
        {"stride": 2, "dilation": 2},
        {"stride": (2, 1), "padding": (0, 2)},
        {"stride": (1, 2), "padding": (2, 1), "dilation": (2, 1), "groups": 2},
        {"stride": 2, "padding": 1, "padding_mode": "reflect"},
    )
    for options in combined:
        ic = 2 * options.get("groups", 1)
        yield Case(with_grad_y({"x": scattered(2, ic, 6, 7), "w": scattered(4, 2, 3, 2), **options}))


RULES = (
    Rule(
        "grad_x_kernel_turned",
        says="grad_x sends each gradient back along the weights that it came by: x[oh*SH + kh*DH] gets "
        "grad_y[oh] * w[kh].",
        instead="computes grad_x with the kernel turned the other way",
        why="Written as a sliding window over grad_y the kernel has to be turned round once; written as a "
        "scatter, not at all. A symmetric kernel hides the difference.",
        wrong=(other(turned, "grad_x"),),
    ),
    Rule(
        "filters_not_summed",
        says="Every filter read the pixel, and grad_x adds the gradients of all of them.",
        instead="computes grad_x from one filter",
        why="In the forward pass channels are summed, in the backward pass filters are.",
        wrong=(other(filter_alone(-1), "grad_x"), other(filter_alone(0), "grad_x")),
    ),
    Rule(
        "overlaps_overwritten",
        says="A pixel gets the gradients of all windows that it was in, added up.",
        instead="lets each window overwrite what the one before has written to grad_x",
        why="`grad_x[window] = ...` keeps the last window alone, `+=` adds. Where windows do not overlap "
        "both are the same.",
        wrong=(assigned(False), assigned(True)),
    ),
    Rule(
        "windows_not_summed",
        says="Every window used the same weights: grad_w and grad_b add up what each window gives.",
        instead="keeps what the last window gives, where all should be added up",
        why="`grad_w = ...` in the loop forgets the windows before; `grad_w += ...` adds them up.",
        wrong=(
            other(of_the_last_window, "grad_w"),
            other(of_the_last_window, "grad_w", "grad_b"),
            other(of_the_last_window, "grad_b"),
            other(lambda call: of_the_last_window(image(slice(-1, None))(call)), "grad_w"),
            other(lambda call: of_the_last_window(image(slice(-1, None))(call)), "grad_w", "grad_b"),
        ),
    ),
    Rule(
        "grad_w_turned",
        says="grad_w[kh, kw] belongs to w[kh, kw].",
        instead="returns grad_w turned by 180 degrees",
        why="It comes of convolving instead of correlating x with grad_y. The optimizer would train every "
        "weight by its opposite's gradient.",
        wrong=(result_with(grad_w=lambda result, call: result["grad_w"][..., ::-1, ::-1]),),
    ),
    Rule(
        "batch_not_summed",
        says="The whole batch shares the weights: grad_w and grad_b are sums over its images.",
        instead="computes a gradient of the weights from one image of the batch",
        why="The other images' gradients are lost, or overwritten by the last one's.",
        wrong=(
            other(image(slice(0, 1)), "grad_w", "grad_b"),
            other(image(slice(-1, None)), "grad_w", "grad_b"),
            other(image(slice(0, 1)), "grad_w"),
            other(image(slice(-1, None)), "grad_w"),
            other(image(slice(0, 1)), "grad_b"),
            other(image(slice(-1, None)), "grad_b"),
        ),
    ),
    Rule(
        "batch_averaged",
        says="grad_w and grad_b are sums over the batch, not means, and grad_x is each image's own.",
        instead="divides a gradient by the number of images",
        why="If the loss is a mean, grad_y was divided already. Divided once more, steps shrink as batches "
        "grow.",
        wrong=(
            result_with(
                grad_w=lambda result, call: result["grad_w"] / len(call["x"]),
                grad_b=lambda result, call: result["grad_b"] / len(call["x"]),
            ),
            Wrong(after=lambda result, call: {k: grad / len(call["x"]) for k, grad in result.items()}),
            result_with(grad_w=lambda result, call: result["grad_w"] / len(call["x"])),
            result_with(grad_b=lambda result, call: result["grad_b"] / len(call["x"])),
        ),
    ),
    Rule(
        "grad_b_not_summed",
        says="grad_b has one number a filter: grad_y summed over the batch and over all pixels.",
        instead="leaves an axis in grad_b that should have been summed over",
        why="The bias was added to every pixel of every image, so all of their gradients are its gradient.",
        wrong=(
            result_with(grad_b=lambda result, call: call["grad_y"].sum(axis=0)),
            result_with(grad_b=lambda result, call: call["grad_y"].sum(axis=(2, 3))),
            result_with(grad_b=lambda result, call: call["grad_y"][:, :, 0, 0].sum(axis=0)),
        ),
    ),
    Rule(
        "grad_b_of_all_filters",
        says="grad_b has one number a filter.",
        instead="adds grad_y up over the filters as well",
        why="`grad_y.sum()` is one number for all biases, and lets none of them learn for itself. "
        "`grad_y.sum(axis=(0, 2, 3))` keeps the axis of the filters.",
        wrong=(
            result_with(grad_b=lambda result, call: call["grad_y"].sum()),
            result_with(grad_b=lambda result, call: np.full_like(result["grad_b"], call["grad_y"].sum())),
        ),
    ),
    Rule(
        "grad_b_averaged",
        says="grad_b is a sum, not a mean.",
        instead="averages grad_y over pixels",
        why="The bias would learn more slowly the larger the image is.",
        wrong=(
            result_with(grad_b=lambda result, call: call["grad_y"].mean(axis=(0, 2, 3))),
            result_with(grad_b=lambda result, call: call["grad_y"].mean(axis=(2, 3)).sum(axis=0)),
        ),
    ),
    Rule(
        "stride_ignored_in_grad_x",
        says="Gradients go back to where the windows stood: stride pixels apart.",
        instead="puts gradients side by side in grad_x whatever the stride",
        why="A stride in the forward pass spreads the gradient in the backward pass, with zeros between.",
        wrong=(as_if("stride", 1, "grad_x"),),
    ),
    Rule(
        "stride_ignored_in_grad_w",
        says="grad_w pairs each gradient with the pixel its window read, at oh * SH + kh * DH.",
        instead="computes grad_w as if the stride were 1",
        why="The pairs are then wrong from the second window on.",
        wrong=(as_if("stride", 1, "grad_w"), as_if("stride", 1, "grad_x", "grad_w")),
    ),
    Rule(
        "dilation_ignored_in_the_gradient",
        says="Taps that stood dilation pixels apart get their gradients from there.",
        instead="computes gradients as if the dilation were 1",
        why="Forward and backward pass have to read the same pixels; finite differences find out whether "
        "they do.",
        wrong=(
            as_if("dilation", 1, "grad_x"),
            as_if("dilation", 1, "grad_w"),
            as_if("dilation", 1, "grad_x", "grad_w"),
        ),
    ),
    Rule(
        "dropped_columns_given_gradient",
        says="Rows and columns at the end that no window reached get gradient zero.",
        instead="gives a gradient to pixels that the stride has dropped, or puts their zeros elsewhere",
        why="They did not enter the output, so the loss does not depend on them. The zeros belong to the "
        "end, because the windows start at the beginning.",
        wrong=(on_the_padded(shifted), on_the_padded(continued)),
    ),
    Rule(
        "dropped_columns_missing",
        says="grad_x has the shape of x, also where the stride has dropped rows or columns.",
        instead="returns a grad_x without the rows and columns that the stride has dropped",
        why="Sizes 7 and 8 give the same output at stride 2. The gradient cannot tell from grad_y which it "
        "was; it has to take x's shape, and PyTorch's transposed convolution has output_padding for it.",
        wrong=(result_with(grad_x=only_what_was_reached),),
    ),
    Rule(
        "padding_not_cropped",
        says="The padding's gradient is cut off again: grad_x has the shape of x.",
        instead="returns the gradient of the padded image, cuts the wrong side off, or everything",
        why="It is grad_x[:, :, p:-p, p:-p], but with p = 0 that slice is empty: [p : p + H, p : p + W] is "
        "right for both.",
        wrong=(
            result_with(grad_x=uncropped),
            result_with(grad_x=cropped_at_the_start),
            result_with(grad_x=cropped_to_minus_zero),
        ),
    ),
    Rule(
        "border_s_gradient_dropped",
        says="What the border showed of the image collects the border's gradient too.",
        instead="throws the gradient of a mirrored or repeated border away",
        why="Under reflect a pixel beside the edge is read twice, once as itself and once as its mirror "
        "image. Its gradient is the sum of both.",
        wrong=(other(border_dropped, "grad_x"),),
    ),
    Rule(
        "padding_zero_in_grad_w",
        says="grad_w pairs gradients with what the window read, the border included.",
        instead="computes grad_w as if the border were zeros",
        why="The forward pass read mirrored pixels there.",
        wrong=(other(border_dropped, "grad_w"), other(border_dropped, "grad_x", "grad_w")),
    ),
    Rule(
        "gradients_swapped",
        says="The gradients are returned in the order (grad_x, grad_w, grad_b).",
        instead="returns grad_w before grad_x",
        why="The order is that of the arguments of the convolution.",
        wrong=(Wrong(after=gradients_swapped),),
    ),
)

OPERATION = Operation(
    name="conv2d_backward",
    arrays=("grad_y", "x", "w"),
    outputs=OUTPUTS,
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "padding_mode": "zeros"},
    axes={"grad_y": "NO", "x": "NC", "w": "OC", "grad_x": "NC", "grad_w": "OC", "grad_b": "O"},
)
