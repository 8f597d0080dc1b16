"""The pages about the ladders on the CPU: what the rungs reached, and how planes lie.

A page makes a :class:`Ladder` of a file of results; its tables are Markdown, which ``{run}`` with
``:table:`` reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from convkit.explain.pictures.cells import cell
from convkit.explain.style import FONT_SIZE, INK, LINES, bare, dress, new_axes

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
MARKS = "os^D"
NO_BREAK = "\N{NO-BREAK SPACE}"


class Ladder:
    """The figures of one run of ``compare.py ladder``.

    Attributes
    ----------
    layers : list of str
        As the benchmark calls them, ``3x3 64>64 @56``.
    peak : float
        Multiply-add peak of the run, in GFLOP/s.
    machine : dict
        What the figures depend on.
    """

    def __init__(self, file: str, rungs: Sequence[str]) -> None:
        figures = json.loads((RESULTS / file).read_text())
        measured = {row["algorithm"] for row in figures["rows"]}
        self.rungs = [rung for rung in rungs if rung in measured]
        self.numbers = [number for number, rung in enumerate(rungs, 1) if rung in measured]
        self.machine, self.peak = figures["machine"], figures["peak_gflops"]
        self._rows: dict[tuple[str, str], dict[str, Any]] = {
            (row["algorithm"], row["layer"]): row for row in figures["rows"]
        }
        self.layers = list(dict.fromkeys(layer for _, layer in self._rows))

    def __contains__(self, key: object) -> bool:
        """Tell whether a (rung, layer) was measured."""
        return key in self._rows

    def share(self, rung: str, layer: str) -> float:
        """Return the share of the multiply-add peak."""
        return self._rows[rung, layer]["share"]

    def ms(self, rung: str, layer: str) -> float:
        """Return milliseconds a call."""
        return self._rows[rung, layer]["us"] / 1000

    def table(self, rung: str) -> None:
        """Print what a rung reached on each layer, beside the rung below."""
        below = self.rungs[self.rungs.index(rung) - 1] if rung != self.rungs[0] else None
        print(f"| `{rung}` | {' | '.join(map(said, self.layers))} |")
        print("|---" * (1 + len(self.layers)) + "|")
        rows = {
            "time": [milliseconds(self.ms(rung, layer)) for layer in self.layers],
            "of the multiply-add peak": [percent(self.share(rung, layer)) for layer in self.layers],
        }
        if below is not None:
            ratios = [self.ms(below, layer) / self.ms(rung, layer) for layer in self.layers]
            rows[f"times as fast as `{below}`"] = [
                f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}" for ratio in ratios
            ]
        for name, cells in rows.items():
            print(f"| {name} | {' | '.join(cells)} |")

    def drawing(self) -> Axes:
        """Draw a bar a rung for the first layer, and a mark for each of the others, on a logarithmic axis."""
        ax = new_axes(6.6, 0.36 * len(self.rungs) + 1.2)
        at = range(len(self.rungs))
        first, *others = self.layers
        least = 0.6 * min(row["share"] for row in self._rows.values())
        widths = [self.share(rung, first) - least for rung in self.rungs]
        bars = ax.barh(at, widths, left=least, height=0.6, color=LINES[0], label=said(first))
        marks = []
        for layer, mark, colour in zip(others, MARKS, LINES[1:], strict=False):
            shares = [self.share(rung, layer) for rung in self.rungs]
            marks += ax.plot(
                shares, at, mark, color=colour, markersize=6, mec="white", mew=0.6, label=said(layer)
            )
        ax.axvline(1, color=INK, linewidth=0.8)
        for i, rung in enumerate(self.rungs):
            ax.annotate(
                percent(self.share(rung, first)),
                (1, i),
                (8, 0),
                textcoords="offset points",
                va="center",
                fontsize=FONT_SIZE,
                color=INK,
                annotation_clip=False,
            )
        ax.set(xscale="log", xlim=(least, 1.05), ylim=(len(self.rungs) - 0.4, -0.6), yticks=list(at))
        ax.set_yticklabels(
            [f"{name}  {number}" for name, number in zip(self.rungs, self.numbers, strict=True)]
        )
        ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        ax.set_xlabel("share of the multiply-add peak; in figures, that of the bars")
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.1}
        ax.legend(handles=[bars, *marks], ncols=2, columnspacing=1.2, **place)
        return dress(ax)


class Steps:
    """The figures of one operation in a run of ``compare.py ladder_streaming``."""

    def __init__(self, file: str, op: str) -> None:
        figures = json.loads((RESULTS / file).read_text())
        self.machine = figures["machine"]
        self._rows = {(row["algorithm"], row["case"]): row for row in figures["rows"] if row["op"] == op}
        self.rungs = list(dict.fromkeys(rung for rung, _ in self._rows))
        self.cases = list(dict.fromkeys(case for _, case in self._rows))

    def times(self, rung: str, other: str, case: str) -> float:
        """Return how many times as fast a rung is as another one."""
        return round(self._rows[other, case]["us"] / self._rows[rung, case]["us"], 1)

    def table(self) -> None:
        """Print a line a rung: its time and its share of a copy's bandwidth in each case."""
        print(f"| `algorithm=` | {' | '.join(self.cases)} |")
        print("|---" * (1 + len(self.cases)) + "|")
        for rung in self.rungs:
            rows = [self._rows[rung, case] for case in self.cases]
            cells = [f"{milliseconds(row['us'] / 1000)}, {percent(row['share'])}" for row in rows]
            print(f"| `{rung}` | {' | '.join(cells)} |")


