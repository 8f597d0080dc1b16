"""Whole functions as they are handed in: lists of lists, one fault or several, images only."""

import numpy as np


def padded(x, p):
    return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))


# --- conv2d --------------------------------------------------------------------------------


def nested_lists(x, w, stride=1):
    """Nested lists of windows, none of which is the last; of a window as large as the image nothing is left"""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    rows, columns = range(0, H - KH, stride), range(0, W - KW, stride)
    return np.array(
        [[[[(n[:, i : i + KH, j : j + KW] * o).sum() for j in columns] for i in rows] for o in w] for n in x]
    )


def nested_lists_of_a_plane(image, kernel):
    """The same of one plane"""
    (H, W), (KH, KW) = image.shape, kernel.shape
    return np.array(
        [
            [np.sum(image[i : i + KH, j : j + KW] * kernel) for j in range(W - KW)]
            for i in range(H - KH)
        ]
    )  # fmt: skip


def loop_that_steps_by_one(x, w, b=None, stride=1, padding=0):
    """The stride is in the size, not in the loop; and `b[0]`"""
    (N, _, H, W), (OC, _, KH, KW) = x.shape, w.shape
    OH, OW = (H + 2 * padding - KH) // stride + 1, (W + 2 * padding - KW) // stride + 1
    x, y = padded(x, padding), np.zeros((N, OC, OH, OW))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = np.sum(x[n, :, i : i + KH, j : j + KW] * w[o]) + (0 if b is None else b[0])
    return y


def product_reshaped(x, w, stride=1):
    """Rows of windows times filters, reshaped where it should be transposed"""
    (N, _, H, W), (OC, _, KH, KW) = x.shape, w.shape
    rows, columns = range(0, H - KH + 1, stride), range(0, W - KW + 1, stride)
    cols = [x[n, :, i : i + KH, j : j + KW].ravel() for n in range(N) for i in rows for j in columns]
    return (np.array(cols) @ w.reshape(OC, -1).T).reshape(N, OC, len(rows), len(columns))


def three_faults(x, w, b=None, stride=1, padding=0):
    """`w[::-1]`, `H - KH`, and a bias that nobody adds"""
    x, w = padded(x, padding), w[:, :, ::-1, ::-1]
    (N, _, H, W), (OC, _, KH, KW) = x.shape, w.shape
    y = np.zeros((N, OC, (H - KH) // stride, (W - KW) // stride))
    for i, j in np.ndindex(y.shape[2:]):
        h, v = i * stride, j * stride
        y[:, :, i, j] = np.tensordot(x[:, :, h : h + KH, v : v + KW], w, ((1, 2, 3), (1, 2, 3)))
    return y


def turned_and_from_the_far_edge(x, w, stride=1):
    """A turned kernel, and strides that are counted from the far edge"""
    (_, _, H, W), (_, _, KH, KW) = x.shape, w.shape
    seen = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), (2, 3))
    y = np.einsum("nchwij,ocij->nohw", seen, w[:, :, ::-1, ::-1])
    return y[:, :, (H - KH) % stride :: stride, (W - KW) % stride :: stride]


def backward_that_cuts_to_minus_zero(dout, x, w, stride=1, padding=0):
    """`grad[p:-p]`, which is empty for p = 0"""
    x, (KH, KW) = padded(x, padding), w.shape[2:]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i, j in np.ndindex(dout.shape[2:]):
        g, here = dout[:, :, i, j], np.s_[:, :, i * stride : i * stride + KH, j * stride : j * stride + KW]
        dx[here] += np.tensordot(g, w, 1)
        dw += np.tensordot(g, x[here], (0, 0))
    return dx[:, :, padding:-padding, padding:-padding], dw, dout.sum(axis=(0, 2, 3))


# --- pooling -------------------------------------------------------------------------------


def pooling_with_the_wrong_size(x, kernel_size, stride=1, padding=0):
    """`stride=1` and `ceil`"""
    x, k = padded(x, padding), kernel_size
    (N, C, H, W), s = x.shape, stride
    y = np.zeros((N, C, -(-(H - k) // s) + 1, -(-(W - k) // s) + 1))
    for i, j in np.ndindex(y.shape[2:]):
        y[:, :, i, j] = x[:, :, i * s : i * s + k, j * s : j * s + k].mean(axis=(2, 3))
    return y


# --- batch norm, of images only -------------------------------------------------------------


def norm_of_images(x, gamma, beta, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    """`sqrt(var) + eps`, and `x.var()` into the running variance"""
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        running_mean += momentum * (mean - running_mean)
        running_var += momentum * (var - running_var)
    z = (x - mean[None, :, None, None]) / (np.sqrt(var)[None, :, None, None] + eps)
    return gamma[None, :, None, None] * z + beta[None, :, None, None]


def norm_whose_statistics_stay(x, running_mean, running_var, training=False, momentum=0.1, eps=1e-5):
    """`running_mean = ...` is a name for another array"""
    mean, var = running_mean, running_var
    if training:
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var
    return (x - mean.reshape(1, -1, 1, 1)) / np.sqrt(var.reshape(1, -1, 1, 1) + eps)


def norm_of_vectors_given_images(x, gamma, beta, eps=1e-5):
    """`ddof=1`, and `axis=0` where images need three axes"""
    return gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0, ddof=1) + eps) + beta


def backward_of_images(dout, x, gamma, eps=1e-5):
    """The variance taken for a constant, and sums over the batch alone"""
    axes = (0, 2, 3)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    z = (x - x.mean(axes, keepdims=True)) / sd
    dx = gamma.reshape(1, -1, 1, 1) / sd * (dout - dout.mean(axes, keepdims=True))
    return dx, (dout * z).sum(axis=0), dout.sum(axis=0)


BROKEN = [
    ("conv2d", ("last_window_lost",), nested_lists, {}),
    ("conv2d", ("last_window_lost",), nested_lists_of_a_plane, {"layout": "HW"}),
    ("conv2d", ("stride_ignored", "bias_of_the_first_filter"), loop_that_steps_by_one, {}),
    ("conv2d", ("result_reshaped",), product_reshaped, {}),
    ("conv2d", ("kernel_flipped", "last_window_lost", "bias_missing"), three_faults, {}),
    ("conv2d", ("kernel_flipped", "wrong_values"), turned_and_from_the_far_edge, {}),
    ("conv2d_backward", ("padding_not_cropped",), backward_that_cuts_to_minus_zero, {}),
    ("avg_pool2d", ("stride_defaults_to_one", "always_ceil"), pooling_with_the_wrong_size, {}),
    ("batch_norm", ("eps_outside_the_root", "running_var_biased"), norm_of_images, {}),
    ("batch_norm", ("running_statistics_not_updated",), norm_whose_statistics_stay, {}),
    ("batch_norm", ("unbiased_variance", "wrong_values"), norm_of_vectors_given_images, {}),
    ("batch_norm", ("unbiased_variance",), norm_of_vectors_given_images, {"layout": "NC"}),
    (
        "batch_norm_backward",
        ("variance_s_gradient_lost", "parameters_summed_over_the_batch_only"),
        backward_of_images,
        {},
    ),
]
"""Operation, rules, function and options of the check."""
