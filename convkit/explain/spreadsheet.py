"""A convolution and a batch norm as a spreadsheet: live formulas, so that a changed pixel changes the output.

One sheet, from left to right: input, padded input, filters, output, and the output normalised. Input,
filters, bias, gamma, beta and eps are numbers to play with; all the rest are formulas. Spreadsheet programs
compute them anew; the values stored beside them are those that the kernels returned.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import IntOrInts, any_array
from ..conv import conv2d
from ..conv_plan import Padding
from ..geometry import conv_padding, per_axis
from ..normalization import batch_norm
from .ledger import brief, given
from .sheet_layout import FIRST_ROW, Contents, Layout
from .sources import axis

__all__ = ["Spreadsheet", "to_xlsx"]

MOST_FORMULAS = 200_000  # beyond, spreadsheet programs need minutes to open the file
COLOURS = ("#a9d0e5", "#f5f3ef", "#f6b796")  # negative, zero, positive: as in all pictures, but pale


@dataclass(frozen=True)
class Spreadsheet:
    """A spreadsheet that was written.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    ranges : dict
        Where each plane is, in the notation of spreadsheets: ``ranges["output"][n, oc]`` is
        ``"AB5:AG10"``, say. The keys are input, padded, filter, output and batch_norm.
    """

    path: Path
    ranges: dict[str, dict[tuple[int, int], str]]


@any_array
def to_xlsx(
    path: str | os.PathLike[str],
    x: Any,
    w: Any,
    b: Any = None,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    flip: bool = False,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Spreadsheet:
    """Write a convolution, followed by a batch norm in training, as a spreadsheet with live formulas.

    Parameters
    ----------
    path : str or path
        The file to write; ``.xlsx`` by custom. One that is there is replaced.
    x, w, b, stride, padding, dilation, groups, padding_mode, flip
        As for :func:`convkit.conv2d`. All numbers must be finite.
    weight, bias : array, shape (OC,), optional
        gamma and beta of the batch norm; ones and zeros if left out.
    eps : float
        As for :func:`convkit.batch_norm`.

    Returns
    -------
    Spreadsheet
        The path, and where in the sheet each plane is.

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.conv2d`; if a number is not finite; if the sheet would need more formulas, or
        longer ones, than spreadsheet programs take.
    OSError
        If the file cannot be written.

    Notes
    -----
    Spreadsheets compute in float64, whatever x is. A batch norm needs more than one value a channel, so
    that an output of a single pixel gets none.

    Examples
    --------
    >>> import numpy as np, convkit, tempfile
    >>> x, w = np.arange(9.0).reshape(1, 3, 3), np.ones((1, 1, 2, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = convkit.explain.to_xlsx(f"{folder}/sums.xlsx", x, w, padding=1)
    ...     written.path.name, written.ranges["input"][0, 0], written.ranges["output"][0, 0]
    ('sums.xlsx', 'B6:D8', 'Q5:T8')
    """
    x, w, b, weight, bias = given(x=x, w=w, b=b, weight=weight, bias=bias)
    y: Any = conv2d(
        _wide(x, "x"), _wide(w, "w"), None if b is None else _wide(b, "b"), stride, padding, dilation, groups,
        padding_mode=padding_mode, flip=flip,
    )  # fmt: skip
    images, outputs = (a.reshape((1, *a.shape)[-4:]) for a in (_wide(x, "x"), y))
    s, d = per_axis(stride, 2, "stride"), per_axis(dilation, 2, "dilation")
    pads = conv_padding(padding, x.shape[-2:], w.shape[2:], s, d)
    axes = [axis(n, *p, padding_mode) for n, p in zip(x.shape[-2:], pads, strict=True)]
    gamma = np.ones(len(w)) if weight is None else _wide(weight, "weight")
    beta = np.zeros(len(w)) if bias is None else _wide(bias, "bias")
    normalised = None
    if outputs[:, 0].size > 1:
        normalised = batch_norm(outputs, None, None, gamma, beta, True, eps=eps)
    formulas = images[:, :, 0, 0].size * len(axes[0].table) * len(axes[1].table) + 2 * outputs.size
    if formulas > MOST_FORMULAS:
        raise ValueError(
            f"the sheet would hold {formulas:,} formulas, more than {MOST_FORMULAS:,}: take a smaller x, got "
            f"{x.shape}, or fewer filters, got {w.shape}"
        )
    title = (
        f"Convolution of {x.shape} by {w.shape}, stride {brief(s)}, padding {brief(pads)} {padding_mode}, "
        f"dilation {brief(d)}, groups {groups}{', kernel turned round' if flip else ''}"
    )
    contents = Contents(
        images, _wide(w, "w"), np.zeros(len(w)) if b is None else _wide(b, "b"), outputs, axes, s, d, flip,
        gamma, beta, float(eps), normalised,
    )  # fmt: skip
    return _Writer(Layout(contents), title).write(Path(path))


def _wide(a: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(a).all():
        raise ValueError(f"{name} must be finite: a spreadsheet has neither infinities nor NaN")
    return a.astype(np.float64)


Write = Callable[[int, int, int, int], object]  # row and column of the sheet, row and column of the plane


class _Writer:
    """Writes a layout's planes, zone by zone."""

    def __init__(self, layout: Layout, title: str) -> None:
        self.layout, self.contents, self.title = layout, layout.contents, title

    def write(self, path: Path) -> Spreadsheet:
        from xlsxwriter import Workbook

        book = Workbook(os.fspath(path), {"in_memory": True})
        self.sheet = book.add_worksheet("convolution")
        self.sheet.set_landscape()
        self.sheet.fit_to_pages(1, 0)  # printed, a row of blocks stays in one piece
        self.looks = {name: book.add_format(look) for name, look in _looks(self.contents).items()}
        self._frame()
        for n, c in np.ndindex(self.contents.x.shape[:2]):
            self._input(n, c)
            self._padded(n, c)
        self._filters()
        for n, oc in np.ndindex(self.contents.y.shape[:2]):
            self._output(n, oc)
            if self.contents.normalised is not None:
                self._batch_norm(n, oc, self.contents.normalised)
        _close(book)
        boxes = self.layout.boxes.items()
        return Spreadsheet(path, {zone: {k: box.address for k, box in of.items()} for zone, of in boxes})

    def _frame(self) -> None:
        sheet, zones = self.sheet, self.layout.zones
        sheet.hide_gridlines(2)
        sheet.set_column(0, 0, 2)
        sheet.set_column(1, zones["batch_norm"] + self.contents.y.shape[3], 5.5, self.looks["plain"])
        sheet.freeze_panes(FIRST_ROW - 1, 0)
        sheet.write_string(0, 1, self.title, self.looks["title"])
        note = "Change a number in blue: those in black are formulas, and follow."
        sheet.write_string(1, 1, note, self.looks["plain"])
        names = {"input": "input", "padded": f"padded: {self.contents.axes[0].mode}", "filter": "filters"}
        names["output"] = "output"
        if self.contents.normalised is not None:
            sheet.set_column(zones["statistics"], zones["statistics"] + 1, 10, self.looks["plain"])
            names["batch_norm"] = "batch norm of the output"
            row, column = self.layout.eps
            sheet.write_string(row, column - 1, "eps", self.looks["caption"])
            sheet.write_number(row, column, self.contents.eps, self.looks["eps"])
        for zone, name in names.items():
            sheet.write_string(FIRST_ROW - 2, zones[zone], name, self.looks["zone"])

    def _plane(self, zone: str, key: tuple[int, int], caption: str, write: Write) -> None:
        """Write a caption and the cells of a plane, and colour them by sign and size."""
        box = self.layout.boxes[zone][key]
        self.sheet.write_string(box.row - 1, box.column, caption, self.looks["caption"])
        for i, j in np.ndindex(box.height, box.width):
            write(box.row + i, box.column + j, i, j)
        limit = self.limits[zone]
        self.sheet.conditional_format(box.address, {
            "type": "3_color_scale", "min_type": "num", "mid_type": "num", "max_type": "num",
            "min_value": -limit, "mid_value": 0, "max_value": limit,
            "min_color": COLOURS[0], "mid_color": COLOURS[1], "max_color": COLOURS[2],
        })  # fmt: skip

    @cached_property
    def limits(self) -> dict[str, float]:
        """Where the colours of each zone end."""
        contents = self.contents
        arrays = {"input": contents.x, "padded": contents.x, "filter": contents.w, "output": contents.y}
        if contents.normalised is not None:
            arrays["batch_norm"] = contents.normalised
        return {zone: float(np.abs(a).max()) or 1.0 for zone, a in arrays.items()}

    def _named(self, n: int, channel: int) -> str:
        return f"channel {channel}" if len(self.contents.x) == 1 else f"image {n}, channel {channel}"

    def _input(self, n: int, c: int) -> None:
        plane = self.contents.x[n, c]

        def pixel(row: int, column: int, i: int, j: int) -> None:
            self.sheet.write_number(row, column, plane[i, j], self.looks["input"])

        self._plane("input", (n, c), self._named(n, c), pixel)

    def _padded(self, n: int, c: int) -> None:
        plane, image = self.contents.x[n, c], self.layout.boxes["input"][n, c]
        rows, columns = self.contents.axes

        def shown(row: int, column: int, i: int, j: int) -> None:
            ih, iw = rows.table[i], columns.table[j]
            if min(ih, iw) < 0:
                self.sheet.write_number(row, column, 0, self.looks["border"])
                return
            real = 0 <= i - rows.before < rows.n and 0 <= j - columns.before < columns.n
            look = self.looks["pixel" if real else "border"]
            self.sheet.write_formula(row, column, f"={image.cell(ih, iw)}", look, plane[ih, iw])

        self._plane("padded", (n, c), self._named(n, c), shown)

    def _filters(self) -> None:
        for oc, c in np.ndindex(self.contents.w.shape[:2]):
            kernel = self.contents.w[oc, c]

            def weight(row: int, column: int, i: int, j: int, kernel: np.ndarray = kernel) -> None:
                self.sheet.write_number(row, column, kernel[i, j], self.looks["weight"])

            self._plane("filter", (oc, c), f"filter {oc}" if c == 0 else f"its channel {c}", weight)
        for oc, value in enumerate(self.contents.b):
            row, column = self.layout.bias(oc)
            self.sheet.write_string(row, column - 1, "bias", self.looks["caption"])
            self.sheet.write_number(row, column, value, self.looks["weight"])

    def _output(self, n: int, oc: int) -> None:
        plane = self.contents.y[n, oc]

        def convolved(row: int, column: int, i: int, j: int) -> None:
            formula = self.layout.convolved(n, oc, i, j)
            self.sheet.write_formula(row, column, formula, self.looks["output"], plane[i, j])

        self._plane("output", (n, oc), self._named(n, oc), convolved)

    def _batch_norm(self, n: int, oc: int, normalised: np.ndarray) -> None:
        if n == 0:
            self._statistics(oc)

        def cell(row: int, column: int, i: int, j: int) -> None:
            formula = self.layout.normalised(n, oc, i, j)
            self.sheet.write_formula(row, column, formula, self.looks["statistic"], normalised[n, oc, i, j])

        self._plane("batch_norm", (n, oc), self._named(n, oc), cell)

    def _statistics(self, oc: int) -> None:
        contents, channel = self.contents, self.contents.y[:, oc]
        values = (channel.mean(), channel.var(), np.sqrt(channel.var() + contents.eps))
        for (name, formula), value in zip(self.layout.statistics(oc).items(), values, strict=True):
            row, column = self.layout.statistic(oc, name)
            self.sheet.write_string(row, column - 1, name, self.looks["caption"])
            self.sheet.write_formula(row, column, formula, self.looks["statistic"], float(value))
        for name, value in (("gamma", contents.gamma[oc]), ("beta", contents.beta[oc])):
            row, column = self.layout.statistic(oc, name)
            self.sheet.write_string(row, column - 1, name, self.looks["caption"])
            self.sheet.write_number(row, column, value, self.looks["weight"])


def _close(book: Any) -> None:
    """Write the file; XlsxWriter wraps the system's own error, which says more."""
    from xlsxwriter.exceptions import FileCreateError

    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from None


def _looks(contents: Contents) -> dict[str, dict[str, Any]]:
    """Return the looks of cells: numbers to change are blue, padding is grey and in italics."""
    blue, grey = {"font_color": "#0b3fb0", "bold": True}, {"font_color": "#5a5a5a", "italic": True}
    middle = {"align": "center", "font_size": 9}

    def digits(*arrays: np.ndarray) -> dict[str, str]:
        return {"num_format": "0" if all((a == np.round(a)).all() for a in arrays) else "0.00"}

    pixels, weights = digits(contents.x), digits(contents.w, contents.b, contents.gamma, contents.beta)
    return {
        "plain": {"font_size": 9},
        "title": {"bold": True, "font_size": 12},
        "zone": {"bold": True, "font_size": 11},
        "caption": {"font_size": 8, "font_color": "#767676"},
        "input": middle | pixels | blue,
        "pixel": middle | pixels,
        "border": middle | pixels | grey,
        "weight": middle | weights | blue,
        "output": middle | digits(contents.y),
        "statistic": middle | {"num_format": "0.00"},
        "eps": middle | blue | {"num_format": "0E+00"},
    }
