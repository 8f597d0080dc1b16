"""Dropout of elements, of whole feature maps and of rows.

Which units are dropped is a pure function of (seed, number of the unit), drawn by the
counter-based generator Philox4x32-10: every backend and any number of threads draw the same mask,
and a gradient can draw it again instead of keeping it.
"""

from __future__ import annotations

import secrets
from math import prod
from operator import index
from typing import Any, NamedTuple

import numpy as np

from .arrays import any_array, copy, fill, finish, flag, fraction, full, is_array, operand, output
from .dispatch import pick
from .place import here

__all__ = [
    "Dropout",
    "dropout",
    "dropout2d",
    "dropout2d_backward",
    "dropout_backward",
    "dropout_rows",
    "dropout_rows_backward",
]


class Dropout(NamedTuple):
    """What dropout left, and which units it kept: True where kept, of a shape that broadcasts to y."""

    y: Any
    mask: Any


@any_array
def dropout(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    return_mask: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Set each element to zero with probability `p`, and scale the others by ``1 / (1 - p)``.

    The scaling at training time keeps every element's expectation, so that evaluation is the
    identity.

    Parameters
    ----------
    x : array, any shape
        float32 or float64.
    p : float in [0, 1]
        Probability of **dropping**: 0.5 is 50 %. (The paper's p is the probability of keeping.)
    training : bool
        If false, return x's values as they are.
    seed : int in [0, 2**64), optional
        Decides the mask, together with each element's position; drawn from the operating system
        if left out.
    return_mask : bool
        Return the mask as well.
    algorithm, backend : str
        Which kernel computes it.
    out : ndarray, optional
        Where to put the result.

    Returns
    -------
    array, shape of x
        With `return_mask`, :class:`Dropout`: ``(y, mask)``.

    Raises
    ------
    ValueError
        If `p` is outside [0, 1] or NaN, or the seed outside 64 bits.
    TypeError
        If x is not a float32 or float64 array.

    References
    ----------
    Srivastava et al., "Dropout", 2014. Salmon et al., "Parallel random numbers: as easy as
    1, 2, 3", 2011.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.dropout(np.ones(1000), p=0.2, seed=1)
    >>> np.unique(y).tolist()
    [0.0, 1.25]
    """
    x = operand(x, "x")
    return _dropout(x, (x.size, 1), x.shape, p, training, seed, return_mask, (backend, algorithm), out)


@any_array
def dropout2d(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    return_mask: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Drop whole feature maps: a channel of an image is kept or zeroed as one.

    Parameters
    ----------
    x : array, shape (N, C, H, W) or (C, H, W)
        Images. Three axes are one image, not a batch of rows.
    p, training, seed, return_mask, algorithm, backend, out
        As for :func:`dropout`; the mask has shape (N, C, 1, 1) or (C, 1, 1).

    Returns
    -------
    array, shape of x
        With `return_mask`, :class:`Dropout`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.dropout2d(np.ones((1, 64, 5, 5)), seed=1)
    >>> np.unique(y.sum(axis=(2, 3))).tolist()  # all 25 pixels of a map, or none
    [0.0, 50.0]
    """
    x = operand(x, "x")
    units, block, mask_shape = _maps(x.shape)
    return _dropout(x, (units, block), mask_shape, p, training, seed, return_mask, (backend, algorithm), out)


@any_array
def dropout_rows(
    x: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    return_mask: bool = False,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Drop whole rows: applied to an embedding table, this is "embedding dropout".

    A word is dropped wherever it occurs, unlike with :func:`dropout` of the embedded text.

    Parameters
    ----------
    x : array, shape (R, ...)
        The first axis counts the rows.
    p, training, seed, return_mask, algorithm, backend, out
        As for :func:`dropout`; the mask has shape (R, 1, ...).

    Returns
    -------
    array, shape of x
        With `return_mask`, :class:`Dropout`.

    References
    ----------
    Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", 2016.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> table = convkit.dropout_rows(np.ones((1000, 3)), seed=1)
    >>> np.unique(table.sum(axis=1)).tolist()
    [0.0, 6.0]
    """
    x = operand(x, "x")
    units, block, mask_shape = _rows(x.shape)
    return _dropout(x, (units, block), mask_shape, p, training, seed, return_mask, (backend, algorithm), out)


@any_array
def dropout_backward(
    grad_y: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    mask: Any = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`dropout`'s input, by the same mask.

    Parameters
    ----------
    grad_y : array
        Gradient for the output. The input itself is not needed.
    p, training
        As they were given to :func:`dropout`.
    seed : int, or mask : array of bool
        One of them: the seed, which draws the mask again, or the mask that was returned.
    algorithm, backend, out
        As for :func:`dropout`.

    Returns
    -------
    array, shape of grad_y

    Raises
    ------
    ValueError
        If neither or both of seed and mask are given, or the mask has another shape.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.dropout_backward(np.ones(3), mask=np.array([True, False, True]))
    array([2., 0., 2.])
    """
    grad_y = operand(grad_y, "grad_y")
    units = (grad_y.size, 1)
    return _backward(grad_y, units, grad_y.shape, p, training, seed, mask, (backend, algorithm), out)


@any_array
def dropout2d_backward(
    grad_y: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    mask: Any = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`dropout2d`'s input: see :func:`dropout_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> g = np.ones((2, 1, 2))
    >>> convkit.dropout2d_backward(g, mask=np.array([[[True]], [[False]]]))[:, 0]
    array([[2., 2.],
           [0., 0.]])
    """
    grad_y = operand(grad_y, "grad_y")
    units, block, mask_shape = _maps(grad_y.shape)
    choice = (backend, algorithm)
    return _backward(grad_y, (units, block), mask_shape, p, training, seed, mask, choice, out)


@any_array
def dropout_rows_backward(
    grad_y: Any,
    p: float = 0.5,
    training: bool = True,
    *,
    seed: int | None = None,
    mask: Any = None,
    algorithm: str = "auto",
    backend: str = "auto",
    out: np.ndarray | None = None,
) -> Any:
    """Return the gradient for :func:`dropout_rows`'s input: see :func:`dropout_backward`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> convkit.dropout_rows_backward(np.ones((2, 2)), mask=np.array([[True], [False]]))
    array([[2., 2.],
           [0., 0.]])
    """
    grad_y = operand(grad_y, "grad_y")
    units, block, mask_shape = _rows(grad_y.shape)
    choice = (backend, algorithm)
    return _backward(grad_y, (units, block), mask_shape, p, training, seed, mask, choice, out)


# --- units, and what every form does with them ---------------------------------------------


def _maps(shape: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
    if len(shape) not in (3, 4):
        raise ValueError(f"x must have shape (N, C, H, W) or (C, H, W), got {shape}")
    return prod(shape[:-2]), prod(shape[-2:]), (*shape[:-2], 1, 1)


def _rows(shape: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
    if len(shape) < 2:
        raise ValueError(f"x must have shape (R, ...) with at least two axes, got {shape}")
    return shape[0], prod(shape[1:]), (shape[0], *(1,) * (len(shape) - 1))


def _check_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, bool):
        raise TypeError(f"seed must be an int, got {seed!r}")
    try:
        seed = index(seed)
    except TypeError:
        raise TypeError(f"seed must be an int, got {seed!r}") from None
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be in [0, 2**64), got {seed}")
    return seed


def _threshold(p: float) -> int:
    """Return the number below which a unit's 32 random bits drop it."""
    return round(p * 2**32)


def _dropout(
    x: np.ndarray,
    units: tuple[int, int],
    mask_shape: tuple[int, ...],
    p: float,
    training: bool,
    seed: int | None,
    return_mask: bool,
    choice: tuple[str, str],
    out: np.ndarray | None,
) -> Any:
    p, seed, with_mask = fraction(p, "p"), _check_seed(seed), flag(return_mask, "return_mask")
    if not flag(training, "training"):
        p = 0.0
    y = output(x.shape, x.dtype, out, (x,))
    kernel = pick("dropout_mask" if with_mask else "dropout", *choice)
    mask = full((units[0],), p < 1, np.bool_) if with_mask else None
    if p == 0:
        copy(y, x)
    elif p == 1:
        fill(y, 0)  # not 0 * x, which is NaN for an infinite x
    elif x.size and mask is None:
        kernel(y.reshape(units), x.reshape(units), seed, _threshold(p), 1 / (1 - p))
    elif x.size:
        kernel(y.reshape(units), mask, x.reshape(units), seed, _threshold(p), 1 / (1 - p))
    y = finish(y, out)
    return y if mask is None else Dropout(y, mask.reshape(mask_shape))


def _backward(
    grad_y: np.ndarray,
    units: tuple[int, int],
    mask_shape: tuple[int, ...],
    p: float,
    training: bool,
    seed: int | None,
    mask: Any,
    choice: tuple[str, str],
    out: np.ndarray | None,
) -> np.ndarray:
    p = fraction(p, "p")
    if flag(training, "training") and (seed is None) == (mask is None):
        raise ValueError("one of seed and mask is needed, to draw the mask of the forward pass again")
    if not training or mask is None:
        return _dropout(grad_y, units, mask_shape, p, training, seed, False, choice, out)
    if not is_array(mask) or mask.dtype != np.bool_:
        raise TypeError(f"mask must be an array of bool, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.shape != mask_shape:
        raise ValueError(f"mask must have shape {mask_shape}, got {mask.shape}")
    grad_x = output(grad_y.shape, grad_y.dtype, out, (grad_y, mask))
    kernel = pick("dropout_given", *choice)
    if p == 1:
        fill(grad_x, 0)
    elif grad_x.size:
        mask = np.ascontiguousarray(mask) if here() is None else here().indices(mask)
        kernel(grad_x.reshape(units), grad_y.reshape(units), mask.reshape(units[0]), 1 / (1 - p))
    return finish(grad_x, out)
