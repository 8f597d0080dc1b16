"""Targets beside what was measured: the tables of docs/speed.md.

``benchmarks/targets.toml`` says what is to be reached, ``benchmarks/results/PROCESSOR/*.json`` what was.
Whether a target is met is computed here, and so is every number on the page. The functions print Markdown,
which ``{run}`` with ``:table:`` reads.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from convkit.meter import geometric_mean

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results"
PROCESSORS = {"zen5": "AMD Zen 5", "emerald_rapids": "Intel Emerald Rapids"}
THREADS = {1: "one thread", 2: "two threads"}


@dataclass(frozen=True)
class Target:
    """One entry of targets.toml, where the meaning of each is said."""

    group: str
    what: str
    results: Sequence[str]
    mean: float
    worst: float | None = None
    rows: str = ""
    measure: str = "ratio"
    cause: str = ""
    cause_rows: str = ""


@dataclass(frozen=True)
class Figure:
    """What one file of results says about a target."""

    target: Target
    threads: int
    rows: Sequence[dict[str, Any]]

    @property
    def mean(self) -> float:
        return geometric_mean(row[self.target.measure] for row in self.rows)

    @property
    def worst(self) -> dict[str, Any]:
        return min(self.rows, key=lambda row: row[self.target.measure])

    @property
    def missed_mean(self) -> bool:
        return self.mean < self.target.mean

    @property
    def missed_worst(self) -> bool:
        return self.target.worst is not None and self.worst[self.target.measure] < self.target.worst

    @property
    def missed(self) -> bool:
        return self.missed_mean or self.missed_worst

    def numbers(self) -> dict[str, str]:
        """Return what the target's cause may name."""
        rows = [row for row in self.rows if re.match(self.target.cause_rows, case_of(row))]
        others = [row[self.target.measure] for row in self.rows if row not in rows]
        named = {"others": f"{geometric_mean(others):.2f}"} if others else {}
        if all("share" in row for row in rows):
            peer_share = geometric_mean(row["share"] / row["ratio"] for row in rows)
            named["share"] = f"{geometric_mean(row['share'] for row in rows):.0%}"
            named["peer_share"] = f"{peer_share:.0%}"
            named["bound"] = f"{1 / peer_share:.2f}"
            named["worst_share"] = f"{self.worst['share']:.0%}"
            named["worst_peer_share"] = f"{self.worst['share'] / self.worst['ratio']:.0%}"
        slower = [row["convkit_us"] - row["peer_us"] for row in rows if row["convkit_us"] > row["peer_us"]]
        if slower:
            named["extra"] = f"{geometric_mean(slower):.1f}"
        return named


def targets() -> list[Target]:
    """Return the targets, in the order of the list."""
    return [Target(**entry) for entry in tomllib.loads((BENCHMARKS / "targets.toml").read_text())["target"]]


def figures(target: Target, processor: str) -> list[Figure]:
    """Return what is known about a target: a figure for each of its files that has been committed."""
    found = []
    for name in target.results:
        path = RESULTS / processor / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            rows = [row for row in result["rows"] if re.match(target.rows, case_of(row))]
            if not rows:
                raise ValueError(f"{path} has no row that begins with {target.rows!r}")
            found.append(Figure(target, result["options"]["threads"], rows))
    return found


def case_of(row: dict[str, Any]) -> str:
    """Return what a row was measured on: convolutions call it a layer."""
    return row.get("layer") or row["case"]


def cause(target: Target, found: Iterable[Figure]) -> str:
    """Return why a target was missed: numbers of one thread / of two, where both have missed it."""
    missing = [figure for figure in found if figure.missed]
    known = [figure.numbers() for figure in missing]
    numbers = {name: " / ".join(dict.fromkeys(each[name] for each in known)) for name in known[0]}
    when = f", {' / '.join(THREADS[figure.threads] for figure in missing)}" if len(target.results) > 1 else ""
    return f"*{target.what}{when}:* " + " ".join(target.cause.format(**numbers).split())


