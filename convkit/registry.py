"""The registry: every kernel that there is, a line each.

What such a kernel must keep to is the contract in :mod:`convkit.dispatch`. The dispatch, the contract
tests, the benchmarks and the support matrix of the docs all come from this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .rules import Layer, winograd_serves

__all__ = ["BACKENDS", "KERNELS", "KERNELS_OF", "Kernel", "kernels_of"]


@dataclass(frozen=True)
class Kernel:
    """One line of the registry.

    Attributes
    ----------
    op, backend, algorithm : str
        What it computes, on what, and by which idea. ``direct`` is the best of an operation's
        general kernels, the top of its ladder.
    place : str
        ``"module:function"`` inside the backend's package.
    exact : bool
        True if it only reorders the defining sum, so that small integers come out exact.
    needs : str
        What its input must be, in words that follow "needs"; empty if it serves every case.
    serves : callable, optional
        Tells of a :class:`convkit.rules.Layer` whether it is so.
    ready : str
        A function beside it, ``ready(w, groups)``, that does all of the work that depends on the filters
        alone; the kernel takes its result as one more argument, last. Empty if there is none.
    workspace : str
        A function beside it, ``workspace(layer, itemsize, ih_of, iw_of, IH, IW)``, that tells the bytes
        it allocates.
    checks_indices : bool
        True if it refuses indices of no cell while it uses them; for the others the public function looks
        at all of them beforehand.
    """

    op: str
    backend: str
    algorithm: str
    place: str
    exact: bool = True
    needs: str = ""
    serves: Callable[[Layer], bool] | None = None
    ready: str = ""
    workspace: str = ""
    checks_indices: bool = False


BACKENDS = {
    "cython": "convkit._ext",
    "numba": "convkit._numba",
    "cuda": "convkit._cuda",
    "numpy": "convkit._numpy",
    "reference": "convkit.reference",
}
"""Backends in the order in which ``backend="auto"`` tries them, and the package of each.

