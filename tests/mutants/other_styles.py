"""Whole functions in the styles in which such code is found: right ones and broken ones.

The broken ones are listed with the rules that they break, and say in their docstrings what is wrong.
"""

import numpy as np
from scipy import signal

from .conv2d import pair

# --- right ---------------------------------------------------------------------------------


def conv_by_fft(x, w):
    """The convolution theorem: products of spectra, with the kernel's conjugated."""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    spectra = np.fft.rfft2(x)[:, None] * np.conj(np.fft.rfft2(w, (H, W)))[None]
    return np.fft.irfft2(spectra.sum(axis=2), (H, W))[:, :, : H - KH + 1, : W - KW + 1]


def conv_by_scipy(x, w):
    """A correlation of each filter with each image, as lists."""
    return [[sum(signal.correlate2d(c, k, "valid") for c, k in zip(n, o, strict=True)) for o in w] for n in x]


def conv_by_windows(image, kernel, bias=None, stride=1, padding=0):
    """A view of all windows and one einsum, under other names, with one number for each option."""
    image = np.pad(image, [(0, 0)] * 2 + [(padding, padding)] * 2)
    seen = np.lib.stride_tricks.sliding_window_view(image, kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("nchwij,ocij->nohw", seen, kernel)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def conv_by_matrix_product(x, w, **options):
    """Columns and one product; whatever it does not know, it refuses."""
    if set(options) - {"stride"}:
        raise NotImplementedError(f"no {options}")
    s = options.get("stride", 1)
    if not isinstance(s, int):
        raise NotImplementedError("one stride for both axes")
    (N, C, H, W), (OC, _, KH, KW) = x.shape, w.shape
    OH, OW = (H - KH) // s + 1, (W - KW) // s + 1
    i = (np.arange(KH)[:, None] + s * np.arange(OH)).reshape(KH, 1, OH, 1)
    j = (np.arange(KW)[:, None] + s * np.arange(OW)).reshape(1, KW, 1, OW)
    cols = x[:, :, i, j].reshape(N, C * KH * KW, OH * OW)
    return (w.reshape(OC, -1) @ cols).reshape(N, OC, OH, OW)


def conv_in_float32(x, w, b=None, stride=1):
    """A kernel that works in float32, and returns a cache besides."""
    w32, b32 = w.astype(np.float32), 0 if b is None else b.astype(np.float32)[:, None, None]
    SH, SW = pair(stride)
    seen = np.lib.stride_tricks.sliding_window_view(x.astype(np.float32), w.shape[2:], (2, 3))[
        :, :, ::SH, ::SW
    ]
    return np.einsum("nchwij,ocij->nohw", seen, w32) + b32, (x, w)


def conv_of_a_plane(x, w, stride=1):
    """One plane and one kernel, as in a first lecture."""
    KH, KW = w.shape
    OH, OW = (x.shape[0] - KH) // stride + 1, (x.shape[1] - KW) // stride + 1
    y = np.zeros((OH, OW))
    for i in range(OH):
        for j in range(OW):
            y[i, j] = np.sum(x[i * stride : i * stride + KH, j * stride : j * stride + KW] * w)
    return y


def conv_of_an_image(x, w, b=None, pad=0):
    """One image without a batch, printing as it goes."""
    print("convolving", x.shape)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    y = np.array(
        [sum(signal.correlate(c, k, "valid", "direct") for c, k in zip(x, o, strict=True)) for o in w]
    )
    return y if b is None else y + b[:, None, None]


class ConvLayer:
    """An object that is called."""

    def __call__(self, x, w, b=None):
        windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
        y = np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
        return y if b is None else y + b[None, :, None, None]


def backward_by_transposition(dout, x, w):
    """A full correlation with the turned kernel, and a correlation of x with the gradient."""
    KH, KW = w.shape[2:]
    full = np.pad(dout, ((0, 0), (0, 0), (KH - 1, KH - 1), (KW - 1, KW - 1)))
    seen = np.lib.stride_tricks.sliding_window_view(full, (KH, KW), (2, 3))
    dx = np.einsum("nohwij,ocij->nchw", seen, w[:, :, ::-1, ::-1])
    dw = np.einsum(
        "nchwij,noij->ochw", np.lib.stride_tricks.sliding_window_view(x, dout.shape[2:], (2, 3)), dout
    )
    return {"grad_x": dx, "grad_w": dw, "grad_b": dout.sum((0, 2, 3))}


def pad_by_numpy(x, padding, mode="constant", value=0.0):
    """np.pad, its pairs turned round."""
    pairs = [(0, 0)] * (x.ndim - len(padding) // 2) + list(zip(padding[::2], padding[1::2], strict=True))[
        ::-1
    ]
    if min(padding) < 0:
        raise NotImplementedError("this one does not crop")
    names = {"replicate": "edge", "circular": "wrap"}
    more = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x, pairs, names.get(mode, mode), **more)


