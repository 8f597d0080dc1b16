"""A border, cell by cell through an index for each axis."""

import numpy as np

from . import Edit


def pad(x, padding, mode="constant", value=0.0):
    left, right, *rest = padding
    top, bottom = rest or (0, 0)
    y = x
    for axis, before, after in ((-1, left, right), (-2, top, bottom)):
        if before == after == 0:
            continue
        n = y.shape[axis]
        i = np.arange(-before, n + after)
        if mode == "constant":
            inside = (i >= 0) & (i < n)
            y = np.moveaxis(y.take(np.clip(i, 0, n - 1), axis), axis, -1).copy()
            y[..., ~inside] = value
            y = np.moveaxis(y, -1, axis)
            continue
        if mode == "reflect":
            i = i % (2 * n - 2)
            i = np.minimum(i, 2 * n - 2 - i)
        elif mode == "symmetric":
            i = i % (2 * n)
            i = np.minimum(i, 2 * n - 1 - i)
        elif mode == "replicate":
            i = np.clip(i, 0, n - 1)
        else:
            i = i % n
        y = y.take(i, axis)
    return y.copy()


EDITS = [
    Edit("rows_first", "(-1, left, right), (-2, top, bottom)", "(-2, left, right), (-1, top, bottom)"),
    Edit("sides_swapped", "left, right, *rest = padding", "right, left, *rest = padding"),
    Edit("sides_swapped", "top, bottom = rest", "bottom, top = rest"),
    Edit("sides_interleaved", "(-1, left, right), (-2, top, bottom)", "(-1, left, top), (-2, right, bottom)"),
    Edit("one_side_only", "n + after)", "n)"),
    Edit("one_side_only", "-before, n + after", "-before, n + before"),
    Edit("wrong_axes_padded", "(-1, left, right), (-2, top, bottom)", "(len(padding) // 2 - 1, left, right), (0, top, bottom)"),
    Edit("value_ignored", "y[..., ~inside] = value", "y[..., ~inside] = 0"),
    Edit("mode_ignored", 'if mode == "constant":', "if True:"),
    Edit("edge_repeated", "i = i % (2 * n - 2)\n            i = np.minimum(i, 2 * n - 2 - i)", "i = i % (2 * n)\n            i = np.minimum(i, 2 * n - 1 - i)"),
    Edit("edge_not_repeated", "i = i % (2 * n)\n            i = np.minimum(i, 2 * n - 1 - i)", "i = i % (2 * n - 2)\n            i = np.minimum(i, 2 * n - 2 - i)"),
    Edit("replicate_mirrors", "i = np.clip(i, 0, n - 1)", "i = np.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))"),
    Edit("circular_mirrors", "i = i % n\n", "i = np.minimum(i % (2 * n), 2 * n - 1 - i % (2 * n))\n"),
    Edit("circular_on_the_wrong_side", "i = i % n\n", "i = np.r_[np.arange(before), np.arange(n), np.arange(n - after, n)]\n"),
    Edit("crop_ignored", "n = y.shape[axis]", "n, before, after = y.shape[axis], max(before, 0), max(after, 0)"),
]  # fmt: skip
