"""What a run on a GPU has found so far: a file that outlives the process that writes it, and its report.

An illegal address spoils a process: every later CUDA call in it fails. So one process works, and writes a
line for everything that it begins or finds; another one watches, and starts the next where the last one
ended.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import geometric_mean
from typing import Any

__all__ = ["BROKEN", "Journal", "line_of", "table_of"]

BROKEN = 3  # exit status: the failure is in the journal, and the GPU answers that process no longer


class Journal:
    """The lines of a run, each a JSON object that is there once :meth:`write` has returned."""

    def __init__(self, path: Path, anew: bool = False) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if anew:
            path.write_text("")
            self.write(started=time.time())
        else:
            self.read()

    def write(self, **line: Any) -> None:
        """Add a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)

    def read(self) -> None:
        """Take in what another process has written."""
        whole = self.path.read_text().rpartition("\n")[0]  # it may be writing the last line
        self.lines = [json.loads(line) for line in whole.splitlines()]

    def all(self, key: str) -> list[dict[str, Any]]:
        """Return the lines that have a key."""
        return [line for line in self.lines if key in line]

    @property
    def started(self) -> float:
        """The time at which the run began."""
        return self.lines[0]["started"]

    @property
    def done(self) -> set[str]:
        """The parts that need not be done again."""
        return {line["done"] for line in self.all("done")}

    @property
    def failed(self) -> set[str]:
        """What failed, and is not tried again."""
        return {line["failed"] for line in self.all("failed")}

    @property
    def underway(self) -> str | None:
        """What was begun last of what came to no end, since the last process that was lost."""
        lost = max((i for i, line in enumerate(self.lines) if line.get("fatal")), default=0)
        begun = [line["begin"] for line in self.lines[lost:] if "begin" in line]
        ended = {line.get("end") for line in self.lines} | self.failed
        return next((b for b in reversed(begun) if b not in ended), None)

    @property
    def checks(self) -> dict[str, int]:
        """How many comparisons with the reference each of the registry's lines has passed."""
        passed: dict[str, int] = {}
        for line in self.all("checked"):
            passed[line["checked"]] = passed.get(line["checked"], 0) + line["passed"]
        return passed

    def may_be_timed(self, line: str) -> bool:
        """Tell whether one of the registry's lines was checked and never found wrong."""
        return self.checks.get(line, 0) > 0 and not any(f.startswith(f"check {line}:") for f in self.failed)

    def is_fatal(self, line: str) -> bool:
        """Tell whether a check of one of the registry's lines has cost a process, as the next one might."""
        return any(f["failed"].startswith(f"check {line}:") and f.get("fatal") for f in self.all("failed"))

    def report(self) -> dict[str, Any]:
        """Return all that is known."""
        about = (self.all("device") or [{}])[-1]
        return {
            **{key: about.get(key) for key in ("device", "python", "numba", "torch")},
            "copy bandwidth": next((line["bandwidth"] for line in self.all("bandwidth")), None),
            "checks": self.checks,
            "rows": [line["row"] for line in self.all("row")],
            "failures": [f"{line['failed']}: {line['how']}" for line in self.all("failed")],
            "left out": [line["left out"] for line in self.all("left out")],
            "minutes": (time.time() - self.started) / 60,
        }


def line_of(row: dict[str, Any]) -> str:
    """Return a row as a line of the table."""
    share = row["share of copy bandwidth"]
    figures = [
        f"{1e3 * row['seconds'][0]:.3f}",
        f"{row['TFLOP/s']:.2f}" if "TFLOP/s" in row else "",
        f"{row['GB/s']:.0f}",
        "" if share is None else f"{100 * share:.0f} %",
        *(f"{row[name]:.2f}" if name in row else "" for name in ("torch / convkit", "torch TF32 / convkit")),
    ]
    return f"| {row['case']} | {row['op']} | {row['algorithm']} | " + " | ".join(figures) + " |"


def means_of(rows: list[dict[str, Any]]) -> list[str]:
    """Return the geometric mean of what `direct` reached, and the least, for each kind of case and figure."""
    found: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for row in rows:
        if row["algorithm"] != "direct" or row["section"] == "ladder":
            continue
        network = row["case"].split()[0] + " " if row["section"] == "layers" else ""
        kind = f"{network}{row['op']}" if network else "streaming operations"
        shares = [] if network else ["share of copy bandwidth"]
        for figure in (*shares, "torch / convkit", "torch TF32 / convkit"):
            if row.get(figure):
                found.setdefault((kind, figure), []).append((row[figure], f"{row['case']} {row['op']}"))
    lines = []
    for (kind, figure), values in found.items():
        least, where = min(values)
        mean = geometric_mean(value for value, _ in values)
        name = figure.replace("torch", "PyTorch")
        lines.append(f"- {kind}, {name}: {mean:.2f} over {len(values)}, least {least:.2f} ({where})")
    return lines


def table_of(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    head = "| case | operation | algorithm | ms | TFLOP/s | GB/s | of copy | PyTorch / convkit | with TF32 |"
    bandwidth = report["copy bandwidth"]
    copied = f"A copy moves {bandwidth / 1e9:.0f} GB/s. " if bandwidth else "No copy was timed. "
    failed = [f"- {f.splitlines()[0]} {f.splitlines()[-1]}" for f in report["failures"]] or ["none"]
    left_out = [f"- {what}" for what in report["left out"]] or ["nothing"]
    return "\n".join(
        [
            f"# convkit on {report['device']}",
            "",
            f"{copied}PyTorch: {report['torch'] or 'not there'}. "
            f"{sum(report['checks'].values())} comparisons with the reference passed. What is timed passed "
            "them, and samples of its result at the size that is timed were right, too. "
            "A ratio above 1 means that convkit is faster.",
            "",
            "Geometric means of `direct`:",
            "",
            *(means_of(report["rows"]) or ["nothing was compared"]),
            "",
            head,
            "|---" * head.count(" | ") + "|---|",
            *map(line_of, report["rows"]),
            "",
            "## Failures",
            "",
            *failed,
            "",
            "## Left out",
            "",
            *left_out,
            "",
        ]
    )
