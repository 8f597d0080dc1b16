"""A convolution whose filters are made ready once, for many images."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .arrays import IntOrInts, any_array, copied, key, operand, vector
from .conv import _conv
from .conv_plan import Padding, turned
from .dispatch import last_call
from .rules import Layer

__all__ = ["PreparedConv2d", "prepare_conv2d"]


class PreparedConv2d:
    """What :func:`prepare_conv2d` returns: call it with images. Safe to call from many threads."""

    def __init__(self, w: np.ndarray, b: np.ndarray | None, options: dict[str, Any]) -> None:
        self._w = w
        self._b = b
        self._options = options
        self._ready: dict[Any, Any] = {}  # by the function that made it
        self._lock = threading.Lock()

    def __call__(self, x: Any, *, out: np.ndarray | None = None) -> Any:
        """Convolve images x, (N, IC, IH, IW) or (IC, IH, IW): see :func:`convkit.conv2d`."""
        return _convolve(x, self._w, self._b, self._options, out, self._made_ready)

    def _made_ready(self, layer: Layer) -> tuple:
        """Return what the kernel that was picked takes beyond the filters; the first call makes it."""
        call = last_call()
        if call is None or call.ready is None:
            return ()
        with self._lock:
            made = self._ready.get(call.ready)
            if made is None:
                made = self._ready[call.ready] = call.ready(self._w, layer)
        return (made,)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"prepared conv2d of filters {self._w.shape}: {options}"


@any_array
def _convolve(x: Any, w: np.ndarray, b: Any, options: dict[str, Any], out: Any, made_ready: Any) -> Any:
    return _conv(2, x, w, b, **options, flip=False, out=out, made_ready=made_ready)


@any_array
def prepare_conv2d(
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
) -> PreparedConv2d:
    """Return a convolution by filters that do not change any more.

    It keeps copies of the filters and the bias, made contiguous and turned round if ``flip``, and, from
    the first call on that can use them, the filters as Winograd's algorithm transforms them. For small
    images the kernel transforms them block by block again: reading four times the memory takes longer.

    Parameters
    ----------
    w, b, stride, padding, dilation, groups, padding_mode, flip, algorithm, backend
        As for :func:`convkit.conv2d`.

    Returns
    -------
    PreparedConv2d
        A function of x.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> blur = convkit.prepare_conv2d(np.full((1, 1, 2, 2), 0.25))
    >>> blur(np.arange(9.0).reshape(1, 3, 3))
    array([[[2., 3.],
            [5., 6.]]])
    """
    w = operand(w, "w")
    if w.ndim != 4:
        raise ValueError(f"w must have shape (out channels, in channels / groups, KH, KW), got {w.shape}")
    w = copied(turned(w, flip))
    b = None if b is None else copied(vector(b, w.shape[0], "b", w.dtype))
    numbers = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options = {name: key(value, name) for name, value in numbers.items()}
    options |= {"padding_mode": padding_mode, "algorithm": algorithm, "backend": backend}
    return PreparedConv2d(w, b, options)
