"""How rules of batch normalisation are broken, and the rules that its gradient shares."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ...normalization import batch_norm
from ..model import Call, NotPredicted, Result, Rounding, Rule, Wrong

__all__ = [
    "EPS",
    "MOMENTUM",
    "WEIGHT_S_SIGN_LOST",
    "along_the_width",
    "alternating",
    "axes_of",
    "bias_multiplied",
    "bias_subtracted",
    "by_biased_statistics",
    "by_updated_statistics",
    "channels_last",
    "compute",
    "deviations",
    "eps_of",
    "eps_rule",
    "learned_in_evaluation",
    "mean_kept",
    "moments",
    "momentum_of_the_old",
    "moved",
    "normalised_over",
    "one_pass",
    "running",
    "scaled",
    "spread",
    "unbiased",
    "weight_bias_swapped",
    "without",
    "without_in_evaluation",
    "y_of",
]

EPS, MOMENTUM = 1e-5, 0.1  # batch_norm's own defaults


def compute(call: Call) -> Result:
    mean, var = (call[name].copy() for name in ("running_mean", "running_var"))
    y = batch_norm(**{**call, "running_mean": mean, "running_var": var})
    return {"y": y, "running_mean": mean, "running_var": var}


def alternating(C: int) -> np.ndarray:
    """Return the weights of C channels: -2, 3, -4..."""
    return (np.arange(C) + 2.0) * (-1.0) ** np.arange(1, C + 1)


# --- how rules are broken ------------------------------------------------------------------


def axes_of(x: np.ndarray) -> tuple[int, ...]:
    """Return the axes that one mean averages over: all but the channels."""
    return tuple(axis for axis in range(x.ndim) if axis != 1)


def spread(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Give a vector of channels the axes that it needs to broadcast against x."""
    return v.reshape(-1, *(1,) * (x.ndim - 2))


def moments(call: Call) -> tuple[np.ndarray, np.ndarray, int]:
    """Return mean and biased variance that a call normalises by, and how many values they come from."""
    x = call["x"]
    values = prod(x.shape[axis] for axis in axes_of(x))
    if not call.get("training", False):
        return call["running_mean"], call["running_var"], values
    return x.mean(axis=axes_of(x)), x.var(axis=axes_of(x)), values


def eps_of(call: Call) -> float:
    return call.get("eps", EPS)


def scaled(factor: Callable[[Call, np.ndarray, int], np.ndarray]) -> Wrong:
    """Another number instead of sqrt(var + eps): a weight that is larger by the quotient of the two."""

    def change(call: Call) -> Call:
        _, var, values = moments(call)
        weight = call.get("weight", np.ones(call["x"].shape[1]))
        weight = weight * np.sqrt(var + eps_of(call)) / factor(call, var, values)
        return {**call, "weight": weight.astype(call["x"].dtype)}

    return Wrong(change)


def unbiased(call: Call, var: np.ndarray, values: int) -> np.ndarray:
    factor = values / (values - 1) if call.get("training", False) else 1.0
    return np.sqrt(var * factor + eps_of(call))


def normalised_over(*axes: int, vectors: bool = True) -> Wrong:
    """Statistics over other axes, for vectors (N, C) as well or for images alone.

    The running statistics are not foretold: their shape would not fit.
    """

    def other(call: Call) -> Result:
        x = call["x"]
        if not call.get("training", False) or (x.ndim == 2 and not vectors):
            return {"y": compute(call)["y"]}
        over = tuple(axis for axis in axes if axis < x.ndim)
        mean, var = x.mean(axis=over, keepdims=True), x.var(axis=over, keepdims=True)
        xhat = (x - mean) / np.sqrt(var + eps_of(call))
        weight = call.get("weight", np.ones(x.shape[1]))
        return {"y": xhat * spread(weight, x) + spread(call.get("bias", np.zeros(x.shape[1])), x)}

    return Wrong(compute=other)


def channels_last(call: Call) -> Result:
    """Take the last axis for the channels."""
    x = call["x"]
    names = ("running_mean", "running_var", "weight", "bias")
    if x.ndim == 2:
        return compute(call)
    if x.shape[-1] != x.shape[1] and any(name in call for name in names[2:]):
        raise NotPredicted
    turned = np.moveaxis(x, -1, 1).copy()
    given = call
    if x.shape[-1] != x.shape[1]:
        if not call.get("training", False):
            raise NotPredicted
        given = {
            **call,
            "running_mean": np.zeros(x.shape[-1], x.dtype),
            "running_var": np.ones(x.shape[-1], x.dtype),
        }
        return {"y": np.moveaxis(compute({**given, "x": turned})["y"], 1, -1)}
    result = compute({**given, "x": turned})
    return {**result, "y": np.moveaxis(result["y"], 1, -1)}


def without(*names: str) -> Wrong:
    return Wrong(lambda call: {k: v for k, v in call.items() if k not in names})


def weight_bias_swapped(call: Call) -> Call:
    rest = {k: v for k, v in call.items() if k not in ("weight", "bias")}
    new = {}
    if "weight" in call:
        new["bias"] = call["weight"]
    if "bias" in call:
        new["weight"] = call["bias"]
    return {**rest, **new}


def without_in_evaluation(name: str) -> Wrong:
    return Wrong(
        lambda call: call if call.get("training", False) else {k: v for k, v in call.items() if k != name}
    )


