"""Rules of the gradient of a batch normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from ...normalization import batch_norm_backward, batch_norm_forward
from ..model import Call, Case, Operation, Result, Rule, Wrong
from .convolutions import counting, scattered
from .normalizations import EPS, WEIGHT_S_SIGN_LOST, alternating, axes_of, eps_rule, moments, spread

__all__ = ["OPERATION"]

OUTPUTS = ("grad_x", "grad_weight", "grad_bias")


def compute(call: Call) -> Result:
    return dict(zip(OUTPUTS, batch_norm_backward(**call), strict=True))


@dataclass
class Terms:
    """The pieces of the gradient, each of which a rule can take away or change."""

    dy: np.ndarray
    x: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    invstd: np.ndarray
    weight: np.ndarray
    over: tuple[int, ...]
    values: int
    training: bool

    @property
    def xhat(self) -> np.ndarray:
        return (self.x - self.mean) * self.invstd

    def grad_x(self, shift: float = 1.0, slope: float | np.ndarray = 1.0) -> np.ndarray:
        """Return the gradient for x with so much of each of the two terms of the statistics."""
        dz = self.dy * self.weight
        lost = shift * dz.mean(axis=self.over, keepdims=True)
        lost = lost + slope * self.xhat * (dz * self.xhat).mean(axis=self.over, keepdims=True)
        return self.invstd * (dz - lost)

    def summed(self, a: np.ndarray) -> np.ndarray:
        return a.sum(axis=self.over)


def terms(call: Call) -> Terms:
    x, training = call["x"], call.get("training", True)
    mean, var, values = moments({**call, "training": training})
    var = spread(var, x)
    weight = spread(call.get("weight", np.ones(x.shape[1])), x)
    invstd = 1 / np.sqrt(var + call.get("eps", EPS))
    return Terms(call["grad_y"], x, spread(mean, x), var, invstd, weight, axes_of(x), values, training)


def other(grad: str, formula: Callable[[Terms], np.ndarray]) -> Wrong:
    """One of the gradients by another formula."""
    return Wrong(after=lambda result, call: {**result, grad: formula(terms(call))})


def in_training(formula: Callable[[Terms], np.ndarray]) -> Wrong:
    """The gradient for x by another formula in training, and the right one in evaluation."""
    return Wrong(
        after=lambda result, call: (
            {**result, "grad_x": formula(terms(call))} if call.get("training", True) else result
        )
    )


def right_grad_x(t: Terms) -> np.ndarray:
    return t.grad_x() if t.training else t.grad_x(0, 0)


def with_invstd(root: Callable[[Call, Terms], np.ndarray]) -> Wrong:
    """Everything with another number instead of sqrt(var + eps)."""

    def wrong(call: Call) -> Result:
        t = terms(call)
        t.invstd = 1 / root(call, t)
        return {
            "grad_x": right_grad_x(t),
            "grad_weight": t.summed(t.dy * t.xhat),
            "grad_bias": t.summed(t.dy),
        }

    return Wrong(compute=wrong)


def unbiased_root(call: Call, t: Terms) -> np.ndarray:
    factor = t.values / (t.values - 1) if t.training else 1.0
    return np.sqrt(t.var * factor + call.get("eps", EPS))


def without_weight(t: Terms) -> np.ndarray:
    t.weight = np.ones_like(t.weight)
    return right_grad_x(t)


def parameters_swapped(result: Result, call: Call) -> Result:
    return {**result, "grad_weight": result["grad_bias"], "grad_bias": result["grad_weight"]}


def cases() -> Iterator[Case]:
    shapes = (
        (2, 1),
        (3, 1),
        (3, 2),
        (4, 3),
        (1, 1, 1, 2),
        (1, 1, 1, 3),
        (3, 1, 1, 1),
        (2, 1, 1, 2),
        (2, 2, 1, 2),
        (2, 3, 2, 3),
    )
    for shape in shapes:
        C = shape[1]
        x = np.array([1.0, 3.0]).reshape(shape) if prod(shape) == 2 else scattered(*shape) / 2
        grad_y = counting(*shape) ** 2
        weight = {"weight": alternating(C)}
        kept = {"running_mean": np.arange(C) + 0.5, "running_var": np.arange(C) + 4.0, "training": False}
        for option in ({}, {"eps": 0.5}, weight, {**weight, "eps": 0.25}):
            yield Case({"grad_y": grad_y, "x": x, **option, "training": True}, extras=frozenset({"training"}))
            yield Case({"grad_y": grad_y, "x": x, **option, **kept})


RULES = (
    Rule(
        "statistics_detached",
        says="In training mean and variance depend on x, and two terms of the gradient say so: grad_x = "
        "weight * invstd * (grad_y - mean(grad_y) - xhat * mean(grad_y * xhat)).",
        instead="treats mean and variance as constants",
        why="Raising every x by 1 changes nothing in the output, so such a gradient must be zero. Without "
        "the two terms it is not, and training drifts along directions that do nothing.",
        wrong=(in_training(lambda t: t.grad_x(0, 0)),),
    ),
    Rule(
        "mean_s_gradient_lost",
        says="x moves every output of its channel through the mean: the term mean(grad_y) is subtracted.",
        instead="leaves out the term of the mean, or adds it",
        why="Without it the gradients of a channel do not sum to zero, as they must: adding a constant to "
        "x changes nothing.",
        wrong=(in_training(lambda t: t.grad_x(0, 1)), in_training(lambda t: t.grad_x(-1, 1))),
    ),
    Rule(
        "variance_s_gradient_lost",
        says="x moves every output of its channel through the variance: the term xhat * mean(grad_y * "
        "xhat) is subtracted.",
        instead="leaves out the term of the variance",
        why="Without it the gradient is not orthogonal to xhat, as it must be: scaling x changes nothing.",
        wrong=(in_training(lambda t: t.grad_x(1, 0)),),
    ),
    Rule(
        "variance_s_gradient_scaled",
        says="The variance's term is xhat * mean(grad_y * xhat), taken once and subtracted: the derivative "
        "of (var + eps)**-0.5 is -0.5 * (var + eps)**-1.5, and that of a square has a factor of 2.",
        instead="gets the size or the sign of the variance's term wrong",
        why="In the chain rule by hand -0.5, the power -1.5 and the 2 of the square are easily lost, and "
        "training still works, only worse. Scaling x changes nothing, so grad_x must be orthogonal to xhat.",
        wrong=(
            in_training(lambda t: t.grad_x(1, -1)),
            in_training(lambda t: t.grad_x(1, 2)),
            in_training(lambda t: t.grad_x(1, -2)),
            in_training(lambda t: t.grad_x(1, 0.5)),
            in_training(lambda t: t.grad_x(1, t.invstd**-1)),
            in_training(lambda t: t.grad_x(1, t.invstd**-2)),
        ),
    ),
    Rule(
        "sums_for_means",
        says="The two terms of the statistics are means over the M values of a channel.",
        instead="subtracts sums where means belong",
        why="Each of the M values moves the mean by 1 / M; the division is easily lost when the formula is "
        "derived by hand.",
        wrong=(
            in_training(lambda t: t.grad_x(t.values, t.values)),
            in_training(lambda t: t.grad_x(t.values, 1)),
            in_training(lambda t: t.grad_x(1, t.values)),
        ),
    ),
    Rule(
        "training_s_terms_in_evaluation",
        says="In evaluation the statistics are constants: grad_x = grad_y * weight * invstd.",
        instead="subtracts the terms of the statistics in evaluation as well",
        why="The running statistics do not depend on this x.",
        wrong=(
            Wrong(
                after=lambda result, call: (
                    result if call.get("training", True) else {**result, "grad_x": terms(call).grad_x()}
                )
            ),
            Wrong(lambda call: {**call, "training": True}),
        ),
    ),
    Rule(
        "weight_forgotten",
        says="The gradient for x is multiplied by weight (gamma), as the output was.",
        instead="leaves weight out of the gradient for x",
        why="While gamma is 1, as it is at first, nothing shows.",
        wrong=(other("grad_x", without_weight),),
    ),
    WEIGHT_S_SIGN_LOST,
    Rule(
        "invstd_forgotten",
        says="The gradient for x is divided by the standard deviation, as x was.",
        instead="leaves out the division by the standard deviation, or does it twice",
        why="The steps would be too large where x varies much, and too small where it does not.",
        wrong=(
            other("grad_x", lambda t: right_grad_x(t) / t.invstd),
            other("grad_x", lambda t: right_grad_x(t) * t.invstd),
        ),
    ),
    Rule(
        "grad_weight_not_normalised",
        says="grad_weight is the sum of grad_y * xhat, with the normalised values.",
        instead="multiplies by x itself, or by x without its mean, where xhat belongs",
        why="weight multiplies xhat in the output, so its gradient does too.",
        wrong=(
            other("grad_weight", lambda t: t.summed(t.dy * t.x)),
            other("grad_weight", lambda t: t.summed(t.dy * (t.x - t.mean))),
        ),
    ),
    Rule(
        "grad_weight_weighted",
        says="grad_weight does not contain weight.",
        instead="multiplies grad_weight by weight",
        why="The output is weight * xhat + bias: its derivative for weight is xhat alone.",
        wrong=(other("grad_weight", lambda t: t.summed(t.dy * t.weight * t.xhat)),),
    ),
    Rule(
        "parameters_averaged",
        says="grad_weight and grad_bias are sums over batch and pixels.",
        instead="returns means",
        why="Each of the M outputs depends on the same weight, and all their gradients add up. The loss "
        "may be a mean; then grad_y has been divided already.",
        wrong=(
            Wrong(
                after=lambda result, call: {
                    **result,
                    **{k: result[k] / terms(call).values for k in ("grad_weight", "grad_bias")},
                }
            ),
            other("grad_weight", lambda t: t.summed(t.dy * t.xhat) / t.values),
            other("grad_bias", lambda t: t.summed(t.dy) / t.values),
        ),
    ),
    Rule(
        "parameters_summed_over_the_batch_only",
        says="A channel has one weight and one bias, whose gradients are summed over the pixels too.",
        instead="sums over the batch and keeps the pixels",
        why="For (N, C) `sum(axis=0)` is all; for images it is `sum(axis=(0, 2, 3))`.",
        wrong=(
            Wrong(
                after=lambda result, call: {
                    **result,
                    "grad_weight": (terms(call).dy * terms(call).xhat).sum(axis=0),
                    "grad_bias": terms(call).dy.sum(axis=0),
                }
            ),
        ),
    ),
    Rule(
        "parameters_swapped",
        says="The gradients are returned in the order (grad_x, grad_weight, grad_bias).",
        instead="returns the gradient for bias before that for weight",
        why="Both have the same shape, so nothing fails; the optimizer then trains each by the other's "
        "gradient.",
        wrong=(Wrong(after=parameters_swapped),),
    ),
    Rule(
        "unbiased_variance",
        says="The batch was normalised by the biased variance, and so its gradient is.",
        instead="takes the unbiased variance, divided by M - 1",
        why="A gradient belongs to the forward pass it is the gradient of; finite differences tell.",
        wrong=(with_invstd(unbiased_root),),
    ),
    eps_rule(
        "eps_outside_the_root",
        with_invstd(lambda call, t: np.sqrt(t.var) + call.get("eps", EPS)),
    ),
    eps_rule(
        "eps_ignored",
        with_invstd(lambda call, t: np.sqrt(t.var)),
        with_invstd(lambda call, t: np.sqrt(t.var + EPS)),
    ),
)

OPERATION = Operation(
    name="batch_norm_backward",
    arrays=("grad_y", "x"),
    outputs=OUTPUTS,
    compute=compute,
    cases=tuple(sorted(cases(), key=lambda case: case.cells)),
    rules=RULES,
    defaults={
        "weight": lambda call: np.ones(call["x"].shape[1], call["x"].dtype),
        "mean": lambda call: batch_norm_forward(call["x"]).mean,
        "invstd": lambda call: batch_norm_forward(call["x"], eps=call.get("eps", EPS)).invstd,
        "eps": EPS,
        "training": True,
    },
    forms={2: "of shape (N, C)", 4: "of shape (N, C, H, W)"},
)
