"""The gradient of dropout."""

import numpy as np

from . import Edit


def dropout_backward(grad_y, p=0.5, training=True, mask=None):
    if not training:
        return grad_y.copy()
    return np.where(mask, grad_y / (1 - p), 0.0)


EDITS = [
    Edit("mask_not_reused", "np.where(mask,", "np.where(np.random.default_rng().random(grad_y.shape) >= p,"),
    Edit("mask_inverted", "np.where(mask,", "np.where(~mask,"),
    Edit("gradient_not_rescaled", "grad_y / (1 - p)", "grad_y"),
    Edit("gradient_not_rescaled", "grad_y / (1 - p)", "grad_y * (1 - p)"),
    Edit("mask_ignored", "np.where(mask, grad_y / (1 - p), 0.0)", "grad_y / (1 - p)"),
    Edit("gradient_dropped_in_evaluation", "if not training:", "if False:"),
]
