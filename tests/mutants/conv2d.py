"""Convolution in seven loops."""

import numpy as np

from . import Edit


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros", flip=False):
    (SH, SW), (PH, PW), (DH, DW) = pair(stride), pair(padding), pair(dilation)
    N, _, IH, IW = x.shape
    OC, ICG, KH, KW = w.shape
    if flip:
        w = w[:, :, ::-1, ::-1]
    modes = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}
    border = (0, 0), (0, 0), (PH, PH), (PW, PW)
    x = np.pad(x, border, modes.get(padding_mode, padding_mode))
    OH = (IH + 2 * PH - DH * (KH - 1) - 1) // SH + 1
    OW = (IW + 2 * PW - DW * (KW - 1) - 1) // SW + 1
    y = np.zeros((N, OC, OH, OW))
    for n in range(N):
        for o in range(OC):
            first = o // (OC // groups) * ICG
            for i in range(OH):
                for j in range(OW):
                    total = 0.0
                    for c in range(ICG):
                        for kh in range(KH):
                            for kw in range(KW):
                                pixel = x[n, first + c, i * SH + kh * DH, j * SW + kw * DW]
                                total += pixel * w[o, c, kh, kw]
                    bias = 0.0 if b is None else b[o]
                    y[n, o, i, j] = total + bias
    return y


