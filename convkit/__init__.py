"""convkit: what convolution and BatchNorm compute, and how a slow loop becomes a fast kernel.

Functions are named after ``torch.nn.functional`` and take their arguments in the same order::

    import convkit

    y = convkit.conv2d(x, w, b, stride=2, padding=1)      # float32 or float64 arrays
    convkit.last_call()                                   # which kernel ran
"""

from importlib.metadata import PackageNotFoundError as _PackageNotFoundError
from importlib.metadata import version as _version

try:
    __version__ = _version("convkit")
except _PackageNotFoundError:
    __version__ = "0+unknown"

from . import cuda, explain, geometry, layers
from .checker import check
from .conv import conv1d, conv1d_backward, conv2d, conv2d_backward
from .conv_plan import ConvGradients
from .conv_transpose import (
    conv_transpose1d,
    conv_transpose1d_backward,
    conv_transpose2d,
    conv_transpose2d_backward,
)
from .dispatch import (
    BackendUnavailable,
    algorithms,
    backends,
    last_call,
    show_config,
)
from .dropout import (
    Dropout,
    dropout,
    dropout2d,
    dropout2d_backward,
    dropout_backward,
    dropout_rows,
    dropout_rows_backward,
)
from .folded import FoldedConv, fold_batch_norm
from .group_norms import (
    group_norm,
    group_norm_backward,
    instance_norm,
    instance_norm_backward,
    layer_norm,
    layer_norm_backward,
)
from .max_pooling import MaxPool, max_pool1d, max_pool1d_backward, max_pool2d, max_pool2d_backward
from .norm_plan import NormGradients
from .normalization import BatchNorm, batch_norm, batch_norm_backward, batch_norm_forward
from .operator import ConvolutionOperator, OperatorReport, convolution_operator
from .padding import pad, pad_backward
from .pooling import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool1d,
    avg_pool1d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    channel_mean,
    channel_mean_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
)
from .prepared import PreparedConv2d, prepare_conv2d
from .threads import get_num_threads, num_threads, set_num_threads
from .unfold import col2im, col2im_backward, im2col, im2col_backward
from .workspace import conv2d_workspace


def __getattr__(name: str) -> object:
    """Import ``convkit.njit`` when it is first asked for, because Numba takes half a second."""
    if name == "njit":
        from importlib import import_module

        return import_module(".njit", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "BackendUnavailable",
    "BatchNorm",
    "ConvGradients",
    "ConvolutionOperator",
    "Dropout",
    "FoldedConv",
    "MaxPool",
    "NormGradients",
    "OperatorReport",
    "PreparedConv2d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "algorithms",
    "avg_pool1d",
    "avg_pool1d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "backends",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_forward",
    "channel_mean",
    "channel_mean_backward",
    "check",
    "col2im",
    "col2im_backward",
    "conv1d",
    "conv1d_backward",
    "conv2d",
    "conv2d_backward",
    "conv2d_workspace",
    "conv_transpose1d",
    "conv_transpose1d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "convolution_operator",
    "cuda",
    "dropout",
    "dropout2d",
    "dropout2d_backward",
    "dropout_backward",
    "dropout_rows",
    "dropout_rows_backward",
    "explain",
    "fold_batch_norm",
    "geometry",
    "get_num_threads",
    "global_avg_pool2d",
    "global_avg_pool2d_backward",
    "group_norm",
    "group_norm_backward",
    "im2col",
    "im2col_backward",
    "instance_norm",
    "instance_norm_backward",
    "last_call",
    "layer_norm",
    "layer_norm_backward",
    "layers",
    "max_pool1d",
    "max_pool1d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "num_threads",
    "pad",
    "pad_backward",
    "prepare_conv2d",
    "set_num_threads",
    "show_config",
]
