"""Average pooling window by window."""

import numpy as np

from . import Edit
from .conv2d import pair


def windows(n, k, s, p, ceil_mode):
    """How many windows there are along an axis."""
    o = (n + 2 * p - k) // s + 1
    if ceil_mode:
        o = -(-(n + 2 * p - k) // s) + 1
        if (o - 1) * s >= n + p:
            o -= 1
    return o


def avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    (KH, KW), (PH, PW) = pair(kernel_size), pair(padding)
    SH, SW = pair(stride) if stride else (KH, KW)
    N, C, H, W = x.shape
    OH, OW = windows(H, KH, SH, PH, ceil_mode), windows(W, KW, SW, PW, ceil_mode)
    y = np.zeros((N, C, OH, OW))
    for n, c, oh, ow in np.ndindex(y.shape):
        h0, w0 = oh * SH - PH, ow * SW - PW
        h1, w1 = min(h0 + KH, H + PH), min(w0 + KW, W + PW)
        window = x[n, c, max(h0, 0) : min(h1, H), max(w0, 0) : min(w1, W)]
        cells = (h1 - h0) * (w1 - w0) if count_include_pad else window.size
        y[n, c, oh, ow] = window.sum() / (divisor_override or cells)
    return y


EDITS = [
    Edit("sum_not_mean", "window.sum() / (divisor_override or cells)", "window.sum()"),
    Edit("divisor_ignores_padding", "(h1 - h0) * (w1 - w0) if count_include_pad else window.size", "window.size"),
    Edit("divisor_ignores_padding", "window.sum() / (divisor_override or cells)", "window.sum() / (divisor_override or window.size)"),
    Edit("divisor_counts_padding", "if count_include_pad else window.size", "if True else 0"),
    Edit("divisor_counts_overhang", "(h1 - h0) * (w1 - w0) if", "KH * KW if"),
    Edit("divisor_override_ignored", "(divisor_override or cells)", "cells"),
    Edit("stride_defaults_to_one", "else (KH, KW)", "else (1, 1)"),
    Edit("stride_is_the_window", "pair(stride) if stride else (KH, KW)", "KH, KW"),
    Edit("stride_ignored", "oh * SH - PH, ow * SW - PW", "oh - PH, ow - PW"),
    Edit("stride_ignored", "SH, SW = pair(stride) if stride else (KH, KW)", "SH = SW = 1"),
    Edit("stride_swapped", "SH, SW = pair(stride) if stride", "SH, SW = pair(stride)[::-1] if stride"),
    Edit("window_swapped", "(KH, KW), (PH, PW) =", "(KW, KH), (PH, PW) ="),
    Edit("last_window_lost", "y = np.zeros((N, C, OH, OW))", "y = np.zeros((N, C, OH - (not ceil_mode), OW - (not ceil_mode)))"),
    Edit("ceil_mode_ignored", "N, C, H, W = x.shape", "N, C, H, W, ceil_mode = *x.shape, False"),
    Edit("always_ceil", "N, C, H, W = x.shape", "N, C, H, W, ceil_mode = *x.shape, True"),
    Edit("ceil_rule", "OH, OW = windows(H, KH, SH, PH, ceil_mode), windows(W, KW, SW, PW, ceil_mode)",
         "OH, OW = ((n + 2 * p - k + (s - 1) * ceil_mode) // s + 1 for n, k, s, p in ((H, KH, SH, PH), (W, KW, SW, PW)))"),
    Edit("padding_ignored", "pair(kernel_size), pair(padding)", "pair(kernel_size), (0, 0)"),
    Edit("padding_swapped", "(PH, PW) =", "(PW, PH) ="),
    Edit("border_not_zero", "window = x[n, c, max(h0, 0) : min(h1, H), max(w0, 0) : min(w1, W)]",
         "window = x[n, c].take(np.clip(range(h0, h1), 0, H - 1), 0).take(np.clip(range(w0, w1), 0, W - 1), 1)"),
    Edit("channels_mixed", "return y", "return y.mean(1)"),
    Edit("channels_mixed", "return y", "return y.mean(1, keepdims=True)"),
    Edit("batch_not_looped", "return y", "return y[:1]"),
    Edit("axes_lost", "return y", "return y.squeeze()"),
]  # fmt: skip
