"""Dropout."""

import numpy as np

from . import Edit

GENERATOR = np.random.default_rng()


def dropout(x, p=0.5, training=True, seed=None):
    if not training or p == 0:
        return x.copy()
    if p == 1:
        return np.zeros_like(x)
    rng = GENERATOR if seed is None else np.random.default_rng(seed)
    mask = rng.random(x.shape) >= p
    return np.where(mask, x / (1 - p), 0.0)


EDITS = [
    Edit("nothing_dropped", "if not training or p == 0:", "if not training or p < 1:"),
    Edit("p_ignored", "rng.random(x.shape) >= p", "rng.random(x.shape) >= 0.5"),
    Edit("p_is_keep_probability", "rng.random(x.shape) >= p", "rng.random(x.shape) < p"),
    Edit("wrong_share", "rng.random(x.shape) >= p", "rng.random(x.shape) >= p * p"),
    Edit("survivors_scaled_wrongly", "x / (1 - p)", "x"),
    Edit("survivors_scaled_wrongly", "x / (1 - p)", "x / p"),
    Edit("survivors_scaled_wrongly", "x / (1 - p)", "x * 2"),
    Edit("values_changed", "x / (1 - p)", "x / (1 - p) + mask"),
    Edit("mask_shared", "rng.random(x.shape)", "rng.random(x.shape[1:])"),
    Edit("number_fixed", "rng.random(x.shape) >= p", "rng.permutation(x.size).reshape(x.shape) >= int(p * x.size)"),
    Edit("seed_ignored", "np.random.default_rng(seed)", "GENERATOR"),
    Edit("p_one_not_zero", "return np.zeros_like(x)", "return x * 0.0 / (1 - p)"),
    Edit("active_in_evaluation", "if not training or p == 0:", "if p == 0:"),
    Edit("scaled_in_evaluation", "        return x.copy()", "        return x * (1 - p)"),
    Edit("input_overwritten", "np.where(mask, x / (1 - p), 0.0)", "np.multiply(x, mask / (1 - p), out=x)"),
    Edit(("survivors_scaled_wrongly", "scaled_in_evaluation"), "        return x.copy()\n    if p == 1:", "        return x * (1 - p)\n    x = x * (1 - p)\n    if p == 1:"),
    Edit("p_zero_changes_values", "if not training or p == 0:", "p = p or 0.5\n    if not training:"),
]  # fmt: skip
