"""Maximum pooling window by window."""

import numpy as np

from . import Edit
from .avg_pool2d import windows
from .conv2d import pair


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    (KH, KW), (PH, PW), (DH, DW) = pair(kernel_size), pair(padding), pair(dilation)
    SH, SW = pair(stride) if stride else (KH, KW)
    N, C, H, W = x.shape
    OH = windows(H, DH * (KH - 1) + 1, SH, PH, ceil_mode)
    OW = windows(W, DW * (KW - 1) + 1, SW, PW, ceil_mode)
    y = np.zeros((N, C, OH, OW))
    indices = np.zeros((N, C, OH, OW), np.int64)
    for n, c, oh, ow in np.ndindex(y.shape):
        best = None
        for kh, kw in np.ndindex(KH, KW):
            ih, iw = oh * SH + kh * DH - PH, ow * SW + kw * DW - PW
            if 0 <= ih < H and 0 <= iw < W:
                v = x[n, c, ih, iw]
                if best is None or v > best or np.isnan(v):
                    best = v
                    indices[n, c, oh, ow] = ih * W + iw
        y[n, c, oh, ow] = best
    return (y, indices) if return_indices else y


EDITS = [
    Edit("padding_is_zero", "                if best is None", "                pass\n            else:\n                v = 0.0\n            if True:\n                if best is None"),
    Edit("starts_from_zero", "best = None\n", "best = 0.0\n"),
    Edit("starts_from_zero", "best = None\n", "best = -1e9\n"),
    Edit("magnitudes_compared", "v = x[n, c, ih, iw]", "v = abs(x[n, c, ih, iw])"),
    Edit("smallest_wins", "v > best", "v < best"),
    Edit("nan_lost", "or v > best or np.isnan(v)", "or v > best or np.isnan(best)"),
    Edit("nan_lost", " or np.isnan(v)", ""),
    Edit("stride_ignored", "ih, iw = oh * SH + kh * DH - PH, ow * SW + kw * DW - PW", "ih, iw = oh + kh * DH - PH, ow + kw * DW - PW"),
    Edit("last_of_equals", "v > best", "v >= best"),
    Edit("index_in_the_window", "= ih * W + iw", "= kh * KW + kw"),
    Edit("index_in_the_padded_plane", "= ih * W + iw", "= (ih + PH) * (W + 2 * PW) + iw + PW"),
    Edit("index_column_by_column", "= ih * W + iw", "= iw * H + ih"),
    Edit("index_in_the_whole_array", "= ih * W + iw", "= ((n * C + c) * H + ih) * W + iw"),
    Edit("stride_defaults_to_one", "else (KH, KW)", "else (1, 1)"),
    Edit("stride_is_the_window", "pair(stride) if stride else (KH, KW)", "KH, KW"),
    Edit("window_swapped", "(KH, KW), (PH, PW)", "(KW, KH), (PH, PW)"),
    Edit("ceil_mode_ignored", "N, C, H, W = x.shape", "N, C, H, W, ceil_mode = *x.shape, False"),
    Edit("dilation_ignored", "pair(dilation)", "(1, 1)"),
    Edit("padding_ignored", "pair(padding), pair(dilation)", "(0, 0), pair(dilation)"),
    Edit("dilation_counts_from_zero", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    DH, DW = DH + 1, DW + 1"),
    Edit("mean_not_maximum", "        y[n, c, oh, ow] = best", "        top, left = oh * SH - PH, ow * SW - PW\n        rows, cols = range(top, top + DH * KH, DH), range(left, left + DW * KW, DW)\n        y[n, c, oh, ow] = np.mean([x[n, c, i, j] for i in rows for j in cols if 0 <= i < H and 0 <= j < W])"),
]  # fmt: skip
