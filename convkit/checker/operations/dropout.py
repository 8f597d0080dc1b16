"""Rules of dropout, whose results are random: they are told from how often, how much and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...dropout import dropout
from ..calling import Caller, Observation, TooSlow
from ..conduct import conduct
from ..model import Call, Case, Operation, Result, Rule
from ..record import Finding, Record
from .convolutions import counting

__all__ = ["OPERATION"]

SHAPE = (
    8,
    4,
    20,
    25,
)  # 16,000 elements: a share of 0.2 is then seen within 0.003, which is one standard deviation
SIGMAS = 6  # a right function is called wrong by chance once in 500 million times
DRAWS = 6  # two masks drop equally many with probability 0.008, and seven do so once in 10**12 tries
TRAINING = frozenset({"training"})

RULES = (
    Rule(
        "nothing_dropped",
        says="In training each element is set to zero with probability p.",
        instead="drops nothing in training",
        why="Without the noise there is no regularisation.",
    ),
    Rule(
        "p_ignored",
        says="The p that is given is the one that is used.",
        instead="drops half of the elements whatever p is",
        why="0.5 suits large hidden layers; behind a convolution 0.1 is usual.",
    ),
    Rule(
        "p_is_keep_probability",
        says="p is the probability of dropping: p = 0.2 drops 20 %.",
        instead="keeps elements with probability p",
        why="In the paper and in old TensorFlow p is the probability of keeping. With 0.5 both are the "
        "same, with 0.2 the network loses four fifths of its signal.",
    ),
    Rule(
        "wrong_share",
        says="In training each element is set to zero with probability p.",
        instead="drops another share of the elements than p",
        why="The scale 1 / (1 - p) fits only the share p.",
    ),
    Rule(
        "survivors_scaled_wrongly",
        says="What is kept is multiplied by 1 / (1 - p).",
        instead="does not multiply what it keeps by 1 / (1 - p)",
        why="So the expected value of each element stays what it was, and evaluation needs no correction. "
        "The factor is 2 for p = 0.5 only.",
    ),
    Rule(
        "values_changed",
        says="An element becomes zero, or its own value times 1 / (1 - p), and nothing else.",
        instead="returns values that are neither zero nor the element times one common factor",
        why="Noise of another kind is another method.",
    ),
    Rule(
        "mask_shared",
        says="Every element is dropped or kept on its own.",
        instead="drops elements together, along an axis of the array",
        why="One mask for the whole batch makes the gradient noisier; whole maps and rows are methods of "
        "their own (`convkit.dropout2d`, `convkit.dropout_rows`).",
    ),
    Rule(
        "number_fixed",
        says="How many elements are dropped is a matter of chance too.",
        instead="drops exactly the same number of elements each time",
        why="Choosing p * n elements without replacement ties them to one another: if one is dropped, the "
        "others are less likely to be.",
    ),
    Rule(
        "mask_never_changes",
        says="Each call draws a new mask.",
        instead="draws the same mask in every call",
        why="A generator that is seeded inside the function starts anew each time. The same connections "
        "are then missing throughout training, which makes the network smaller and nothing else.",
    ),
    Rule(
        "seed_ignored",
        says="The same seed draws the same mask, and another seed another one.",
        instead="does not let the seed decide the mask",
        why="An experiment that cannot be repeated cannot be debugged.",
    ),
    Rule(
        "p_zero_changes_values",
        says="With p = 0 the values come back as they are.",
        instead="changes values with p = 0",
        why="`rand > p` drops what is exactly zero, `rand >= p` does not; and 1 / (1 - 0) is 1.",
    ),
    Rule(
        "p_one_not_zero",
        says="With p = 1 everything is dropped, and the result is zero.",
        instead="does not return zeros with p = 1",
        why="1 / (1 - 1) is infinite and 0 times infinity is NaN: p = 1 is a case of its own.",
    ),
    Rule(
        "active_in_evaluation",
        says="In evaluation dropout is the identity.",
        instead="drops elements in evaluation as well",
        why="The network would answer the same question differently each time.",
    ),
    Rule(
        "scaled_in_evaluation",
        says="In evaluation nothing is scaled: training has done it already.",
        instead="scales its values in evaluation",
        why="The paper scales at test time and not in training, libraries the other way round. Done in "
        "both, or in neither, the next layer sees numbers of another size than it was trained with.",
    ),
)


def compute(call: Call) -> Result:
    return {"y": dropout(**call)}


def drawn(p: float, seed: int | None = None) -> Case:
    """Return a case large enough for statistics; no element is zero."""
    more = {} if seed is None else {"seed": seed}
    return Case({"x": counting(*SHAPE), "p": p, "training": True, **more}, extras=TRAINING)


def small(p: float, training: bool) -> Case:
    extras = TRAINING if training else frozenset()
    return Case({"x": counting(2, 4), "p": p, "training": training}, extras=extras)


FIFTH, MOST = drawn(0.2), drawn(0.7)
SEEDED = drawn(0.2, 1), drawn(0.2, 2)
NONE, ALL, EVALUATION = small(0.0, True), small(1.0, True), small(0.2, False)


# --- what a sample shows -------------------------------------------------------------------


@dataclass
class Sample:
    """One large result: which elements were dropped, and what the others were multiplied by."""

    p: float
    dropped: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, case: Case, y: np.ndarray) -> Sample:
        dropped = y == 0
        ratios = (y / case.call["x"])[~dropped]
        return cls(case.call["p"], dropped, np.unique(np.round(ratios, 5)))

    @property
    def share(self) -> float:
        return float(self.dropped.mean())

    def is_share(self, p: float) -> bool:
        return abs(self.share - p) <= SIGMAS * np.sqrt(p * (1 - p) / self.dropped.size)

    def is_factor(self, factor: float) -> bool:
        return len(self.factors) == 1 and bool(np.isclose(self.factors[0], factor, rtol=1e-4))

    def __str__(self) -> str:
        text = f"{100 * self.share:.3g} % dropped"
        if len(self.factors) == 1:
            return f"{text}, the others multiplied by {self.factors[0]:.4g}"
        return text


def wanted(p: float) -> str:
    return f"{100 * p:.3g} % dropped, the others multiplied by {1 / (1 - p):.4g}"


# --- the examination -----------------------------------------------------------------------


class Examination:
    """Calls the function again and again, and collects what it breaks."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.record = Record(OPERATION)
        self.rules = {rule.name: rule for rule in RULES}

    def run(self) -> Record:
        try:
            if (first := self.sample(FIFTH)) is not None:
                self.judge(first)
                self.judge_chance(first)
                self.judge_ends()
                self.judge_evaluation()
        except TooSlow as error:
            self.found(
                "too_slow", FIFTH, "an answer", f"no answer within {error}, in call {self.caller.calls + 1}"
            )
        return self.record

    def found(self, name: str, case: Case, expected: Result | str, got: Result | str, hint: str = "") -> None:
        if name not in {finding.rule.name for finding in self.record.findings}:
            rule = self.rules.get(name) or conduct(name)
            self.record.findings.append(Finding(rule, case, expected, got, "", hint))

    def call(self, case: Case) -> Observation | None:
        """Return what a call did, if it came back with numbers of the right shape."""
        seen = self.caller(case)
        self.record.observations.append(seen)
        truth = {"y": case.call["x"]}
        if seen.raised:
            self.found("crashes", case, "a result", seen.raised)
        elif seen.unusable:
            self.found("nothing_returned", case, "an array", seen.unusable)
        elif seen.result["y"].shape != truth["y"].shape:
            shapes = [f"an array of shape {a.shape}" for a in (truth["y"], seen.result["y"])]
            self.found("wrong_shape", case, *shapes)
        else:
            if seen.changed:
                self.found(
                    "input_overwritten", case, "arguments as they were", f"{', '.join(seen.changed)} changed"
                )
            return seen
        return None

    def sample(self, case: Case) -> Sample | None:
        seen = self.call(case)
        return None if seen is None else Sample.of(case, seen.result["y"])

    def judge(self, first: Sample) -> None:
        """Look at how many were dropped and what happened to the others."""
        second = self.sample(MOST)
        p, expected, got = first.p, wanted(first.p), str(first)
        if len(first.factors) > 1:
            self.found(
                "values_changed", FIFTH, expected, f"{got}, the others by {len(first.factors)} factors"
            )
            return
        right_scale = first.is_factor(1 / (1 - p))
        if not first.dropped.any():
            self.found("nothing_dropped", FIFTH, expected, got)
            return
        if second is not None and first.is_share(0.5) and second.is_share(0.5):
            self.found("p_ignored", FIFTH, expected, got)
            right_scale = right_scale or first.is_factor(2)
        elif first.is_share(1 - p):
            self.found("p_is_keep_probability", FIFTH, expected, got)
            right_scale = right_scale or first.is_factor(1 / p)
        elif not first.is_share(p) or (second is not None and not second.is_share(second.p)):
            worse, case = (first, FIFTH) if not first.is_share(p) or second is None else (second, MOST)
            if not self.tied(first):
                self.found("wrong_share", case, wanted(worse.p), str(worse))
        if not right_scale:
            self.found("survivors_scaled_wrongly", FIFTH, expected, got)

    def tied(self, sample: Sample) -> bool:
        """Tell whether elements are dropped together along some axis, and say so."""
        for axis, size in enumerate(SHAPE):
            together = sample.dropped.all(axis=axis) | ~sample.dropped.any(axis=axis)
            if together.all():
                got = f"the same mask for all {size} places along axis {axis}"
                self.found("mask_shared", FIFTH, "a decision for each element", got)
                return True
        return False

    def judge_chance(self, first: Sample) -> None:
        """Look at whether chance decides, each time anew and for each element."""
        if not first.dropped.any():
            return
        if self.caller.convention.takes("seed"):
            self.judge_seeds()
        else:
            self.record.untold.append("seed_ignored")
            again = self.sample(FIFTH)
            if again is not None and np.array_equal(first.dropped, again.dropped):
                self.found("mask_never_changes", FIFTH, "another mask in each call", "the same mask twice")
                return
        if not self.tied(first):
            self.judge_number(first)

    def judge_seeds(self) -> None:
        self.record.untold.append("mask_never_changes")
        once, again, other = (self.sample(case) for case in (SEEDED[0], SEEDED[0], SEEDED[1]))
        if once is None or again is None or other is None:
            return
        if not np.array_equal(once.dropped, again.dropped):
            self.found("seed_ignored", SEEDED[0], "one mask for one seed", "two masks for seed 1")
        elif np.array_equal(once.dropped, other.dropped):
            self.found(
                "seed_ignored", SEEDED[0], "a mask that the seed decides", "the same for seeds 1 and 2"
            )

    def judge_number(self, first: Sample) -> None:
        """Draw masks until two differ in how many elements they drop; by chance the first two do, mostly."""
        dropped = int(first.dropped.sum())
        for draw in range(DRAWS):
            seeded = self.caller.convention.takes("seed")
            sample = self.sample(drawn(0.2, 100 + draw) if seeded else FIFTH)
            if sample is None or int(sample.dropped.sum()) != dropped:
                return
        got = f"{dropped:,} of {first.dropped.size:,} dropped, {DRAWS + 1} times"
        self.found("number_fixed", FIFTH, "about a fifth dropped, not always as many", got)

    def judge_ends(self) -> None:
        """Look at p = 0 and p = 1."""
        for case, rule, factor in ((NONE, "p_zero_changes_values", 1.0), (ALL, "p_one_not_zero", 0.0)):
            seen = self.caller(case)
            self.record.observations.append(seen)
            if isinstance(seen.error, ValueError):
                self.record.skipped[f"your function refuses p = {case.call['p']:g}"] = 1
                self.record.untold.append(rule)
                continue
            expected = case.call["x"] * factor
            got = seen.result.get("y")
            if got is None or not np.array_equal(got, expected):
                self.found(rule, case, {"y": expected}, seen.raised if got is None else {"y": got})

    def judge_evaluation(self) -> None:
        if reason := self.caller.convention.lacks(EVALUATION):
            self.record.skipped[reason] = 1
            self.record.untold += ["active_in_evaluation", "scaled_in_evaluation"]
            return
        large = Case({**FIFTH.call, "training": False})
        seen, shown = self.call(large), self.call(EVALUATION)
        if seen is None or shown is None or np.allclose(seen.result["y"], large.call["x"], rtol=1e-5):
            return
        expected = {"y": EVALUATION.call["x"]}
        rule = "active_in_evaluation" if (seen.result["y"] == 0).any() else "scaled_in_evaluation"
        got = (
            shown.result
            if not np.array_equal(shown.result["y"], expected["y"])
            else "another result on a larger x"
        )
        self.found(rule, EVALUATION, expected, got)


def examine(caller: Caller) -> Record:
    """Find out what a dropout breaks."""
    return Examination(caller).run()


def cases() -> Iterator[Case]:
    yield from (NONE, ALL, EVALUATION, FIFTH, MOST, *SEEDED)


OPERATION = Operation(
    name="dropout",
    arrays=("x",),
    outputs=("y",),
    compute=compute,
    cases=tuple(cases()),
    rules=RULES,
    defaults={"p": 0.5, "training": True},
    examine=examine,
)
