"""Section: what different kernels see."""

from __future__ import annotations

import numpy as np

import convkit

from ...explain import pictures
from ..page import Section, cells, picture
from ..photo import Photo
from .filters import GREEN, PICTURES, SIGNED, greenness, kernel

SIDE = 240  # pixels of the detail that the gallery shows


def gallery(it: Photo) -> Section:
    """Show a detail of the photograph through eight kernels of nine weights, and one of 27."""
    s = Section("kernels", "A gallery of kernels")
    H, W = it.shape
    h, w = min(H, SIDE), min(W, SIDE)
    top, left = (H - h) * 2 // 5, (W - w) // 2
    x = it.x[:, top : top + h, left : left + w]
    grey = convkit.channel_mean(x)[None]
    s.text(
        "A kernel is a small table of weights. Convolution lays it over every pixel, multiplies each weight by the pixel "
        "beneath it, and adds up. Nine weights decide what comes out: here is one detail of the photograph, seen through "
        "eight such kernels. (Networks compute <i>cross-correlation</i>: the kernel is not turned round first. "
        "<code>flip=True</code> turns it.)"
    )
    pictures_ = [_picture(x, name, *entry) for name, entry in PICTURES.items()]
    s.check("The identity kernel returns every pixel.", _depthwise(x, kernel(PICTURES["identity"][0])), x)
    s.text(
        "The first four make pictures again. With <code>groups=3</code> the red, green and blue planes are each "
        "convolved by themselves."
    )
    s.figures(*pictures_, least=165)
    s.text(
        "The next four answer with a <b>sign</b>. They work on the grey picture, the mean of the three planes; blue is below "
        "zero, near-white is zero, red is above."
    )
    s.figures(*(_signed(grey, name, *entry) for name, entry in SIGNED.items()), least=165)
    flat, together = np.full_like(grey, 100.0), np.stack([kernel(*entry[:2]) for entry in SIGNED.values()])
    y = convkit.conv2d(flat, together[:, None], padding=1, padding_mode="replicate")
    s.check(
        "Emboss, both Sobel kernels and the Laplacian have weights that sum to zero: a flat area gives zero.",
        y,
        np.zeros_like(y),
    )
    y = convkit.conv2d(x, greenness(), padding=1, padding_mode="replicate")[0]
    limit = float(np.abs(y).max())
    weights = "".join(
        cells(plane * 32, 8.0, name=f"{name} × 1/32")
        for name, plane in zip(("red", "green", "blue"), greenness()[0], strict=True)
    )
    s.text(
        "Filters of real networks look at <b>all channels at once</b>. This one has 3 × 3 × 3 = 27 weights: a soft blur of "
        f"green, minus half as much of red and of blue (planes weighted {', '.join(f'{g / 2:+g}' for g in GREEN).replace('-', '−')}). "
        "White, grey and black all cancel; only colour is left."
    )
    s.figures(
        picture(x.transpose(1, 2, 0).astype(np.uint8), "The detail.", "A detail of the photograph"),
        picture(
            pictures.signed(y),
            f"<b>Green against red and blue</b>: red where green wins, blue where it loses, up to ±{limit:.0f}."
            + (" This image is grey, so everything cancels." if limit == 0 else ""),
            "Where the detail is greener or less green than grey",
        ),
    )
    s.blocks.append(f'<div class="card product">{weights}</div>')
    s.text(
        "One such filter (27 weights and perhaps a bias) makes <b>one</b> output channel. A layer has a bank of them, "
        "a tensor of rank 4 <code>(OC, IC, KH, KW)</code>, and stacks their outputs into a tensor of rank 3."
    )
    s.code(
        "sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=np.float32)\n"
        "each = np.repeat(sobel[None, None], 3, axis=0)          # (3, 1, 3, 3)\n"
        'convkit.conv2d(x, each, padding="same", groups=3)       # three planes in, three planes out\n'
        "together = np.repeat(sobel[None, None], 3, axis=1)      # (1, 3, 3, 3)\n"
        'convkit.conv2d(x, together, padding="same")             # three planes in, one out'
    )
    return s


def _depthwise(x: np.ndarray, k: np.ndarray) -> np.ndarray:
    w = np.repeat(k[None, None], 3, axis=0)
    return convkit.conv2d(x, w, padding=1, groups=3, padding_mode="replicate")


def _picture(x: np.ndarray, name: str, whole: list[list[int]], divisor: int, text: str) -> str:
    y = _depthwise(x, kernel(whole, divisor))
    return _with_kernel(
        np.round(np.clip(y, 0, 255)).astype(np.uint8).transpose(1, 2, 0), name, whole, divisor, text
    )


def _signed(x: np.ndarray, name: str, whole: list[list[int]], divisor: int, text: str) -> str:
    y = convkit.conv2d(x, kernel(whole, divisor)[None, None], padding=1, padding_mode="replicate")[0]
    limit = float(np.percentile(np.abs(y), 99.5))  # a few extreme pixels would leave the rest pale
    return _with_kernel(pictures.signed(y, limit), name, whole, divisor, text)


def _with_kernel(pixels: np.ndarray, name: str, whole: list[list[int]], divisor: int, text: str) -> str:
    values = np.array(whole, dtype=float)
    table = cells(values, float(np.abs(values).max()), name=f"× 1/{divisor}" if divisor > 1 else "")
    caption = f'<div class="with-kernel">{table}<div><b>{name}</b>. {text}</div></div>'
    return picture(pixels, caption, f"The detail through the kernel {name}")
