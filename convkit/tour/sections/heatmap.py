"""Section: two means of the same feature maps, over different axes."""

from __future__ import annotations

import numpy as np

import convkit

from ...explain import pictures
from ..checks import rounding_bound
from ..page import Section, drawing, picture, plural
from ..photo import Photo
from .filters import BANK, bank


def heatmap(it: Photo) -> Section:
    """Set the channel mean, a picture, beside global average pooling, a list of numbers."""
    s = Section("heatmap", "Channel mean and global average pooling")
    H, W = it.shape
    maps = np.maximum(convkit.conv2d(it.x, bank(), padding=1, padding_mode="replicate"), 0)
    k = min(8, H, W)
    maps = convkit.avg_pool2d(maps, k)
    C, h, w = maps.shape
    heat = convkit.channel_mean(maps)
    pooled = convkit.global_avg_pool2d(maps).reshape(C)
    s.text(
        f"A small network layer: {C} filters (edges in eight directions, dots, two colours), ReLU, and average pooling by "
        f"{k}. That makes {C} feature maps of {h} × {w}. Two different means can be taken of them, and they are easily confused:"
    )
    ordinary = np.zeros((512, 11, 11), dtype=np.float32)
    s.table(
        ("", "averages over", "what is left here", f"of {' × '.join(map(str, ordinary.shape))}", "answers"),
        [
            (
                "<b>channel mean</b>",
                "channels",
                f"{h} × {w} = {plural(heat.size, 'number')}",
                " × ".join(map(str, convkit.channel_mean(ordinary).shape)),
                "<i>where?</i>",
            ),
            (
                "<b>global average pooling</b>",
                "rows and columns",
                f"{C} numbers",
                f"{convkit.global_avg_pool2d(ordinary).size} numbers",
                "<i>which filters?</i>",
            ),
        ],
    )
    s.figures(
        picture(
            pictures.heat(heat),
            f"<b>Channel mean</b>: {h} × {w}, a picture.",
            "A heatmap of the mean of the feature maps",
            hard=True,
        ),
        picture(
            pictures.overlay(it.pixels, heat),
            f"<b>The same, laid over the photograph</b>. It glows where many filters answer; each block of {k} × {k} pixels is "
            "one number.",
            "The photograph in grey, glowing where the feature maps are strong on average",
        ),
        drawing(
            pictures.bars(pooled, BANK, xlabel="mean over all places"),
            f"<b>Global average pooling</b>: one number a feature map, {C} in all, with no trace of where. A classifier’s "
            "last layer reads such a list.",
            "A bar chart of twelve numbers, one a filter",
        ),
        least=250,
    )
    mean = maps.mean(dtype=np.float64)
    s.check(
        "The heatmap and the list have the same mean, that of all numbers: they average them in different order.",
        [heat.mean(dtype=np.float64), pooled.mean(dtype=np.float64)],
        [mean, mean],
        bound=rounding_bound(max(C, heat.size), float(mean)),
    )
    s.code(
        "maps = np.maximum(convkit.conv2d(x, np.ones((8, 3, 3, 3), np.float32), padding=1), 0)\n"
        "convkit.channel_mean(maps).shape         # (H, W): a picture\n"
        "convkit.global_avg_pool2d(maps).shape    # (8,): a list"
    )
    return s
