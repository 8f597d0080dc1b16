"""Every function of arrays with arguments that it accepts, for the tests that spoil one of them."""

import numpy as np
import pytest

import convkit

X, W, B = np.ones((2, 3, 6, 5)), np.ones((4, 3, 3, 3)), np.ones(4)
Y = np.ones((2, 4, 4, 3))  # conv2d(X, W)
COLS = np.ones((2, 27, 12))  # im2col(X, 3)
VECTOR = np.ones(3)
SEQUENCE, FILTERS = np.ones((2, 3, 8)), np.ones((4, 3, 3))

# Every function of arrays, with arguments that it accepts.
CALLS = {
    "conv1d": {"x": SEQUENCE, "w": FILTERS, "b": B},
    "conv1d_backward": {"grad_y": np.ones((2, 4, 6)), "x": SEQUENCE, "w": FILTERS},
    "conv2d": {"x": X, "w": W, "b": B},
    "conv2d_backward": {"grad_y": Y, "x": X, "w": W},
    "conv_transpose1d": {"x": np.ones((2, 4, 6)), "w": FILTERS, "b": VECTOR},
    "conv_transpose1d_backward": {"grad_y": SEQUENCE, "x": np.ones((2, 4, 6)), "w": FILTERS},
    "conv_transpose2d": {"x": Y, "w": W, "b": VECTOR},
    "conv_transpose2d_backward": {"grad_y": X, "x": Y, "w": W},
    "convolution_operator": {"w": W, "input_shape": (3, 6, 5)},
    "prepare_conv2d": {"w": W, "b": B},
    "im2col": {"x": X, "kernel_size": 3},
    "im2col_backward": {"grad_cols": COLS, "x": X, "kernel_size": 3},
    "col2im": {"cols": COLS, "output_size": (6, 5), "kernel_size": 3},
    "col2im_backward": {"grad_x": X, "kernel_size": 3},
    "pad": {"x": X, "padding": (1, 1)},
    "pad_backward": {"grad_y": np.ones((2, 3, 6, 7)), "x": X, "padding": (1, 1)},
    "avg_pool1d": {"x": SEQUENCE, "kernel_size": 2},
    "avg_pool1d_backward": {"grad_y": np.ones((2, 3, 4)), "x": SEQUENCE, "kernel_size": 2},
    "avg_pool2d": {"x": X, "kernel_size": 2},
    "avg_pool2d_backward": {"grad_y": np.ones((2, 3, 3, 2)), "x": X, "kernel_size": 2},
    "max_pool1d": {"x": SEQUENCE, "kernel_size": 2},
    "max_pool1d_backward": {"grad_y": np.ones((2, 3, 4)), "x": SEQUENCE, "kernel_size": 2},
    "max_pool2d": {"x": X, "kernel_size": 2},
    "max_pool2d_backward": {"grad_y": np.ones((2, 3, 3, 2)), "x": X, "kernel_size": 2},
    "adaptive_avg_pool2d": {"x": X, "output_size": 2},
    "adaptive_avg_pool2d_backward": {"grad_y": np.ones((2, 3, 2, 2)), "x": X, "output_size": 2},
    "global_avg_pool2d": {"x": X},
    "global_avg_pool2d_backward": {"grad_y": np.ones((2, 3)), "x": X},
    "channel_mean": {"x": X},
    "channel_mean_backward": {"grad_y": np.ones((2, 6, 5)), "x": X},
    "batch_norm": {
        "x": X, "running_mean": np.ones(3), "running_var": np.ones(3),
        "weight": np.ones(3), "bias": np.ones(3),
    },
    "batch_norm_forward": {"x": X, "running_mean": np.ones(3), "running_var": np.ones(3), "training": False},
    "batch_norm_backward": {"grad_y": X, "x": X, "weight": VECTOR, "mean": VECTOR, "invstd": VECTOR},
    "instance_norm": {"x": X, "weight": VECTOR, "bias": VECTOR},
    "instance_norm_backward": {"grad_y": X, "x": X, "weight": VECTOR},
    "group_norm": {"x": X, "num_groups": 3, "weight": VECTOR, "bias": VECTOR},
    "group_norm_backward": {"grad_y": X, "x": X, "num_groups": 3, "weight": VECTOR},
    "layer_norm": {"x": X, "normalized_shape": 5, "weight": np.ones(5), "bias": np.ones(5)},
    "layer_norm_backward": {"grad_y": X, "x": X, "normalized_shape": 5, "weight": np.ones(5)},
    "fold_batch_norm": {
        "w": W, "b": B, "running_mean": B, "running_var": B, "weight": B, "bias": B,
    },
    "dropout": {"x": X},
    "dropout_backward": {"grad_y": X, "seed": 1},
    "dropout2d": {"x": X},
    "dropout2d_backward": {"grad_y": X, "seed": 1},
    "dropout_rows": {"x": X},
    "dropout_rows_backward": {"grad_y": X, "seed": 1},
}  # fmt: skip
OPTIONAL = {"b", "weight", "bias", "running_mean", "running_var", "mean", "invstd"}
ARRAYS = [(name, a) for name, call in CALLS.items() for a, v in call.items() if isinstance(v, np.ndarray)]


def counts_by_its_shape(name, argument):
    """Tell whether only the argument's shape matters, so that a shape may stand for it."""
    return argument == "x" and name in (
        "im2col_backward",
        "pad_backward",
        "channel_mean_backward",
        "global_avg_pool2d_backward",
        "avg_pool1d_backward",
        "avg_pool2d_backward",
        "adaptive_avg_pool2d_backward",
    )


def refused(name, error, pattern, **changed):
    """Check that a call of CALLS with some arguments changed fails, and how."""
    with pytest.raises(error, match=pattern) as caught:
        getattr(convkit, name)(**{**CALLS[name], **changed})
    return str(caught.value)
