"""What the C-level tests call each operation with. A new operation adds a function here."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from convkit.geometry import conv_output_size, index_table, max_pool_windows, pool_windows, with_divisor

LENGTHS = (1, 2, 15, 16, 17, 31, 33, 65)  # around one, two and four vectors of the widest kind


@dataclass(frozen=True)
class Case:
    """Arguments of a kernel: the same for Python and C, but for what follows the pointers."""

    outputs: list[tuple[int, ...]]
    inputs: list[np.ndarray]
    options: tuple = ()
    sizes: tuple = ()
    dtypes: tuple = ()  # of the outputs, where they are not all of the type that is tested
    rounded_by: tuple[str, ...] = ()  # algorithms that divide on the way, and so round these integers too

    def poisoned(self, dtype: type) -> list[np.ndarray]:
        """Return outputs full of what no kernel would write."""
        dtypes = self.dtypes or (dtype,) * len(self.outputs)
        types = (dtype if t is None else t for t in dtypes)
        return [
            np.full(s, np.nan if np.dtype(t).kind == "f" else 0x77, t)
            for s, t in zip(self.outputs, types, strict=True)
        ]


def whole(rng: np.random.Generator, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return small integers, whose sums are exact in any order."""
    return rng.integers(-4, 5, shape).astype(dtype)


