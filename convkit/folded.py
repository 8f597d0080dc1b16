"""A convolution and the batch norm behind it, folded into one convolution."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arrays import any_array, flag, operand, vector
from .geometry import whole
from .norm_plan import batch_view, check_eps, running_statistics
from .place import here

__all__ = ["FoldedConv", "fold_batch_norm"]


class FoldedConv(NamedTuple):
    """Weights and bias of a convolution that does the work of a batch norm as well."""

    w: Any
    b: Any


@any_array
def fold_batch_norm(
    w: Any,
    b: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *,
    transposed: bool = False,
    groups: int = 1,
) -> FoldedConv:
    """Fold a batch norm in evaluation into the convolution before it.

    In evaluation a batch norm is one multiplication and one addition a channel, by numbers that no
    longer change, and both can be done to the filters once instead of to every output::

        (w * x + b - mean) * scale + bias  =  (scale w) * x + ((b - mean) scale + bias)

    with ``scale = weight / sqrt(var + eps)``. Nothing may stand between the two layers, and in
    training, where mean and variance come from the batch, nothing can be folded.

    Parameters
    ----------
    w : array, shape (OC, IC / groups, KH, KW), (OC, IC / groups, K) or (OC, IC)
        Filters of the convolution, or the matrix of a linear layer; float32 or float64.
    b : array, shape (OC,), or None
        Bias of the convolution.
    running_mean, running_var : array, shape (OC,)
        Running statistics of the batch norm.
    weight, bias : array, shape (OC,), optional
        Its scale and shift.
    eps : float
        What it adds to the variance, inside the square root.
    transposed : bool
        The filters are those of a transposed convolution, (IC, OC / groups, ...).
    groups : int
        Groups of that transposed convolution. A convolution's filters look the same whatever its
        groups are.

    Returns
    -------
    FoldedConv
        ``(w, b)`` for a convolution with the same options. They are computed in float64 and
        rounded once.

    Raises
    ------
    ValueError
        If a vector does not have one number for each output channel, a running variance is
        negative, `eps` is negative or not finite, or `groups` does not divide the channels.
    TypeError
        If an argument is not a float array, or dtypes differ.

    See Also
    --------
    batch_norm : the layer that is folded.

    References
    ----------
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference", 2018, section 3.2.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> w, b = np.array([[[2.0]]]), np.array([1.0])  # y = 2x + 1
    >>> mean, var = np.array([5.0]), np.array([4.0])  # (y - 5) / 2
    >>> convkit.fold_batch_norm(w, b, mean, var, eps=0.0)  # x - 2
    FoldedConv(w=array([[[1.]]]), b=array([-2.]))
    """
    if here() is not None:
        raise TypeError("w is on a GPU, and filters are folded in main memory: convkit.cuda.to_host(w)")
    w, eps = operand(w, "w"), check_eps(eps)
    by_channel = _channels_first(w, flag(transposed, "transposed"), whole(groups, "groups", least=1))
    channels = by_channel.shape[0] * by_channel.shape[2]
    view = batch_view((1, channels))
    mean, invstd = running_statistics(running_mean, running_var, view, w.dtype, eps)
    shift = _doubles(b, channels, "b", w.dtype, 0.0) - mean
    with np.errstate(invalid="ignore", over="ignore"):  # a variance of 0 with eps 0 was asked for
        scale = _doubles(weight, channels, "weight", w.dtype, 1.0) * invstd
        folded_b = shift * scale + _doubles(bias, channels, "bias", w.dtype, 0.0)
        folded_w = by_channel * scale.reshape(by_channel.shape[0], 1, by_channel.shape[2], 1)
        return FoldedConv(folded_w.astype(w.dtype).reshape(w.shape), folded_b.astype(w.dtype))


def _channels_first(w: np.ndarray, transposed: bool, groups: int) -> np.ndarray:
    """Return filters as (groups, inputs, outputs, taps): all channels, group by group."""
    if w.ndim < 2 or 0 in w.shape:
        raise ValueError(f"w must have at least two axes, none of them empty, got shape {w.shape}")
    if not transposed:
        return w.reshape(1, 1, w.shape[0], -1)
    if w.shape[0] % groups:
        raise ValueError(f"groups must divide the {w.shape[0]} input channels of w {w.shape}, got {groups}")
    return w.reshape(groups, w.shape[0] // groups, w.shape[1], -1)


def _doubles(v: Any, channels: int, name: str, dtype: np.dtype, default: float) -> np.ndarray:
    if v is None:
        return np.full(channels, default)
    return vector(v, channels, name, dtype).astype(np.float64)
