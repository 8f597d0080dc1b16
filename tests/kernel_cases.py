"""The cases on which every kernel of the registry is tried: sizes, options, and exact numbers.

Sizes are 1, primes, and the neighbours of the tiles of fast kernels (8, 16 and 48), since kernels
fail at their edges. Numbers come in three kinds:

``integers``   small ones, of which every product and every sum is exact in float32: kernels that
               only reorder a sum must *equal* the reference, whatever their order;
``reals``      normal deviates, for bits that must not depend on threads, and for rounding errors,
               which have a bound each;
``nonfinite``  small positive integers with two NaNs and an infinity among them.

``CASES`` lists them all; ``case.arguments(dtype, kind)`` gives what a kernel is called with.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from kernel_geometries import CONVOLUTIONS, PADS, POOLS, Convolution
from kernel_magnitudes import SPREAD, is_operand, magnitudes

from convkit.dispatch import Kernel
from convkit.geometry import adaptive_windows, index_table, max_pool_windows, pool_windows
from convkit.rules import Layer

KINDS = "integers", "reals", "nonfinite"


class Output(NamedTuple):
    """What a kernel has to fill, and how many roundings it may add to the exact result.

    The unit is the machine epsilon times the same sum with all its terms made positive.
    """

    shape: tuple[int, ...]
    dtype: str = "float"  # the dtype that the kernel is tried in
    on_integers: float = 0
    on_reals: float = 0


class Arguments(NamedTuple):
    """A call: ``kernel(*outputs, *inputs)``; `bounds` are the errors that each output may have."""

    outputs: list[np.ndarray]
    inputs: list[Any]
    bounds: list[float | np.ndarray]


Draw = Callable[[Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Case:
    """One set of sizes and options for one operation."""

    op: str
    name: str
    build: Callable[[Draw], tuple[list[Output], list[Any]]]

    def __str__(self) -> str:
        return f"{self.op}-{self.name}"

    def arguments(self, dtype: str, kind: str = "integers", spread: str | None = None) -> Arguments:
        """Return fresh arrays, always with the same numbers in them; outputs hold anything.

        The bounds are those of a kernel that only reorders sums or, by the algorithm `spread`, of one
        that rounds integers too: as SPREAD says or, without an entry there, as it would round reals.
        """
        rng = np.random.default_rng(20160323)

        def draw(shape: Sequence[int]) -> np.ndarray:
            if kind == "reals":
                return rng.standard_normal(shape).astype(dtype)
            values = [1, 2, 3] if kind == "nonfinite" else [-3, -2, -1, 1, 2, 3]
            return rng.choice(values, size=shape).astype(dtype)

        outputs, inputs = self.build(draw)
        filled = [np.empty(o.shape, dtype if o.dtype == "float" else o.dtype) for o in outputs]
        allowed = [o.on_reals if kind == "reals" or spread else o.on_integers for o in outputs]
        bounds: list[float | np.ndarray] = [0.0] * len(outputs)
        if spread in SPREAD:
            wide = [a.astype(np.float64) if is_operand(a) else a for a in inputs]
            bounds = [np.finfo(dtype).eps * SPREAD[spread](*wide)]
        elif any(allowed):
            scales = magnitudes(self.op, filled, inputs, spread or kind)
            eps = [np.finfo(a.dtype).eps if n else 0.0 for n, a in zip(allowed, filled, strict=True)]
            bounds = [n * e * m for n, e, m in zip(allowed, eps, scales, strict=True)]
        if kind == "nonfinite":
            self._spoil(inputs)
        return Arguments(filled, inputs, bounds)

    def _spoil(self, inputs) -> None:
        """Put two NaNs first and an infinity last in the first operand."""
        operand = next((a for a in inputs if is_operand(a)), None)
        if operand is None:
            return
        if self.op not in ("normalize", "normalize_backward"):  # their mean may be inf or NaN then
            operand.flat[-1] = np.inf
        operand.flat[:2] = np.nan


def spread(kernel: Kernel) -> str | None:
    """Return what names the error bound of a kernel that does more than reorder sums."""
    return None if kernel.exact else kernel.algorithm


def spread_of_reals(kernel: Kernel) -> str | None:
    """Return the same for numbers whose sums are rounded: float32 lanes are exact on small integers only."""
    in_float_lanes = (kernel.op, kernel.backend) == ("normalize", "cython") and kernel.algorithm in (
        "lanes",
        "fused",
        "direct",
    )
    return "float_lanes" if in_float_lanes else spread(kernel)


def serves(kernel: Kernel, case: Case) -> bool:
    """Tell whether a kernel can compute a case: some convolutions need a certain layer."""
    if kernel.serves is None:
        return True
    (y,), (x, w, _, _, _, *steps), _ = case.arguments("float32")
    return kernel.serves(Layer.of(y.shape, x.shape, w.shape, *steps))


# --- convolution ---------------------------------------------------------------------------


def conv_cases(c: Convolution) -> list[Case]:
    y, x, w, cols, tables = c.y, c.x, c.w, c.cols, c.tables
    terms = {
        "conv2d": np.prod(w[1:]) + 1,
        "conv_transpose2d": np.prod(w) // w[1] + 1,
        "conv2d_grad_w": np.prod(y) // y[1],
        "col2im": np.prod(w[2:]),
    }
    if c.mode != "zeros":  # cells that padding shows again collect more terms
        terms["conv_transpose2d"] *= np.prod(y[2:])
        terms["col2im"] *= np.prod(y[2:])
    builds = {
        "conv2d": lambda draw: ([y], [draw(x), draw(w), draw(w[:1]), *tables]),
        "conv_transpose2d": lambda draw: ([x], [draw(y), draw(w), draw(x[1:2]), *tables]),
        "conv2d_grad_w": lambda draw: ([w], [draw(y), draw(x), *tables]),
        "im2col": lambda draw: ([cols], [draw(x), *tables]),
        "col2im": lambda draw: ([x], [draw(cols), *tables]),
    }

    def case(op: str) -> Case:
        def build(draw: Draw):
            (shape,), inputs = builds[op](draw)
            return [Output(shape, on_reals=terms.get(op, 0))], inputs

        return Case(op, c.name, build)

    return [case(op) for op in builds]


def grad_b_case(N: int, OC: int, OH: int, OW: int) -> Case:
    return Case(
        "conv2d_grad_b",
        f"{N}x{OC}x{OH}x{OW}",
        lambda draw: ([Output((OC,), on_reals=N * OH * OW)], [draw((N, OC, OH, OW))]),
    )


# --- padding -------------------------------------------------------------------------------


def pad_cases(P: int, size: tuple[int, int], pads, mode: str, value: float) -> list[Case]:
    tables = [index_table(n, *p, mode) for n, p in zip(size, pads, strict=True)]
    x, y = (P, *size), (P, *map(len, tables))
    copies = 0 if mode == "zeros" else y[1] * y[2]
    name = f"{mode}-{P}x{size[0]}x{size[1]}-{pads}".replace(" ", "")
    return [
        Case("pad2d", name, lambda draw: ([Output(y)], [draw(x), *tables, value])),
        Case("pad2d_backward", name, lambda draw: ([Output(x, on_reals=copies)], [draw(y), *tables])),
    ]


# --- pooling -------------------------------------------------------------------------------

# An average is a sum divided by a number. Of integers the sum is exact and the division rounds once, as
# the reference's does (float64 has room enough that its two roundings, there and to float32, give
# the same): no error is allowed. A kernel that multiplies by the reciprocal misrounds one in ten.
# Of reals the division adds its own rounding and the reference's, half an epsilon each.
AVERAGE = 1


def avg_pool_cases(name: str, P: int, windows: Sequence[np.ndarray], size: tuple[int, int]) -> list[Case]:
    x, y = (P, *size), (P, *map(len, windows))
    cells = int(np.prod([np.max(w[:, 1] - w[:, 0]) for w in windows]))
    # A cell's gradient is a sum of rounded shares, over all the windows that it lies in.
    shares = 1
    for (start, stop, _), n in zip((w.T for w in windows), size, strict=True):
        shares *= max(np.count_nonzero((start <= i) & (i < stop)) for i in range(n))
    fraction = shares + AVERAGE
    return [
        Case(
            "avg_pool2d",
            name,
            lambda draw: ([Output(y, on_reals=cells + AVERAGE)], [draw(x), *windows]),
        ),
        Case(
            "avg_pool2d_backward",
            name,
            lambda draw: ([Output(x, on_integers=fraction, on_reals=fraction)], [draw(y), *windows]),
        ),
    ]


def max_pool_cases(name: str, P: int, windows: Sequence[np.ndarray], size: tuple[int, int]) -> list[Case]:
    x, y = (P, *size), (P, *map(len, windows))

    def backward(draw: Draw):
        # Any cells will do. Half of the plane is hit by twice its share, so that gradients meet there.
        where = np.random.default_rng(7).integers(0, max(size[0] * size[1] // 2, 1), y)
        return [Output(x, on_reals=y[1] * y[2])], [draw(y), where]

    return [
        Case("max_pool2d", name, lambda draw: ([Output(y)], [draw(x), *windows])),
        Case(
            "max_pool2d_indices",
            name,
            lambda draw: ([Output(y), Output(y, "int64")], [draw(x), *windows]),
        ),
        Case("max_pool2d_backward", name, backward),
    ]


# A window that is the plane: fewer cells than a vector, and steps of several vectors with a tail
WHOLE = [((h, w), (1, 1)) for h, w in ((1, 1), (1, 3), (3, 5), (7, 7), (13, 11), (14, 14))]


def pool_cases() -> list[Case]:
    cases = []
    for name, P, size, k, s, p, d, ceil_mode in POOLS:
        axes = list(zip(size, k, s, p, strict=True))
        for include in (True, False):
            windows = [pool_windows(*axis, ceil_mode, include) for axis in axes]
            cases += avg_pool_cases(f"{name}-{'padded' if include else 'real'}", P, windows, size)
        windows = [max_pool_windows(*axis, d, ceil_mode) for axis in axes]
        cases += max_pool_cases(name, P, windows, size)
    for size, o in (((5, 7), (3, 2)), ((17, 1), (5, 1)), ((3, 4), (7, 4)), ((16, 49), (1, 1)), *WHOLE):
        name = f"adaptive-{size}-{o}".replace(" ", "")
        cases += avg_pool_cases(name, 3, [*map(adaptive_windows, size, o)], size)
    return cases


# Few pixels and many channels, which lie side by side, and what is left over of them
CHANNELS = [(1, 1, 1), (2, 3, 5), (3, 7, 17), (1, 64, 49), (2, 5, 47), (2, 523, 1), (3, 67, 3), (1, 13, 211)]


def channel_mean_cases(N: int, C: int, S: int) -> list[Case]:
    x, y, name = (N, C, S), (N, S), f"{N}x{C}x{S}"
    mean, share = Output(y, on_reals=C + AVERAGE), Output(x, on_reals=AVERAGE)
    return [
        Case("channel_mean", name, lambda draw: ([mean], [draw(x)])),
        Case("channel_mean_backward", name, lambda draw: ([share], [draw(y)])),
    ]


# --- normalisation -------------------------------------------------------------------------


def about_a_mean(draw: Draw, N: int, G: int, P: int, S: int) -> np.ndarray:
    """Draw x in pairs (m + d, m - d) about an m for each g, so that integers have integer means."""
    M = N * P * S
    d = draw((G, M // 2))
    values = np.concatenate([d, -d, np.zeros((G, M % 2), d.dtype)], axis=1) + 5 * draw((G, 1))
    return np.ascontiguousarray(values.reshape(G, N, P, S).swapaxes(0, 1))


def normalize_cases(name: str, N: int, G: int, P: int, S: int, W: int) -> list[Case]:
    shape, M = (N, G, P, S), N * P * S
    y, m = Output(shape, on_integers=4, on_reals=6), Output((G,), "float64", on_reals=M + 3)
    if M > 16384:  # several chunks, whose means are no integers, and are merged: some roundings a merger
        y, m = Output(shape, on_integers=32, on_reals=32), Output((G,), "float64", 8, M + 3)
    # The integers' statistics are given as integers and powers of two, so y and most gradients are exact.
    exact = Output(shape, on_reals=6)
    mixed = Output(shape, on_integers=6, on_reals=M + 6)
    sums = Output((W, P), on_reals=N * S * G // W + 6)

    def given(draw: Draw):
        mean = np.arange(G) % 5 - 2.0
        invstd = 0.5 ** (np.arange(G) % 3)
        return draw(shape), draw((W, P)), draw((W, P)), mean, invstd

    def build(draw: Draw):
        return [y, m, m], [about_a_mean(draw, *shape), draw((W, P)), draw((W, P)), 1e-5]

    def build_given(draw: Draw):
        x, weight, bias, mean, invstd = given(draw)
        return [exact], [x, mean, invstd, weight, bias]

    def build_backward(dx: Output):
        def build(draw: Draw):
            x, weight, _, mean, invstd = given(draw)
            return [dx, sums, sums], [draw(shape), x, weight, mean, invstd]

        return build

    return [
        Case("normalize", name, build),
        Case("normalize_given", name, build_given),
        Case("normalize_backward", name, build_backward(mixed)),
        Case("normalize_given_backward", name, build_backward(exact)),
    ]


# --- dropout -------------------------------------------------------------------------------


def dropout_cases(U: int, B: int, seed: int, threshold: int, scale: float) -> list[Case]:
    name = f"{U}x{B}-{seed:#x}-{threshold:#x}"
    y, mask = Output((U, B), on_reals=2), Output((U,), "bool")
    kept = np.random.default_rng(U).random(U) * 2**32 >= threshold
    return [
        Case("dropout", name, lambda draw: ([y], [draw((U, B)), seed, threshold, scale])),
        Case("dropout_mask", name, lambda draw: ([y, mask], [draw((U, B)), seed, threshold, scale])),
        Case("dropout_given", name, lambda draw: ([y], [draw((U, B)), kept, scale])),
    ]


CASES: tuple[Case, ...] = tuple(
    itertools.chain(
        *map(conv_cases, CONVOLUTIONS),
        itertools.starmap(grad_b_case, [(1, 1, 1, 1), (2, 7, 5, 3), (3, 9, 16, 17), (1, 3, 47, 49)]),
        *itertools.starmap(pad_cases, PADS),
        pool_cases(),
        *itertools.starmap(channel_mean_cases, CHANNELS),
        *itertools.starmap(
            normalize_cases,
            [
                ("one", 1, 1, 1, 1, 1),
                ("batch", 2, 3, 1, 35, 3),
                ("batch-vectors", 6, 9, 1, 1, 9),
                ("batch-tile", 2, 8, 1, 48, 8),
                ("batch-tile+1", 3, 9, 1, 49, 9),
                ("instance", 1, 6, 1, 47, 3),
                ("group", 1, 4, 3, 17, 2),
                ("layer", 1, 5, 17, 1, 1),
                ("layer-short", 1, 330, 7, 1, 1),
                ("instance-short", 1, 66, 1, 5, 33),
                ("everything", 2, 4, 3, 5, 2),
                ("constant", 1, 3, 1, 1, 3),
                ("chunks", 4, 3, 1, 10007, 3),
                ("group-chunks", 1, 2, 3, 20011, 2),
                ("layer-chunks", 1, 2, 40009, 1, 1),
            ],
        ),
        *itertools.starmap(
            dropout_cases,
            [
                (1, 1, 0, 0, 1.0),
                (63, 1, 1, 2**31, 2.0),
                (64, 3, 2**32, 2**30, 1.25),
                (65, 17, 2**64 - 1, 2**31, 2.0),
                (1009, 1, 12345678901234567890, 2**31, 2.0),
                (7, 49, 3, 2**30, 1.25),
                (16, 5, 3, 2**32, 4.0),
                (67, 2049, 7, 2**31, 2.0),
                (3, 40000, 8, 2**30, 1.25),
            ],
        ),
    )
)
