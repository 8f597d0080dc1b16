"""What each operation's rules are: one file an operation, imported when it is asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ..model import Operation, Rule

__all__ = ["OPERATIONS", "all_rules", "operation"]

OPERATIONS = (
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


def operation(like: str) -> Operation:
    """Return what is known of the operation called `like`.

    Raises
    ------
    ValueError
        If it is none of :data:`OPERATIONS`.
    """
    if like not in OPERATIONS:
        raise ValueError(f"like must be one of {', '.join(OPERATIONS)}; got {like!r}")
    return import_module(f"{__name__}.{like}").OPERATION


@cache
def all_rules() -> dict[str, dict[str, Rule]]:
    """Return every rule: operation -> name -> rule. Conduct, which is asked of all, comes last."""
    from ..conduct import CONDUCT

    table = {like: {rule.name: rule for rule in operation(like).rules} for like in OPERATIONS}
    return {**table, "every operation": {rule.name: rule for rule in CONDUCT}}