def average_by_blocks(x, k):
    """A reshape, for windows that stand side by side."""
    if not isinstance(k, int):
        raise NotImplementedError("square windows only")
    H, W = x.shape[2] // k * k, x.shape[3] // k * k
    return x[:, :, :H, :W].reshape(*x.shape[:2], H // k, k, W // k, k).mean((3, 5))


def maximum_by_windows(x, pool_size, strides=None):
    """A view of the windows and np.max, which lets NaN win."""
    strides = strides or pool_size
    (KH, KW), (SH, SW) = pair(pool_size), pair(strides)
    return np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (2, 3))[:, :, ::SH, ::SW].max((4, 5))


def norm_of_vectors(x, gamma, beta, eps=1e-5):
    """Training only, (N, C) only, with a cache."""
    mean, var = x.mean(axis=0), x.var(axis=0)
    xhat = (x - mean) / np.sqrt(var + eps)
    return gamma * xhat + beta, (xhat, var)


def norm_in_float32(x, weight=None, bias=None):
    """A function that works in float32 whatever it is given."""
    x, axes = x.astype(np.float32), (0, *range(2, x.ndim))
    shape = [1, -1] + [1] * (x.ndim - 2)
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + np.float32(1e-5))
    y = y if weight is None else y * weight.astype(np.float32).reshape(shape)
    return y if bias is None else y + bias.astype(np.float32).reshape(shape)


def norm_that_returns_its_statistics(x, running_mean, running_var, training=False, momentum=0.1, eps=1e-5):
    """New running statistics are returned, as where nothing may be changed in place."""
    axes = (0, *range(2, x.ndim))
    shape = [1, -1] + [1] * (x.ndim - 2)
    if not training:
        return (
            (x - running_mean.reshape(shape)) / np.sqrt(running_var.reshape(shape) + eps),
            running_mean,
            running_var,
        )
    mean, var = x.mean(axes), x.var(axes, ddof=1)
    biased = x.var(axes)
    y = (x - mean.reshape(shape)) / np.sqrt(biased.reshape(shape) + eps)
    return y, running_mean + momentum * (mean - running_mean), running_var + momentum * (var - running_var)


def short_norm_backward(dout, x, gamma, eps=1e-5):
    """The gradient in one line, for (N, C)."""
    N, std = len(x), np.sqrt(x.var(axis=0) + eps)
    xhat = (x - x.mean(axis=0)) / std
    dgamma, dbeta = (dout * xhat).sum(axis=0), dout.sum(axis=0)
    return gamma / (N * std) * (N * dout - dbeta - xhat * dgamma), dgamma, dbeta


def dropout_by_mask(x, p):
    """Training only, with the scale inside the mask, which is returned too."""
    if p == 1:
        return np.zeros_like(x), np.zeros_like(x)
    mask = (np.random.default_rng().random(x.shape) > p) / (1 - p)
    return x * mask, mask


def dropout_gradient_of_two_lines(grad_output, mask, p):
    """Only what training needs."""
    return grad_output * mask / (1 - p)


def columns_by_view(x, kernel_size, stride=1):
    """A view of the windows, its axes put in order."""
    (KH, KW), (SH, SW) = pair(kernel_size), pair(stride)
    seen = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (2, 3))[:, :, ::SH, ::SW]
    return seen.transpose(0, 1, 4, 5, 2, 3).reshape(len(x), x.shape[1] * KH * KW, -1)


RIGHT = [
    ("conv2d", conv_by_fft, {}),
    ("conv2d", conv_by_scipy, {}),
    ("conv2d", conv_by_windows, {}),
    ("conv2d", conv_by_matrix_product, {}),
    ("conv2d", conv_in_float32, {}),
    ("conv2d", conv_of_a_plane, {"layout": "HW"}),
    ("conv2d", conv_of_an_image, {"layout": "CHW"}),
    ("conv2d", ConvLayer(), {}),
    ("conv2d_backward", backward_by_transposition, {}),
    ("pad", pad_by_numpy, {}),
    ("avg_pool2d", average_by_blocks, {}),
    ("max_pool2d", maximum_by_windows, {}),
    ("batch_norm", norm_of_vectors, {"layout": "NC"}),
    ("batch_norm", norm_in_float32, {}),
    ("batch_norm", norm_that_returns_its_statistics, {}),
    ("batch_norm_backward", short_norm_backward, {"layout": "NC"}),
    ("dropout", dropout_by_mask, {}),
    ("dropout_backward", dropout_gradient_of_two_lines, {}),
    ("im2col", columns_by_view, {}),
]
"""Operation, function and options of the check."""

# --- broken --------------------------------------------------------------------------------


def scipy_convolves(x, w):
    """`convolve2d` turns the kernel round; `correlate2d` does not"""
    return [[sum(signal.convolve2d(c, k, "valid") for c, k in zip(n, o, strict=True)) for o in w] for n in x]


def scipy_keeps_the_size(x, w):
    """`mode="same"` pads with zeros"""
    return [[sum(signal.correlate2d(c, k, "same") for c, k in zip(n, o, strict=True)) for o in w] for n in x]


def scipy_enlarges(x, w):
    """SciPy's default mode is `"full"`"""
    return [[sum(signal.correlate2d(c, k) for c, k in zip(n, o, strict=True)) for o in w] for n in x]