def against_targets(processor: str) -> None:
    """Print a table for each group of targets, and under it what was missed and why."""
    for group, members in groupby(targets(), key=lambda target: target.group):
        known = [(target, found) for target in members if (found := figures(target, processor))]
        if not known:
            continue
        print(f"### {group}\n")
        print("| | at least | one thread | two threads | worst case |\n|---|--:|--:|--:|---|")
        for target, found in known:
            print("| " + " | ".join(_row(target, found)) + " |")
        print()
        for target, found in known:
            if any(figure.missed for figure in found):
                print(f"- {cause(target, found)}")
        print()


def _row(target: Target, found: Iterable[Figure]) -> list[str]:
    by_threads = {figure.threads: figure for figure in found}
    wanted = _number(target.mean, target)
    if target.worst is not None and target.worst != target.mean:
        wanted += f", each\xa0{_number(target.worst, target)}"
    elif target.worst is not None:
        wanted = f"each\xa0{wanted}"
    cells = []
    for threads in THREADS:
        figure = by_threads.get(threads)
        cells.append(_marked(figure.mean, figure.missed_mean, target) if figure else "")
    return [target.what, wanted, *cells, _worst(by_threads.values())]


def _worst(found: Iterable[Figure]) -> str:
    """Return the lowest row of all, with the spread of its turns if there is one."""
    figure = min(found, key=lambda figure: figure.worst[figure.target.measure], default=None)
    if figure is None:
        return ""
    row, target = figure.worst, figure.target
    text = f"{_marked(row[target.measure], figure.missed_worst, target)} on {_code(case_of(row))}"
    if target.measure == "ratio" and "ratio_min" in row:
        text += f" ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
    return text


def _number(value: float, target: Target) -> str:
    return f"{value:.0%}" if target.measure == "share" else f"{value:g}"


def _marked(value: float, missed: bool, target: Target) -> str:
    text = f"{value:.0%}" if target.measure == "share" else f"{value:.2f}"
    return f"**{text} ✗**" if missed else text


def _code(text: str) -> str:
    return f"`{text}`"


def missed(processor: str) -> tuple[int, int]:
    """Return how many figures miss their targets, and how many there are."""
    found = [figure for target in targets() for figure in figures(target, processor)]
    return sum(figure.missed for figure in found), len(found)


def copy_speed(processor: str, case: str) -> float:
    """Return the GB/s of the copy that a case on one thread is measured against."""
    rows = json.loads((RESULTS / processor / "streaming_1.json").read_text())["rows"]
    return next(row["gbs"] / row["share"] for row in rows if row["case"] == case)


def without_target(processor: str) -> None:
    """Print the geometric mean and the worst row of every result that no target asks for."""
    used = {name for target in targets() for name in target.results}
    print("| result | what | mean ratio | worst case |\n|---|---|--:|---|")
    for path in sorted((RESULTS / processor).glob("*.json")):
        result = json.loads(path.read_text())
        if path.stem in used or "geometric_mean" not in result:
            continue
        mean, worst, case = f"{result['geometric_mean']:.2f}", f"{result['worst']:.2f}", result["worst_case"]
        print(f"| {_code(path.stem)} | {_described(result)} | {mean} | {worst} on {_code(case)} |")


def _described(result: dict[str, Any]) -> str:
    options = result["options"]
    parts = [options["what"] if options["what"] != "conv" else f"layers of {options['suite']}"]
    if options["backward"]:
        parts.append(f"all three gradients, batches of {options['batch']}")
    parts.append(f"`{options['algorithm']}`, {THREADS[options['threads']]}, {result['machine']['isa']}")
    return ", ".join(parts)


def machines(processor: str) -> list[str]:
    """Return what the results were measured with, each once."""
    seen = {}
    for path in sorted((RESULTS / processor).glob("*.json")):
        machine = json.loads(path.read_text())["machine"]
        peer = f", PyTorch {machine['torch']}" if "torch" in machine else ""
        seen[f"{machine['cpu']}, {machine['compiler']}, Python {machine['python']}{peer}"] = None
    return [one for one in seen if not any(other.startswith(f"{one},") for other in seen)]
