"""How much memory a convolution needs beside its arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import dispatch
from .arrays import IntOrInts, key, shape_of
from .conv_plan import Padding, conv_plan

__all__ = ["conv2d_workspace"]


def conv2d_workspace(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    algorithm: str = "auto",
    backend: str = "auto",
    dtype: str = "float32",
) -> int | None:
    """Return how many bytes :func:`convkit.conv2d` would allocate while it runs, beside its result.

    Parameters
    ----------
    x_shape, w_shape : sequence of int
        Shapes of the images and the filters.
    stride, padding, dilation, groups, algorithm, backend
        As for :func:`convkit.conv2d`.
    dtype : {"float32", "float64"}
        Dtype of the arrays.

    Returns
    -------
    int or None
        Bytes, at the number of threads that is set; None for kernels that are there to be read, not
        to be fast, and do not count what they allocate.

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.conv2d`.

    Examples
    --------
    >>> import convkit
    >>> convkit.conv2d_workspace((1, 64, 224, 224), (64, 64, 3, 3), padding=1, algorithm="im2col")
    115605504
    """
    size = np.dtype(dtype).itemsize
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64, got {dtype}")
    options = key(stride, "stride"), key(padding, "padding"), key(dilation, "dilation"), key(groups, "groups")
    plan = conv_plan(shape_of(x_shape, "x_shape"), shape_of(w_shape, "w_shape"), 2, *options, "zeros")
    workspace = dispatch.resolve("conv2d", backend, algorithm, plan.layer).workspace
    return None if workspace is None else workspace(plan.layer, size, *plan.tables[:2], *plan.x[2:])