def fft_without_conjugate(x, w):
    """A product of spectra without the conjugate is a convolution"""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    spectra = np.fft.rfft2(x)[:, None] * np.fft.rfft2(w, (H, W))[None]
    return np.fft.irfft2(spectra.sum(axis=2), (H, W))[:, :, KH - 1 :, KW - 1 :]


def einsum_without_a_sum(x, w):
    """`"nchwij,ocij->nochw"` keeps the channels"""
    seen = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,ocij->nochw", seen, w)


def plane_stepped_through(x, w, stride=1):
    """`range(0, n - k, stride)` stops before the last window"""
    KH, KW = w.shape
    rows, columns = (range(0, n - k, stride) for n, k in zip(x.shape, w.shape, strict=True))
    y = [[np.sum(x[i : i + KH, j : j + KW] * w) for j in columns] for i in rows]
    return np.array(y).reshape(len(rows), len(columns))


def transposition_without_a_turn(dout, x, w):
    """A full correlation with the kernel as it is"""
    right = backward_by_transposition(dout, x, w)
    return {**right, "grad_x": backward_by_transposition(dout, x, w[:, :, ::-1, ::-1])["grad_x"]}


def numpy_pads_everything(x, padding, mode="constant"):
    """`np.pad(x, p)` pads every axis"""
    names = {"replicate": "edge", "circular": "wrap"}
    return np.pad(x, padding[0], names.get(mode, mode))


def norm_by_ddof(x, gamma, beta, eps=1e-5):
    """`x.std(ddof=1)`, as in statistics"""
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=1) + eps) + beta


def norm_over_the_batch_alone(x, eps=1e-5):
    """`axis=0`, which is right for (N, C) and wrong for images"""
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


def norm_of_each_image(x, eps=1e-5):
    """`axis=(2, 3)` is instance normalisation"""
    axes = (2, 3) if x.ndim == 4 else 0
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def norm_of_each_example(x, eps=1e-5):
    """`axis=(1, 2, 3)` is layer normalisation"""
    axes = tuple(range(1, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def norm_of_everything(x, eps=1e-5):
    """`x.mean()` of all channels together"""
    return (x - x.mean()) / np.sqrt(x.var() + eps)


def norm_of_the_last_axis(x, eps=1e-5):
    """The channels last, as in TensorFlow"""
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + eps)


def dropout_with_a_seed_inside(x, p):
    """`default_rng(0)` in the function starts anew in each call"""
    mask = np.random.default_rng(0).random(x.shape) >= p
    return x * mask / (1 - p) if p < 1 else np.zeros_like(x)


def dropout_at_zero(x, p):
    """`>` and a division that p = 1 does not survive"""
    return x * (np.random.default_rng().random(x.shape) >= p) / (1 - p)


def blocks_summed(x, k):
    """Sums of blocks instead of means"""
    return average_by_blocks(x, k) * k**2


def maximum_of_padded(x, kernel_size, stride=None, padding=0):
    """np.pad with its zeros, before a maximum"""
    (KH, KW), (PH, PW) = pair(kernel_size), pair(padding)
    SH, SW = pair(stride) if stride else (KH, KW)
    x = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    return np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (2, 3))[:, :, ::SH, ::SW].max((4, 5))


def endless(x, w):
    """A loop that does not end"""
    while x.size:
        w = w + 0
    return x


BROKEN = [
    ("conv2d", "kernel_flipped", scipy_convolves, {}),
    ("conv2d", "padding_uninvited", scipy_keeps_the_size, {}),
    ("conv2d", "padding_uninvited", scipy_enlarges, {}),
    ("conv2d", "kernel_flipped", fft_without_conjugate, {}),
    ("conv2d", "channels_not_summed", einsum_without_a_sum, {}),
    ("conv2d", "last_window_lost", plane_stepped_through, {"layout": "HW"}),
    ("conv2d_backward", "grad_x_kernel_turned", transposition_without_a_turn, {}),
    ("pad", "wrong_axes_padded", numpy_pads_everything, {}),
    ("batch_norm", "unbiased_variance", norm_by_ddof, {"layout": "NC"}),
    ("batch_norm", "statistics_per_pixel", norm_over_the_batch_alone, {}),
    ("batch_norm", "statistics_per_image", norm_of_each_image, {}),
    ("batch_norm", "statistics_of_a_layer", norm_of_each_example, {}),
    ("batch_norm", "one_statistic_for_all_channels", norm_of_everything, {}),
    ("batch_norm", "channels_taken_last", norm_of_the_last_axis, {}),
    ("dropout", "mask_never_changes", dropout_with_a_seed_inside, {}),
    ("dropout", "p_one_not_zero", dropout_at_zero, {}),
    ("avg_pool2d", "sum_not_mean", blocks_summed, {}),
    ("max_pool2d", "padding_is_zero", maximum_of_padded, {}),
    ("conv2d", "too_slow", endless, {"seconds": 0.2}),
]
"""Operation, rules, function and options of the check."""
