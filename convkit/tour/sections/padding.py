"""Section: what stands outside the image."""

from __future__ import annotations

from typing import Any

import numpy as np

import convkit

from ...explain import pictures
from ...geometry import index_table
from ..page import Section, drawing, picture, plural
from ..photo import Photo

MODES = {
    "constant": "Zeros, or another constant: a black frame. The usual choice in networks.",
    "reflect": "The image in a mirror that stands <i>on</i> the edge pixels: they are not repeated.",
    "replicate": "The edge pixels, again and again.",
    "circular": "The other side of the image: it wraps round.",
}
NUMPY: dict[str, Any] = {
    "constant": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}
ELSEWHERE = {
    "zeros": "SciPy <code>constant</code>",
    "reflect": "SciPy <code>mirror</code>",
    "symmetric": "SciPy <code>reflect</code>",
    "replicate": "NumPy <code>edge</code>, SciPy <code>nearest</code>",
    "circular": "NumPy and SciPy <code>wrap</code>",
}


def padding(it: Photo) -> Section:
    """Show each padding mode round the photograph, as letters, and what padding does to the edge."""
    s = Section("padding", "Padding: what is outside the image?")
    x, (H, W) = it.x, it.shape
    p = max(min(H, W) // 5, 1)
    s.text(
        "A window at the edge asks for pixels that do not exist. Padding answers, in one of several ways; "
        f"here each side gets {plural(p, 'pixel')} more"
        + (", and a line marks where the photograph ends." if p >= 8 else ".")
    )
    figures = []
    for mode, text in MODES.items():
        if mode == "reflect" and min(H, W) < 2:
            s.note(
                f"<b>Reflect</b> needs at least 2 pixels along each axis, and this image has {H} × {W}: "
                "a single pixel has no neighbour to show in the mirror."
            )
            continue
        y = convkit.pad(x, (p, p, p, p), mode)
        s.check(
            f'<code>pad(…, mode="{mode}")</code> agrees with <code>numpy.pad</code>, its mode '
            f"<code>{NUMPY[mode]}</code>.",
            y,
            np.pad(x, ((0, 0), (p, p), (p, p)), mode=NUMPY[mode]),
        )
        pixels = y.transpose(1, 2, 0).astype(np.uint8)
        if p >= 8:
            pixels = pictures.outlined(pixels, p, p, H, W, line=max(1, W // 170))
        figures.append(picture(pixels, f"<b>{mode}</b>. {text}", f"The photograph padded by mode {mode}"))
    s.figures(*figures, least=340)
    s.text(
        "Behind each mode stands a short list of whole numbers: for each cell of the padded axis, the input cell "
        "that it shows. A kernel reads this list and never learns the mode’s name. For four pixels <code>a b c d</code> and "
        "three of padding on either side:"
    )
    rows = []
    for mode, other in ELSEWHERE.items():
        letters = ["0" if i < 0 else "abcd"[i] for i in index_table(4, 3, 3, mode)]
        shown = f"{' '.join(letters[:3])} | <b>{' '.join(letters[3:7])}</b> | {' '.join(letters[7:])}"
        rows.append((f"<code>{mode}</code>", f"<code>{shown}</code>", other))
    s.table(("mode", "padded", "known elsewhere as"), rows)
    _edges(s)
    s.code(
        "convkit.pad(x, (16, 16, 8, 8))               # left, right, top, bottom: the last axis first\n"
        'convkit.conv2d(x, np.ones((1, 3, 3, 3), np.float32), padding=1, padding_mode="replicate")'
    )
    return s


def _edges(s: Section) -> None:
    """How often each pixel is read, with and without padding, and how zeros darken the border."""
    ones, w = np.ones((1, 1, 7, 7)), np.ones((1, 1, 3, 3))
    figures = []
    for p, text in ((0, "without padding"), (1, "with one pixel of padding")):
        y = convkit.conv2d(ones, w, padding=p)
        gradient = convkit.conv2d_backward(np.ones_like(y), ones, w, padding=p).grad_x
        assert gradient is not None  # it was asked for
        reads = gradient[0, 0]
        figures.append(
            drawing(
                pictures.numbers(reads, two_sided=False),
                f"How many 3 × 3 windows read each of 7 × 7 pixels, <b>{text}</b>: {y.shape[2]} × {y.shape[3]} outputs.",
                f"A 7 by 7 grid of counts {text}, from {reads.min():g} in the corners to {reads.max():g} inside",
            )
        )
        if p == 0:
            s.check(
                "Without padding a corner is read once and an inner pixel nine times.",
                reads[[0, 3], [0, 3]],
                [1, 9],
            )
    s.text(
        "Without padding the edge is not only lost from the output, it is also <b>read less often</b>: the centre of a "
        "large image takes part in nine windows, its corner pixel in one. Padding evens this out, at a price:"
    )
    s.figures(*figures, least=280)
    blurred = convkit.conv2d(ones, w / 9, padding=1)[0, 0]
    s.check(
        "Zero padding leaves a 3 × 3 mean 4/9 of the light at a corner and 6/9 at an edge.",
        blurred[0, [0, 3]],
        [4 / 9, 6 / 9],
        bound=1e-15,
    )
    s.text(
        f"Zeros are dark. A 3 × 3 mean over an all-white image keeps {100 * blurred[0, 0]:.1f} % of its light at a corner "
        f"and {100 * blurred[0, 3]:.1f} % along an edge; with <code>replicate</code> it would keep all of it."
    )
