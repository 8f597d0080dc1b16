"""Functions as a learner might write them, and small edits that break one rule each.

A file an operation: a right implementation in plain loops, and a list of edits of its source. The rules
have no part in either: they compute what is wrong by the library's kernels, the edits by these loops.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

FILES = (
    "conv2d",
    "conv2d_backward",
    "im2col",
    "pad",
    "avg_pool2d",
    "max_pool2d",
    "batch_norm",
    "batch_norm_backward",
    "dropout",
    "dropout_backward",
)


@dataclass(frozen=True)
class Edit:
    """A change of a right function's source that breaks one rule, or several."""

    breaks: str | tuple[str, ...]
    old: str
    new: str

    @property
    def rules(self) -> tuple[str, ...]:
        return (self.breaks,) if isinstance(self.breaks, str) else self.breaks


@dataclass(frozen=True)
class Mutant:
    """A broken function, and which rules it breaks."""

    like: str
    function: Callable[..., Any]
    rules: tuple[str, ...]
    shown: tuple[str, str]  # what was there and what is there now; or nothing, and what is wrong
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.like}-{'-'.join(self.rules)}-{self.function.__name__}"


def right(like: str) -> Callable[..., Any]:
    """Return the right function of an operation."""
    return getattr(import_module(f"{__name__}.{like}"), like)


def mutant(like: str, *edits: Edit) -> Mutant:
    """Apply an edit, or several."""
    module = import_module(f"{__name__}.{like}")
    source = inspect.getsource(right(like))
    for edit in edits:
        if source.count(edit.old) != 1:
            raise ValueError(f"{like}: {edit.old!r} stands in the source {source.count(edit.old)} times")
        source = source.replace(edit.old, edit.new)
    names = dict(vars(module))
    exec(compile(source, f"<mutant of {like}>", "exec"), names)
    rules = tuple(rule for edit in edits for rule in edit.rules)
    return Mutant(like, names[like], rules, (edits[0].old, edits[0].new))


def all_mutants() -> Iterator[Mutant]:
    """Yield every mutant: the edits of the loops, then functions in other styles, and homework."""
    for like in FILES:
        for edit in import_module(f"{__name__}.{like}").EDITS:
            yield mutant(like, edit)
    for like, rule, function, options in import_module(f"{__name__}.other_styles").BROKEN:
        yield Mutant(like, function, (rule,), ("", function.__doc__), options)
    for file in ("homework", "exercises"):
        for like, rules, function, options in import_module(f"{__name__}.{file}").BROKEN:
            yield Mutant(like, function, rules, ("", function.__doc__), options)


def all_right() -> Iterator[tuple[str, Callable[..., Any], Mapping[str, Any]]]:
    """Yield right functions in all styles: operation, function, options of the check."""
    yield from ((like, right(like), {}) for like in FILES)
    for file in ("other_styles", "exercises"):
        yield from import_module(f"{__name__}.{file}").RIGHT
