"""Sizes and options of the cases in :mod:`kernel_cases`: plain data, and the shapes that follow."""

from __future__ import annotations

from dataclasses import dataclass

from convkit.geometry import PADDING_MODES, conv_output_size, index_table

Pair = tuple[int, int]


@dataclass(frozen=True)
class Convolution:
    """A convolution: its options, and from them the shapes and tables of its kernels."""

    name: str
    x: tuple[int, int, int, int]
    OC: int
    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    groups: int = 1
    mode: str = "zeros"

    @property
    def w(self) -> tuple[int, int, int, int]:
        return (self.OC, self.x[1] // self.groups, *self.kernel)

    @property
    def y(self) -> tuple[int, int, int, int]:
        axes = zip(self.x[2:], self.kernel, self.stride, self.dilation, self.padding, strict=True)
        OH, OW = (conv_output_size(n, k, s, d, *p) for n, k, s, d, p in axes)
        return self.x[0], self.OC, OH, OW

    @property
    def cols(self) -> tuple[int, ...]:
        return (*self.x[:2], *self.kernel, *self.y[2:])

    @property
    def tables(self) -> list:
        tables = [index_table(n, *p, self.mode) for n, p in zip(self.x[2:], self.padding, strict=True)]
        return [*tables, *self.stride, *self.dilation]


ONE, TWO = (1, 1), (2, 2)
SAME = ONE, ONE  # one cell of padding on each side of each axis
RAGGED = (2, 1), (0, 3)

CONVOLUTIONS = [
    Convolution("one", (1, 1, 1, 1), 1, (1, 1)),
    Convolution("primes", (2, 3, 7, 11), 5, (3, 2)),
    Convolution("pointwise", (2, 7, 5, 3), 9, (1, 1)),
    Convolution("pointwise-strided", (1, 5, 7, 9), 3, (1, 1), stride=TWO),
    Convolution("row", (2, 3, 1, 17), 2, (1, 5), padding=((0, 0), (2, 2))),
    Convolution("column", (1, 2, 19, 1), 3, (3, 1), stride=(2, 1)),
    # tiles of 8 and 9 channels, 16 and 48 pixels, and one fewer and one more of each
    *(
        Convolution(f"tile-{OC}x{OW}", (1, IC, 2, OW + 2), OC, (2, 3))
        for OC, OW, IC in [(7, 15, 1), (8, 16, 3), (9, 17, 2), (7, 49, 1), (8, 48, 2), (9, 47, 1), (17, 5, 3)]
    ),
    Convolution("whole-vectors", (1, 3, 5, 34), 9, (2, 3)),  # rows of 32 outputs
    Convolution("long-sum", (1, 67, 3, 4), 2, (3, 3), padding=SAME),
    Convolution("same", (2, 3, 6, 5), 4, (3, 3), padding=SAME),
    # Winograd's tiles are 4x4 outputs, in blocks of about 48, for 16 filters at a time
    Convolution("tiles-1", (1, 17, 5, 5), 15, (3, 3)),
    Convolution("tiles", (2, 16, 18, 34), 16, (3, 3)),
    Convolution("tiles+1", (3, 3, 17, 21), 17, (3, 3), padding=SAME),
    Convolution("wide-tiles", (1, 2, 6, 210), 3, (3, 3), padding=RAGGED),
    Convolution("tiles-rest", (1, 5, 5, 68), 9, (3, 3)),  # 17: one more than a vector
    Convolution("tiles-in-groups", (2, 6, 29, 30), 10, (3, 3), padding=SAME, groups=2),
    Convolution("strided", (1, 2, 9, 13), 3, (3, 3), stride=(2, 3), padding=SAME),
    Convolution("strided-channels", (2, 19, 9, 7), 35, (3, 3), stride=TWO, padding=SAME),
    Convolution("floored", (2, 2, 8, 10), 2, (3, 2), stride=(3, 4)),  # the last cells are never read
    Convolution("gaps", (1, 2, 7, 9), 3, (2, 1), stride=(3, 2)),  # nor are those between the windows
    Convolution("dilated", (1, 2, 9, 11), 3, (3, 2), dilation=(2, 5), padding=RAGGED),
    Convolution("dilated-strided", (2, 2, 9, 8), 2, (2, 3), stride=TWO, dilation=(3, 2), padding=SAME),
    Convolution("asymmetric", (1, 3, 5, 7), 2, (3, 3), padding=((0, 2), (3, 1))),
    Convolution("groups", (2, 6, 5, 7), 9, (3, 3), padding=SAME, groups=3),
    Convolution("depthwise", (2, 17, 6, 5), 17, (3, 3), stride=TWO, padding=SAME, groups=17),
    Convolution("depthwise-wide", (2, 3, 5, 37), 6, (3, 3), padding=SAME, groups=3),
    Convolution("depthwise-twice", (1, 3, 5, 17), 6, (3, 2), padding=SAME, groups=3),
    Convolution("larger-than-image", (2, 2, 2, 3), 3, (5, 7), padding=((2, 2), (3, 3))),
    Convolution("far-padding", (1, 2, 2, 3), 8, (2, 2), padding=((5, 0), (2, 6))),  # windows of zeros only
    Convolution("nothing-read", (1, 1, 2, 2), 1, (1, 1), stride=(5, 5), padding=SAME),  # and no other
    *(
        Convolution(f"{mode}-{name}", (2, 2, 4, 5), 2, (3, 3), stride, dilation, padding, 1, mode)
        for mode in PADDING_MODES[1:]
        for name, stride, dilation, padding in [
            ("same", ONE, ONE, SAME),
            ("ragged", (2, 1), (1, 2), RAGGED),
            ("bouncing", TWO, TWO, ((9, 4), (1, 11))),  # more padding than image
        ]
    ),
]

# planes, size, padding of rows and of columns, mode, value
PADS = [
    (1, (1, 1), ((0, 0), (0, 0)), "zeros", 0.0),
    (2, (3, 5), ((1, 2), (3, 4)), "zeros", 0.0),
    (3, (7, 16), ((0, 1), (0, 0)), "zeros", 2.5),
    (2, (5, 17), ((-1, 2), (3, -4)), "zeros", -1.0),  # negative padding crops
    (1, (4, 48), ((-2, -1), (-7, 0)), "zeros", 0.0),
    (17, (1, 1), ((1, 0), (0, 2)), "replicate", 0.0),
    *((33, (7, 7), (pads, pads), mode, 2.5) for pads in ((1, 1), (2, 2)) for mode in PADDING_MODES),
    (40, (2, 1), ((0, 1), (1, 1)), "zeros", -1.0),
    (5, (3, 8), ((-1, 0), (-3, 2)), "zeros", 7.0),
    *(
        (P, size, pads, mode, 0.0)
        for mode in PADDING_MODES[1:]
        for P, size, pads in [
            (1, (2, 3), ((1, 1), (2, 2))),
            (3, (5, 47), ((2, 0), (0, 3))),
            (2, (3, 2), ((8, 5), (7, 9))),  # more padding than image
        ]
    ),
]

# name, planes, size, window, stride, padding, dilation (of max pooling alone), ceil_mode
POOLS = [
    ("one", 1, (1, 1), ONE, ONE, (0, 0), 1, False),
    ("halves", 3, (6, 8), TWO, TWO, (0, 0), 1, False),
    ("primes", 2, (7, 11), (3, 2), (2, 3), ONE, 1, False),
    ("overlapping", 2, (9, 17), (3, 3), ONE, ONE, 1, False),
    ("overhang", 2, (8, 7), (3, 2), (2, 2), (0, 1), 1, True),
    ("overhang-padded", 1, (4, 4), (3, 3), TWO, ONE, 1, True),
    ("skipping", 2, (9, 11), TWO, (3, 4), (0, 0), 1, True),
    ("dilated", 2, (9, 12), (3, 2), (1, 2), ONE, 2, False),
    ("dilated-overhang", 1, (10, 9), (2, 3), TWO, ONE, 3, True),
    ("row", 5, (1, 49), (1, 3), (1, 2), (0, 1), 1, False),
    ("tile", 1, (3, 50), (3, 3), ONE, (0, 0), 1, False),
    ("tile-strided", 9, (5, 33), TWO, TWO, ONE, 1, False),
    ("whole", 8, (5, 16), (5, 16), (5, 16), (0, 0), 1, False),
    ("both-edges", 1, (4, 3), (1, 6), ONE, (0, 3), 1, False),  # all windows show the same cells
    ("both-edges-tall", 1, (3, 5), (4, 8), ONE, (2, 4), 1, False),
    ("small-planes", 17, (5, 5), (3, 3), ONE, ONE, 1, False),
    *((f"small-to-{o}", 33, (5, o + 4), (5, 5), ONE, (0, 0), 1, False) for o in (1, 2, 7, 15)),
    *(
        (f"row-{k}-{s}", 1, (6, 70), (k, k), (s, s), (0, 0), 1, False)
        for k, s in ((2, 1), (3, 2), (3, 3), (5, 3))
    ),
    ("wide", 2, (9, 47), (5, 11), ONE, (2, 5), 1, False),  # running sums
    ("wide-strided", 1, (4, 60), (2, 20), (2, 3), (1, 7), 1, True),
]
