"""How six systems state one convolution: the call, the padding, the counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..geometry import conv_output_size, effective_kernel, same_padding

__all__ = ["CONVENTIONS", "STATEMENTS", "Convention", "Geometry", "Statement", "same_paddings"]

Pairs = tuple[tuple[int, int], ...]


class Geometry(NamedTuple):
    """One convolution of an image, both axes."""

    size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs  # ((top, bottom), (left, right))
    dilation: tuple[int, ...]
    padding_mode: str

    @property
    def output_size(self) -> tuple[int, ...]:
        axes = zip(self.size, self.kernel_size, self.stride, self.dilation, self.padding, strict=True)
        return tuple(conv_output_size(n, k, s, d, *p) for n, k, s, d, p in axes)

    @property
    def spans(self) -> tuple[int, ...]:
        """Cells that the dilated kernel spans."""
        return tuple(effective_kernel(k, d) for k, d in zip(self.kernel_size, self.dilation, strict=True))


class Statement(NamedTuple):
    """How a system states a convolution.

    Attributes
    ----------
    system : str
        Its name.
    layout : str
        How it lays out images and filters.
    call : str or None
        The call, of x, w and b; None where it cannot.
    options : dict
        The geometry in the system's own names.
    note : str
        What to mind.
    """

    system: str
    layout: str
    call: str | None
    options: dict[str, Any]
    note: str


def torch(g: Geometry) -> Statement:
    (t, b), (left, right) = g.padding
    modes = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
    options: dict[str, Any] = {"stride": g.stride, "padding": (t, left), "dilation": g.dilation}
    if g.padding_mode not in modes:
        return Statement("PyTorch", "NCHW, OIHW", None, {}, "has no such padding mode: pad with NumPy first")
    if g.padding_mode == "zeros" and (t, left) == (b, right):
        call = f"F.conv2d(x, w, b, stride={g.stride}, padding={(t, left)}, dilation={g.dilation})"
        return Statement(
            "PyTorch", "NCHW, OIHW", call, options, "padding is one number an axis, for both sides"
        )
    padded = f'F.pad(x, {(left, right, t, b)}, mode="{modes[g.padding_mode]}")'
    note = "F.pad takes the last axis first: left, right, top, bottom"
    if g.padding_mode in ("reflect", "circular"):
        note += "; it reflects fewer cells than there are, and wraps no more"
    options["padding"] = (left, right, t, b)
    call = f"F.conv2d({padded}, w, b, stride={g.stride}, dilation={g.dilation})"
    return Statement("PyTorch", "NCHW, OIHW", call, options, note)


def tensorflow(g: Geometry) -> Statement:
    layout, names = "NHWC, HWIO", {"reflect": "REFLECT", "symmetric": "SYMMETRIC"}
    explicit = [[0, 0], *map(list, g.padding), [0, 0]]
    x, padding, note = (
        "x",
        repr(explicit),
        "a Keras layer has only valid and same: ZeroPadding2D comes before",
    )
    if g.padding == ((0, 0), (0, 0)):
        padding, note = '"VALID"', ""
    elif g.padding_mode in names:
        x, padding = f'tf.pad(x, {explicit}, "{names[g.padding_mode]}")', '"VALID"'
        note = "REFLECT does not repeat the edge, SYMMETRIC does"
    elif g.padding_mode != "zeros":
        return Statement(
            "TensorFlow, Keras", layout, None, {}, "tf.pad has no such mode: pad with NumPy first"
        )
    elif g.padding == _same(g):
        padding, note = '"SAME"', "SAME depends on the size of the image where the stride is above 1"
    if max(g.stride) > 1 and max(g.dilation) > 1:
        note = f"{note}; Keras refuses stride and dilation both above 1".lstrip("; ")
    call = f"tf.nn.conv2d({x}, w, {list(g.stride)}, {padding}, dilations={list(g.dilation)}) + b"
    options = {"strides": list(g.stride), "padding": padding.strip('"'), "dilations": list(g.dilation)}
    return Statement("TensorFlow, Keras", layout, call, options, note)


def onnx(g: Geometry) -> Statement:
    (t, b), (left, right) = g.padding
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    options: dict[str, Any] = {
        "strides": list(g.stride), "pads": [t, left, b, right], "dilations": list(g.dilation),
    }  # fmt: skip
    note = "pads hold all starts, then all ends"
    x = "X"
    if g.padding_mode != "zeros":
        if g.padding_mode not in modes:
            return Statement("ONNX", "NCHW, OIHW", None, {}, "Pad has no such mode: pad before the graph")
        x = f'Pad(X, [0, 0, {t}, {left}, 0, 0, {b}, {right}], mode="{modes[g.padding_mode]}")'
        options["pads"] = [0, 0, 0, 0]
        note += "; wrap came with opset 19" if g.padding_mode == "circular" else ""
    call = f"Conv({x}, W, B, {', '.join(f'{k}={v}' for k, v in options.items())})"
    return Statement("ONNX", "NCHW, OIHW", call, options, note)


def onednn(g: Geometry) -> Statement:
    (t, b), (left, right) = g.padding
    options = {
        "strides": list(g.stride), "dilates": [d - 1 for d in g.dilation],
        "padding_l": [t, left], "padding_r": [b, right],
    }  # fmt: skip
    note = "dilates count the skipped cells: 0 means none"
    if g.padding_mode != "zeros":
        return Statement("oneDNN", "any, by tags", None, {}, "pads with zeros alone: pad before")
    call = "convolution_forward(" + ", ".join(
        f"{name} {{{', '.join(map(str, value))}}}" for name, value in options.items()
    ) + ")"  # fmt: skip
    return Statement("oneDNN", "any, by tags", call, options, note)


NUMPY = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
    "symmetric": "symmetric",
}


def scipy(g: Geometry) -> Statement:
    x = "x" if g.padding == ((0, 0), (0, 0)) else f'np.pad(x, {g.padding}, "{NUMPY[g.padding_mode]}")'
    note = "one plane at a time; convolve2d turns the kernel round, correlate2d does not"
    if max(g.dilation) > 1:
        note += "; w has zeros between its taps here"
    if g.padding_mode in ("reflect", "symmetric"):
        ours = g.padding_mode
        theirs = {"reflect": "mirror", "symmetric": "reflect"}[ours]
        note += f'; scipy.ndimage calls this mode "{theirs}"'
    steps = "" if max(g.stride) == 1 else f"[{', '.join(f'::{s}' for s in g.stride)}]"
    call = f'signal.correlate2d({x}, {_spaced(g)}, mode="valid"){steps} + b'
    return Statement("SciPy", "H, W", call, {"pad_width": g.padding, "mode": NUMPY[g.padding_mode]}, note)


def opencv(g: Geometry) -> Statement:
    (t, b), (left, right) = g.padding
    borders = {
        "zeros": "CONSTANT", "reflect": "REFLECT_101", "replicate": "REPLICATE", "circular": "WRAP",
        "symmetric": "REFLECT",
    }  # fmt: skip
    border = f"cv2.BORDER_{borders[g.padding_mode]}"
    x = (
        "x"
        if g.padding == ((0, 0), (0, 0))
        else f"cv2.copyMakeBorder(x, {t}, {b}, {left}, {right}, {border})"
    )
    # Its output is as large as its input; the anchor in the kernel's corner puts valid windows first.
    ends = [
        f":{n + sum(p) - e + 1}:{s}" for n, p, e, s in zip(g.size, g.padding, g.spans, g.stride, strict=True)
    ]
    call = f"cv2.filter2D({x}, -1, {_spaced(g)}, anchor=(0, 0))[{', '.join(ends)}] + b"
    note = "one plane at a time; left alone, filter2D pads by BORDER_REFLECT_101, not by zeros"
    return Statement("OpenCV", "H, W", call, {"borderType": border, "anchor": (0, 0)}, note)


def _spaced(g: Geometry) -> str:
    """Return the kernel, with zeros between its taps where it is dilated."""
    if max(g.dilation) == 1:
        return "w"
    rows, columns = (f"np.eye({e})[::{d}]" for d, e in zip(g.dilation, g.spans, strict=True))
    return f"({rows}.T @ w @ {columns})"


STATEMENTS: tuple[Callable[[Geometry], Statement], ...] = (torch, tensorflow, onnx, onednn, scipy, opencv)
"""One function a system."""


# --- what "same" means ---------------------------------------------------------------------


def _same(g: Geometry) -> Pairs:
    return tuple(map(same_padding, g.size, g.kernel_size, g.stride, g.dilation))


def same_paddings(g: Geometry) -> dict[str, tuple[Pairs | None, str]]:
    """Return, for each way to ask for as many outputs as ``ceil(n / s)``, the padding that it means.

    None stands for a refusal; the string says why, or what is special.
    """
    upper = _same(g)
    lower = tuple((after, before) for before, after in upper)
    half: Pairs = tuple((d * (k - 1) // 2,) * 2 for k, d in zip(g.kernel_size, g.dilation, strict=True))
    # The window's middle stands on each s-th pixel; of an even number of taps, one of two is the middle.
    second: Pairs = tuple((e // 2, (e - 1) // 2) for e in g.spans)
    first: Pairs = tuple((after, before) for before, after in second)
    fits = all(n + sum(p) >= e for n, p, e in zip(g.size, half, g.spans, strict=True))
    return {
        'PyTorch padding="same"': (None, "refuses a stride above 1") if max(g.stride) > 1 else (upper, ""),
        "d*(k - 1)//2 each side": (half, "by custom") if fits else (None, "by custom; no window fits"),
        'Keras "same", ONNX SAME_UPPER': (upper, "an odd cell goes after"),
        "ONNX SAME_LOWER": (lower, "an odd cell goes before"),
        'SciPy signal.correlate2d "same" [::s]': (first, ""),
        "SciPy ndimage.correlate [::s]": (second, 'border "reflect", edge repeated, unless told'),
        "OpenCV filter2D [::s]": (second, "its border is BORDER_REFLECT_101 unless told"),
    }


# --- counts and conventions ----------------------------------------------------------------


class Convention(NamedTuple):
    """What a system means by some numbers that have no shape to betray them.

    Attributes
    ----------
    system : str
        Its name.
    no_dilation : int
        What stands for a kernel without gaps.
    momentum : float or None
        Its default in batch norm; None where it keeps no running statistics.
    weighs : str
        Whether that is the weight of the new batch or of the old statistics.
    eps : float or None
        Its default in batch norm.
    running_variance : str
        Which variance goes into the running one.
    divisor_counts_padding : bool or None
        Whether an average pooling divides by padding cells, too, unless told otherwise; None where the
        caller has to say.
    """

    system: str
    no_dilation: int
    momentum: float | None
    weighs: str
    eps: float | None
    running_variance: str
    divisor_counts_padding: bool | None


CONVENTIONS = (
    Convention("PyTorch", 1, 0.1, "the new batch", 1e-5, "unbiased", True),
    Convention("Keras", 1, 0.99, "the old statistics", 1e-3, "biased", False),
    Convention("ONNX", 1, 0.9, "the old statistics", 1e-5, "biased", False),
    Convention("oneDNN", 0, None, "", None, "", None),
)
