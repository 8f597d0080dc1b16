"""What the C-level tests call each operation with. A new operation adds a function here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convkit.geometry import conv_output_size, index_table

LENGTHS = (1, 2, 15, 16, 17, 31, 33, 65)  # around one, two and four vectors of the widest kind


@dataclass(frozen=True)
class Case:
    """Arguments of a kernel: the same for Python and C, but for what follows the pointers."""

    outputs: list[tuple[int, ...]]
    inputs: list[np.ndarray]
    options: tuple = ()
    sizes: tuple = ()


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return small integers, whose sums are exact in any order."""
    return rng.integers(-4, 5, shape).astype(dtype)


#    N, IC, IH, IW, OC, KH, KW, G, S, D, padding: rows of every length; then awkward sizes and options
CONVOLUTIONS = [(1, 2, 4, width, 3, 3, 3, 1, 1, 1, 1) for width in LENGTHS]
CONVOLUTIONS += [(1, 2, 4, width, 3, 3, 3, 1, 2, 1, 1) for width in LENGTHS]
CONVOLUTIONS += [
    (2, 3, 7, 5, 2, 1, 1, 1, 1, 1, 0),
    (1, 4, 9, 11, 6, 2, 3, 2, 2, 1, 2),
    (3, 5, 8, 8, 10, 3, 2, 5, 1, 3, 4),  # a kernel wider than what it stands on
    (1, 1, 2, 2, 1, 5, 5, 1, 3, 1, 6),
    *((2, channels, 5, 4, 24 - channels, 1, 1, 1, 1, 1, 0) for channels in (7, 8, 9, 15, 16, 17)),
    *((1, channels, 5, 5, 24 - channels, 3, 3, 1, 1, 1, 1) for channels in (7, 8, 9, 15, 16, 17)),
    (2, 17, 5, 5, 17, 3, 3, 17, 1, 1, 1),  # depthwise
    (1, 9, 7, 7, 17, 3, 3, 1, 1, 1, 1),  # short rows, and pixels that fill no vector
    (2, 5, 7, 7, 9, 1, 1, 1, 1, 1, 0),  # x is read in place, up to its end
    (1, 3, 19, 35, 8, 7, 7, 1, 2, 1, 3),
    (1, 140, 5, 7, 9, 3, 3, 1, 1, 1, 1),  # more terms than one block takes
    (1, 140, 3, 25, 9, 3, 3, 1, 1, 1, 1),
    (1, 2, 1, 9000, 3, 1, 9, 1, 1, 1, 0),  # a signal
    *((1, 5, H, W, 5, 3, 3, 5, S, 1, 1) for H, W in ((3, 40), (7, 7), (14, 14), (9, 33)) for S in (1, 2)),
    (1, 3, 9, 9, 6, 5, 5, 3, 1, 2, 4),
    (1, 3, 3, 700, 4, 3, 3, 1, 1, 1, 1),  # rows longer than a block of pixels
    (1, 2, 3, 1400, 9, 2, 5, 1, 2, 3, 3),
]


@dataclass(frozen=True)
class Convolution:
    """The shapes of a convolution's arrays, its index tables and its sizes."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    y: tuple[int, ...]
    tables: tuple[np.ndarray, np.ndarray]
    steps: tuple[int, int, int, int]
    sizes: tuple[int, ...]


def _convolutions() -> Iterator[Convolution]:
    for N, IC, IH, IW, OC, KH, KW, G, S, D, p in CONVOLUTIONS:
        OH, OW = conv_output_size(IH, KH, S, D, p, p), conv_output_size(IW, KW, S, D, p, p)
        yield Convolution(
            (N, IC, IH, IW),
            (OC, IC // G, KH, KW),
            (N, OC, OH, OW),
            (index_table(IH, p, p), index_table(IW, p, p)),
            (S, S, D, D),
            (N, IC, IH, IW, OC, KH, KW, OH, OW, G, S, S, D, D),
        )


def conv2d(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    for c in _convolutions():
        x, w, b = (whole(rng, shape, dtype) for shape in (c.x, c.w, c.w[:1]))
        yield Case([c.y], [x, w, b, *c.tables], c.steps, c.sizes)


def conv_transpose2d(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    for c in _convolutions():
        y, w, b = (whole(rng, shape, dtype) for shape in (c.y, c.w, c.x[1:2]))
        yield Case([c.x], [y, w, b, *c.tables], c.steps, c.sizes)


def conv2d_grad_w(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    for c in _convolutions():
        dy, x = whole(rng, c.y, dtype), whole(rng, c.x, dtype)
        yield Case([c.w], [dy, x, *c.tables], c.steps, c.sizes)


def conv2d_grad_b(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Planes around the number of sums that run side by side."""
    for width in LENGTHS:
        dy = whole(rng, (2, 3, 1, width), dtype)
        yield Case([(3,)], [dy], (), dy.shape)


def _planes(rng: np.random.Generator) -> Iterator[tuple]:
    for IW in LENGTHS:
        for mode in ("zeros", "symmetric", "circular"):
            P, IH = int(rng.integers(1, 4)), int(rng.integers(1, 5))
            top, bottom, left, right = (int(p) for p in rng.integers(0, 2 * IW + 3, 4))
            ih_of, iw_of = index_table(IH, top, bottom, mode), index_table(IW, left, right, mode)
            yield P, IH, IW, len(ih_of), len(iw_of), ih_of, iw_of


def pad2d(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Borders wider than the image, on every side, and none."""
    for P, IH, IW, OH, OW, ih_of, iw_of in _planes(rng):
        x = whole(rng, (P, IH, IW), dtype)
        yield Case([(P, OH, OW)], [x, ih_of, iw_of], (2.5,), (2.5, P, IH, IW, OH, OW))


def pad2d_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same."""
    for P, IH, IW, OH, OW, ih_of, iw_of in _planes(rng):
        dy = whole(rng, (P, OH, OW), dtype)
        yield Case([(P, IH, IW)], [dy, ih_of, iw_of], (), (P, IH, IW, OH, OW))


CASES = {
    "conv2d": conv2d,
    "conv_transpose2d": conv_transpose2d,
    "conv2d_grad_w": conv2d_grad_w,
    "conv2d_grad_b": conv2d_grad_b,
    "pad2d": pad2d,
    "pad2d_backward": pad2d_backward,
}
