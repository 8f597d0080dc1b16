"""Where everything stands in the spreadsheet, and the formulas between: see :mod:`.spreadsheet`.

Zones stand side by side, the planes of a zone one below another. Rows and columns count from 0 here, as
XlsxWriter counts them; the sheet shows them as 1 and A.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .sources import Axis

__all__ = ["FIRST_ROW", "Box", "Contents", "Layout", "address"]

FIRST_ROW = 4  # below the title and the names of the zones
LONGEST_FORMULA = 8_000  # characters; Excel refuses more than 8,192
STATISTICS = ("mean", "variance", "√(var + eps)", "gamma", "beta")


class Contents(NamedTuple):
    """All that goes into the sheet, in float64."""

    x: np.ndarray  # (N, IC, IH, IW)
    w: np.ndarray  # (OC, ICG, KH, KW)
    b: np.ndarray  # (OC,)
    y: np.ndarray  # (N, OC, OH, OW)
    axes: list[Axis]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    flip: bool
    gamma: np.ndarray
    beta: np.ndarray
    eps: float
    normalised: np.ndarray | None  # like y; None where a channel has a single value


class Box(NamedTuple):
    """The cells of one plane."""

    row: int
    column: int
    height: int
    width: int

    def cell(self, i: int, j: int) -> str:
        """Return the address of its cell (i, j)."""
        return address(self.row + i, self.column + j)

    def part(self, i: int, j: int, height: int, width: int) -> str:
        """Return the address of a part of it."""
        return f"{self.cell(i, j)}:{self.cell(i + height - 1, j + width - 1)}"

    @property
    def address(self) -> str:
        """Address of all its cells.

        >>> Box(4, 1, 3, 2).address
        'B5:C7'
        """
        return self.part(0, 0, self.height, self.width)

    @property
    def fixed(self) -> str:
        """The same with dollars, so that it stays when a formula is copied."""
        ends = (self.row, self.column), (self.row + self.height - 1, self.column + self.width - 1)
        return ":".join(address(*end, fixed=True) for end in ends)


def address(row: int, column: int, fixed: bool = False) -> str:
    """Return a cell's address as spreadsheets write it.

    >>> address(4, 27), address(4, 27, fixed=True)
    ('AB5', '$AB$5')
    """
    from xlsxwriter.utility import xl_rowcol_to_cell

    return xl_rowcol_to_cell(row, column, row_abs=fixed, col_abs=fixed)


class Layout:
    """Where the planes of each zone stand."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        (N, IC, IH, IW), (OC, ICG, KH, KW) = contents.x.shape, contents.w.shape
        OH, OW = contents.y.shape[2:]
        rows, columns = contents.axes
        PH, PW = len(rows.table), len(columns.table)

        widths = {
            "input": IW, "padded": PW, "filter": max(ICG * (KW + 1) - 1, 4), "output": OW, "statistics": 2,
        }  # fmt: skip
        self.zones, column = {}, 1
        for zone, width in widths.items():
            self.zones[zone] = column
            column += width + 1
        self.zones["batch_norm"] = column

        def planes(zone: str, height: int, width: int, pitch: int, first: int = 0) -> dict:
            """Place (image, channel) by (image, channel), all images of a channel together."""
            many = IC if zone in ("input", "padded") else OC
            at = FIRST_ROW + first, self.zones[zone]
            return {
                (n, c): Box(at[0] + (c * N + n) * pitch, at[1], height, width)
                for c in range(many)
                for n in range(N)
            }

        tall = max(OH, len(STATISTICS)) + 2
        self.boxes: dict[str, dict[tuple[int, int], Box]] = {
            # a pixel of the input stands on the row that it has in the padding
            "input": planes("input", IH, IW, PH + 2, first=rows.before),
            "padded": planes("padded", PH, PW, PH + 2),
            "filter": {
                (oc, c): Box(FIRST_ROW + oc * (KH + 3), self.zones["filter"] + c * (KW + 1), KH, KW)
                for oc in range(OC)
                for c in range(ICG)
            },
            "output": planes("output", OH, OW, tall),
        }
        if contents.normalised is not None:
            self.boxes["batch_norm"] = planes("batch_norm", OH, OW, tall)

    def bias(self, oc: int) -> tuple[int, int]:
        """Row and column of a filter's bias, below the filter."""
        box = self.boxes["filter"][oc, 0]
        return box.row + box.height, self.zones["filter"] + 1

    def statistic(self, oc: int, name: str) -> tuple[int, int]:
        """Row and column of one of a channel's :data:`STATISTICS`."""
        top = self.boxes["output"][0, oc].row
        return top + STATISTICS.index(name), self.zones["statistics"] + 1

    @property
    def eps(self) -> tuple[int, int]:
        """Row and column of eps, above the statistics."""
        return FIRST_ROW - 2, self.zones["statistics"] + 1

    # --- formulas --------------------------------------------------------------------------

    def convolved(self, n: int, oc: int, oh: int, ow: int) -> str:
        """Return the formula of one output: its products and the bias.

        Raises
        ------
        ValueError
            If it is longer than a cell can hold.
        """
        contents = self.contents
        OC, ICG, KH, KW = contents.w.shape
        first = oc // (OC * ICG // contents.x.shape[1]) * ICG  # the first channel of this filter's group
        (SH, SW), (DH, DW) = contents.stride, contents.dilation
        terms = []
        for c in range(ICG):
            image, kernel = self.boxes["padded"][n, first + c], self.boxes["filter"][oc, c]
            if (DH, DW) == (1, 1) and not contents.flip:
                terms.append(f"SUMPRODUCT({image.part(oh * SH, ow * SW, KH, KW)},{kernel.fixed})")
                continue
            for kh, kw in np.ndindex(KH, KW):
                at = (KH - 1 - kh, KW - 1 - kw) if contents.flip else (kh, kw)
                terms.append(f"{image.cell(oh * SH + kh * DH, ow * SW + kw * DW)}*{kernel.cell(*at)}")
        formula = f"={'+'.join(terms)}+{address(*self.bias(oc), fixed=True)}"
        if len(formula) > LONGEST_FORMULA:
            raise ValueError(
                f"an output needs a formula of {len(formula):,} characters, and a cell holds "
                f"{LONGEST_FORMULA:,}: take fewer channels or a smaller kernel, got w {contents.w.shape}"
            )
        return formula

    def statistics(self, oc: int) -> dict[str, str]:
        """Return the formulas of a channel's mean, variance and deviation."""
        images = range(len(self.contents.y))
        values = ",".join(self.boxes["output"][n, oc].fixed for n in images)
        variance = address(*self.statistic(oc, "variance"))
        return {
            "mean": f"=AVERAGE({values})",
            "variance": f"=VARP({values})",  # the biased one
            "√(var + eps)": f"=SQRT({variance}+{address(*self.eps, fixed=True)})",
        }

    def normalised(self, n: int, oc: int, i: int, j: int) -> str:
        """Return the formula of one normalised output."""
        mean, _, deviation, gamma, beta = (
            address(*self.statistic(oc, name), fixed=True) for name in STATISTICS
        )
        return f"=({self.boxes['output'][n, oc].cell(i, j)}-{mean})/{deviation}*{gamma}+{beta}"
