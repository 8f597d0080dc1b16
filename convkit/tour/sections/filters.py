"""The filters that the tour uses, as whole numbers and a divisor: most come out without rounding."""

from __future__ import annotations

import numpy as np

__all__ = ["BANK", "GREEN", "PICTURES", "SIGNED", "bank", "greenness", "kernel"]

PICTURES = {
    "identity": (
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        1,
        "One weight, in the middle: the picture comes out unchanged.",
    ),
    "box blur": (
        [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
        9,
        "The mean of nine neighbours: sharp detail is evened out.",
    ),
    "Gaussian blur": (
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]],
        16,
        "A mean that trusts near neighbours more: a softer blur.",
    ),
    "sharpen": (
        [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
        1,
        "The pixel, plus its difference from its neighbours. The weights sum to 1, so flat areas stay as they were.",
    ),
}
"""Kernels whose output is again a picture: name -> (whole numbers, divisor, what it does)."""

SIGNED = {
    "emboss": (
        [[-2, -1, 0], [-1, 0, 1], [0, 1, 2]],
        1,
        "Brightness rising towards the lower right stands out.",
    ),
    "Sobel, across": (
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        1,
        "Right minus left: vertical edges, signed by direction.",
    ),
    "Sobel, down": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], 1, "Below minus above: horizontal edges."),
    "Laplacian": (
        [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
        1,
        "Neighbours minus four times the pixel: any edge and any dot.",
    ),
}
"""Kernels whose output has a sign, applied to the grey picture."""

GREEN = (-1.0, 2.0, -1.0)  # green against red and blue


def kernel(whole: list[list[int]], divisor: int = 1) -> np.ndarray:
    """Return one 3x3 kernel in float32."""
    return np.array(whole, dtype=np.float32) / np.float32(divisor)


def greenness() -> np.ndarray:
    """Return the filter (1, 3, 3, 3) that answers to green: blurred green minus blurred red and blue.

    Its weights are multiples of 1/32, so sums over whole pixel values are exact in float32.
    """
    blur = kernel(*PICTURES["Gaussian blur"][:2])
    return np.stack([blur * np.float32(g / 2) for g in GREEN])[None]


COMPASS = ("E", "SE", "S", "SW", "W", "NW", "N", "NE")
BANK = (*(f"edge {c}" for c in COMPASS), "dark dot", "bright dot", "green", "magenta")


def bank() -> np.ndarray:
    """Return twelve filters (12, 3, 3, 3): edges in eight directions, dots, and two colours.

    Each sums to zero, and exactly so: a flat image gives zeros.
    """
    rim = [(1, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0), (0, 1), (0, 2)]  # clockwise from east
    ring = [2, 1, 0, -1, -2, -1, 0, 1]  # Sobel's weights on the rim, from its direction on
    edges = np.zeros((8, 3, 3), dtype=np.float32)
    for direction in range(8):
        for step, weight in enumerate(ring):
            edges[(direction, *rim[(direction + step) % 8])] = weight
    dot = kernel(SIGNED["Laplacian"][0])
    grey = np.stack([*edges, dot, -dot])[:, None]
    green = 6 * greenness()
    return np.concatenate([np.repeat(grey, 3, axis=1), green, -green])
