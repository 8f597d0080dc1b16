"""What the operations with sliding windows share: numbers for their cases, and rules of geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from ..model import Call, Result, Rule, Wrong

__all__ = [
    "BATCH",
    "BORDER",
    "DILATION",
    "EDGE_NOT_REPEATED",
    "EDGE_REPEATED",
    "PADDING",
    "STRIDE",
    "both",
    "counting",
    "digits",
    "modes_exchanged",
    "option",
    "other_mode",
    "rule_with",
    "scattered",
    "small_geometries",
    "sorted_channels",
    "taps",
    "windows_apart",
]

# --- numbers and options --------------------------------------------------------------------


def both(value: Any) -> tuple[Any, Any]:
    """Return an option's value for rows and for columns; what a case holds is known to be valid."""
    return value if isinstance(value, tuple) else (value, value)


def counting(*shape: int) -> np.ndarray:
    """Return 1, 2, 3 ...: pixels that can be told apart, and sums that can be done by hand."""
    return np.arange(1.0, np.prod(shape) + 1).reshape(shape)


def digits(*shape: int) -> np.ndarray:
    """Return weights 1, 10, 100, 1000: each digit of a sum tells which pixel met which tap."""
    size = int(np.prod(shape))
    return 10.0 ** np.arange(size).reshape(shape) if size <= 4 else scattered(*shape)


def scattered(*shape: int) -> np.ndarray:
    """Return small whole numbers of both signs and without any order; none is zero."""
    numbers = np.random.default_rng(int(np.prod(shape))).integers(1, 8, shape)
    signs = np.where(np.arange(numbers.size).reshape(shape) * 7 % 5 < 2, -1.0, 1.0)
    return numbers * signs


SIZES = ((1, 1), (1, 2), (1, 3), (2, 2), (1, 4), (2, 3), (3, 2), (3, 3), (4, 4), (3, 5))
KERNELS = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 3))
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"stride": 2},
    {"stride": 3},
    {"stride": (1, 2)},
    {"stride": (2, 1)},
    {"padding": 1},
    {"padding": 2},
    {"padding": (0, 1)},
    {"padding": (1, 0)},
    {"dilation": 2},
    {"dilation": (1, 2)},
    {"dilation": (2, 1)},
)


def small_geometries(
    options: tuple[dict[str, Any], ...] = OPTIONS,
) -> Iterator[tuple[tuple[int, int], tuple[int, int], dict[str, Any]]]:
    """Yield (image size, kernel size, options) of every small geometry in which a window fits."""
    for size, kernel, chosen in product(SIZES, KERNELS, options):
        p, d = (both(chosen.get(k, v)) for k, v in (("padding", 0), ("dilation", 1)))
        axes = zip(size, kernel, p, d, strict=True)
        if all(n + 2 * p_ >= d_ * (k - 1) + 1 for n, k, p_, d_ in axes):
            yield size, kernel, chosen


# --- detours -------------------------------------------------------------------------------


def option(name: str, value: Any, default: int | None = None) -> Callable[[Call], Call]:
    """Return a detour that gives an option another value: a number, or a function of its (rows, columns).

    Calls without the option stay as they are, unless its `default` is said.
    """

    def change(call: Call) -> Call:
        if name not in call and default is None:
            return call
        return {**call, name: value(*both(call.get(name, default))) if callable(value) else value}

    return change


def option_ignored(name: str, value: int) -> tuple[Wrong, ...]:
    """Return ways to give an option its default: for both axes, for rows, or for columns."""
    return (
        Wrong(option(name, value)),
        Wrong(option(name, lambda h, w: (value, w))),
        Wrong(option(name, lambda h, w: (h, value))),
    )


def taps(call: Call) -> tuple[int, ...]:
    """Rows and columns of the kernel or window."""
    return call["w"].shape[2:] if "w" in call else both(call["kernel_size"])


