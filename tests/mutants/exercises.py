"""More homework: views, shifted images, chain rules by hand, and slips that square images or equal numbers hide."""

import random

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from .conv2d import pair
from .homework import padded

# --- right ---------------------------------------------------------------------------------


def conv_by_strides(x, w, b=None, stride=1, padding=0, dilation=1):
    """A view by as_strided and one matrix product."""
    (SH, SW), (PH, PW), (DH, DW) = pair(stride), pair(padding), pair(dilation)
    x = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    (N, C, H, W), (OC, _, KH, KW) = x.shape, w.shape
    OH, OW = (H - DH * (KH - 1) - 1) // SH + 1, (W - DW * (KW - 1) - 1) // SW + 1
    n, c, h, v = x.strides
    seen = as_strided(x, (N, C, KH, KW, OH, OW), (n, c, h * DH, v * DW, h * SH, v * SW))
    y = (w.reshape(OC, -1) @ seen.reshape(N, -1, OH * OW)).reshape(N, OC, OH, OW)
    return y if b is None else y + b[:, None, None]


def conv_without_numpy(x, w, b=None, stride=1):
    """Lists of lists, in and out."""
    x, w, (SH, SW) = x.tolist(), w.tolist(), pair(stride)
    KH, KW, H, W = len(w[0][0]), len(w[0][0][0]), len(x[0][0]), len(x[0][0][0])

    def pixel(image, o, i, j):
        total = 0.0 if b is None else b[o]
        for plane, taps in zip(image, w[o], strict=True):
            for kh in range(KH):
                total += sum(plane[i + kh][j + kw] * taps[kh][kw] for kw in range(KW))
        return total

    rows, columns = range(0, H - KH + 1, SH), range(0, W - KW + 1, SW)
    return [[[[pixel(image, o, i, j) for j in columns] for i in rows] for o in range(len(w))] for image in x]


def conv_by_shifts(x, w):
    """The image shifted once for each tap, and added up."""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    OH, OW = H - KH + 1, W - KW + 1
    taps = np.ndindex(KH, KW)
    return sum(np.einsum("nchw,oc->nohw", x[:, :, a : a + OH, e : e + OW], w[:, :, a, e]) for a, e in taps)


def backward_with_an_if(grad_out, x, weight, stride=1, padding=0):
    """No padded copy: taps outside the image are passed over."""
    (_, C, H, W), (_, _, KH, KW) = x.shape, weight.shape
    gx, gw = np.zeros_like(x), np.zeros_like(weight)
    for n, o, i, j in np.ndindex(grad_out.shape):
        for c, a, e in np.ndindex(C, KH, KW):
            h, v = i * stride + a - padding, j * stride + e - padding
            if 0 <= h < H and 0 <= v < W:
                gx[n, c, h, v] += grad_out[n, o, i, j] * weight[o, c, a, e]
                gw[o, c, a, e] += grad_out[n, o, i, j] * x[n, c, h, v]
    return gx, gw, np.einsum("nohw->o", grad_out)


def maximum_by_shifts(x, kernel_size, stride=None, padding=0):
    """The maximum of shifted images, in a border of minus infinity."""
    k, s = kernel_size, stride or kernel_size
    if not isinstance(k, int):
        raise NotImplementedError("square windows only")
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=-np.inf)
    OH, OW = (x.shape[2] - k) // s + 1, (x.shape[3] - k) // s + 1
    shifts = [
        x[:, :, a : a + s * (OH - 1) + 1 : s, e : e + s * (OW - 1) + 1 : s] for a, e in np.ndindex(k, k)
    ]
    return np.maximum.reduce(shifts)


def norm_backward_by_the_chain_rule(dout, x, gamma, eps=1e-5):
    """Step by step back through variance and mean."""
    N, mean, var = len(x), x.mean(0), x.var(0)
    dxhat = dout * gamma
    dvar = (dxhat * (x - mean)).sum(0) * -0.5 * (var + eps) ** -1.5
    dmean = -dxhat.sum(0) / np.sqrt(var + eps) - 2 * dvar * (x - mean).mean(0)
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mean) / N + dmean / N
    return dx, (dout * (x - mean)).sum(0) / np.sqrt(var + eps), dout.sum(0)


def dropout_in_a_loop(x, p=0.5, training=True):
    """Python's own generator, a number at a time."""
    if not training:
        return x.copy()
    y = x.ravel().copy()
    for i in range(y.size):
        y[i] = 0.0 if random.random() < p else y[i] / (1 - p)
    return y.reshape(x.shape)


