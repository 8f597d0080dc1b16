"""The pages about the checker: every rule with an example, and every mutant with the rule that was named.

Both are computed by the checker itself. The functions print Markdown, which ``{run}`` with ``:table:`` reads.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import convkit
from convkit.checker.conduct import CONDUCT
from convkit.checker.lessons import example_of
from convkit.checker.model import Rule
from convkit.checker.operations import OPERATIONS, all_rules, operation
from convkit.checker.text import example_lines, ledger_lines, plain

sys.path.append(str(Path(__file__).parents[2] / "tests"))


def rules_of(like: str) -> None:
    """Print the rules of an operation that none before it has, each under its anchor."""
    before = OPERATIONS[: OPERATIONS.index(like)]
    known = {name: first for first in reversed(before) for name in all_rules()[first]}
    shared = [name for name in all_rules()[like] if name in known]
    if shared:
        links = ", ".join(f"[`{name}`](#{all_rules()[like][name].anchor})" for name in shared)
        print(f"It shares these rules with operations above: {links}.\n")
    for name, rule in all_rules()[like].items():
        if name not in known:
            _rule(like, rule)


def conduct() -> None:
    """Print the rules of conduct."""
    for rule in CONDUCT:
        _rule("conv2d", rule)


def _rule(like: str, rule: Rule) -> None:
    print(f"({rule.anchor})=\n")
    print(f"**`{rule.name}`**\n")
    print(f"{_escaped(rule.says)} {_escaped(rule.why)}\n")
    print(f"*Broken:* a function that {_escaped(rule.instead)}.")
    example = example_of(operation(like), rule)
    if example is not None:
        text = plain([*example_lines(example), *ledger_lines(like, example)]).rstrip()
        lines = [line.removeprefix("    ") for line in text.splitlines()]
        print("\n```text\n" + "\n".join(lines) + "\n```")
    print()


def _escaped(text: str) -> str:
    """Keep Markdown from reading arithmetic as emphasis; code between backticks stays as it is."""
    parts = text.split("`")
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("*", r"\*").replace("_", r"\_").replace("|", r"\|").replace("[", r"\[")
    return "`".join(parts)


def mutants() -> tuple[int, int]:
    """Print tables of mutants, and return how many there are and how many were named wrongly."""
    from mutants import all_mutants

    count = missed = 0
    for like, group in groupby(sorted(all_mutants(), key=_place), key=lambda one: one.like):
        print(f":::{{container}} mutants\n\n| {like}: what was changed | rule named |\n|---|---|")
        for one in group:
            report = convkit.check(one.function, one.like, **one.options)
            old, new = (_cell(text) for text in one.shown)
            changed = f"`{old}` → `{new}`" if old else _escaped(one.shown[1])
            named = ", ".join(f"[`{name}`](rules.md#{name.replace('_', '-')})" for name in report.broken)
            print(f"| {changed} | {named} |")
            count += 1
            missed += set(report.broken) != set(one.rules)
        print("\n:::\n")
    return count, missed


def _place(one: Any) -> int:
    return OPERATIONS.index(one.like)


def right_ones() -> tuple[int, int]:
    """Return how many right functions were checked, and how many were called wrong."""
    from mutants import all_right

    reports = [convkit.check(function, like, **options) for like, function, options in all_right()]
    return len(reports), sum(not report for report in reports)


def _cell(text: str) -> str:
    """Return code for a cell of a table: on one line, and without the bar that would end the cell."""
    return " ⏎ ".join(line.strip() for line in text.strip().splitlines()).replace("|", r"\|")
