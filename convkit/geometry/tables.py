"""Which input cells each output reads: index tables for padding, windows for pooling."""

from __future__ import annotations

import numpy as np

from .memory import check_table, remembered
from .options import LARGEST, check_sizes, whole
from .sizes import effective_kernel, pool_output_size

PADDING_MODES = ("zeros", "reflect", "replicate", "circular", "symmetric")
"""Padding modes of convolutions; ``pad`` calls the first one ``"constant"``."""


@remembered
def index_table(n: int, p0: int, p1: int, mode: str = "zeros") -> np.ndarray:
    """Return, for each padded cell of an axis, the input cell it shows, or -1 for a constant.

    ============== =========================== ====================================
    mode           ``a b c d`` padded by 3, 3   also known as
    ============== =========================== ====================================
    ``zeros``      ``- - - a b c d - - -``      constant
    ``reflect``    ``d c b a b c d c b a``      SciPy's ``mirror``
    ``symmetric``  ``c b a a b c d d c b``      SciPy's ``reflect``
    ``replicate``  ``a a a a b c d d d d``      NumPy's ``edge``, SciPy's ``nearest``
    ``circular``   ``b c d a b c d a b c``      ``wrap``
    ============== =========================== ====================================

    Padding may exceed the input: the image keeps bouncing or wrapping, as in :func:`numpy.pad`.
    Negative padding crops, in mode ``zeros`` alone.

    Parameters
    ----------
    n : int
        Input cells.
    p0, p1 : int
        Cells of padding before and after.
    mode : str
        One of :data:`PADDING_MODES`.

    Returns
    -------
    ndarray of intp, shape (p0 + n + p1,)
        Read-only: it is cached and shared.

    Raises
    ------
    ValueError
        For an unknown mode, for ``reflect`` of a single cell (which has no reflection), and for
        negative padding that leaves nothing or is asked of another mode than ``zeros``.

    Examples
    --------
    >>> index_table(4, 2, 1)
    array([-1, -1,  0,  1,  2,  3, -1])
    >>> index_table(4, 2, 1, "reflect")
    array([2, 1, 0, 1, 2, 3, 2])
    """
    if not isinstance(mode, str) or mode not in PADDING_MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(PADDING_MODES)}, got {mode!r}")
    check_sizes(1, n=n)
    length = whole(p0, "p0") + n + whole(p1, "p1")
    if mode != "zeros" and min(p0, p1) < 0:
        raise ValueError(f"negative padding ({p0}, {p1}) crops, which only constant padding can")
    if length < 1:
        raise ValueError(f"padding ({p0}, {p1}) leaves nothing of {n} cells")
    if mode == "reflect" and n == 1 and length > 1:
        raise ValueError("reflect padding needs at least 2 cells: a single one has no reflection")
    check_table(length)
    i = np.arange(-p0, n + p1, dtype=np.intp)
    if mode == "zeros":
        table = np.where((i >= 0) & (i < n), i, -1)
    elif mode == "reflect":
        bounce = i % max(2 * (n - 1), 1)  # there and back without repeating either end
        table = np.minimum(bounce, 2 * (n - 1) - bounce)
    elif mode == "symmetric":
        bounce = i % (2 * n)
        table = np.minimum(bounce, 2 * n - 1 - bounce)
    elif mode == "replicate":
        table = np.clip(i, 0, n - 1)
    else:
        table = i % n
    table.flags.writeable = False
    return table


# --- pooling windows -----------------------------------------------------------------------


@remembered
def pool_windows(
    n: int,
    k: int,
    s: int,
    p: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> np.ndarray:
    """Return (start, stop, divisor) of each window of an average pooling along one axis.

    ``x[start:stop]`` are the input cells in the window; `divisor` is this axis's factor of the
    number to divide by: the window clipped to the explicit padding, or, without
    `count_include_pad`, to the input. The part of a ceil-mode window that hangs over never counts.

    Returns
    -------
    ndarray of intp, shape (o, 3)
        Read-only: it is cached and shared.

    Examples
    --------
    >>> pool_windows(4, 3, 2, p=1, ceil_mode=True)
    array([[0, 2, 3],
           [1, 4, 3],
           [3, 4, 2]])
    """
    o = pool_output_size(n, k, s, p, 1, ceil_mode)
    check_table(o, 3)
    start = np.arange(o, dtype=np.intp) * s - p
    stop = np.minimum(start + k, n + p)
    real_start, real_stop = np.maximum(start, 0), np.minimum(stop, n)
    divisor = stop - start if count_include_pad else real_stop - real_start
    return _table(real_start, real_stop, divisor)


@remembered
def max_pool_windows(n: int, k: int, s: int, p: int = 0, d: int = 1, ceil_mode: bool = False) -> np.ndarray:
    """Return (start, stop, step) of each window of a max pooling along one axis.

    ``x[start:stop:step]`` are the input cells in the window; padding cells, which stand for
    -infinity, are left out, and every window keeps at least one cell.

    Returns
    -------
    ndarray of intp, shape (o, 3)
        Read-only: it is cached and shared.

    Raises
    ------
    ValueError
        As :func:`pool_output_size`, and if a dilated window would hold padding alone.

    Examples
    --------
    >>> max_pool_windows(5, 2, 2, p=1, d=2)
    array([[1, 2, 2],
           [1, 4, 2],
           [3, 5, 2]])
    """
    o = pool_output_size(n, k, s, p, d, ceil_mode)
    check_table(o, 3)
    start = np.arange(o, dtype=np.intp) * s - p
    stop = np.minimum(start + effective_kernel(k, d), n)
    real_start = np.where(start < 0, start % d, start)  # the first tap that is not padding
    if np.any(real_start >= stop):
        i = int(np.argmax(real_start >= stop))
        raise ValueError(
            f"window {i} would hold padding alone: input {n}, window {k}, stride {s}, "
            f"padding {p}, dilation {d}"
        )
    step = min(d, n)  # of two taps that far apart one is outside, and no larger number is needed to say so
    return _table(real_start, stop, np.full(o, step, dtype=np.intp))


@remembered
def adaptive_windows(n: int, o: int) -> np.ndarray:
    """Return (start, stop, divisor) of `o` windows that cover `n` cells as evenly as can be.

    Window ``i`` runs from ``floor(i*n / o)`` to ``ceil((i + 1)*n / o)``; windows overlap where
    `o` does not divide `n`.

    Examples
    --------
    >>> adaptive_windows(5, 3)
    array([[0, 2, 2],
           [1, 4, 3],
           [3, 5, 2]])
    """
    check_sizes(1, n=n, o=o)
    if n * o > LARGEST:
        raise ValueError(f"{o} windows over {n} cells overflow 64 bits")
    check_table(o, 3)
    i = np.arange(o, dtype=np.intp)
    start, stop = i * n // o, -(-(i + 1) * n // o)
    return _table(start, stop, stop - start)


def with_divisor(windows: np.ndarray, divisor: int) -> np.ndarray:
    """Return average-pooling `windows` with every divisor replaced: ``divisor_override``.

    >>> with_divisor(pool_windows(4, 2, 2), 3)
    array([[0, 2, 3],
           [2, 4, 3]])
    """
    return _table(windows[:, 0], windows[:, 1], np.full(len(windows), divisor, dtype=np.intp))


def _table(*columns: np.ndarray) -> np.ndarray:
    table = np.stack(columns, axis=1).astype(np.intp)
    table.flags.writeable = False
    return table
