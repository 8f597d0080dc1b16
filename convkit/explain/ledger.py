"""A ledger: one output number with everything that went into it, compared with the kernel's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf, isfinite, isinf, isnan
from typing import Any, NamedTuple

import numpy as np

from ..arrays import operand
from ..dispatch import Call, last_call
from ..geometry import whole

__all__ = ["Explanation", "Ledger", "Line", "Mismatch", "Ref", "Source", "brief", "given", "ran_by"]


class Mismatch(ArithmeticError):
    """An explanation and the kernel that it explains do not agree."""


@dataclass(frozen=True)
class Ref:
    """One cell of a named array.

    >>> print(Ref("w", (0, 1, 2, 2)))
    w[0, 1, 2, 2]
    """

    name: str
    index: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.index))}]"


class Source(NamedTuple):
    """Where an input value came from.

    Attributes
    ----------
    kind : str
        ``"real"``, ``"mirrored"``, ``"repeated"`` or ``"wrapped"`` where it is a cell of the
        input; ``"zero padding"``, ``"constant padding"``, ``"-inf padding"`` or ``"overhang"`` where it
        is none.
    cell : Ref or None
        The cell that was read.

    Examples
    --------
    >>> print(Source("mirrored", Ref("x", (0, 0, 1, 2))))
    mirrored from x[0, 0, 1, 2]
    """

    kind: str
    cell: Ref | None = None

    def __str__(self) -> str:
        if self.cell is None:
            return self.kind
        return str(self.cell) if self.kind == "real" else f"{self.kind} from {self.cell}"


class Line(NamedTuple):
    """A step below the table: what it is, how it is computed, and its value."""

    what: str
    how: str
    value: float


Cell = Ref | Source | float | str | bool
Row = dict[str, Cell]


@dataclass(frozen=True)
class Ledger:
    """How one output number came about.

    Printed, it is a table. In a notebook it shows itself as one; :meth:`to_latex`, :meth:`to_html`
    and :meth:`to_dict` give the same in other forms.

    Attributes
    ----------
    op : str
        The operation.
    output : Ref
        Which number it is.
    options : str
        The operation's options in words.
    formula : str
        The definition, in LaTeX.
    rows : list of dict
        One an input value that the number was made of, in the order of the sum; every row has the
        same columns.
    lines : list of Line
        What was done with the rows' sum after that; the last one's value is the number.
    value : float
        The number, computed here in float64.
    kernel : float
        The number that the kernel returned.
    ran : str
        Which kernel that was: backend and algorithm.
    difference : float
        How far the kernel's number is from this one; 0 where only its dtype rounds.
    bound : float
        How far rounding may set the two apart.
    """

    op: str
    output: Ref
    options: str
    formula: str
    rows: list[Row]
    lines: list[Line]
    value: float
    kernel: float
    ran: str
    difference: float
    bound: float

    @property
    def verdict(self) -> str:
        """What the comparison with the kernel found, as a sentence."""
        from .rendering import figure

        if isinf(self.kernel) and isfinite(self.value):
            return f"The kernel ({self.ran}) returned {figure(self.kernel)}: its dtype has no larger numbers."
        if self.difference == 0:
            return f"The kernel ({self.ran}) returned the same number."
        if not isfinite(self.bound):
            return f"The kernel ({self.ran}) returned {figure(self.kernel)}; its rounding has no bound here."
        return (
            f"The kernel ({self.ran}) returned {figure(self.kernel)}, which is {self.difference:.2g} away; "
            f"rounding may be {self.bound:.2g}."
        )

    def to_text(self, most_rows: int = 60) -> str:
        """Return the ledger as plain text; a longer table leaves out its middle."""
        from .rendering import plain

        return plain(self, most_rows)

    def to_latex(self, most_rows: int = 60) -> str:
        """Return the ledger as LaTeX for math mode; MathJax and KaTeX set it, too."""
        from .rendering import latex

        return latex(self, most_rows)

    def to_html(self, most_rows: int = 60) -> str:
        """Return the ledger as one ``<figure>`` that brings its own style and loads nothing."""
        from .rendering import html

        return html(self, most_rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger as dicts, lists, strings and numbers, ready for JSON."""
        return {
            "op": self.op,
            "output": list(self.output.index),
            "options": self.options,
            "formula": self.formula,
            "rows": [{name: _plain(cell) for name, cell in row.items()} for row in self.rows],
            "lines": [line._asdict() for line in self.lines],
            "value": self.value,
            "kernel": self.kernel,
            "ran": self.ran,
            "difference": self.difference,
            "bound": self.bound,
        }

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def __rich__(self) -> Any:
        from .rendering import coloured

        return coloured(self, most_rows=60)

    def _repr_html_(self) -> str:
        return self.to_html()


