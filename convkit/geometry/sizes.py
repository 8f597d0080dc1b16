"""How many outputs there are along one axis, and how much padding that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .options import LARGEST, check_sizes, per_axis


def effective_kernel(k: int, d: int = 1) -> int:
    """Cells that a window of `k` taps spans at dilation `d`: ``d*(k - 1) + 1``.

    >>> effective_kernel(3, 1), effective_kernel(3, 2)
    (3, 5)
    """
    return d * (k - 1) + 1


def conv_output_size(n: int, k: int, s: int = 1, d: int = 1, p0: int = 0, p1: int = 0) -> int:
    """Outputs of a convolution along one axis: ``floor((n + p0 + p1 - e) / s) + 1``.

    Raises
    ------
    ValueError
        If no window fits: the padded input is shorter than the effective kernel.

    Examples
    --------
    >>> conv_output_size(28, 3)  # "the bits lost at the edge": exactly d*(k - 1)
    26
    >>> conv_output_size(224, 7, s=2, p0=3, p1=3)
    112
    """
    check_sizes(1, n=n, k=k, s=s, d=d)
    check_sizes(0, p0=p0, p1=p1)
    e = effective_kernel(k, d)
    if n + p0 + p1 + e > LARGEST:
        raise ValueError(f"input {n}, padding {p0} + {p1} and kernel {k} at dilation {d} overflow 64 bits")
    o = (n + p0 + p1 - e) // s + 1  # floored, so a negative numerator gives o < 1
    if o < 1:
        raise ValueError(
            f"the window does not fit: input {n} + padding {p0} + {p1} = {n + p0 + p1} cells, "
            f"kernel {k} at dilation {d} spans {e}"
        )
    return o


def conv_transpose_output_size(
    n: int, k: int, s: int = 1, d: int = 1, p0: int = 0, p1: int = 0, extra: int = 0
) -> int:
    """Outputs of a transposed convolution: ``s*(n - 1) + e + extra - p0 - p1``.

    `extra` (PyTorch's ``output_padding``) chooses among the ``s`` sizes that a convolution of
    stride ``s`` maps to the same `n`; it appends no zeros.

    Raises
    ------
    ValueError
        If `extra` is not smaller than the stride or the dilation, or no output is left.

    Examples
    --------
    >>> [conv_transpose_output_size(4, 3, s=2, extra=x) for x in (0, 1)]
    [9, 10]
    >>> [conv_output_size(n, 3, s=2) for n in (9, 10)]
    [4, 4]
    """
    check_sizes(1, n=n, k=k, s=s, d=d)
    check_sizes(0, p0=p0, p1=p1)
    if not 0 <= extra < max(s, d):
        raise ValueError(
            f"output_padding must be at least 0 and smaller than stride {s} or dilation {d}, got {extra}"
        )
    o = s * (n - 1) + effective_kernel(k, d) + extra - p0 - p1
    if o < 1:
        raise ValueError(
            f"no output is left: input {n}, kernel {k}, stride {s}, dilation {d}, "
            f"padding {p0} + {p1} give size {o}"
        )
    return o


def pool_output_size(n: int, k: int, s: int, p: int = 0, d: int = 1, ceil_mode: bool = False) -> int:
    """Outputs of a pooling window along one axis, padded by `p` on both sides.

    With `ceil_mode` the last, overhanging window counts too, if it starts inside the input or
    its left padding.

    Raises
    ------
    ValueError
        If `p` exceeds half the window (a window could then hold padding alone), or no window
        fits.

    Examples
    --------
    >>> pool_output_size(5, 2, 2), pool_output_size(5, 2, 2, ceil_mode=True)
    (2, 3)
    """
    check_sizes(1, n=n, k=k, s=s, d=d)
    check_sizes(0, p=p)
    if p > k // 2:
        raise ValueError(f"padding must be at most half the window, got padding {p} for window {k}")
    e = effective_kernel(k, d)
    if n + 2 * p + e > LARGEST:
        raise ValueError(f"input {n}, padding {p} and window {k} at dilation {d} overflow 64 bits")
    o = (n + 2 * p - e) // s + 1
    if ceil_mode:
        o = -(-(n + 2 * p - e) // s) + 1
        if (o - 1) * s >= n + p:
            o -= 1
    if o < 1:
        raise ValueError(
            f"the window does not fit: input {n} + padding {p} + {p} = {n + 2 * p} cells, "
            f"window {k} at dilation {d} spans {e}"
        )
    return o


def same_padding(n: int, k: int, s: int = 1, d: int = 1) -> tuple[int, int]:
    """Padding (before, after) that gives ``ceil(n / s)`` outputs; an odd cell goes after.

    With stride 1 this is PyTorch's ``padding="same"``; with a larger one, which PyTorch
    refuses, it is TensorFlow's rule ``SAME``, which is ONNX's ``SAME_UPPER``.

    Examples
    --------
    >>> same_padding(28, 3)
    (1, 1)
    >>> same_padding(224, 7, s=2)  # (3, 3) gives 112 outputs too, and other values
    (2, 3)
    """
    check_sizes(1, n=n, k=k, s=s, d=d)
    total = max((-(-n // s) - 1) * s + effective_kernel(k, d) - n, 0)
    return total // 2, total - total // 2


def conv_padding(
    padding: str | int | Sequence, n: Sequence[int], k: Sequence[int], s: Sequence[int], d: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Return a convolution's `padding` as one (before, after) pair per axis.

    Parameters
    ----------
    padding : {"valid", "same"}, int, sequence of int, or sequence of (int, int)
        As the user wrote it: for all axes, one per axis, or a pair per axis.
    n, k, s, d : sequence of int
        Input size, kernel size, stride and dilation of each axis, which ``"same"`` needs.

    Examples
    --------
    >>> conv_padding(1, (8, 8), (3, 3), (1, 1), (1, 1))
    ((1, 1), (1, 1))
    >>> conv_padding([(0, 1), (2, 3)], (8, 8), (3, 3), (1, 1), (1, 1))
    ((0, 1), (2, 3))
    """
    rank = len(n)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * rank
        if padding == "same":
            return tuple(same_padding(*axis) for axis in zip(n, k, s, d, strict=True))
        raise ValueError(f'padding must be "same", "valid", ints or pairs of ints, got {padding!r}')
    if isinstance(padding, Iterable):
        padding = tuple(padding)
        if any(isinstance(p, Iterable) for p in padding):
            if len(padding) != rank or not all(isinstance(p, Iterable) for p in padding):
                raise ValueError(f"padding must hold {rank} (before, after) pairs, got {padding!r}")
            return tuple(_pair(p, padding) for p in padding)
    return tuple((p, p) for p in per_axis(padding, rank, "padding"))


def _pair(p: Iterable, padding: object) -> tuple[int, int]:
    before_after = tuple(p)
    if len(before_after) != 2:
        raise ValueError(f"padding must hold (before, after) pairs, got {padding!r}")
    before, after = per_axis(before_after, 2, "padding")
    return before, after
