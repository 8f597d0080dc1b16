"""To a GPU's memory and back, for those who have only NumPy.

Arrays on a GPU, of PyTorch, CuPy or Numba, need none of this: the public functions take them as they are,
run on the GPU by themselves, and return the same kind. Nothing else here moves data between the two memories.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .dispatch import BackendUnavailable, why_not

__all__ = ["to_device", "to_host"]


def to_device(array: np.ndarray) -> Any:
    """Copy an array into the memory of the current GPU.

    Parameters
    ----------
    array : ndarray
        Of any shape and dtype.

    Returns
    -------
    numba.cuda.cudadrv.devicearray.DeviceNDArray
        An array that all functions of convkit take, and any library that speaks ``__cuda_array_interface__``.

    Raises
    ------
    BackendUnavailable
        If there is no GPU that Numba can use; the message says why.
    TypeError
        If `array` is no NumPy array.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> x = np.ones((1, 1, 3, 3), np.float32)
    >>> try:
    ...     y = convkit.cuda.to_host(convkit.conv2d(convkit.cuda.to_device(x), convkit.cuda.to_device(x)))
    ... except convkit.BackendUnavailable:
    ...     y = convkit.conv2d(x, x)
    >>> y
    array([[[[9.]]]], dtype=float32)
    """
    _check()
    if not isinstance(array, np.ndarray):
        raise TypeError(f"array must be a NumPy array, got {type(array).__name__}")
    from ._cuda import target

    return target.to_device(array)


def to_host(array: Any) -> np.ndarray:
    """Copy an array from a GPU's memory into a NumPy array, after waiting for the work on it.

    Parameters
    ----------
    array : array
        Of PyTorch, CuPy, Numba, or any library that speaks DLPack or ``__cuda_array_interface__``.

    Returns
    -------
    ndarray

    Raises
    ------
    BackendUnavailable
        If there is no GPU that Numba can use.
    TypeError
        If `array` is not on a GPU.
    """
    _check()
    from ._cuda import arrays, border, target
    from .arrays import on_gpu

    if not on_gpu(array):
        raise TypeError(f"array must be on a GPU, got {type(array).__module__}.{type(array).__qualname__}")
    visit = arrays.Visit(array)
    with visit.open():
        view = visit.view(array)
        return target.to_host(view if view.is_c_contiguous() else border.copied(view))


def _check() -> None:
    if reason := why_not("cuda"):
        raise BackendUnavailable(f"cuda: {reason}")
