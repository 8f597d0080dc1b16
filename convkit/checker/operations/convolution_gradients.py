"""How rules of the gradients of a convolution are broken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...conv import conv2d_backward
from ...padding import pad, pad_backward
from ..model import Call, Result, Wrong
from .convolutions import both

__all__ = [
    "OUTPUTS",
    "as_if",
    "assigned",
    "border_dropped",
    "compute",
    "continued",
    "cropped_at_the_start",
    "cropped_to_minus_zero",
    "filter_alone",
    "gradients_swapped",
    "image",
    "of_the_last_window",
    "on_the_padded",
    "only_what_was_reached",
    "other",
    "padded",
    "reached",
    "result_with",
    "shifted",
    "turned",
    "uncropped",
]

OUTPUTS = ("grad_x", "grad_w", "grad_b")


def compute(call: Call) -> Result:
    return conv2d_backward(**call)._asdict()


def other(change: Callable[[Call], Call], *names: str) -> Wrong:
    """Some of the gradients as they would be of another call, the rest as they should be."""

    def wrong(result: Result, call: Call) -> Result:
        changed = compute(change(call))
        return {**result, **{name: changed[name] for name in names}}

    return Wrong(after=wrong)


def result_with(**formulas: Callable[[Result, Call], np.ndarray]) -> Wrong:
    """Some of the gradients by another formula."""
    return Wrong(after=lambda result, call: {**result, **{k: f(result, call) for k, f in formulas.items()}})


def turned(call: Call) -> Call:
    return {**call, "w": call["w"][..., ::-1, ::-1].copy()}


def image(which: slice) -> Callable[[Call], Call]:
    return lambda call: {**call, "x": call["x"][which].copy(), "grad_y": call["grad_y"][which].copy()}


def filter_alone(o: int) -> Callable[[Call], Call]:
    """Return a detour by weights of which all but one filter's are zeros."""

    def change(call: Call) -> Call:
        w = np.zeros_like(call["w"])
        w[o] = call["w"][o]
        return {**call, "w": w}

    return change


def sides(call: Call) -> tuple[int, int, int, int]:
    """Return the padding as `pad` wants it."""
    ph, pw = both(call.get("padding", 0))
    return pw, pw, ph, ph


def mode_of(call: Call) -> str:
    mode = call.get("padding_mode", "zeros")
    return "constant" if mode == "zeros" else mode


def padded(call: Call) -> Call:
    """Return a call on an image that is padded already."""
    rest = {k: v for k, v in call.items() if k not in ("padding", "padding_mode")}
    return {**rest, "x": pad(call["x"], sides(call), mode_of(call))}


def cropped_back(call: Call, grad: np.ndarray) -> np.ndarray:
    return pad_backward(np.ascontiguousarray(grad), call["x"].shape, sides(call), mode_of(call))


def on_the_padded(formula: Callable[[np.ndarray, Call], np.ndarray]) -> Wrong:
    """The gradient for the padded image changed by a formula, then taken back to the image."""

    def grad_x(result: Result, call: Call) -> np.ndarray:
        return cropped_back(call, formula(compute(padded(call))["grad_x"], call))

    return result_with(grad_x=grad_x)


def reached(call: Call, s: tuple[int, ...], d: tuple[int, ...]) -> tuple[int, int]:
    """Return how many rows and columns the windows reach at stride s and dilation d."""
    axes = zip(call["grad_y"].shape[2:], call["w"].shape[2:], s, d, strict=True)
    rows, columns = ((o - 1) * s_ + d_ * (k - 1) + 1 for o, k, s_, d_ in axes)
    return rows, columns


def as_if(name: str, value: int, *outputs: str) -> Wrong:
    """Some gradients with stride or dilation 1, on as much of the image as is then reached."""

    def after(result: Result, call: Call) -> Result:
        whole = padded({**call, name: value})
        s, d = (both(whole.get(k, 1)) for k in ("stride", "dilation"))
        rows, columns = reached(call, s, d)
        x = whole["x"][:, :, :rows, :columns].copy()
        part = compute({**whole, "x": x})
        grown = np.zeros_like(whole["x"])
        grown[:, :, :rows, :columns] = part["grad_x"]
        changed = {"grad_x": cropped_back(call, grown), "grad_w": part["grad_w"]}
        return {**result, **{output: changed[output] for output in outputs}}

    return Wrong(after=after)