EDITS = [
    Edit("bias_subtracted", "= total + bias", "= total - bias"),
    Edit("mirrors_exchanged", '"circular": "wrap"}', '"circular": "wrap", "reflect": "symmetric", "symmetric": "reflect"}'),
    Edit("square_assumed", "DW * (KW - 1) - 1) // SW + 1", "DW * (KH - 1) - 1) // SW + 1"),
    Edit("square_assumed", "    y = np.zeros", "    OW = OH\n    y = np.zeros"),
    Edit("dilated_span_too_long", "    y = np.zeros", "    OH, OW = (IH + 2 * PH - DH * KH) // SH + 1, (IW + 2 * PW - DW * KW) // SW + 1\n    y = np.zeros"),
    Edit("sum_not_reset", "total = 0.0", "total = 0.0 if j == 0 else total"),
    Edit("groups_share_filters", "w[o, c, kh, kw]", "w[o % (OC // groups), c, kh, kw]"),
    Edit("kernel_flipped", "w[o, c, kh, kw]", "w[o, c, KH - 1 - kh, KW - 1 - kw]"),
    Edit("kernel_mirrored", "w[o, c, kh, kw]", "w[o, c, kh, KW - 1 - kw]"),
    Edit("kernel_mirrored", "w[o, c, kh, kw]", "w[o, c, KH - 1 - kh, kw]"),
    Edit("flip_ignored", "if flip:", "if False:"),
    Edit("kernel_flipped", "if flip:", "if not flip:"),
    Edit("kernel_transposed", "w[o, c, kh, kw]", "w[o, c, kw, kh]"),
    Edit("channels_not_summed", "for c in range(ICG):", "for c in range(1):"),
    Edit("channels_not_summed", "for kh in range(KH):", "total = 0.0\n                        for kh in range(KH):"),
    Edit("channels_averaged", "total += pixel * w[o, c, kh, kw]", "total += pixel * w[o, c, kh, kw] / ICG"),
    Edit("taps_averaged", "total += pixel * w[o, c, kh, kw]", "total += pixel * w[o, c, kh, kw] / (KH * KW)"),
    Edit("taps_averaged", "y[n, o, i, j] = total + bias", "y[n, o, i, j] = total / w[o].size + bias"),
    Edit("one_filter_for_all", "w[o, c, kh, kw]", "w[0, c, kh, kw]"),
    Edit("bias_missing", "= total + bias", "= total"),
    Edit("bias_repeated", "= total + bias", "= total + bias * ICG"),
    Edit("bias_repeated", "= total + bias", "= total + bias * KH * KW"),
    Edit("bias_of_the_first_filter", "else b[o]", "else b[0]"),
    Edit("stride_ignored", "pair(stride), pair(padding)", "(1, 1), pair(padding)"),
    Edit("stride_ignored", "i * SH + kh * DH, j * SW + kw * DW]", "i + kh * DH, j + kw * DW]"),
    Edit("stride_swapped", "(SH, SW), (PH, PW)", "(SW, SH), (PH, PW)"),
    Edit("last_window_lost", "    y = np.zeros", "    OH, OW = OH - 1, OW - 1\n    y = np.zeros"),
    Edit("last_window_lost", "- 1) // SH + 1", "- 1) // SH"),
    Edit("padding_ignored", "pair(padding), pair(dilation)", "(0, 0), pair(dilation)"),
    Edit("padding_one_sided", "(PH, PH), (PW, PW)", "(2 * PH, 0), (2 * PW, 0)"),
    Edit("padding_one_sided", "(PH, PH), (PW, PW)", "(0, 2 * PH), (0, 2 * PW)"),
    Edit("padding_swapped", "(PH, PW), (DH, DW)", "(PW, PH), (DH, DW)"),
    Edit("border_not_zero", '"zeros": "constant"', '"zeros": "edge"'),
    Edit("border_not_zero", '"zeros": "constant"', '"zeros": "wrap"'),
    Edit("padding_mode_ignored", "modes.get(padding_mode, padding_mode)", '"constant"'),
    Edit("edge_repeated", '"circular": "wrap"}', '"circular": "wrap", "reflect": "symmetric"}'),
    Edit("edge_not_repeated", '"circular": "wrap"}', '"circular": "wrap", "symmetric": "reflect"}'),
    Edit("dilation_ignored", "pair(dilation)", "(1, 1)"),
    Edit("dilation_swapped", "(DH, DW) = pair", "(DW, DH) = pair"),
    Edit("groups_ignored", "first = o // (OC // groups) * ICG", "first = 0"),
    Edit("groups_interleaved", "first = o // (OC // groups) * ICG", "first = o % groups * ICG"),
    Edit("batch_not_looped", "for n in range(N):", "for n in range(1):"),
    Edit("result_reshaped", "return y", "return y.transpose(0, 2, 3, 1).reshape(y.shape)"),
    Edit("result_reshaped", "return y", "return y.transpose(1, 0, 2, 3).reshape(y.shape)"),
    Edit("result_transposed", "return y", "return y.swapaxes(2, 3)"),
    Edit("result_clipped", "return y", "return np.maximum(y, 0)"),
    Edit("result_clipped", "return y", "return abs(y)"),
    Edit("axes_lost", "return y", "return y.squeeze()"),
    Edit("fractions_lost", "np.zeros((N, OC, OH, OW))", "np.zeros((N, OC, OH, OW), int)"),
    Edit("not_repeatable", "np.zeros((N, OC, OH, OW))", "np.random.default_rng().random((N, OC, OH, OW))\n    OW -= 1"),
    Edit("nothing_returned", "return y", "print(y)"),
    Edit("input_overwritten", "return y", "w -= w.mean()\n    return y"),
    Edit("window_past_the_edge", "- 1) // SH + 1", "- 1 + SH - 1) // SH + 1"),
    Edit("window_past_the_edge", "(PH, PH), (PW, PW)", "(PH, PH + SH - 1), (PW, PW + SW - 1)\n    IH, IW = IH + SH - 1, IW + SW - 1"),
    Edit(("kernel_flipped", "bias_missing"), "total + bias", "(x[n, first : first + ICG, i * SH : i * SH + DH * KH : DH, "
         "j * SW : j * SW + DW * KW : DW] * w[o, :, ::-1, ::-1]).sum()"),
    Edit("dilation_counts_from_zero", "N, _, IH, IW = x.shape", "N, _, IH, IW = x.shape\n    DH, DW = DH + 1, DW + 1"),
    Edit("crashes", "    y = np.zeros", "    assert KH == KW\n    y = np.zeros"),
    Edit("wrong_shape", "return y", "return np.concatenate([y, y])"),
]  # fmt: skip