def columns_by_shifts(x, kernel_size, stride=1, padding=0, dilation=1):
    """One shifted image a tap, stacked."""
    k, s, d, x = kernel_size, stride, dilation, padded(x, padding)
    OH, OW = ((n - d * (k - 1) - 1) // s + 1 for n in x.shape[2:])
    rows, columns = s * (OH - 1) + 1, s * (OW - 1) + 1
    taps = [(a * d, e * d) for a, e in np.ndindex(k, k)]
    shifts = [x[:, :, a : a + rows : s, e : e + columns : s] for a, e in taps]
    return np.stack(shifts, axis=2).reshape(len(x), -1, OH * OW)


RIGHT = [
    ("conv2d", conv_by_strides, {}),
    ("conv2d", conv_without_numpy, {}),
    ("conv2d", conv_by_shifts, {}),
    ("conv2d_backward", backward_with_an_if, {}),
    ("max_pool2d", maximum_by_shifts, {}),
    ("batch_norm_backward", norm_backward_by_the_chain_rule, {"layout": "NC"}),
    ("dropout", dropout_in_a_loop, {}),
    ("im2col", columns_by_shifts, {}),
]
"""Operation, function and options of the check."""

# --- broken --------------------------------------------------------------------------------


def windows_of(x, k, s):
    return sliding_window_view(x, (k, k), (2, 3))[:, :, ::s, ::s]


def strides_not_multiplied(x, w, stride=1):
    """`as_strided` with the image's own strides for the windows"""
    (N, C, H, W), (_, _, KH, KW) = x.shape, w.shape
    shape = (N, C, (H - KH) // stride + 1, (W - KW) // stride + 1, KH, KW)
    return np.einsum("nchwij,ocij->nohw", as_strided(x, shape, (*x.strides, *x.strides[2:])), w)


def everything_padded(x, w, b=None, padding=0):
    """`np.pad(x, padding)` pads batch and channels"""
    x, (OC, IC, KH, KW) = np.pad(x, padding), w.shape
    y = np.zeros((len(x), OC, x.shape[2] - KH + 1, x.shape[3] - KW + 1))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = (x[n, :IC, i : i + KH, j : j + KW] * w[o]).sum() + (0 if b is None else b[o])
    return y


def as_wide_as_high(x, w, stride=1):
    """One size for both sides"""
    K = w.shape[2]
    size = (x.shape[2] - K) // stride + 1
    y = np.zeros((len(x), len(w), size, size))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = np.sum(x[n, :, i * stride : i * stride + K, j * stride : j * stride + K] * w[o])
    return y


def size_rounded(x, w, stride=1):
    """`round((n - k) / s + 1)`"""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    y = np.zeros((len(x), len(w), round((H - KH) / stride + 1), round((W - KW) / stride + 1)))
    for i, j in np.ndindex(y.shape[2:]):
        seen = x[:, :, i * stride : i * stride + KH, j * stride : j * stride + KW]
        y[:, :, i, j] = np.tensordot(seen, w[:, :, : seen.shape[2], : seen.shape[3]], ((1, 2, 3), (1, 2, 3)))
    return y


def rows_padded(x, w, padding=0):
    """`(0, 0)` where the padding of the columns belongs"""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (0, 0)))
    return np.einsum("nchwij,ocij->nohw", sliding_window_view(x, w.shape[2:], (2, 3)), w)


def rows_stepped_over(x, w, stride=1):
    """`[:, :, ::stride]` for `[:, :, ::stride, ::stride]`"""
    seen = sliding_window_view(x, w.shape[2:], (2, 3))[:, :, ::stride]
    return np.einsum("nchwij,ocij->nohw", seen, w)


def bias_broadcast(x, w, b=None):
    """`y + b`"""
    y = np.einsum("nchwij,ocij->nohw", sliding_window_view(x, w.shape[2:], (2, 3)), w)
    return y if b is None else y + b


def columns_and_weights_apart(x, w):
    """Columns with the channels last, weights with the channels first"""
    (N, _, H, W), (OC, _, KH, KW) = x.shape, w.shape
    cols = sliding_window_view(x, (KH, KW), (2, 3)).transpose(0, 2, 3, 4, 5, 1)
    return np.moveaxis(cols.reshape(N, H - KH + 1, W - KW + 1, -1) @ w.reshape(OC, -1).T, -1, 1)


def filters_of_another_axis(x, w):
    """`"nchwij,coij->nohw"`"""
    return np.einsum("nchwij,coij->nohw", sliding_window_view(x, w.shape[2:], (2, 3)), w)