#    N, IC, IH, IW, OC, KH, KW, G, S, D, padding: rows of every length; then awkward sizes and options
CONVOLUTIONS = [(1, 2, 4, width, 3, 3, 3, 1, 1, 1, 1) for width in LENGTHS]
CONVOLUTIONS += [(1, 2, 4, width, 3, 3, 3, 1, 2, 1, 1) for width in LENGTHS]
# Winograd's blocks of tiles
CONVOLUTIONS += [(2, 3, 13, width, 17, 3, 3, 1, 1, 1, 1) for width in (21, 47, 77)]
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
    (1, 9, 7, 7, 17, 3, 3, 1, 1, 1, 1),  # short rows, and pixels that fill no vector
    (2, 5, 7, 7, 9, 1, 1, 1, 1, 1, 0),  # x is read in place, up to its end
    (1, 3, 19, 35, 8, 7, 7, 1, 2, 1, 3),
    (1, 140, 5, 7, 9, 3, 3, 1, 1, 1, 1),  # more terms than one block takes
    (1, 140, 3, 25, 9, 3, 3, 1, 1, 1, 1),
    (1, 2, 1, 9000, 3, 1, 9, 1, 1, 1, 0),  # a signal
    *((1, 5, H, W, 5, 3, 3, 5, S, 1, 1) for H, W in ((3, 40), (7, 7), (14, 14), (9, 33)) for S in (1, 2)),
    (1, 3, 9, 9, 6, 5, 5, 3, 1, 2, 4),
    # Turned round, y's even columns are one more than its odd ones, and all of them read x in place.
    *((2, 3, IH, IW, 9, 2, 2, 1, 2, 1, (0, 1)) for IH, IW in ((7, 7), (1, 3), (5, 19), (7, 61))),
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
        before, after = p if isinstance(p, tuple) else (p, p)
        OH, OW = (conv_output_size(n, k, S, D, before, after) for n, k in ((IH, KH), (IW, KW)))
        yield Convolution(
            (N, IC, IH, IW),
            (OC, IC // G, KH, KW),
            (N, OC, OH, OW),
            (index_table(IH, before, after), index_table(IW, before, after)),
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
    short = (1, 3, 7, 8, 9, 15, 16, 17)  # rows that fit one vector, or nearly; padded, two
    for IW, OW in [(n, o) for n in short for o in (n, n + 1, 16, 17, 31, 32, 33) if o >= n]:
        for P, IH, top in ((1, 3, 1), (5, 1, 0), (20, 1, 1), (9, 7, 2)):
            mode, left = ("zeros", "replicate")[IW % 2], (OW - IW) // 2
            ih_of, iw_of = index_table(IH, top, 0, mode), index_table(IW, left, OW - IW - left, mode)
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


def _tables(IH: int, IW: int, KH: int, KW: int, S: int, D: int, p: int, mode: str) -> tuple:
    OH, OW = conv_output_size(IH, KH, S, D, p, p), conv_output_size(IW, KW, S, D, p, p)
    return OH, OW, index_table(IH, p, p, mode), index_table(IW, p, p, mode)


UNFOLDS = [
    # N, IC, IH, IW, KH, KW, S, D, padding, mode
    *((1, 2, 4, width, 3, 3, 1, 1, 1, "zeros") for width in LENGTHS),  # as wide as the image
    *((2, 1, 3, width + 2, 1, 3, 1, 1, 0, "zeros") for width in LENGTHS),
    *((1, 1, 5, width + 3, 2, 2, 2, 1, 0, "zeros") for width in LENGTHS),
    *(
        (1, 2, 6, width, 3, 3, S, 1, p, "zeros")
        for width in LENGTHS
        for S in (2, 3)
        for p in (0, 1)
        if width > 2
    ),
    *((2, 1, 5, 9, 2, 3, S, D, 2, "zeros") for S in (2, 3, 4, 5) for D in (1, 2, 3)),
    (1, 1, 3, 1400, 3, 5, 2, 1, 2, "zeros"),  # more columns than are gathered at a time
    (2, 3, 7, 40, 3, 2, 1, 3, 2, "zeros"),
    (1, 2, 2, 3, 5, 5, 1, 1, 4, "zeros"),  # taps that reach nothing
    *((1, IC, 7, 7, 3, 3, 1, 1, 1, "zeros") for IC in (1, 2, 3, 4, 5)),  # small planes, between others or not
    (2, 4, 4, 5, 5, 5, 1, 1, 2, "zeros"),
    # planes of a vector to four, one cell fewer and one more; one plane, and several
    *(
        (1, IC, IH, IW, 3, 3, S, 1, 1, mode)
        for IC in (1, 3)
        for IH, IW in ((3, 5), (4, 4), (2, 4), (7, 7), (8, 8), (5, 13), (4, 8), (3, 11))
        for S in (1, 2, 3)
        for mode in ("zeros", "replicate")
    ),
    # short rows: of one vector, of two, and one cell more; planes enough for vectors that reach behind them
    *(
        (2, 9, 9, width, 3, 3, S, 1, 1, "zeros")
        for width in (6, 8, 9, 15, 16, 17, 31, 32, 33)
        for S in (2, 3)
    ),
    *((2, 9, 9, width, 2, 3, S, 2, 2, "circular") for width in (9, 16, 17, 32) for S in (1, 2)),
    (2, 4, 6, 5, 3, 3, 1, 2, 2, "zeros"),
    (1, 2, 5, 19, 3, 3, 1, 1, 2, "reflect"),
    (1, 2, 4, 17, 3, 3, 2, 2, 3, "circular"),
]


def im2col(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Windows at stride 1, where runs are copied, and others."""
    for N, IC, IH, IW, KH, KW, S, D, p, mode in UNFOLDS:
        OH, OW, *tables = _tables(IH, IW, KH, KW, S, D, p, mode)
        inputs = [whole(rng, (N, IC, IH, IW), dtype), *tables]
        sizes = (N, IC, IH, IW, KH, KW, OH, OW, S, S, D, D)
        yield Case([(N, IC, KH, KW, OH, OW)], inputs, (S, S, D, D), sizes)


def col2im(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same."""
    for N, IC, IH, IW, KH, KW, S, D, p, mode in UNFOLDS:
        OH, OW, *tables = _tables(IH, IW, KH, KW, S, D, p, mode)
        inputs = [whole(rng, (N, IC, KH, KW, OH, OW), dtype), *tables]
        sizes = (N, IC, IH, IW, KH, KW, OH, OW, S, S, D, D)
        yield Case([(N, IC, IH, IW)], inputs, (S, S, D, D), sizes)


POOLS = [
    # planes, IH, IW, window, stride, padding; rows of every length in registers, with edges and without
    *(
        (2, 7, (width - 1) * s + k - 2 * p, k, s, p)
        for width in (15, 16, 17, 31, 33)
        for k, s in ((2, 1), (3, 1), (2, 2), (3, 2), (3, 3), (5, 3))
        for p in (0, 1)
    ),
    # small planes, as many as lanes and one fewer and one more
    *((planes, 7, 7, k, s, p) for planes in (7, 8, 9, 15, 16, 17, 33) for k, s, p in ((3, 2, 1), (2, 2, 0))),
    (16, 3, 3, 2, 1, 0),
    (5, 1, 1, 1, 1, 0),
    (17, 4, 5, 3, 1, 1),
    (1, 20, 40, 11, 1, 5),  # overlapping and wide; more rows than a ring holds
    (1, 12, 1100, 9, 2, 4),
    (2, 3, 1030, 3, 4, 1),
    *((planes, n, n, n, 1, 0) for planes in (1, 5, 17) for n in (2, 3, 4, 7, 13)),  # the whole plane
    (1, 2, 700, 600, 50, 300),  # wider than a buffer
]


def _pools(windows_of) -> Iterator[tuple]:
    for P, IH, IW, k, s, p in POOLS:
        kh = min(k, IH)
        h, w = windows_of(IH, kh, s, min(p, kh // 2)), windows_of(IW, k, s, p)
        yield (P, IH, IW), (P, len(h), len(w)), h, w, (P, IH, IW, len(h), len(w))


def avg_pool2d(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Integers have exact sums, and a quotient of integers is rounded once or twice to the same number."""
    for x, y, h, w, sizes in _pools(pool_windows):
        yield Case([y], [whole(rng, x, dtype), h, w], (), sizes)


def avg_pool2d_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Divisors are powers of two, so that shares are exact."""
    for x, y, h, w, sizes in _pools(pool_windows):
        yield Case([x], [whole(rng, y, dtype), with_divisor(h, 2), with_divisor(w, -4)], (), sizes)


def _max_windows(n: int, k: int, s: int, p: int) -> np.ndarray:
    return max_pool_windows(n, k, s, p) if k < 5 else max_pool_windows(n, k // 2 + 1, s, p // 2, 2)


def max_pool2d(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same windows, the larger ones with a step of two."""
    for x, y, h, w, sizes in _pools(_max_windows):
        yield Case([y], [whole(rng, x, dtype), h, w], (), sizes)


def max_pool2d_indices(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Small integers tie often."""
    for x, y, h, w, sizes in _pools(_max_windows):
        yield Case([y, y], [whole(rng, x, dtype), h, w], (), sizes, (None, np.int64))


def max_pool2d_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Any cells will do as indices."""
    for x, y, _, _, sizes in _pools(_max_windows):
        yield Case([x], [whole(rng, y, dtype), rng.integers(0, x[1] * x[2], y)], (), sizes)


CHANNELS = [(N, C, S) for N, C in ((1, 1), (2, 5), (1, 33)) for S in (*LENGTHS, 511, 512, 513)]
CHANNELS += [(2, C, S) for C in (4, 100, 513) for S in (1, 2, 7, 256, 257)]


def channel_mean(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """As many pixels as a buffer holds, one fewer and one more."""
    for N, C, S in CHANNELS:
        yield Case([(N, S)], [whole(rng, (N, C, S), dtype)], (), (N, C, S))


def channel_mean_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same."""
    for N, C, S in CHANNELS:
        yield Case([(N, C, S)], [whole(rng, (N, S), dtype)], (), (N, C, S))


# N, G, P, S, W: runs around a vector's length; planes; rows; groups; columns; more than one strip and chunk
NORMS = [(2, 3, 1, S, 3) for S in LENGTHS]
NORMS += [(2, 3, S, 1, 1) for S in LENGTHS]
NORMS += [(2, 5, 3, 3, 5), (2, 6, 4, 17, 3), (4, 70, 1, 2, 35), (2, 1, 1, 20012, 1), (2, 130, 1, 9, 130)]
# Statistics of several chunks, of whole runs and of pieces; and runs of about 4096 bytes, from which on
# results may go past the caches.
NORMS += [(4, 3, 1, 10008, 3), (2, 2, 3, 20012, 2)]
NORMS += [(2, 3, 1, S, 3) for S in (511, 512, 513, 1023, 1024, 1025)]


def _about_means(rng: np.random.Generator, sizes: tuple, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Return x in mirrored pairs at a distance of 2 from whole means: variances are 4, all sums exact."""
    N, G, P, S, _ = sizes
    mean = rng.integers(-4, 5, G).astype(np.float64)
    away = rng.choice([-2.0, 2.0], (N // 2, G, P, S))
    if S % 2 == 0:  # in mirrored neighbours, too, so that every chunk has the same mean
        away[..., 1::2] = -away[..., ::2]
    x = mean[:, None, None] + np.concatenate([away, -away])
    return x.astype(dtype), mean


# Differences from a whole mean whose squares have a whole mean too, for statistics of so many cells.
FEW = {
    3: (1, 1, -2),
    4: (1, -1, 1, -1),
    5: (2, -2, 1, -1, 0),
    6: (1, -1, 1, -1, 1, -1),
    7: (3, -3, 2, -2, 1, -1, 0),
}


def _few_cells(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Layer norm over a short axis: around a vector of statistics, and more than a strip of them."""
    for L, differences in FEW.items():
        eps = 16.0 - np.mean(np.square(differences))
        for G in (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 330):
            mean, sign = rng.integers(-4, 5, (G, 1)), rng.choice([-1, 1], (G, 1))
            cells = mean + sign * rng.permuted(np.tile(differences, (G, 1)), axis=1)
            for P, W in ((L, 1), (1, G), (1, 1)):
                sizes = (1, G, P, L // P, W)
                x, weight = cells.astype(dtype).reshape(sizes[:4]), whole(rng, (W, P), dtype)
                outputs, types = [x.shape, (G,), (G,)], (None, np.float64, np.float64)
                yield Case(
                    outputs,
                    [x, weight, whole(rng, (W, P), dtype)],
                    (eps,),
                    (eps, *sizes),
                    types,
                    ("welford",),
                )


def normalize(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """With eps = 12 the standard deviation is 4."""
    yield from _few_cells(rng, dtype)
    for sizes in NORMS:
        _, G, P, _, W = sizes
        weight, bias = whole(rng, (W, P), dtype), whole(rng, (W, P), dtype)
        x, _ = _about_means(rng, sizes, dtype)
        outputs, types = [x.shape, (G,), (G,)], (None, np.float64, np.float64)
        yield Case(outputs, [x, weight, bias], (12.0,), (12.0, *sizes), types)


def normalize_given(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Any numbers, and powers of two as standard deviations."""
    for N, G, P, S, W in NORMS:
        mean, invstd = rng.integers(-4, 5, G).astype(np.float64), 0.5 ** rng.integers(0, 3, G)
        x, weight, bias = (whole(rng, shape, dtype) for shape in ((N, G, P, S), (W, P), (W, P)))
        yield Case([x.shape], [x, mean, invstd, weight, bias], (), (N, G, P, S, W))


def normalize_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Sums of dy, and of dy times x - mean, are multiples of the number of values: means are whole."""
    for sizes in NORMS:
        N, G, P, S, W = sizes
        x, mean = _about_means(rng, sizes, dtype)
        dy = whole(rng, (N // 2, G, P, S), dtype)
        if S % 2:
            dy *= N * P * S
        else:
            dy[..., 1::2] = -dy[..., ::2]
        dy = np.concatenate([dy, dy])
        dy[0, :, 0, 0] += N * P * S
        yield Case(
            [x.shape, (W, P), (W, P)],
            [dy, x, whole(rng, (W, P), dtype), mean, 0.5 ** rng.integers(0, 3, G)],
            (),
            sizes,
        )


def normalize_given_backward(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Nothing is divided here."""
    for N, G, P, S, W in NORMS:
        x, dy = whole(rng, (N, G, P, S), dtype), whole(rng, (N, G, P, S), dtype)
        mean, invstd = rng.integers(-4, 5, G).astype(np.float64), 0.5 ** rng.integers(0, 3, G)
        yield Case(
            [x.shape, (W, P), (W, P)], [dy, x, whole(rng, (W, P), dtype), mean, invstd], (), (N, G, P, S, W)
        )


SEED = 2**63 + 12345


def _units() -> Iterator[tuple[int, int, int]]:
    """Return numbers of units, their elements and thresholds; long units are done in pieces of 16384."""
    for U in (*LENGTHS, 63, 64, 130):
        for B, threshold in ((1, 2**31), (5, 2**30), (64, 2**31), (1, 2**32), (300, 2**31)):
            yield U, B, threshold
    for U, B in ((1, 16383), (2, 16384), (3, 16385), (5, 40000), (67, 5000)):
        yield U, B, 2**31


def dropout(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """Units of one element and of several, around the group of 64; a threshold that keeps nothing."""
    for U, B, threshold in _units():
        x, options = whole(rng, (U, B), dtype), (SEED, threshold, 2.0)
        yield Case([x.shape], [x], options, (*options, U, B))


def dropout_mask(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same, and the mask, which is the same for elements of either type."""
    for U, B, threshold in _units():
        x, options = whole(rng, (U, B), dtype), (SEED, threshold, 2.0)
        yield Case([x.shape, (U,)], [x], options, (*options, U, B), (None, np.bool_))


def dropout_given(rng: np.random.Generator, dtype: type) -> Iterator[Case]:
    """The same units, by masks of which no bit is known."""
    for U, B, _ in _units():
        x = whole(rng, (U, B), dtype)
        yield Case([x.shape], [x, rng.random(U) < 0.5], (2.0,), (2.0, U, B))


CASES = {
    f.__name__: f
    for f in (
        conv2d,
        conv_transpose2d,
        conv2d_grad_w,
        conv2d_grad_b,
        pad2d,
        pad2d_backward,
        im2col,
        col2im,
        avg_pool2d,
        avg_pool2d_backward,
        max_pool2d,
        max_pool2d_indices,
        max_pool2d_backward,
        channel_mean,
        channel_mean_backward,
        normalize,
        normalize_given,
        normalize_backward,
        normalize_given_backward,
        dropout,
        dropout_mask,
        dropout_given,
    )
}
