"""PyTorch's own functions break no rule: what convkit calls right is what PyTorch computes."""

import numpy as np
import pytest

import convkit

torch = pytest.importorskip("torch")
F = torch.nn.functional


def tensor(value):
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    return F.conv2d(tensor(x), tensor(w), tensor(b), stride, padding, dilation, groups)


def conv2d_backward(grad_y, x, w, stride=1, padding=0, dilation=1, groups=1):
    x, w = tensor(x).requires_grad_(), tensor(w).requires_grad_()
    b = torch.zeros(len(w), dtype=w.dtype, requires_grad=True)
    F.conv2d(x, w, b, stride, padding, dilation, groups).backward(tensor(grad_y))
    return x.grad, w.grad, b.grad


def im2col(x, kernel_size, dilation=1, padding=0, stride=1):
    return F.unfold(tensor(x), kernel_size, dilation, padding, stride)


def pad(x, padding, mode="constant", value=0.0):
    if mode == "symmetric":
        raise NotImplementedError("PyTorch has no such mode")
    if mode == "constant":
        return F.pad(tensor(x), padding, mode, value)
    axes = len(padding) // 2  # the other modes want an axis of channels
    y = F.pad(tensor(x.reshape(1, -1, *x.shape[-axes:])), padding, mode)
    return y.reshape(*x.shape[:-axes], *y.shape[2:])


def avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    options = stride, padding, ceil_mode, count_include_pad, divisor_override
    return F.avg_pool2d(tensor(x), kernel_size, *options)


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    return F.max_pool2d(tensor(x), kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    vectors = map(tensor, (running_mean, running_var, weight, bias))
    return F.batch_norm(tensor(x), *vectors, training, momentum, eps)


def batch_norm_backward(grad_y, x, weight=None, running_mean=None, running_var=None, training=True, eps=1e-5):
    x = tensor(x).requires_grad_()
    w = tensor(np.ones(x.shape[1]) if weight is None else weight).requires_grad_()
    b = torch.zeros(x.shape[1], dtype=x.dtype, requires_grad=True)
    y = F.batch_norm(x, tensor(running_mean), tensor(running_var), w, b, training, 0.1, eps)
    y.backward(tensor(grad_y))
    return x.grad, w.grad, b.grad


def dropout(x, p=0.5, training=True):
    return F.dropout(tensor(x), p, training)


EVERY = (
    conv2d, conv2d_backward, im2col, pad, avg_pool2d, max_pool2d, batch_norm, batch_norm_backward, dropout,
)  # fmt: skip


@pytest.mark.parametrize("function", EVERY, ids=lambda function: function.__name__)
def test_pytorch_is_right(function):
    report = convkit.check(function)
    assert report, str(report)
    assert len(report.held) > len(report.unchecked)


def test_weight_and_bias_may_be_needed():
    def norm(x, gamma, beta, eps=1e-5):
        return F.batch_norm(tensor(x), None, None, tensor(gamma), tensor(beta), True, 0.1, eps)

    report = convkit.check(norm, "batch_norm")
    assert report, str(report)