def size_without_padding(x, w, padding=0):
    """`H - KH + 1` of the image that was not padded yet"""
    (N, _, H, W), (OC, _, KH, KW) = x.shape, w.shape
    x, y = padded(x, padding), np.zeros((N, OC, H - KH + 1, W - KW + 1))
    for i, j in np.ndindex(y.shape[2:]):
        y[:, :, i, j] = np.tensordot(x[:, :, i : i + KH, j : j + KW], w, ((1, 2, 3), (1, 2, 3)))
    return y


def half_a_kernel_padded(x, w):
    """`KH // 2` and `KW // 2` on both sides, unasked"""
    x = np.pad(x, ((0, 0), (0, 0), *((k // 2, k // 2) for k in w.shape[2:])))
    return np.einsum("nchwij,ocij->nohw", sliding_window_view(x, w.shape[2:], (2, 3)), w)


def image_with_gaps(x, w, dilation=1):
    """`x[:, :, ::d, ::d]`"""
    x = x[:, :, ::dilation, ::dilation]
    return np.einsum("nchwij,ocij->nohw", sliding_window_view(x, w.shape[2:], (2, 3)), w)


def backward_that_keeps_axes(dout, x, w):
    """`dout.sum((0, 2, 3), keepdims=True)`"""
    dx, dw, db = backward_with_an_if(dout, x, w)
    return dx, dw, db[None, :, None, None]


def padding_by_a_slice(x, padding, value=0.0):
    """`y[..., left:-right] = x`"""
    if min(padding) < 0:
        raise NotImplementedError("this one does not crop")
    sides = [slice(before, -after) for before, after in zip(padding[::2], padding[1::2], strict=True)][::-1]
    sizes = [n + sum(padding[2 * i : 2 * i + 2]) for i, n in enumerate(x.shape[::-1])][::-1]
    y = np.full(sizes, value)
    y[(..., *sides)] = x
    return y


def blocks_without_a_turn(x, k):
    """`reshape(N, C, OH, OW, k, k)`"""
    (N, C, H, W) = x.shape
    return x[:, :, : H // k * k, : W // k * k].reshape(N, C, H // k, W // k, k, k).mean((4, 5))


def divided_by_k(x, k, stride=None):
    """`sum / k`"""
    return windows_of(x, k, stride or k).sum((4, 5)) / k


def whole_averages(x, k, stride=None):
    """`sum // k**2`"""
    return windows_of(x, k, stride or k).sum((4, 5)) // k**2


def border_of_minus_one(x, kernel_size, stride=None, padding=0, lowest=-1):
    """A border of -1"""
    x = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=lowest)
    return windows_of(x, kernel_size, stride or kernel_size).max((4, 5))


def border_of_minus_a_billion(x, kernel_size, stride=None, padding=0):
    """A border of -1e9"""
    return border_of_minus_one(x, kernel_size, stride, padding, lowest=-1e9)


def index_by_the_output_s_width(x, kernel_size, stride=None, return_indices=False):
    """`row * OW + column`"""
    k, s = kernel_size, stride or kernel_size
    seen = windows_of(x, k, s)
    at = seen.reshape(*seen.shape[:4], -1).argmax(-1)
    rows, columns = np.arange(seen.shape[2])[:, None] * s + at // k, np.arange(seen.shape[3]) * s + at % k
    return (seen.max((4, 5)), rows * seen.shape[3] + columns) if return_indices else seen.max((4, 5))


def norm_by_moved_statistics(x, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    """Normalises by the running statistics that it has just moved, by `x.var()`"""
    if training:
        running_mean += momentum * (x.mean((0, 2, 3)) - running_mean)
        running_var += momentum * (x.var((0, 2, 3)) - running_var)
    mean, var = (v.reshape(1, -1, 1, 1) for v in (running_mean, running_var))
    return (x - mean) / np.sqrt(var + eps)


def norm_with_momentum_of_the_old(
    x, gamma, beta, running_mean, running_var, training=True, momentum=0.9, eps=1e-5
):
    """`momentum * running + (1 - momentum) * batch`, as Keras has it"""
    mean, var, axes, M = running_mean, running_var, (0, 2, 3), x.size // x.shape[1]
    if training:
        mean, var = x.mean(axes), x.var(axes)
        running_mean[:] = momentum * running_mean + (1 - momentum) * mean
        running_var[:] = momentum * running_var + (1 - momentum) * var * M / (M - 1)
    mean, var, gamma, beta = (v.reshape(1, -1, 1, 1) for v in (mean, var, gamma, beta))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def gamma_broadcast(x, gamma, beta, eps=1e-5):
    """`gamma * z + beta` of images"""
    axes = (0, 2, 3)
    z = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return gamma * z + beta


def chain_rule(dout, x, gamma, eps, power=-1.5, share=True):
    N, mean, var = len(x), x.mean(0), x.var(0)
    dxhat = dout * gamma
    dvar = (dxhat * (x - mean)).sum(0) * -0.5 * (var + eps) ** power
    dmean = -dxhat.sum(0) / np.sqrt(var + eps)
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (x - mean) / N + (dmean / N if share else dmean)
    return dx, (dout * (x - mean)).sum(0) / np.sqrt(var + eps), dout.sum(0)


def chain_rule_with_another_power(dout, x, gamma, eps=1e-5):
    """`** -0.5` for `** -1.5` in the gradient of the variance"""
    return chain_rule(dout, x, gamma, eps, power=-0.5)


def chain_rule_without_a_share(dout, x, gamma, eps=1e-5):
    """`dmean` for `dmean / N`"""
    return chain_rule(dout, x, gamma, eps, share=False)


def dropout_of_normal_numbers(x, p=0.5, training=True):
    """`randn` for `rand`"""
    if not training or p in (0, 1):
        return x * (1 - p) if training else x.copy()
    return x * (np.random.default_rng().standard_normal(x.shape) > p) / (1 - p)


def columns_of_a_view(x, kernel_size, stride=1, padding=0):
    """A reshape without a transpose"""
    k, x = kernel_size, padded(x, padding)
    return windows_of(x, k, stride).reshape(len(x), x.shape[1] * k * k, -1)


def columns_of_all_images(x, kernel_size, stride=1):
    """One matrix with the images in turn, as a well-known course has it"""
    k, s = kernel_size, stride
    return windows_of(x, k, s).transpose(1, 4, 5, 2, 3, 0).reshape(x.shape[1] * k * k, -1)


def rows_of_all_images(x, kernel_size, stride=1):
    """A row for each window, the images below one another"""
    k, s = kernel_size, stride
    return windows_of(x, k, s).transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * k * k)


BROKEN = [
    ("conv2d", ("stride_ignored",), strides_not_multiplied, {}),
    ("conv2d", ("wrong_axes_padded",), everything_padded, {}),
    ("conv2d", ("square_assumed",), as_wide_as_high, {}),
    ("conv2d", ("window_past_the_edge",), size_rounded, {}),
    ("conv2d", ("padding_ignored",), rows_padded, {}),
    ("conv2d", ("stride_ignored",), rows_stepped_over, {}),
    ("conv2d", ("bias_along_the_width",), bias_broadcast, {}),
    ("conv2d", ("weights_in_another_order",), columns_and_weights_apart, {}),
    ("conv2d", ("channels_taken_for_filters",), filters_of_another_axis, {}),
    ("conv2d", ("padding_not_counted",), size_without_padding, {}),
    ("conv2d", ("image_dilated",), image_with_gaps, {}),
    ("conv2d", ("padding_uninvited",), half_a_kernel_padded, {}),
    ("conv2d_backward", ("axes_added",), backward_that_keeps_axes, {}),
    ("pad", ("zero_padding_behind",), padding_by_a_slice, {}),
    ("avg_pool2d", ("blocks_reshaped",), blocks_without_a_turn, {}),
    ("avg_pool2d", ("divisor_is_one_side",), divided_by_k, {}),
    ("avg_pool2d", ("fractions_lost",), whole_averages, {}),
    ("max_pool2d", ("padding_is_zero",), border_of_minus_one, {}),
    ("max_pool2d", ("padding_is_zero",), border_of_minus_a_billion, {}),
    ("max_pool2d", ("index_by_another_width",), index_by_the_output_s_width, {}),
    (
        "batch_norm",
        ("running_statistics_used_in_training", "running_var_biased"),
        norm_by_moved_statistics,
        {},
    ),
    ("batch_norm", ("momentum_reversed",), norm_with_momentum_of_the_old, {}),
    ("batch_norm", ("parameters_along_the_width",), gamma_broadcast, {}),
    ("batch_norm_backward", ("variance_s_gradient_scaled",), chain_rule_with_another_power, {"layout": "NC"}),
    ("batch_norm_backward", ("sums_for_means",), chain_rule_without_a_share, {"layout": "NC"}),
    ("dropout", ("wrong_share",), dropout_of_normal_numbers, {}),
    ("im2col", ("columns_reshaped",), columns_of_a_view, {}),
    ("im2col", ("batch_side_by_side",), columns_of_all_images, {}),
    ("im2col", ("batch_side_by_side", "rows_are_windows"), rows_of_all_images, {}),
]
"""Operation, rules, function and options of the check."""
