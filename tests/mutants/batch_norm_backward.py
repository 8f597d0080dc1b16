"""The gradient of batch normalisation, term by term."""

import numpy as np

from . import Edit


def batch_norm_backward(grad_y, x, weight=None, running_mean=None, running_var=None, training=True, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    M = x.size // x.shape[1]
    mean = x.mean(axis=axes) if training else running_mean
    var = x.var(axis=axes) if training else running_var
    invstd = 1 / np.sqrt(var.reshape(shape) + eps)
    xhat = (x - mean.reshape(shape)) * invstd
    dz = grad_y if weight is None else grad_y * weight.reshape(shape)
    first = dz.sum(axis=axes).reshape(shape) / M
    second = xhat * (dz * xhat).sum(axis=axes).reshape(shape) / M
    grad_x = invstd * (dz - first - second) if training else invstd * dz
    grad_weight = (grad_y * xhat).sum(axis=axes)
    grad_bias = grad_y.sum(axis=axes)
    return grad_x, grad_weight, grad_bias


EDITS = [
    Edit("mean_s_gradient_lost", "dz - first - second", "dz + first - second"),
    Edit("variance_s_gradient_scaled", "dz - first - second", "dz - first + second"),
    Edit("variance_s_gradient_scaled", "dz - first - second", "dz - first - 2 * second"),
    Edit("statistics_detached", "invstd * (dz - first - second) if training else invstd * dz", "invstd * dz"),
    Edit("mean_s_gradient_lost", "dz - first - second", "dz - second"),
    Edit("variance_s_gradient_lost", "dz - first - second", "dz - first"),
    Edit("sums_for_means", "M = x.size // x.shape[1]", "M = 1"),
    Edit("training_s_terms_in_evaluation", "invstd * (dz - first - second) if training else invstd * dz", "invstd * (dz - first - second)"),
    Edit("weight_s_sign_lost", "grad_y * weight.reshape(shape)", "grad_y * abs(weight).reshape(shape)"),
    Edit("weight_forgotten", "grad_y if weight is None else grad_y * weight.reshape(shape)", "grad_y"),
    Edit("invstd_forgotten", "invstd * (dz - first - second) if training else invstd * dz", "dz - first - second if training else dz"),
    Edit("grad_weight_not_normalised", "(grad_y * xhat).sum(axis=axes)\n", "(grad_y * x).sum(axis=axes)\n"),
    Edit("grad_weight_weighted", "(grad_y * xhat).sum(axis=axes)\n", "(dz * xhat).sum(axis=axes)\n"),
    Edit("parameters_averaged", "grad_bias = grad_y.sum(axis=axes)", "grad_bias = grad_y.mean(axis=axes)"),
    Edit("parameters_averaged", "return grad_x, grad_weight, grad_bias", "return grad_x, grad_weight / M, grad_bias / M"),
    Edit("parameters_swapped", "return grad_x, grad_weight, grad_bias", "return grad_x, grad_bias, grad_weight"),
    Edit("unbiased_variance", "x.var(axis=axes) if", "x.var(axis=axes, ddof=1) if"),
    Edit("eps_outside_the_root", "np.sqrt(var.reshape(shape) + eps)", "(np.sqrt(var.reshape(shape)) + eps)"),
    Edit("eps_ignored", "var.reshape(shape) + eps", "var.reshape(shape)"),
]  # fmt: skip
