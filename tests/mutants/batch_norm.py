"""Batch normalisation."""

import numpy as np

from . import Edit


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    if training:
        M = x.size // x.shape[1]
        mean = x.mean(axis=axes)
        var = ((x - mean.reshape(shape)) ** 2).sum(axis=axes) / M
        running_mean[:] = (1 - momentum) * running_mean + momentum * mean
        running_var[:] = (1 - momentum) * running_var + momentum * var * M / (M - 1)
    else:
        mean, var = running_mean, running_var
    z = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    if weight is not None:
        z = z * weight.reshape(shape)
    if bias is not None:
        z = z + bias.reshape(shape)
    return z


EDITS = [
    Edit("bias_multiplied", "z = z * weight.reshape(shape)", "z, bias = z * weight.reshape(shape), bias if bias is None else bias * weight"),
    Edit("eps_outside_the_root", "np.sqrt(var.reshape(shape) + eps)", "(np.sqrt(var.reshape(shape)) + eps)"),
    Edit("eps_subtracted", "var.reshape(shape) + eps", "var.reshape(shape) - eps"),
    Edit("eps_ignored", "var.reshape(shape) + eps", "var.reshape(shape)"),
    Edit("eps_ignored", "var.reshape(shape) + eps", "var.reshape(shape) + 1e-5"),
    Edit("variance_not_rooted", "np.sqrt(var.reshape(shape) + eps)", "(var.reshape(shape) + eps)"),
    Edit("unbiased_variance", "np.sqrt(var.reshape(shape) + eps)", "np.sqrt(var.reshape(shape) * (M / (M - 1) if training else 1) + eps)"),
    Edit("running_var_biased", "momentum * var * M / (M - 1)", "momentum * var"),
    Edit("momentum_reversed", "M = x.size // x.shape[1]", "M, momentum = x.size // x.shape[1], 1 - momentum"),
    Edit("momentum_ignored", "M = x.size // x.shape[1]", "M, momentum = x.size // x.shape[1], 0.1"),
    Edit("running_statistics_not_updated", "running_mean[:] =", "running_mean ="),
    Edit("running_statistics_not_updated", "running_var[:] =", "running_var ="),
    Edit("running_standard_deviation", "momentum * var * M / (M - 1)", "momentum * np.sqrt(var * M / (M - 1))"),
    Edit("running_statistics_used_in_training", "z = (x - mean.reshape(shape))", "mean, var = running_mean, running_var\n    z = (x - mean.reshape(shape))"),
    Edit("batch_statistics_used_in_evaluation", "mean, var = running_mean, running_var", "mean, var = x.mean(axis=axes), x.var(axis=axes)"),
    Edit("batch_statistics_used_in_evaluation", "if training:", "if True:"),
    Edit("mean_not_subtracted", "(x - mean.reshape(shape)) /", "x /"),
    Edit("weight_missing", "z = z * weight.reshape(shape)", "pass"),
    Edit("bias_missing", "z = z + bias.reshape(shape)", "pass"),
    Edit("bias_subtracted", "z + bias", "z - bias"),
    Edit("weight_bias_swapped", "axes = (0, *range(2, x.ndim))", "axes, weight, bias = (0, *range(2, x.ndim)), bias, weight"),
    Edit("one_pass_variance", "((x - mean.reshape(shape)) ** 2).sum(axis=axes) / M", "(x * x).mean(axis=axes) - mean * mean"),
    Edit("input_overwritten", "z = (x - mean.reshape(shape)) /", "x -= mean.reshape(shape)\n    z = x /"),
    Edit("weight_s_sign_lost", "z * weight.reshape(shape)", "z * abs(weight).reshape(shape)"),
    Edit("weight_s_sign_lost", "z * weight.reshape(shape)", "z * np.maximum(weight, 0).reshape(shape)"),
    Edit("old_statistics_kept_whole", "(1 - momentum) * running_mean + momentum * mean\n        running_var[:] = (1 - momentum) * running_var", "running_mean + momentum * mean\n        running_var[:] = running_var"),
    Edit("running_statistics_learned_in_evaluation", "mean, var = running_mean, running_var", "mean, var = running_mean.copy(), running_var.copy()\n        running_mean[:] = (1 - momentum) * running_mean + momentum * x.mean(axis=axes)\n        running_var[:] = (1 - momentum) * running_var + momentum * x.var(axis=axes, ddof=1)"),
]  # fmt: skip