Such a package has ``why_not()``, which returns the reason why it cannot run here or None, and
``load(module)``, which returns a module of kernels.
"""

KERNELS: tuple[Kernel, ...] = (
    Kernel("conv2d", "reference", "seven_loops", "loops:conv2d"),
    Kernel("conv2d", "reference", "direct", "conv:conv2d"),
    Kernel("conv2d", "reference", "im2col", "conv:conv2d_im2col"),
    Kernel("conv2d", "reference", "matrix", "matrix:conv2d"),
    Kernel("conv2d", "cython", "seven_loops", "ladder.conv_seven_loops:conv2d"),
    Kernel("conv2d", "cython", "loop_order", "ladder.conv_loop_order:conv2d"),
    Kernel("conv2d", "cython", "register_tile", "ladder.conv_register_tile:conv2d"),
    Kernel("conv2d", "cython", "planes", "ladder.conv_planes:conv2d"),
    Kernel("conv2d", "cython", "no_copies", "ladder.conv_no_copies:conv2d"),
    Kernel("conv2d", "cython", "tail_pixels", "ladder.conv_tail_pixels:conv2d"),
    Kernel("conv2d", "cython", "cache_blocks", "ladder.conv_cache_blocks:conv2d"),
    Kernel("conv2d", "cython", "kept_pixels", "ladder.conv_kept_pixels:conv2d"),
    Kernel("conv2d", "cython", "direct", "ladder.conv_threads:conv2d", workspace="workspace_bytes"),
    Kernel(
        "conv2d",
        "cython",
        "winograd",
        "winograd:conv2d",
        exact=False,
        needs="a 3x3 kernel, stride 1 and dilation 1",
        serves=winograd_serves,
        ready="ready",
        workspace="workspace_bytes",
    ),
    Kernel("conv2d", "numba", "seven_loops", "ladder.conv_seven_loops:conv2d"),
    Kernel("conv2d", "numba", "loop_order", "ladder.conv_loop_order:conv2d"),
    Kernel("conv2d", "numba", "unrolled", "ladder.conv_unrolled:conv2d"),
    Kernel("conv2d", "numba", "register_tile", "ladder.conv_register_tile:conv2d"),
    Kernel("conv2d", "numba", "planes", "ladder.conv_planes:conv2d"),
    Kernel("conv2d", "numba", "cache_blocks", "ladder.conv_cache_blocks:conv2d"),
    Kernel("conv2d", "numba", "direct", "ladder.conv_threads:conv2d"),
    Kernel("conv2d", "cuda", "naive", "ladder.conv_naive:conv2d"),
    Kernel("conv2d", "cuda", "coalesced", "ladder.conv_coalesced:conv2d"),
    Kernel("conv2d", "cuda", "shared_tile", "ladder.conv_shared_tile:conv2d"),
    Kernel("conv2d", "cuda", "register_tile", "ladder.conv_register_tile:conv2d"),
    Kernel("conv2d", "cuda", "vectors", "ladder.conv_vectors:conv2d"),
    Kernel("conv2d", "cuda", "direct", "conv:conv2d"),
    Kernel("conv2d", "numpy", "im2col", "im2col:conv2d", workspace="workspace_bytes"),
    Kernel("conv2d", "numpy", "fft", "fft:conv2d", exact=False, workspace="workspace_bytes"),
    Kernel("conv_transpose2d", "reference", "direct", "conv:conv_transpose2d"),
    Kernel("conv_transpose2d", "cython", "scatter_loops", "ladder.conv_gradient_loops:conv_transpose2d"),
    Kernel("conv_transpose2d", "cython", "direct", "conv_transpose:conv_transpose2d"),
    Kernel("conv_transpose2d", "numba", "direct", "conv_transpose:conv_transpose2d"),
    Kernel("conv_transpose2d", "cuda", "direct", "conv_transpose:conv_transpose2d"),
    Kernel("conv2d_grad_w", "reference", "direct", "conv:conv2d_grad_w"),
    Kernel("conv2d_grad_w", "cython", "gather_loops", "ladder.conv_gradient_loops:conv2d_grad_w"),
    Kernel("conv2d_grad_w", "cython", "direct", "conv_grad_w:conv2d_grad_w"),
    Kernel("conv2d_grad_w", "numba", "direct", "conv_grad_w:conv2d_grad_w"),
    Kernel("conv2d_grad_w", "cuda", "direct", "conv_grad_w:conv2d_grad_w"),
    Kernel("conv2d_grad_b", "reference", "direct", "conv:conv2d_grad_b"),
    Kernel("conv2d_grad_b", "cython", "direct", "conv_grad_b:conv2d_grad_b"),
    Kernel("conv2d_grad_b", "numba", "direct", "conv_grad_b:conv2d_grad_b"),
    Kernel("conv2d_grad_b", "cuda", "direct", "conv_grad_b:conv2d_grad_b"),
    Kernel("im2col", "reference", "direct", "unfold:im2col"),
    Kernel("im2col", "cython", "direct", "unfold:im2col"),
    Kernel("im2col", "numba", "direct", "unfold:im2col"),
    Kernel("im2col", "cuda", "direct", "unfold:im2col"),
    Kernel("col2im", "reference", "direct", "unfold:col2im"),
    Kernel("col2im", "cython", "direct", "fold:col2im"),
    Kernel("col2im", "numba", "direct", "fold:col2im"),
    Kernel("col2im", "cuda", "direct", "unfold:col2im"),
    Kernel("pad2d", "reference", "direct", "padding:pad2d"),
    Kernel("pad2d", "cython", "direct", "padding:pad2d"),
    Kernel("pad2d", "numba", "direct", "padding:pad2d"),
    Kernel("pad2d", "cuda", "direct", "padding:pad2d"),
    Kernel("pad2d_backward", "reference", "direct", "padding:pad2d_backward"),
    Kernel("pad2d_backward", "cython", "direct", "padding:pad2d_backward"),
    Kernel("pad2d_backward", "numba", "direct", "padding:pad2d_backward"),
    Kernel("pad2d_backward", "cuda", "direct", "padding:pad2d_backward"),
    Kernel("avg_pool2d", "reference", "window_loops", "loops:avg_pool2d"),
    Kernel("avg_pool2d", "reference", "direct", "pooling:avg_pool2d"),
    Kernel("avg_pool2d", "cython", "window_loops", "ladder.pool_window_loops:avg_pool2d"),
    Kernel("avg_pool2d", "cython", "separable", "ladder.pool_separable:avg_pool2d"),
    Kernel("avg_pool2d", "cython", "running", "ladder.pool_running:avg_pool2d"),
    Kernel("avg_pool2d", "cython", "registers", "ladder.pool_in_registers:avg_pool2d"),
    Kernel("avg_pool2d", "cython", "direct", "avg_pooling:avg_pool2d"),
    Kernel("avg_pool2d", "numba", "window_loops", "ladder.pool_window_loops:avg_pool2d"),
    Kernel("avg_pool2d", "numba", "separable", "ladder.pool_separable:avg_pool2d"),
    Kernel("avg_pool2d", "numba", "running", "ladder.pool_running:avg_pool2d"),
    Kernel("avg_pool2d", "numba", "direct", "avg_pooling:avg_pool2d"),
    Kernel("avg_pool2d", "cuda", "naive", "ladder.pool_naive:avg_pool2d"),
    Kernel("avg_pool2d", "cuda", "coalesced", "ladder.pool_coalesced:avg_pool2d"),
    Kernel("avg_pool2d", "cuda", "direct", "ladder.pool_shared:avg_pool2d"),
    Kernel("avg_pool2d_backward", "reference", "direct", "pooling:avg_pool2d_backward"),
    Kernel("avg_pool2d_backward", "cython", "direct", "avg_backward:avg_pool2d_backward"),
    Kernel("avg_pool2d_backward", "numba", "direct", "avg_backward:avg_pool2d_backward"),
    Kernel("avg_pool2d_backward", "cuda", "direct", "pooling:avg_pool2d_backward"),
    Kernel("max_pool2d", "reference", "direct", "pooling:max_pool2d"),
    Kernel("max_pool2d", "cython", "window_loops", "ladder.pool_max_window_loops:max_pool2d"),
    Kernel("max_pool2d", "cython", "separable", "ladder.pool_max_separable:max_pool2d"),
    Kernel("max_pool2d", "cython", "running", "ladder.pool_max_running:max_pool2d"),
    Kernel("max_pool2d", "cython", "direct", "max_pooling:max_pool2d"),
    Kernel("max_pool2d", "numba", "window_loops", "ladder.pool_max_window_loops:max_pool2d"),
    Kernel("max_pool2d", "numba", "separable", "ladder.pool_max_separable:max_pool2d"),
    Kernel("max_pool2d", "numba", "running", "ladder.pool_max_running:max_pool2d"),
    Kernel("max_pool2d", "numba", "direct", "max_pooling:max_pool2d"),
    Kernel("max_pool2d", "cuda", "naive", "ladder.pool_naive:max_pool2d"),
    Kernel("max_pool2d", "cuda", "coalesced", "ladder.pool_coalesced:max_pool2d"),
    Kernel("max_pool2d", "cuda", "direct", "ladder.pool_shared:max_pool2d"),
    Kernel("max_pool2d_indices", "reference", "direct", "pooling:max_pool2d_indices"),
    Kernel("max_pool2d_indices", "cython", "direct", "max_indices:max_pool2d_indices"),
    Kernel("max_pool2d_indices", "numba", "direct", "max_indices:max_pool2d_indices"),
    Kernel("max_pool2d_indices", "cuda", "coalesced", "ladder.pool_coalesced:max_pool2d_indices"),
    Kernel("max_pool2d_indices", "cuda", "direct", "ladder.pool_shared:max_pool2d_indices"),
    Kernel("max_pool2d_backward", "reference", "direct", "pooling:max_pool2d_backward"),
    Kernel(
        "max_pool2d_backward",
        "cython",
        "direct",
        "max_backward:max_pool2d_backward",
        checks_indices=True,
    ),
    Kernel("max_pool2d_backward", "numba", "direct", "max_backward:max_pool2d_backward"),
    Kernel("max_pool2d_backward", "cuda", "direct", "pooling:max_pool2d_backward"),
    Kernel("channel_mean", "reference", "direct", "pooling:channel_mean"),
    Kernel("channel_mean", "cython", "direct", "channels:channel_mean"),
    Kernel("channel_mean", "numba", "direct", "channels:channel_mean"),
    Kernel("channel_mean", "cuda", "direct", "pooling:channel_mean"),
    Kernel("channel_mean_backward", "reference", "direct", "pooling:channel_mean_backward"),
    Kernel("channel_mean_backward", "cython", "direct", "channels:channel_mean_backward"),
    Kernel("channel_mean_backward", "numba", "direct", "channels:channel_mean_backward"),
    Kernel("channel_mean_backward", "cuda", "direct", "pooling:channel_mean_backward"),
    Kernel("normalize", "reference", "two_passes", "loops:normalize"),
    Kernel("normalize", "reference", "direct", "normalization:normalize"),
    Kernel("normalize", "cython", "two_passes", "ladder.norm_two_passes:normalize"),
    Kernel("normalize", "cython", "welford", "ladder.norm_welford:normalize", exact=False),
    Kernel("normalize", "cython", "lanes", "ladder.norm_lanes:normalize"),
    Kernel("normalize", "cython", "fused", "ladder.norm_fused:normalize"),
    Kernel("normalize", "cython", "direct", "normalization:normalize"),
    Kernel("normalize", "numba", "two_passes", "ladder.norm_two_passes:normalize"),
    Kernel("normalize", "numba", "welford", "ladder.norm_welford:normalize", exact=False),
    Kernel("normalize", "numba", "direct", "normalization:normalize"),
    Kernel("normalize", "cuda", "naive", "ladder.norm_naive:normalize"),
    Kernel("normalize", "cuda", "coalesced", "ladder.norm_coalesced:normalize"),
    Kernel("normalize", "cuda", "two_levels", "ladder.norm_two_levels:normalize"),
    Kernel("normalize", "cuda", "direct", "ladder.norm_one_pass:normalize"),
    Kernel("normalize_given", "reference", "direct", "normalization:normalize_given"),
    Kernel("normalize_given", "cython", "direct", "normalization:normalize_given"),
    Kernel("normalize_given", "numba", "direct", "normalization:normalize_given"),
    Kernel("normalize_given", "cuda", "direct", "normalization:normalize_given"),
    Kernel("normalize_backward", "reference", "direct", "normalization:normalize_backward"),
    Kernel("normalize_backward", "cython", "direct", "normalization_backward:normalize_backward"),
    Kernel("normalize_backward", "numba", "direct", "normalization_backward:normalize_backward"),
    Kernel("normalize_backward", "cuda", "direct", "normalization:normalize_backward"),
    Kernel("normalize_given_backward", "reference", "direct", "normalization:normalize_given_backward"),
    Kernel("normalize_given_backward", "cython", "direct", "normalization_backward:normalize_given_backward"),
    Kernel("normalize_given_backward", "numba", "direct", "normalization_backward:normalize_given_backward"),
    Kernel("normalize_given_backward", "cuda", "direct", "normalization:normalize_given_backward"),
    Kernel("dropout", "reference", "direct", "dropout:dropout"),
    Kernel("dropout", "cython", "direct", "dropout:dropout"),
    Kernel("dropout", "numba", "direct", "dropout:dropout"),
    Kernel("dropout", "cuda", "direct", "dropout:dropout"),
    Kernel("dropout_mask", "reference", "direct", "dropout:dropout_mask"),
    Kernel("dropout_mask", "cython", "direct", "dropout:dropout_mask"),
    Kernel("dropout_mask", "numba", "direct", "dropout:dropout_mask"),
    Kernel("dropout_mask", "cuda", "direct", "dropout:dropout_mask"),
    Kernel("dropout_given", "reference", "direct", "dropout:dropout_given"),
    Kernel("dropout_given", "cython", "direct", "dropout:dropout_given"),
    Kernel("dropout_given", "numba", "direct", "dropout:dropout_given"),
    Kernel("dropout_given", "cuda", "direct", "dropout:dropout_given"),
)
"""Rungs of a ladder stand in its order, ``direct`` behind them."""

KERNELS_OF: dict[str, tuple[str, ...]] = {
    "conv1d": ("conv2d",),
    "conv2d": ("conv2d",),
    "prepare_conv2d": ("conv2d",),
    "conv1d_backward": ("conv_transpose2d", "conv2d_grad_w", "conv2d_grad_b"),
    "conv2d_backward": ("conv_transpose2d", "conv2d_grad_w", "conv2d_grad_b"),
    "conv_transpose1d": ("conv_transpose2d",),
    "conv_transpose2d": ("conv_transpose2d",),
    "conv_transpose1d_backward": ("conv2d", "conv2d_grad_w", "conv2d_grad_b"),
    "conv_transpose2d_backward": ("conv2d", "conv2d_grad_w", "conv2d_grad_b"),
    "im2col": ("im2col",),
    "im2col_backward": ("col2im",),
    "col2im": ("col2im",),
    "col2im_backward": ("im2col",),
    "pad": ("pad2d",),
    "pad_backward": ("pad2d_backward", "pad2d"),
    "avg_pool1d": ("avg_pool2d",),
    "avg_pool1d_backward": ("avg_pool2d_backward",),
    "avg_pool2d": ("avg_pool2d",),
    "avg_pool2d_backward": ("avg_pool2d_backward",),
    "adaptive_avg_pool2d": ("avg_pool2d",),
    "adaptive_avg_pool2d_backward": ("avg_pool2d_backward",),
    "global_avg_pool2d": ("avg_pool2d",),
    "global_avg_pool2d_backward": ("avg_pool2d_backward",),
    "max_pool1d": ("max_pool2d", "max_pool2d_indices"),
    "max_pool1d_backward": ("max_pool2d_backward", "max_pool2d_indices"),
    "max_pool2d": ("max_pool2d", "max_pool2d_indices"),
    "max_pool2d_backward": ("max_pool2d_backward", "max_pool2d_indices"),
    "channel_mean": ("channel_mean",),
    "channel_mean_backward": ("channel_mean_backward",),
    "batch_norm": ("normalize", "normalize_given"),
    "batch_norm_forward": ("normalize", "normalize_given"),
    "batch_norm_backward": ("normalize_backward", "normalize_given_backward", "normalize"),
    "instance_norm": ("normalize", "normalize_given"),
    "instance_norm_backward": ("normalize_backward", "normalize_given_backward", "normalize"),
    "group_norm": ("normalize",),
    "group_norm_backward": ("normalize_backward", "normalize"),
    "layer_norm": ("normalize",),
    "layer_norm_backward": ("normalize_backward", "normalize"),
    "dropout": ("dropout", "dropout_mask"),
    "dropout_backward": ("dropout", "dropout_given"),
    "dropout2d": ("dropout", "dropout_mask"),
    "dropout2d_backward": ("dropout", "dropout_given"),
    "dropout_rows": ("dropout", "dropout_mask"),
    "dropout_rows_backward": ("dropout", "dropout_given"),
}
"""Public function -> the operations of :data:`KERNELS` that it runs, its main one first.

The others it runs at times or beside it: batch norm is ``normalize`` in training and ``normalize_given`` in
evaluation, and its gradient begins with ``normalize`` if it is given no statistics.
"""


def kernels_of(name: str) -> tuple[str, ...]:
    """Return the operations behind a name: a public function's, or an operation's own.

    Raises
    ------
    ValueError
        If there is neither a function nor an operation of that name.

    Examples
    --------
    >>> kernels_of("batch_norm"), kernels_of("normalize")
    (('normalize', 'normalize_given'), ('normalize',))
    """
    ops = dict.fromkeys(k.op for k in KERNELS)
    if name not in KERNELS_OF and name not in ops:
        known = ", ".join(dict.fromkeys([*ops, *KERNELS_OF]))
        raise ValueError(f"op must be one of {known}; got {name!r}")
    return KERNELS_OF.get(name, (name,))
