"""Rules of conduct, which every function is asked to keep whatever it computes."""

from __future__ import annotations

import numpy as np

from .model import Call, Result, Rule, Wrong

__all__ = ["CONDUCT", "conduct"]


def without_unit_axes(result: Result, call: Call) -> Result:
    return {name: np.squeeze(a) for name, a in result.items()}


def whole_numbers_below(result: Result, call: Call) -> Result:
    return {name: np.floor(a) for name, a in result.items()}


def whole_numbers(result: Result, call: Call) -> Result:
    return {name: np.trunc(a) for name, a in result.items()}


CONDUCT = (
    Rule(
        "axes_lost",
        says="The result keeps every axis, also one of length 1: a batch of one image is a batch.",
        instead="drops axes of length 1 from its result",
        why="The next layer unpacks four axes. Code that squeezes works until a batch holds one image, as "
        "the last batch of an epoch often does.",
        wrong=(Wrong(after=without_unit_axes),),
    ),
    Rule(
        "axes_added",
        says="The result has the axes that it should have and no others: a bias's gradient is (OC,), not "
        "(1, OC, 1, 1).",
        instead="returns the right numbers, with axes of length 1 that do not belong there",
        why="`keepdims=True` leaves them. A step `b -= rate * grad_b` then fails, and `b = b - rate * "
        "grad_b` gives b four axes without a word.",
    ),
    Rule(
        "all_multiplied",
        says="The result is that of the definition, and not a multiple of it.",
        instead="returns the right numbers, all multiplied by the same one",
        why="2 comes of a sum that is made twice, or of the derivative of a square that belongs to the loss; "
        "-1 of a difference the wrong way round, or of a minus that an optimizer has already.",
    ),
    Rule(
        "fractions_lost",
        says="Fractions in the result are kept: it is an array of floating-point numbers.",
        instead="cuts fractions off, as `//` does, and an array of integers with what is stored in it",
        why="`np.zeros(shape, int)`, or an image in uint8, rounds each result towards zero without a word; "
        "`//` rounds it down.",
        wrong=(Wrong(after=whole_numbers), Wrong(after=whole_numbers_below)),
    ),
    Rule(
        "input_overwritten",
        says="A function does not write into its arguments, except those that it is there to update.",
        instead="leaves other numbers in an array that it was given than were there before",
        why="The caller still needs the input: the gradient of a convolution reads the image once more. `x "
        "-= mean` changes the caller's x, `x = x - mean` does not.",
    ),
    Rule(
        "not_repeatable",
        says="The same call returns the same result.",
        instead="returns something else when it is called once more with the same arguments",
        why="A result that depends on earlier calls, on chance or on memory that nobody set (`np.empty`) "
        "cannot be tested, and a gradient computed from it is the gradient of something else.",
    ),
    Rule(
        "nothing_returned",
        says="The function returns its result as an array.",
        instead="does not return an array of numbers",
        why="A function that prints, or that only fills a variable of its own, returns None: the line "
        "`return y` is missing, or stands in a branch that was not taken.",
    ),
    Rule(
        "crashes",
        says="A valid call returns.",
        instead="raises an exception on a valid call",
        why="Often an index runs out of the array: the output has one window too many, or rows and columns "
        "are mixed up, which square images hide.",
    ),
    Rule(
        "too_slow",
        says="The cases are tiny and a call of any of them ends soon.",
        instead="did not finish in the time that it was given",
        why="Seven nested loops in Python take a millisecond on such sizes. A function that needs seconds "
        "waits for something, or has a loop that does not end.",
    ),
    Rule(
        "wrong_shape",
        says="The result has the shape that the arguments give it.",
        instead="returns a result of another shape, and no rule that is known here explains which",
        why="A wrong number of windows is mostly a matter of the last one: o = floor((n + 2p - d(k - 1) - "
        "1) / s) + 1.",
    ),
    Rule(
        "wrong_values",
        says="The result holds the right numbers.",
        instead="returns other numbers, and no rule that is known here explains them",
        why="The smallest call on which they differ, below, is small enough to be done by hand.",
    ),
)


def conduct(name: str) -> Rule:
    """Return the rule of conduct called `name`."""
    return next(rule for rule in CONDUCT if rule.name == name)
