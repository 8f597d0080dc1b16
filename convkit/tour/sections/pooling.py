"""Section: average and max pooling."""

from __future__ import annotations

import numpy as np

import convkit

from ..page import Section, cells, picture
from ..photo import Photo


def pooling(it: Photo) -> Section:
    """Show both poolings at several windows, in pictures and in numbers."""
    s = Section("pooling", "Average and max pooling")
    x, (H, W) = it.x, it.shape
    s.text(
        "Pooling makes one number of each window, its <b>mean</b> or its <b>largest</b> value. There is nothing to learn: "
        "no weights. Every channel is pooled by itself, so the number of channels stays."
    )
    fitting = [k for k in (2, 4, 8) if k <= min(H, W)]
    if not fitting:
        s.note(
            f"The smallest window here is 2 × 2, and this image has {H} × {W} pixels. What follows uses the image repeated "
            "to 8 × 8, by circular padding."
        )
        x = convkit.pad(x, (0, 8 - min(W, 8), 0, 8 - min(H, 8)), "circular")[:, :8, :8]
        fitting = [2]
    for name, pool in (("average", convkit.avg_pool2d), ("max", convkit.max_pool2d)):
        figures = []
        for k in fitting:
            y = pool(x, k)
            figures.append(
                picture(
                    np.round(y).astype(np.uint8).transpose(1, 2, 0),
                    f"<b>{name}, {k} × {k}</b>: {y.shape[1]} × {y.shape[2]}.",
                    f"The photograph after {name} pooling with windows of {k} by {k}",
                    hard=k > 2,
                )
            )
        s.figures(*figures, least=100)
    s.text(
        "Average pooling is a calm, smaller picture. Max pooling keeps the brightest thing in each window: on a photograph "
        "light spreads and thin dark lines vanish; on the feature maps of a network it means “was it seen anywhere here?”"
    )
    _numbers(s, x)
    _checks(s, x)
    ramp = np.arange(1.0, 6.0)[None]
    golden = convkit.avg_pool1d(ramp, 2, ceil_mode=True)
    s.check(
        "<code>ceil_mode</code>: the window that hangs over the edge divides by the cells it has, [1 2 3 4 5] → [1.5 3.5 5].",
        golden,
        [[1.5, 3.5, 5.0]],
    )
    s.code(
        "many = convkit.pad(x, (8, 8, 8, 8))\n"
        "convkit.avg_pool2d(many, 2)                          # stride: the window’s own size\n"
        "y, where = convkit.max_pool2d(many, 2, return_indices=True)"
    )
    return s


def _numbers(s: Section, x: np.ndarray) -> None:
    h, w = ((min(n, 6) // 2) * 2 for n in x.shape[1:])
    top, left = ((n - m) // 2 for n, m in zip(x.shape[1:], (h, w), strict=True))
    crop = x[:1, top : top + h, left : left + w]
    tables = [("red pixels", crop[0])]
    tables += [
        (f"{name} of 2 × 2", pool(crop, 2)[0])
        for name, pool in (("average", convkit.avg_pool2d), ("max", convkit.max_pool2d))
    ]
    first, *results = (cells(values, 255.0, two_sided=False, name=name) for name, values in tables)
    html = f'{first}<span class="sign">→</span>{"".join(results)}'
    s.blocks.append(f'<div class="card product">{html}</div>')


def _checks(s: Section, x: np.ndarray) -> None:
    even = np.ascontiguousarray(x[:, : x.shape[1] // 4 * 4, : x.shape[2] // 4 * 4])
    if even.size:
        s.check(
            "Averages of averages: 2 × 2 twice is 4 × 4 once.",
            convkit.avg_pool2d(convkit.avg_pool2d(even, 2), 2),
            convkit.avg_pool2d(even, 4),
        )
        s.check(
            "Maxima of maxima: 2 × 2 twice is 4 × 4 once.",
            convkit.max_pool2d(convkit.max_pool2d(even, 2), 2),
            convkit.max_pool2d(even, 4),
        )
    quarter = np.full((3, 1, 2, 2), 0.25, dtype=np.float32)
    s.check(
        "Average pooling is a convolution with equal weights and a stride: four times 1/4, stride 2, <code>groups=3</code>.",
        convkit.conv2d(x, quarter, stride=2, groups=3),
        convkit.avg_pool2d(x, 2),
    )
    below = -1 - x
    s.check(
        "Max pooling pads with −∞, never with 0: all-negative input stays negative at the border.",
        convkit.max_pool2d(below, 3, stride=1, padding=1).max(),
        below.max(),
    )