def sorted_channels(call: Call, groups: int) -> np.ndarray:
    """Return x with its channels sorted by what they leave over when divided by `groups`."""
    channels = np.arange(call["x"].shape[1])
    return call["x"][:, np.argsort(channels % groups, kind="stable")]


def padded_uninvited(before: Callable[[int], int], after: Callable[[int], int]) -> Callable[[Call], Call]:
    """Return a detour that pads where no padding is asked for, by functions of the window's span less one."""

    def change(call: Call) -> Call:
        if "padding" in call:
            return call
        spans = [d * (k - 1) for d, k in zip(both(call.get("dilation", 1)), taps(call), strict=True)]
        return {**call, "padding": tuple((before(span), after(span)) for span in spans)}

    return change


def padded_further(before: Callable[[int], int], after: Callable[[int], int]) -> Callable[[Call], Call]:
    """Return a detour that pads like :func:`padded_uninvited`, on top of any padding that is asked for."""
    uninvited = padded_uninvited(before, after)

    def change(call: Call) -> Call:
        asked = both(call.get("padding", 0))
        more = uninvited({k: v for k, v in call.items() if k != "padding"})["padding"]
        return {**call, "padding": tuple((p + a, p + b) for p, (a, b) in zip(asked, more, strict=True))}

    return change


def padded_by_hand(mode: str) -> Callable[[Call], Call]:
    """Return a detour whose border shows pixels of the image, where it should show zeros."""

    def change(call: Call) -> Call:
        if call.get("padding_mode", "zeros") != "zeros":
            return call
        return {**call, "padding_mode": mode}

    return change


def all_axes_padded(call: Call) -> Call:
    """Pad batch and channels with zeros as well, as np.pad(x, padding) does; none is read past the last."""
    first, second = both(call.get("padding", 0))
    if first == second == 0:
        return call
    x = np.pad(call["x"], [(first, second)] * 2 + [(0, 0)] * 2)
    channels = call["x"].shape[1] if "w" in call else None
    return {**call, "x": x[:, :channels].copy(), "padding": ((first, second), (first, second))}


def one_sided(which: Callable[[int], tuple[int, int]]) -> Callable[[Call], Call]:
    return option("padding", lambda h, w: (which(h), which(w)))


def first_image_only(result: Result, call: Call) -> Result:
    return {name: y[:1] for name, y in result.items()}


def other_images_zero(result: Result, call: Call) -> Result:
    return {name: np.concatenate([y[:1], np.zeros_like(y[1:])]) for name, y in result.items()}


def images_the_same(result: Result, call: Call) -> Result:
    return {name: np.broadcast_to(y[:1], y.shape) for name, y in result.items()}


# --- rules ---------------------------------------------------------------------------------


def windows_apart(compute: Callable[[Call], Result]) -> Callable[[Call], Result]:
    """Return as many windows as the stride asks for, but one pixel apart.

    Where one window is all that an axis has, its stride says nothing and is left alone: in ceil mode, that
    window may be larger than the image, and at stride 1 there would be none.
    """

    def close(call: Call) -> Result:
        wanted = compute(call)
        rows, columns = next(iter(wanted.values())).shape[2:]
        given = both(call.get("stride") or call.get("kernel_size", 1))
        stride = tuple(1 if o > 1 else s for o, s in zip((rows, columns), given, strict=True))
        return {k: a[:, :, :rows, :columns] for k, a in compute({**call, "stride": stride}).items()}

    return close


STRIDE = (
    Rule(
        "stride_ignored",
        says="Window (oh, ow) starts stride times as far down and right: at (oh * SH, ow * SW).",
        instead="moves its window by one pixel whatever the stride, along both axes or one of them",
        why="Stride 2 halves both sides of the image and quarters the work. Ignoring it changes the shape of "
        "all that follows; where only the loop's end knows of it, and its body reads `x[i]` for `x[i * s]`, "
        "the shape is right and only the image's corner is seen.",
        wrong=option_ignored("stride", 1),
    ),
    Rule(
        "stride_swapped",
        says="Of stride=(SH, SW) the first number moves the window down, the second to the right.",
        instead="mixes up the strides of rows and columns",
        why="Options are written rows first, like shapes. Code that thinks in x and y exchanges them, and "
        "equal numbers hide it.",
        wrong=(
            Wrong(option("stride", lambda h, w: (w, h))),
            Wrong(option("stride", lambda h, w: (h, h))),
            Wrong(option("stride", lambda h, w: (w, w))),
        ),
    ),
)

