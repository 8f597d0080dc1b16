"""Numbers as the pixels of an image: ``uint8`` arrays of shape (H, W, 3)."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps

from ..style import DIVERGING

__all__ = ["grey", "heat", "outlined", "overlay", "signed"]


def grey(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Return a plane as a grey image, black at `low` and white at `high` (its own ends by default)."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    level = np.clip((values - low) / (high - low if high > low else 1.0), 0, 1)
    return np.repeat(np.round(255 * level).astype(np.uint8)[..., None], 3, axis=2)


def signed(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Return a plane as an image, blue below zero and red above; `limit` is where colours end."""
    limit = float(np.abs(values).max()) if limit is None else limit
    return DIVERGING(values / (2 * limit or 1.0) + 0.5, bytes=True)[..., :3]


def outlined(image: np.ndarray, top: int, left: int, height: int, width: int, line: int = 2) -> np.ndarray:
    """Return a copy of `image` with a white-and-black frame just outside a rectangle of it."""
    image = image.copy()
    for grow, colour in ((2 * line, 0), (line, 255)):
        inside = np.zeros(image.shape[:2], dtype=bool)
        inside[max(top - grow, 0) : top + height + grow, max(left - grow, 0) : left + width + grow] = True
        inside[top : top + height, left : left + width] = False
        image[inside] = colour
    return image


def heat(values: np.ndarray) -> np.ndarray:
    """Return a plane of numbers from 0 upwards as an image that glows where they are large."""
    limit = float(np.percentile(values, 99.5)) or 1.0  # a few extreme ones would leave the rest dark
    return colormaps["inferno"](values / limit, bytes=True)[..., :3]


def overlay(image: np.ndarray, values: np.ndarray, opacity: float = 0.62) -> np.ndarray:
    """Lay :func:`heat` of a smaller plane over `image`, block by block, and return the image."""
    rows = np.arange(image.shape[0]) * values.shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * values.shape[1] // image.shape[1]
    glow = heat(values)[rows][:, columns]
    plain = image.mean(axis=2, keepdims=True)
    return np.round(plain * (1 - opacity) + glow * opacity).astype(np.uint8)
