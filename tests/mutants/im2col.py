"""Windows as columns, one number at a time."""

import numpy as np

from . import Edit
from .conv2d import pair


def im2col(x, kernel_size, dilation=1, padding=0, stride=1):
    (KH, KW), (DH, DW), (PH, PW), (SH, SW) = map(pair, (kernel_size, dilation, padding, stride))
    N, C, H, W = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    OH = (H + 2 * PH - DH * (KH - 1) - 1) // SH + 1
    OW = (W + 2 * PW - DW * (KW - 1) - 1) // SW + 1
    cols = np.zeros((N, C * KH * KW, OH * OW))
    for n in range(N):
        for c, kh, kw in np.ndindex(C, KH, KW):
            row = (c * KH + kh) * KW + kw
            for oh, ow in np.ndindex(OH, OW):
                column = oh * OW + ow
                cols[n, row, column] = x[n, c, oh * SH + kh * DH, ow * SW + kw * DW]  # fmt: skip
    return cols


EDITS = [
    Edit("rows_are_windows", "return cols", "return cols.swapaxes(1, 2)"),
    Edit("batch_side_by_side", "return cols", "return np.hstack(list(cols))"),
    Edit("axes_not_joined", "return cols", "return cols.reshape(N, C, KH, KW, OH, OW)"),
    Edit("taps_before_channels", "row = (c * KH + kh) * KW + kw", "row = (kh * KW + kw) * C + c"),
    Edit("taps_column_by_column", "row = (c * KH + kh) * KW + kw", "row = (c * KW + kw) * KH + kh"),
    Edit("taps_reversed", "row = (c * KH + kh) * KW + kw", "row = (c * KH + KH - 1 - kh) * KW + KW - 1 - kw"),
    Edit("windows_column_by_column", "column = oh * OW + ow", "column = ow * OH + oh"),
    Edit("stride_and_dilation_exchanged", "dilation, padding, stride))", "stride, padding, dilation))"),
    Edit("windows_do_not_overlap", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    SH, SW = KH, KW"),
    Edit("stride_ignored", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    SH = SW = 1"),
    Edit("stride_ignored", "oh * SH + kh * DH, ow * SW + kw * DW]", "oh + kh * DH, ow + kw * DW]"),
    Edit("stride_swapped", "(SH, SW) =", "(SW, SH) ="),
    Edit("padding_ignored", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    PH = PW = 0"),
    Edit("padding_swapped", "(PH, PW), (SH", "(PW, PH), (SH"),
    Edit("dilation_ignored", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    DH = DW = 1"),
    Edit("dilation_swapped", "(DH, DW), (PH", "(DW, DH), (PH"),
    Edit("last_window_lost", "    cols = np.zeros", "    OH, OW = OH - 1, OW - 1\n    cols = np.zeros"),
    Edit("batch_not_looped", "for n in range(N):", "for n in range(1):"),
    Edit("dilation_counts_from_zero", "N, C, H, W = x.shape", "N, C, H, W = x.shape\n    DH, DW = DH + 1, DW + 1"),
    Edit("result_in_the_image_s_order", "return cols", "return x.reshape(N, C, -1)"),
]  # fmt: skip
