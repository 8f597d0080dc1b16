"""What each operation's kernel is called with: the contract of ``convkit.dispatch``, as Numba types.

Outputs stand before the bar, inputs after it. A letter is an element type, ``f`` the float type that
the kernel is compiled for, ``d`` float64, ``i`` a signed integer, ``u`` an unsigned one, ``b`` a
bool; a digit behind it makes it a C-contiguous array of that rank. Inputs are arrays that may be
read-only. Spelled out once, the types cost each kernel one compilation for each float type, whatever
kind of array comes in.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

SIGNATURES = {
    "conv2d": "f4 | f4 f4 f1 i1 i1 i i i i",
    "conv_transpose2d": "f4 | f4 f4 f1 i1 i1 i i i i",
    "conv2d_grad_w": "f4 | f4 f4 i1 i1 i i i i",
    "conv2d_grad_b": "f1 | f4",
    "im2col": "f6 | f4 i1 i1 i i i i",
    "col2im": "f4 | f6 i1 i1 i i i i",
    "pad2d": "f3 | f3 i1 i1 d",
    "pad2d_backward": "f3 | f3 i1 i1",
    "avg_pool2d": "f3 | f3 i2 i2",
    "avg_pool2d_backward": "f3 | f3 i2 i2",
    "max_pool2d": "f3 | f3 i2 i2",
    "max_pool2d_indices": "f3 i3 | f3 i2 i2",
    "max_pool2d_backward": "f3 | f3 i3",
    "channel_mean": "f2 | f3",
    "channel_mean_backward": "f3 | f2",
    "normalize": "f4 d1 d1 | f4 f2 f2 d",
    "normalize_given": "f4 | f4 d1 d1 f2 f2",
    "normalize_backward": "f4 f2 f2 | f4 f4 f2 d1 d1",
    "normalize_given_backward": "f4 f2 f2 | f4 f4 f2 d1 d1",
    "dropout": "f2 | f2 u u d",
    "dropout_mask": "f2 b1 | f2 u u d",
    "dropout_given": "f2 | f2 b1 d",
}

ARRAYS_OF_IMAGES = {
    **dict.fromkeys(("conv2d", "conv_transpose2d", "im2col", "col2im", "pad2d", "pad2d_backward"), 2),
    **dict.fromkeys(("avg_pool2d", "avg_pool2d_backward", "max_pool2d", "normalize_given"), 2),
    **dict.fromkeys(("max_pool2d_indices", "max_pool2d_backward", "dropout_given"), 3),
    **dict.fromkeys(("channel_mean", "channel_mean_backward"), 2),
}
"""How many arguments, from the first on, have images (or planes, or units) along their first axis, in the
operations that do one after another. The others take sums over all images, or number units from the first."""


def signature(op: str, dtype: str, threads: bool = False) -> Any:
    """Return the Numba signature of an operation's kernel.

    `dtype` is ``"float32"`` or ``"float64"``. With `threads`, one more argument says how many there are.
    """
    elements = {
        "f": numba.from_dtype(np.dtype(dtype)),
        "d": numba.float64,
        "i": numba.int64,
        "u": numba.uint64,
        "b": numba.boolean,
    }

    def read(word: str, readonly: bool) -> Any:
        element, rank = elements[word[0]], word[1:]
        return numba.types.Array(element, int(rank), "C", readonly) if rank else element

    outputs, inputs = SIGNATURES[op].split("|")
    words = [(w, False) for w in outputs.split()] + [(w, True) for w in inputs.split()]
    return numba.void(*(read(*word) for word in words), *(numba.int64,) * threads)