def given(**arrays: Any) -> tuple[Any, ...]:
    """Return the arrays that an operation was given as NumPy arrays of floats; None stays None.

    Kernels cast nothing in silence, but here numbers are typed by hand: lists, whole numbers and arrays of
    them become float64, or float32 beside arrays of that.

    Raises
    ------
    TypeError
        If one holds no numbers, or is an array of another dtype, in the operation's own words.
    ValueError
        If the rows of a list are not equally long.
    """
    floats = {a.dtype for a in arrays.values() if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    dtype = np.float32 if floats == {np.dtype(np.float32)} else np.float64
    return tuple(None if a is None else operand(_floats(a, name, dtype), name) for name, a in arrays.items())


def _floats(a: Any, name: str, dtype: type[np.floating]) -> Any:
    """Return lists, numbers and arrays of whole numbers as an array of floats, anything else as it is."""
    listed = isinstance(a, list | tuple | int | float)
    whole_numbers = isinstance(a, np.ndarray | np.integer) and a.dtype.kind in "biu"
    if not (listed or whole_numbers) or isinstance(a, np.ma.MaskedArray):
        return a
    try:
        array = np.asarray(a)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of one length: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold numbers, got {a!r:.60}")
    return array.astype(dtype)


def ran_by() -> Call:
    """Return which kernel the operation just called ran."""
    call = last_call()
    assert call is not None
    return call


def brief(value: Any) -> str:
    """Write an option of several axes once where they are the same.

    >>> brief(((1, 1), (1, 1))), brief(((0, 1), (0, 1))), brief((2, 1))
    ('1', '(0, 1)', '(2, 1)')
    """
    if isinstance(value, tuple) and len(set(value)) == 1:
        return brief(value[0])
    return str(value)


def _difference(value: float, kernel: np.floating) -> float:
    with np.errstate(over="ignore"):
        rounded = kernel.dtype.type(value)
    if rounded == kernel or (isnan(rounded) and isnan(kernel)):
        return 0.0
    return abs(float(kernel) - value)


def _plain(cell: Cell) -> Any:
    if isinstance(cell, Source):
        return {"kind": cell.kind, "cell": list(cell.cell.index) if cell.cell else None}
    return list(cell.index) if isinstance(cell, Ref) else cell


class Explanation:
    """An operation's output, of which every number can be asked how it came about.

    Index it like the output to get a :class:`Ledger`: ``explain.conv2d(x, w)[0, 1, 2, 3]``.

    Attributes
    ----------
    op : str
        The operation.
    y : ndarray
        What the kernel returned.
    ran : str
        Which kernel that was: backend and algorithm.
    """

    def __init__(
        self,
        op: str,
        y: np.ndarray,
        ran: Call,
        make: Callable[[tuple[int, ...]], tuple[list[Row], list[Line], float]],
        options: str,
        formula: str,
    ) -> None:
        self.op = op
        self.y = y
        self.ran = f"{ran.backend}, {ran.algorithm}"
        self._make = make
        self._options = options
        self._formula = formula

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.y.shape

    def __getitem__(self, index: Any) -> Ledger:
        """Return the ledger of one number.

        Raises
        ------
        IndexError, TypeError
            If `index` is not one whole number an axis, inside the output.
        Mismatch
            If the ledger does not come to the number that the kernel returned.
        """
        at = self._index(index)
        rows, lines, bound = self._make(at)
        value, output = lines[-1].value, Ref("y", at)
        difference = _difference(value, self.y[at])
        if not difference <= bound and bound != inf:
            raise Mismatch(
                f"the ledger of {self.op}'s {output} comes to {value!r}, but the kernel ({self.ran}) "
                f"returned {float(self.y[at])!r}; rounding allows {bound:.3g}"
            )
        kernel = float(self.y[at])
        return Ledger(
            self.op, output, self._options, self._formula, rows, lines,
            value, kernel, self.ran, difference, bound,
        )  # fmt: skip

    def _index(self, index: Any) -> tuple[int, ...]:
        items = index if isinstance(index, tuple) else (index,)
        if len(items) != self.y.ndim:
            raise IndexError(
                f"{self.op}'s output has shape {self.shape}: one number an axis is needed, got {index!r}"
            )
        at = tuple(whole(i, "index") for i in items)
        if not all(-n <= i < n for i, n in zip(at, self.shape, strict=True)):
            raise IndexError(f"{self.op}'s output has shape {self.shape}, got index {index!r}")
        return tuple(i % n for i, n in zip(at, self.shape, strict=True))

    def ledgers(self) -> Iterator[Ledger]:
        """Yield the ledger of every number of the output, in order."""
        return (self[at] for at in np.ndindex(self.shape))

    __iter__ = None  # rows of the output are no ledgers: see `ledgers`

    def __repr__(self) -> str:
        return f"{self.op} into {self.shape}, by {self.ran}: index it for the ledger of one number"
