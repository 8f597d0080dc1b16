"""Coverage: how often the windows of a convolution use each pixel, and how much of them is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from ..arrays import IntOrInts
from ..conv import conv2d, conv2d_backward
from ..conv_plan import Padding
from ..geometry import conv_output_size, conv_padding, effective_kernel, index_table, option, per_axis
from .ledger import Mismatch, brief

__all__ = ["Coverage", "coverage"]


def coverage(
    size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    padding_mode: str = "zeros",
) -> Coverage:
    """Count how many outputs use each pixel, and which pixels none uses.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns of the image.
    kernel_size, stride, padding, dilation, padding_mode
        As for :func:`convkit.conv2d`.

    Returns
    -------
    Coverage

    Raises
    ------
    ValueError, TypeError
        If an option is out of range, or no window fits.
    Mismatch
        If the counts are not those that the kernels come to.

    Examples
    --------
    >>> import convkit
    >>> found = convkit.explain.coverage(6, 3, stride=2)
    >>> found
    3 x 3 windows on 6 x 6 pixels, stride 2, padding 0, dilation 1: 2 x 2 outputs
    <BLANKLINE>
    How many outputs use each pixel:
      1 1 2 1 1 0
      1 1 2 1 1 0
      2 2 4 2 2 0
      1 1 2 1 1 0
      1 1 2 1 1 0
      0 0 0 0 0 0
    <BLANKLINE>
    No output uses row 5 and column 5. 11 of 36 pixels get no gradient.
    No output sees padding.
    >>> found.outputs[2].tolist(), found.unused_columns
    ([2, 2, 4, 2, 2, 0], [5])
    """
    n = per_axis(size, 2, "size", least=1)
    k = per_axis(kernel_size, 2, "kernel_size", least=1)
    s, d = per_axis(stride, 2, "stride", least=1), per_axis(dilation, 2, "dilation", least=1)
    pads = conv_padding(option(padding, "padding"), n, k, s, d)
    axes = [
        _Axis(index_table(n_, *p, padding_mode), n_, k_, s_, d_, conv_output_size(n_, k_, s_, d_, *p), p[0])
        for n_, k_, s_, d_, p in zip(n, k, s, d, pads, strict=True)
    ]
    found = Coverage(n, k, s, pads, d, padding_mode, axes[0], axes[1])
    _check(found)
    return found


@dataclass(frozen=True)
class _Axis:
    """What the windows of one axis read, in counts."""

    table: np.ndarray
    n: int
    k: int
    s: int
    d: int
    o: int
    before: int

    @cached_property
    def padded(self) -> np.ndarray:
        """The padded cell that output i reads at tap j, shape (o, k)."""
        return np.arange(self.o)[:, None] * self.s + np.arange(self.k) * self.d

    @cached_property
    def cells(self) -> np.ndarray:
        """The input cell that it shows, or -1."""
        return self.table[self.padded]

    @cached_property
    def reads(self) -> np.ndarray:
        """Times that each cell is read, shape (n,)."""
        return np.bincount(self.cells[self.cells >= 0], minlength=self.n)

    @cached_property
    def outputs(self) -> np.ndarray:
        """Outputs that read each cell, however often, shape (n,)."""
        one_each = [np.unique(row[row >= 0]) for row in self.cells]
        return np.bincount(np.concatenate(one_each), minlength=self.n)

    @cached_property
    def real_taps(self) -> np.ndarray:
        """Taps of each output that are on cells of the input itself, shape (o,)."""
        return ((self.padded >= self.before) & (self.padded < self.before + self.n)).sum(axis=1)

    @property
    def unused(self) -> list[int]:
        return np.flatnonzero(self.outputs == 0).tolist()


@dataclass(frozen=True, repr=False)
class Coverage:
    """How often each pixel is used: what :func:`coverage` returns.

    Attributes
    ----------
    size, kernel_size, stride, dilation : (int, int)
        The geometry.
    padding : ((top, bottom), (left, right))
        Pixels of padding.
    padding_mode : str
        What padding shows.
    """

    size: tuple[int, ...]
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    padding_mode: str
    _h: _Axis
    _w: _Axis

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return self._h.o, self._w.o

    @cached_property
    def outputs(self) -> np.ndarray:
        """How many outputs use each pixel, an array of int like the image."""
        return np.outer(self._h.outputs, self._w.outputs)

    @cached_property
    def reads(self) -> np.ndarray:
        """How many products each pixel is in, which is more where padding shows it again."""
        return np.outer(self._h.reads, self._w.reads)

    @property
    def no_gradient(self) -> np.ndarray:
        """Pixels that no output uses, an array of bool like the image: their gradient is zero."""
        return self.outputs == 0

    @property
    def unused_rows(self) -> list[int]:
        """Rows that no output uses: the stride skips them, or no window reaches that far."""
        return self._h.unused

    @property
    def unused_columns(self) -> list[int]:
        """Columns that no output uses."""
        return self._w.unused

    @cached_property
    def padding_share(self) -> np.ndarray:
        """Share of each output's taps that are on padding, an array like the output."""
        taps = self.kernel_size[0] * self.kernel_size[1]
        return 1 - np.outer(self._h.real_taps, self._w.real_taps) / taps

    @property
    def left_over(self) -> tuple[int, int]:
        """Cells at the end of each padded axis on which no further window fits."""
        rows, columns = (
            len(a.table) - (a.o - 1) * a.s - effective_kernel(a.k, a.d) for a in (self._h, self._w)
        )
        return rows, columns

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dicts, lists, strings and numbers, ready for JSON."""
        return {
            "size": list(self.size),
            "kernel_size": list(self.kernel_size),
            "stride": list(self.stride),
            "padding": [list(p) for p in self.padding],
            "dilation": list(self.dilation),
            "padding_mode": self.padding_mode,
            "output_size": list(self.output_size),
            "outputs": self.outputs.tolist(),
            "reads": self.reads.tolist(),
            "unused_rows": self.unused_rows,
            "unused_columns": self.unused_columns,
            "pixels_without_gradient": int(self.no_gradient.sum()),
            "padding_share": self.padding_share.tolist(),
            "left_over": list(self.left_over),
        }

    def __str__(self) -> str:
        return self.__rich__().plain

    __repr__ = __str__

    def __rich__(self) -> Any:
        """Return the text that a terminal shows, with unused pixels marked."""
        from rich.text import Text

        text = Text()
        mode = "" if self.padding_mode == "zeros" else f" {self.padding_mode}"
        text.append(
            f"{_by(self.kernel_size)} windows on {_by(self.size)} pixels, stride {brief(self.stride)}, "
            f"padding {brief(self.padding)}{mode}, dilation {brief(self.dilation)}: "
            f"{_by(self.output_size)} outputs\n\n",
            "bold",
        )
        text.append("How many outputs use each pixel")
        if max(self.size) <= MOST_SHOWN:
            text.append(":\n")
            _grid(text, [[str(v) for v in row] for row in self.outputs.tolist()], unused="0")
        else:
            text.append(", a product of\n")
            text.append(f"  its row's count     {_runs(self._h.outputs.tolist())}\n")
            text.append(f"  its column's count  {_runs(self._w.outputs.tolist())}\n")
        text.append(f"\n{self._unused_sentence()}\n{self._padding_sentence()}")
        if self.padding_share.any() and max(self.output_size) <= MOST_SHOWN:
            text.append("\nShare of padding in each output, in %:\n")
            _grid(text, [[f"{100 * v:.0f}" for v in row] for row in self.padding_share.tolist()])
        text.rstrip()
        return text

    def _unused_sentence(self) -> str:
        if not self.no_gradient.any():
            return "Every pixel is used."
        lists = [_listed("row", self.unused_rows), _listed("column", self.unused_columns)]
        return (
            f"No output uses {' and '.join(filter(None, lists))}. "
            f"{self.no_gradient.sum():,} of {self.no_gradient.size:,} pixels get no gradient."
        )

    def _padding_sentence(self) -> str:
        share = self.padding_share
        if not share.any():
            return "No output sees padding."
        seeing = int((share > 0).sum())
        return (
            f"{seeing:,} of {share.size:,} outputs see padding, {100 * share.max():.0f} % of their taps at "
            f"most; of all taps {100 * share.mean():.1f} % are on padding."
        )


MOST_SHOWN = 20
"""Rows and columns up to which every count is printed."""


def _by(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def _listed(what: str, numbers: list[int]) -> str:
    if not numbers:
        return ""
    shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"{what}{'s' if len(numbers) > 1 else ''} {shown}"


def _runs(counts: list[int]) -> str:
    """Write a list with its repetitions counted.

    >>> _runs([1, 2, 3, 3, 3, 2, 1])
    '1, 2, 3 (3 times), 2, 1'
    """
    runs = [(value, len(list(same))) for value, same in groupby(counts)]
    if len(runs) > 12:
        runs = [*runs[:6], (-1, 0), *runs[-6:]]
    words = [
        f"{value} ({times} times)" if times > 2 else ", ".join([str(value)] * times) for value, times in runs
    ]
    return ", ".join(word or "..." for word in words)


def _grid(text: Any, rows: list[list[str]], unused: str | None = None) -> None:
    width = max(len(cell) for row in rows for cell in row)
    for row in rows:
        text.append(" ")
        for cell in row:
            text.append(" ")
            text.append(cell.rjust(width), "bold red" if cell == unused else "")
        text.append("\n")


def _check(found: Coverage) -> None:
    """Compare the counts with what the kernels make of images and filters of ones."""
    image, ones = np.ones((1, *found.size)), np.ones((1, 1, *found.kernel_size))
    window = found.stride, found.padding, found.dilation
    reads: Any = conv2d_backward(
        np.ones((1, *found.output_size)), image, ones, *window, padding_mode=found.padding_mode
    ).grad_x
    real = conv2d(image, ones, None, *window)  # padding shows zeros here, so only real taps count
    share = 1 - real / ones.size
    if not (np.array_equal(reads[0], found.reads) and np.array_equal(share[0], found.padding_share)):
        raise Mismatch(f"the kernels read other pixels than the tables say: {found}")
