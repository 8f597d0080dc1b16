"""Checks a learner's own function, and names the rule that it breaks.

The function :func:`convkit.check` calls it on many small cases in rising size. Where results differ from the
right ones, it looks for the rule whose breach would have given just these results: see
:mod:`convkit.checker.model`. So a kernel turned round is called that, and not merely "wrong".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model import Rule
    from .report import Report

__all__ = ["check", "explain", "rules"]


def check(
    function: Callable[..., Any],
    like: str | None = None,
    *,
    names: Mapping[str, str] | None = None,
    layout: str = "NCHW",
    seconds: float = 10.0,
) -> Report:
    """Call a function of your own on small cases, and name the rule that it breaks.

    Parameters
    ----------
    function : callable
        Takes the arguments of the operation that it is like, or some of them: what it has no
        parameter for is not asked of it, and the report says so. Arrays are float64, and float32 in
        some cases; options are numbers or (rows, columns).
    like : str, optional
        The operation: ``"conv2d"``, ``"conv2d_backward"``, ``"im2col"``, ``"pad"``, ``"avg_pool2d"``,
        ``"max_pool2d"``, ``"batch_norm"``, ``"batch_norm_backward"``, ``"dropout"`` or
        ``"dropout_backward"``. By default the function's own name.
    names : mapping, optional
        What your function calls an argument, such as ``{"padding": "border"}``. Usual names
        (``kernel``, ``gamma``, ``dout`` ...) are recognised without being told.
    layout : {"NCHW", "CHW", "HW"}
        What images look like to it: a batch, one image, or one plane.
    seconds : float
        Time for all of its calls together.

    Returns
    -------
    Report
        True if every rule holds. ``broken`` names those that do not, ``counterexample`` is the smallest
        call that shows it, and printed it explains itself.

    Raises
    ------
    TypeError
        If `function` cannot be called, or `names` is no mapping.
    ValueError
        If `like` is no such operation, or the function cannot be called as that operation is.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> def my_conv(x, w):
    ...     return convkit.conv2d(x, w[:, :, ::-1, ::-1])
    >>> report = convkit.check(my_conv, like="conv2d")
    >>> bool(report), report.broken
    (False, ('kernel_flipped',))
    >>> report.counterexample.expected, report.counterexample.got
    (array([[[[21.]]]]), array([[[[12.]]]]))
    """
    from .run import run

    return run(function, like, names, layout, seconds)


def rules(like: str | None = None) -> tuple[Rule, ...]:
    """Return the rules of an operation, or all of them.

    Parameters
    ----------
    like : str, optional
        As for :func:`convkit.check`.

    Examples
    --------
    >>> from convkit import checker
    >>> [rule.name for rule in checker.rules("dropout_backward")][:2]
    ['mask_not_reused', 'mask_inverted']
    """
    from .operations import all_rules, operation

    if like is not None:
        return operation(like).rules
    return tuple({name: rule for of in all_rules().values() for name, rule in of.items()}.values())


def explain(rule: str) -> str:
    """Return what a rule says, why it matters, and the smallest example of it broken.

    Parameters
    ----------
    rule : str
        A name, as ``broken`` of a report has them.

    Raises
    ------
    ValueError
        If there is no such rule; the message suggests similar ones.

    Examples
    --------
    >>> from convkit import checker
    >>> print(checker.explain("value_ignored").splitlines()[2])
    The rule       In mode constant the border holds `value`.
    """
    from .lessons import lesson_lines
    from .text import plain

    return plain(lesson_lines(rule))