def left_over(call: Call) -> tuple[int, int]:
    """Return how many rows and columns of the padded image no window reaches."""
    s, d = (both(call.get(k, 1)) for k in ("stride", "dilation"))
    (ph, pw), (H, W) = both(call.get("padding", 0)), call["x"].shape[2:]
    rows, columns = reached(call, s, d)
    return H + 2 * ph - rows, W + 2 * pw - columns


def shifted(grad: np.ndarray, call: Call) -> np.ndarray:
    """Put the rows and columns that no window reaches first instead of last."""
    return np.roll(grad, left_over(call), axis=(2, 3))


def continued(grad: np.ndarray, call: Call) -> np.ndarray:
    """Give what no window reaches its neighbour's gradient."""
    rows, columns = left_over(call)
    H, W = grad.shape[2:]
    inner = grad[:, :, : max(H - rows, 0), : max(W - columns, 0)]
    return pad(np.ascontiguousarray(inner), (0, W - inner.shape[3], 0, H - inner.shape[2]), "replicate")


def only_what_was_reached(result: Result, call: Call) -> np.ndarray:
    """Leave rows and columns away that no window reaches: the shape of a plain transposed convolution."""
    rows, columns = left_over(call)
    (ph, pw), grad = both(call.get("padding", 0)), compute(padded(call))["grad_x"]
    H, W = grad.shape[2:]
    return grad[:, :, ph : H - ph - rows, pw : W - pw - columns]


def assigned(by_filter: bool) -> Wrong:
    """Windows written one over the other instead of added: `=` where `+=` belongs."""

    def grad_x(result: Result, call: Call) -> np.ndarray:
        whole = padded(call)
        dy, w, x = call["grad_y"], call["w"], whole["x"]
        (SH, SW), (DH, DW) = (both(call.get(k, 1)) for k in ("stride", "dilation"))
        G, (OC, ICG, KH, KW) = call.get("groups", 1), w.shape
        grad = np.zeros_like(x)
        each = [slice(o, o + 1) for o in range(OC // G)] if by_filter else [slice(None)]
        for g in range(G):
            channels, filters = slice(g * ICG, (g + 1) * ICG), slice(g * OC // G, (g + 1) * OC // G)
            for chosen in each:
                for oh, ow in np.ndindex(dy.shape[2:]):
                    rows = slice(oh * SH, oh * SH + DH * (KH - 1) + 1, DH)
                    columns = slice(ow * SW, ow * SW + DW * (KW - 1) + 1, DW)
                    product = np.tensordot(dy[:, filters, oh, ow][:, chosen], w[filters][chosen], 1)
                    grad[:, channels, rows, columns] = product
        return cropped_back(call, grad)

    return result_with(grad_x=grad_x)


def uncropped(result: Result, call: Call) -> np.ndarray:
    return compute(padded(call))["grad_x"]


def cropped_at_the_start(result: Result, call: Call) -> np.ndarray:
    H, W = call["x"].shape[2:]
    return compute(padded(call))["grad_x"][:, :, :H, :W]


def cropped_to_minus_zero(result: Result, call: Call) -> np.ndarray:
    ph, pw = both(call.get("padding", 0))
    return compute(padded(call))["grad_x"][:, :, ph:-ph, pw:-pw]


def border_dropped(call: Call) -> Call:
    return {k: v for k, v in call.items() if k != "padding_mode"}


def gradients_swapped(result: Result, call: Call) -> Result:
    return {**result, "grad_x": result["grad_w"], "grad_w": result["grad_x"]}


def of_the_last_window(call: Call) -> Call:
    """Return the call with no gradient but that of the last window."""
    grad_y = np.zeros_like(call["grad_y"])
    grad_y[..., -1:, -1:] = call["grad_y"][..., -1:, -1:]
    return {**call, "grad_y": grad_y}