class Against:
    """The figures of two rungs by turns: ``compare.py conv --algorithm RUNG --peer cython:OTHER``."""

    def __init__(self, file: str) -> None:
        figures = json.loads((RESULTS / file).read_text())
        self.machine, self._options, self._rows = figures["machine"], figures["options"], figures["rows"]

    def table(self, chosen: Callable[[str], bool]) -> None:
        """Print a line a layer, of those whose names are `chosen`."""
        below, rung = self._options["peer"].partition(":")[2], self._options["algorithm"]
        print(f"| layer | `{below}` | `{rung}` | times as fast | in single turns |\n|---|--:|--:|--:|---|")
        for row in self._rows:
            if chosen(row["layer"]):
                times = " | ".join(milliseconds(row[side] / 1000) for side in ("peer_us", "convkit_us"))
                turns = f"{row['ratio_min']:.2f} to {row['ratio_max']:.2f}"
                print(f"| {said(row['layer'])} | {times} | {row['ratio']:.2f} | {turns} |")


def ratios(file: str) -> list[float]:
    """Return the ratio of each layer of a file of ``compare.py conv``."""
    return [row["ratio"] for row in json.loads((RESULTS / file).read_text())["rows"]]


def said(layer: str) -> str:
    """Say a layer's name as prose does.

    >>> said("7x7 3>64 @224 /2")
    '7×7, 3→64, 224²/2'
    """
    kernel, channels, size, *stride = layer.split()
    words = (kernel.replace("x", "×"), channels.replace(">", "→"), size[1:] + "²" + "".join(stride))
    return ", ".join(words)


def milliseconds(ms: float) -> str:
    r"""Write a time with three digits; the space is one at which no line breaks.

    >>> milliseconds(104.6), milliseconds(0.8934)
    ('105\xa0ms', '0.893\xa0ms')
    """
    return f"{ms:.3g}{NO_BREAK}ms"


def percent(share: float) -> str:
    r"""Write a share with two digits or more; the space is one at which no line breaks.

    >>> percent(0.00772), percent(0.0587), percent(0.884), percent(2.13)
    ('0.77\xa0%', '5.9\xa0%', '88\xa0%', '213\xa0%')
    """
    return f"{100 * share:.0f}{NO_BREAK}%" if share >= 0.1 else f"{100 * share:#.2g}{NO_BREAK}%"


def planes_drawing(planes: np.ndarray, read: Collection[int]) -> Axes:
    """Draw planes (count, rows, pitch) side by side, the cells in `read`, as memory counts them, filled.

    A 0 is padding and gets no number.
    """
    count, rows, pitch = planes.shape
    ax = new_axes(0.3 * (count * (pitch + 1) - 1) + 0.1, 0.3 * rows + 0.1)
    for place, ((p, i, j), value) in enumerate(np.ndenumerate(planes)):
        colour = LINES[0] if place in read else "#f5f3ef" if value else "#cfcfcf"
        cell(ax, i, p * (pitch + 1) + j, colour, f"{value:g}" if value else "")
    ax.set(xlim=(-0.08, count * (pitch + 1) - 0.92), ylim=(rows + 0.08, -0.08), aspect="equal")
    return bare(ax)
