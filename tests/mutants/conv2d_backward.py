"""The gradients of a convolution, as a scatter of every product."""

import numpy as np

from . import Edit
from .conv2d import pair


def conv2d_backward(grad_y, x, w, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"):
    (SH, SW), (PH, PW), (DH, DW) = pair(stride), pair(padding), pair(dilation)
    N, _, H, W = x.shape
    OC, ICG, KH, KW = w.shape
    mode = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(padding_mode, padding_mode)
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), mode)
    grad_padded, grad_w = np.zeros(padded.shape), np.zeros(w.shape)
    for n in range(N):
        for o in range(OC):
            first = o // (OC // groups) * ICG
            for i, j in np.ndindex(grad_y.shape[2:]):
                g = grad_y[n, o, i, j]
                for c, kh, kw in np.ndindex(ICG, KH, KW):
                    at = n, first + c, i * SH + kh * DH, j * SW + kw * DW
                    grad_padded[at] += g * w[o, c, kh, kw]
                    grad_w[o, c, kh, kw] += g * padded[at]
    if padding_mode == "zeros":
        grad_x = grad_padded[:, :, PH : PH + H, PW : PW + W]
    else:  # a pixel of the border is a copy of another, which gets its gradient
        rows, cols = np.pad(np.arange(H), PH, mode), np.pad(np.arange(W), PW, mode)
        grad_x = np.zeros(x.shape)
        np.add.at(grad_x, np.s_[:, :, rows[:, None], cols], grad_padded)
    grad_b = grad_y.sum(axis=(0, 2, 3))
    return grad_x, grad_w, grad_b


EDITS = [
    Edit("windows_not_summed", "grad_w[o, c, kh, kw] +=", "grad_w[o, c, kh, kw] ="),
    Edit("grad_b_of_all_filters", "grad_y.sum(axis=(0, 2, 3))", "grad_y.sum()"),
    Edit("grad_x_kernel_turned", "+= g * w[o, c, kh, kw]", "+= g * w[o, c, KH - 1 - kh, KW - 1 - kw]"),
    Edit("overlaps_overwritten", "grad_padded[at] +=", "grad_padded[at] ="),
    Edit("grad_w_turned", "return grad_x, grad_w, grad_b", "return grad_x, grad_w[:, :, ::-1, ::-1], grad_b"),
    Edit("batch_not_summed", "grad_w[o, c, kh, kw] +=", "grad_w[o, c, kh, kw] += n == 0 and"),
    Edit("batch_averaged", "return grad_x, grad_w, grad_b", "return grad_x, grad_w / N, grad_b / N"),
    Edit("batch_averaged", "return grad_x, grad_w, grad_b", "return grad_x, grad_w / N, grad_b"),
    Edit("grad_b_not_summed", "grad_y.sum(axis=(0, 2, 3))", "grad_y.sum(axis=(2, 3))"),
    Edit("grad_b_not_summed", "grad_y.sum(axis=(0, 2, 3))", "grad_y.sum(axis=0)"),
    Edit("grad_b_averaged", "grad_y.sum(axis=(0, 2, 3))", "grad_y.mean(axis=(0, 2, 3))"),
    Edit("stride_ignored_in_grad_w", "+= g * padded[at]", "+= g * padded[n, first + c, i + kh * DH, j + kw * DW]"),
    Edit("stride_ignored_in_grad_x", "grad_padded[at] +=", "grad_padded[n, first + c, i + kh * DH, j + kw * DW] +="),
    Edit("dilation_ignored_in_the_gradient", "+= g * padded[at]", "+= g * padded[n, first + c, i * SH + kh, j * SW + kw]"),
    Edit("dropped_columns_given_gradient", "    if padding_mode ==", "    rest = [(n + 2 * p - d * (k - 1) - 1) % s for n, p, d, k, s in ((H, PH, DH, KH, SH), (W, PW, DW, KW, SW))]\n    grad_padded = np.roll(grad_padded, rest, (2, 3))\n    if padding_mode =="),
    Edit("dropped_columns_missing", "PH : PH + H, PW : PW + W]", "PH : PH + H - (H + 2 * PH - DH * (KH - 1) - 1) % SH, PW : PW + W - (W + 2 * PW - DW * (KW - 1) - 1) % SW]"),
    Edit("padding_not_cropped", "grad_padded[:, :, PH : PH + H, PW : PW + W]", "grad_padded"),
    Edit("padding_not_cropped", "grad_padded[:, :, PH : PH + H, PW : PW + W]", "grad_padded[:, :, :H, :W]"),
    Edit("padding_not_cropped", "grad_padded[:, :, PH : PH + H, PW : PW + W]", "grad_padded[:, :, PH:-PH, PW:-PW]"),
    Edit("gradients_swapped", "return grad_x, grad_w, grad_b", "return grad_w, grad_x, grad_b"),
    Edit("all_multiplied", "return grad_x, grad_w, grad_b", "return 2 * grad_x, grad_w, grad_b"),
    Edit("all_multiplied", "return grad_x, grad_w, grad_b", "return grad_x, -grad_w, -grad_b"),
    Edit(("grad_w_turned", "grad_b_averaged"), "return grad_x, grad_w, grad_b", "return grad_x, grad_w[..., ::-1, ::-1], grad_y.mean(axis=(0, 2, 3))"),
    Edit("filters_not_summed", "grad_padded[at] += g", "grad_padded[at] += (o == 0) * g"),
    Edit("border_s_gradient_dropped", 'if padding_mode == "zeros":', "if True:"),
    Edit("padding_zero_in_grad_w", "+= g * padded[at]", "+= g * np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))[at]"),
]  # fmt: skip