def bias_multiplied(call: Call) -> Call:
    return {**call, "bias": call["bias"] * call["weight"]} if {"weight", "bias"} <= set(call) else call


def bias_subtracted(call: Call) -> Call:
    return {**call, "bias": -call["bias"]} if "bias" in call else call


def mean_kept(result: Result, call: Call) -> Result:
    mean, var, _ = moments(call)
    weight = call.get("weight", np.ones(len(mean)))
    return {**result, "y": result["y"] + spread(weight * mean / np.sqrt(var + eps_of(call)), call["x"])}


def one_pass(call: Call) -> Call:
    if call.get("training", False):
        mean, var, _ = moments({**call, "x": call["x"].astype(np.float64)})
        if np.any(np.abs(mean) > 1e3 * np.sqrt(var)):
            raise Rounding
    return call


def y_of(change: Callable[[Call], Call]) -> Wrong:
    """The output computed otherwise, the running statistics as they should be."""

    def other(call: Call) -> Result:
        return {**compute(call), "y": compute(change(call))["y"]}

    return Wrong(compute=other)


def by_updated_statistics(call: Call) -> Call:
    right = compute(call)
    return {**call, "training": False, **{k: right[k] for k in ("running_mean", "running_var")}}


def by_biased_statistics(call: Call) -> Call:
    """The same with a running variance that was moved towards the biased one."""
    if not call.get("training", False):
        return call
    momentum = call.get("momentum", MOMENTUM)
    return {
        **by_updated_statistics(call),
        "running_var": moved(call["running_var"], moments(call)[1], momentum),
    }


def running(
    update: Callable[[np.ndarray, np.ndarray, float], np.ndarray], *names: str, biased: bool = False
) -> Wrong:
    """Running statistics moved otherwise: `update` of the old ones, the batch's and the momentum."""

    def after(result: Result, call: Call) -> Result:
        if not call.get("training", False):
            return result
        mean, var, values = moments(call)
        batch = {"running_mean": mean, "running_var": var if biased else var * values / (values - 1)}
        momentum = call.get("momentum", MOMENTUM)
        return {**result, **{name: update(call[name], batch[name], momentum) for name in names}}

    return Wrong(after=after)


def moved(old: np.ndarray, new: np.ndarray, momentum: float) -> np.ndarray:
    return (1 - momentum) * old + momentum * new


def momentum_of_the_old() -> Wrong:
    """A momentum that is given weighs the old statistics; the default, 0.9, weighs them as it should."""
    reversed_ = running(lambda old, new, m: m * old + (1 - m) * new, "running_mean", "running_var")
    return Wrong(after=lambda result, call: reversed_.after(result, call) if "momentum" in call else result)


def along_the_width(call: Call) -> Result:
    """Let NumPy broadcast weight and bias: along the last axis."""
    rest = {k: v for k, v in call.items() if k not in ("weight", "bias")}
    result = compute(rest)
    y = result["y"] * call.get("weight", 1.0) + call.get("bias", 0.0)
    return {**result, "y": y}


def deviations(result: Result, call: Call) -> Result:
    """Keep standard deviations where variances should be."""
    if not call.get("training", False):
        return result
    _, var, values = moments(call)
    sd = np.sqrt(var * values / (values - 1))
    return {**result, "running_var": moved(call["running_var"], sd, call.get("momentum", MOMENTUM))}


def learned_in_evaluation(result: Result, call: Call) -> Result:
    trained = compute({**call, "training": True})
    return {**trained, "y": result["y"]}


# --- rules of eps ---------------------------------------------------------------------------

EPS_RULES = {
    "eps_outside_the_root": Rule(
        "eps_outside_the_root",
        says="eps is added to the variance, inside the square root: sqrt(var + eps).",
        instead="adds eps to the standard deviation, outside the root",
        why="For a channel that is almost constant the difference is large: with variance 0 one divides by "
        "sqrt(eps), the other by eps itself, which is far smaller.",
    ),
    "eps_subtracted": Rule(
        "eps_subtracted",
        says="eps is added to the variance, not subtracted.",
        instead="subtracts eps from the variance",
        why="It is there to keep the root from zero. Subtracted, it makes a constant channel the root of a "
        "negative number.",
    ),
    "eps_ignored": Rule(
        "eps_ignored",
        says="The eps that is given is the one that is used.",
        instead="leaves eps out, or has one of its own",
        why="A constant channel has variance 0, and without eps its output is 0 / 0.",
    ),
}


def eps_rule(name: str, *wrong: Wrong) -> Rule:
    rule = EPS_RULES[name]
    return Rule(rule.name, rule.says, rule.instead, rule.why, wrong)


def sign_lost(call: Call) -> Call:
    return {**call, "weight": np.abs(call["weight"])} if "weight" in call else call


def negative_weights_are_zero(call: Call) -> Call:
    return {**call, "weight": np.maximum(call["weight"], 0.0)} if "weight" in call else call


WEIGHT_S_SIGN_LOST = Rule(
    "weight_s_sign_lost",
    says="weight (gamma) multiplies as it is, and it may be negative.",
    instead="takes weight's magnitude, or zero for a negative one",
    why="The standard deviation of the output is abs(gamma), but gamma is no standard deviation: where it is "
    "negative, the channel is turned upside down. Training crosses zero like any other number.",
    wrong=(Wrong(sign_lost), Wrong(negative_weights_are_zero)),
)