PADDING = (
    Rule(
        "padding_ignored",
        says="Padding puts cells around the image before the window starts to move.",
        instead="returns the same with padding as without, along both axes or one of them",
        why="Without padding a 3x3 kernel takes two rows and two columns off the image in every layer.",
        wrong=option_ignored("padding", 0),
    ),
    Rule(
        "padding_uninvited",
        says="Without padding every window lies inside the image: at stride 1 the output is k - 1 smaller.",
        instead="pads although no padding was asked for",
        why="`mode='same'` of SciPy and OpenCV keeps the size, `mode='full'` enlarges it; PyTorch's default, "
        "`mode='valid'`, adds nothing. The border of the result is then made of zeros in part.",
        wrong=(
            Wrong(padded_uninvited(lambda span: span // 2, lambda span: span - span // 2)),
            Wrong(padded_uninvited(lambda span: span - span // 2, lambda span: span // 2)),
            Wrong(padded_uninvited(lambda span: span, lambda span: span)),
            Wrong(padded_uninvited(lambda span: (span + 1) // 2, lambda span: (span + 1) // 2)),
            Wrong(padded_further(lambda span: span // 2, lambda span: span - span // 2)),
            Wrong(padded_further(lambda span: span - span // 2, lambda span: span // 2)),
            Wrong(padded_further(lambda span: span, lambda span: span)),
        ),
    ),
    Rule(
        "padding_one_sided",
        says="padding=p puts p cells on each side: p before and p after.",
        instead="pads one side only",
        why="With all of the padding on one side the shape may be right and the picture moves by p pixels. "
        "A size with p where 2p belongs loses what the padding behind would have made.",
        wrong=(
            Wrong(one_sided(lambda p: (p, 0))),
            Wrong(one_sided(lambda p: (0, p))),
            Wrong(one_sided(lambda p: (2 * p, 0))),
            Wrong(one_sided(lambda p: (0, 2 * p))),
        ),
    ),
    Rule(
        "padding_swapped",
        says="Of padding=(PH, PW) the first number is for the rows above and below, the second for the "
        "columns.",
        instead="mixes up the padding of rows and columns",
        why="Options are written rows first, like shapes. PyTorch's `pad` function is the exception: last "
        "axis first.",
        wrong=(
            Wrong(option("padding", lambda h, w: (w, h))),
            Wrong(option("padding", lambda h, w: (h, h))),
            Wrong(option("padding", lambda h, w: (w, w))),
        ),
    ),
    Rule(
        "wrong_axes_padded",
        says="Rows and columns are padded; batch and channels stay as they are.",
        instead="pads every axis, batch and channels too",
        why="`np.pad(x, p)` adds p empty images before and behind the batch, and p empty channels to each: "
        "`np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))` says what is meant.",
        wrong=(Wrong(all_axes_padded),),
    ),
    Rule(
        "border_not_zero",
        says="Padding is zero unless another padding mode is asked for.",
        instead="fills the border with pixels of the image",
        why="Zeros are what networks are trained with. A border of copies adds brightness at the edge that "
        "the weights do not expect.",
        wrong=tuple(Wrong(padded_by_hand(m)) for m in ("replicate", "reflect", "symmetric", "circular")),
    ),
)

EDGE_REPEATED = Rule(
    "edge_repeated",
    says="The mode reflect mirrors at the middle of the edge cell, which is not repeated: c b | a b c | b a.",
    instead="repeats the edge when it mirrors: b a | a b c | c b",
    why="The names clash: what PyTorch and NumPy call reflect is mirror to SciPy, and SciPy's reflect is "
    "symmetric here. A repeated edge weighs double, and a gradient estimated across it is zero.",
)
EDGE_NOT_REPEATED = Rule(
    "edge_not_repeated",
    says="The mode symmetric mirrors behind the edge cell, which so comes twice: b a | a b c | c b.",
    instead="leaves the edge out when it mirrors: c b | a b c | b a",
    why="It is the mirror image of confusing reflect with symmetric; shapes are equal, values are not.",
)


def other_mode(name: str, old: str, new: str) -> Wrong:
    """One padding mode taken for another."""
    return Wrong(lambda call: {**call, name: new} if call.get(name) == old else call)


def modes_exchanged(name: str) -> Rule:
    """Return the rule about the two modes that mirror, for an operation that calls its mode `name`."""
    other = {"reflect": "symmetric", "symmetric": "reflect"}
    return Rule(
        "mirrors_exchanged",
        says="reflect mirrors at the middle of the edge cell, symmetric behind it.",
        instead="exchanges the modes reflect and symmetric",
        why="SciPy's `mirror` is reflect here, and SciPy's `reflect` is symmetric. The shapes are the same: "
        "only the numbers tell.",
        wrong=(
            Wrong(lambda call: {**call, name: other.get(call[name], call[name])} if name in call else call),
        ),
    )


def rule_with(rule: Rule, *wrong: Wrong) -> Rule:
    return Rule(rule.name, rule.says, rule.instead, rule.why, wrong)


BORDER = (
    modes_exchanged("padding_mode"),
    rule_with(EDGE_REPEATED, other_mode("padding_mode", "reflect", "symmetric")),
    rule_with(EDGE_NOT_REPEATED, other_mode("padding_mode", "symmetric", "reflect")),
    Rule(
        "padding_mode_ignored",
        says="What the border shows is for padding_mode to say.",
        instead="pads with zeros whatever the padding mode",
        why="Zeros darken the border, and a network sees the frame. The other modes exist to avoid that.",
        wrong=(Wrong(lambda call: {k: v for k, v in call.items() if k != "padding_mode"}),),
    ),
)

DILATION = (
    Rule(
        "dilation_ignored",
        says="Taps stand dilation pixels apart: tap (kh, kw) reads (kh * DH, kw * DW) from the window's "
        "corner.",
        instead="keeps its taps side by side whatever the dilation, along both axes or one of them",
        why="Dilation widens the window without more weights: 3 taps at dilation 2 span 5 pixels.",
        wrong=option_ignored("dilation", 1),
    ),
    Rule(
        "dilation_counts_from_zero",
        says="Dilation 1 means no gaps: it is the distance between taps, not the number of pixels skipped.",
        instead="skips as many pixels as dilation says, one too many",
        why="oneDNN counts the gaps, from 0; PyTorch, TensorFlow and ONNX count the distance, from 1.",
        wrong=(
            Wrong(option("dilation", lambda h, w: (h + 1, w + 1))),
            Wrong(option("dilation", lambda h, w: (h + 1, w + 1), default=1)),
        ),
    ),
    Rule(
        "dilation_swapped",
        says="Of dilation=(DH, DW) the first number is the distance of rows, the second of columns.",
        instead="mixes up the dilation of rows and columns",
        why="Options are written rows first, like shapes.",
        wrong=(
            Wrong(option("dilation", lambda h, w: (w, h))),
            Wrong(option("dilation", lambda h, w: (h, h))),
            Wrong(option("dilation", lambda h, w: (w, w))),
        ),
    ),
)

BATCH = (
    Rule(
        "batch_not_looped",
        says="Every image of the batch is worked on, independently of the others.",
        instead="does its work for the first image only",
        why="A batch of one hides it. Training then sees one example of each batch.",
        wrong=(Wrong(after=first_image_only), Wrong(after=other_images_zero), Wrong(after=images_the_same)),
    ),
)
