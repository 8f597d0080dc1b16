"""The layers: each keeps its weights, keeps what the backward pass will ask for, and calls a function.

All arithmetic is in the functions; a layer adds the state that they leave to their caller.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..arrays import fraction
from ..border import FLOATS
from ..conv import conv2d, conv2d_backward
from ..dropout import dropout, dropout_backward
from ..geometry import option, per_axis, whole
from ..max_pooling import max_pool2d, max_pool2d_backward
from ..normalization import batch_norm_backward, batch_norm_forward
from ..pooling import avg_pool2d, avg_pool2d_backward
from .module import Module, Parameter

__all__ = [
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "ReLU",
]

# --- layers with weights -----------------------------------------------------------------------


def _uniform(shape: tuple[int, ...], fan_in: int, rng: Any, dtype: Any) -> Parameter:
    """Return PyTorch's initial weights: uniform between -1/sqrt(fan_in) and 1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return Parameter(np.random.default_rng(rng).uniform(-bound, bound, shape).astype(_float(dtype)))


def _float(dtype: Any) -> np.dtype:
    if np.dtype(dtype) not in FLOATS:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
    return np.dtype(dtype)


class Conv2d(Module):
    """Convolution of (N, in_channels, H, W) by `out_channels` filters: :func:`convkit.conv2d`.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel_size, stride, padding, dilation, groups, padding_mode
        As in :func:`convkit.conv2d`.
    bias : bool, optional
        Whether each output channel adds a number of its own. Without effect if a batch norm follows directly.
    rng : numpy.random.Generator or int, optional
        Draws the initial weights; an int seeds a new one.
    dtype : dtype, optional
        float32 or float64.

    >>> layer = Conv2d(3, 8, 3, padding=1, rng=0)
    >>> layer(np.zeros((2, 3, 5, 5), np.float32)).shape, layer.weight.data.shape
    ((2, 8, 5, 5), (8, 3, 3, 3))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: Any = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        kernel, padding = per_axis(kernel_size, 2, "kernel_size", 1), option(padding, "padding")
        in_channels, out_channels = (
            whole(in_channels, "in_channels", 1),
            whole(out_channels, "out_channels", 1),
        )
        groups = whole(groups, "groups", 1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"groups must divide in_channels and out_channels: {groups}, {in_channels}, {out_channels}"
            )
        self.in_channels, self.out_channels, self.kernel_size = in_channels, out_channels, kernel
        self.options: dict[str, Any] = {
            "stride": per_axis(stride, 2, "stride"),
            "padding": per_axis(padding, 2, "padding") if isinstance(padding, int) else padding,
            "dilation": per_axis(dilation, 2, "dilation"),
            "groups": groups,
            "padding_mode": padding_mode,
        }
        fan_in, rng = in_channels // groups * kernel[0] * kernel[1], np.random.default_rng(rng)
        self.weight = _uniform((out_channels, in_channels // groups, *kernel), fan_in, rng, dtype)
        self.bias = _uniform((out_channels,), fan_in, rng, dtype) if bias else None

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._saved = x
        return conv2d(x, self.weight.data, self.bias.data if self.bias else None, **self.options)

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        needs = (True, True, self.bias is not None)
        grads: Any = conv2d_backward(grad_y, self.saved(), self.weight.data, **self.options, needs=needs)
        self.weight.add(grads.grad_w)
        if self.bias:
            self.bias.add(grads.grad_b)
        return grads.grad_x

    def extra_repr(self) -> str:
        usual = {"padding": (0, 0), "dilation": (1, 1), "groups": 1}
        shown = {"kernel_size": self.kernel_size, **self.options}
        mode = shown.pop("padding_mode")
        parts = [f"{name}={value}" for name, value in shown.items() if usual.get(name) != value]
        parts += ["bias=False"] * (self.bias is None) + [f"padding_mode={mode}"] * (mode != "zeros")
        return ", ".join((f"{self.in_channels}, {self.out_channels}", *parts))


class Linear(Module):
    """A matrix product and a bias, (N, in_features) to (N, out_features).

    It runs as what it is, a 1x1 convolution of N images of a single pixel.

    Parameters
    ----------
    in_features, out_features : int
        Numbers in a row of x and of y.
    bias : bool, optional
        Whether each output adds a number of its own.
    rng : numpy.random.Generator or int, optional
        Draws the initial weights; an int seeds a new one.
    dtype : dtype, optional
        float32 or float64.

    >>> Linear(4, 2, rng=0)(np.zeros((3, 4), np.float32)).shape
    (3, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        in_features, out_features = (
            whole(in_features, "in_features", 1),
            whole(out_features, "out_features", 1),
        )
        self.in_features, self.out_features = in_features, out_features
        rng = np.random.default_rng(rng)
        self.weight = _uniform((out_features, in_features), in_features, rng, dtype)
        self.bias = _uniform((out_features,), in_features, rng, dtype) if bias else None

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._saved = _pixels(x, "Linear's x")
        b = self.bias.data if self.bias else None
        return conv2d(self._saved, _pixels(self.weight.data, "weight"), b)[:, :, 0, 0]

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        w = _pixels(self.weight.data, "weight")
        grads: Any = conv2d_backward(_pixels(grad_y, "grad_y"), self.saved(), w)
        self.weight.add(grads.grad_w[:, :, 0, 0])
        if self.bias:
            self.bias.add(grads.grad_b)
        return grads.grad_x[:, :, 0, 0]

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bool(self.bias)}"


def _pixels(x: np.ndarray, name: str) -> np.ndarray:
    if x.ndim != 2:
        raise ValueError(f"{name} must have two axes, got shape {x.shape}")
    return x[:, :, None, None]


class BatchNorm2d(Module):
    """Batch normalisation of (N, C, H, W): :func:`convkit.batch_norm` and its running statistics.

    `weight` (gamma) and `bias` (beta) are learned; `running_mean` and `running_var` are not: they are
    averages of the batches' statistics, read in evaluation only.

    Parameters
    ----------
    num_features : int
        Channels, C.
    eps : float, optional
        Added to the variance, inside the root.
    momentum : float or None, optional
        Weight of the newest batch in the running statistics; None weighs all batches alike.
    affine : bool, optional
        Whether there are gamma and beta.
    bias : bool, optional
        Whether there is beta.
    dtype : dtype, optional
        float32 or float64.

    >>> BatchNorm2d(1)(np.array([[[[2.0, 4.0]]]], np.float32)).round(3).tolist()
    [[[[-1.0, 1.0]]]]
    """

    buffers = "running_mean", "running_var", "num_batches_tracked"
    axes: tuple[int, ...] = (4,)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        num_features, dtype = whole(num_features, "num_features", 1), _float(dtype)
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine and bias else None
        self.running_mean, self.running_var = np.zeros(num_features, dtype), np.ones(num_features, dtype)
        self.num_batches_tracked = 0

    def forward(self, x: np.ndarray) -> np.ndarray:
        if x.ndim not in self.axes or x.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}'s x must have {' or '.join(map(str, self.axes))} axes, "
                f"the second of num_features = {self.num_features} channels, got shape {x.shape}"
            )
        self.num_batches_tracked += self.training
        y, mean, invstd = batch_norm_forward(
            x,
            self.running_mean,
            self.running_var,
            self.weight.data if self.weight else None,
            self.bias.data if self.bias else None,
            self.training,
            self.momentum,
            self.eps,
            num_batches_tracked=self.num_batches_tracked,
        )
        self._saved = x, mean, invstd, self.training
        return y

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        x, mean, invstd, training = self.saved()
        statistics: dict[str, Any] = (
            {"mean": mean, "invstd": invstd}
            if training
            else {"running_mean": self.running_mean, "running_var": self.running_var}
        )
        weight = self.weight.data if self.weight else None
        grads: Any = batch_norm_backward(grad_y, x, weight, **statistics, training=training, eps=self.eps)
        if self.weight:
            self.weight.add(grads.grad_weight)
        if self.bias:
            self.bias.add(grads.grad_bias)
        return grads.grad_x

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats=True"
        )


class BatchNorm1d(BatchNorm2d):
    """Batch normalisation of (N, C) or (N, C, L): :func:`convkit.batch_norm`.

    Parameters
    ----------
    num_features, eps, momentum, affine, bias, dtype
        As in :class:`BatchNorm2d`.

    >>> BatchNorm1d(1)(np.array([[1.0], [3.0]], np.float32)).round(3).tolist()
    [[-1.0], [1.0]]
    """

    axes = (2, 3)


# --- layers without ----------------------------------------------------------------------------


class ReLU(Module):
    """max(x, 0); its gradient is passed on where x was positive.

    Parameters
    ----------
    inplace : bool, optional
        False: x is never changed.

    >>> ReLU()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        _not_in_place(inplace)

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._saved = x > 0
        return np.maximum(x, 0)

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        return np.where(self.saved(), grad_y, grad_y.dtype.type(0))


def _not_in_place(inplace: bool) -> None:
    if inplace:
        raise ValueError(f"inplace must be False, got {inplace!r}: the layer before needs its output")


class AvgPool2d(Module):
    """Average pooling: :func:`convkit.avg_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        As in :func:`convkit.avg_pool2d`; without a `stride` windows stand side by side.

    >>> AvgPool2d(2)(np.arange(4.0).reshape(1, 1, 2, 2)).item()
    1.5
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            "kernel_size": option(kernel_size, "kernel_size"),
            "stride": option(kernel_size if stride is None else stride, "stride"),
            "padding": option(padding, "padding"),
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "divisor_override": divisor_override,
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._saved = x
        return avg_pool2d(x, **self.options)

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        return avg_pool2d_backward(grad_y, self.saved(), **self.options)

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={self.options[k]}" for k in ("kernel_size", "stride", "padding"))


class MaxPool2d(Module):
    """Max pooling: :func:`convkit.max_pool2d`.

    Parameters
    ----------
    kernel_size, stride, padding, dilation, ceil_mode
        As in :func:`convkit.max_pool2d`; without a `stride` windows stand side by side.

    >>> MaxPool2d(2)(np.arange(4.0).reshape(1, 1, 2, 2)).item()
    3.0
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            "kernel_size": option(kernel_size, "kernel_size"),
            "stride": option(kernel_size if stride is None else stride, "stride"),
            "padding": option(padding, "padding"),
            "dilation": option(dilation, "dilation"),
            "ceil_mode": ceil_mode,
        }

    def forward(self, x: np.ndarray) -> np.ndarray:
        y, indices = max_pool2d(x, **self.options, return_indices=True)
        self._saved = x, indices
        return y

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        x, indices = self.saved()
        return max_pool2d_backward(grad_y, x, **self.options, indices=indices)

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v}" for k, v in self.options.items())


class Dropout(Module):
    """Dropout of single elements: :func:`convkit.dropout` in training, the identity in evaluation.

    Parameters
    ----------
    p : float, optional
        The probability that an element is dropped.
    inplace : bool, optional
        False: x is never changed.
    rng : numpy.random.Generator or int, optional
        Draws a new seed at every forward pass, and so a new mask.

    >>> layer = Dropout(0.5, rng=0)
    >>> set(layer(np.ones(100)).tolist()) == {0.0, 2.0}, layer.eval()(np.ones(3)).tolist()
    (True, [1.0, 1.0, 1.0])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: Any = None) -> None:
        super().__init__()
        _not_in_place(inplace)
        fraction(p, "p")
        self.p, self.rng = p, np.random.default_rng(rng)

    def forward(self, x: np.ndarray) -> np.ndarray:
        seed = int(self.rng.integers(2**63)) if self.training else 0
        self._saved = seed, self.training
        return dropout(x, self.p, self.training, seed=seed)

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        seed, training = self.saved()
        return dropout_backward(grad_y, self.p, training, seed=seed)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"


class Flatten(Module):
    """(N, C, H, W) to (N, C*H*W): no arithmetic at all.

    Parameters
    ----------
    start_dim, end_dim : int, optional
        The axes that become one: 1 and -1, all but the first.

    >>> Flatten()(np.zeros((2, 3, 4, 5))).shape
    (2, 60)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        if (start_dim, end_dim) != (1, -1):
            raise ValueError(
                f"Flatten has start_dim=1 and end_dim=-1 only, got {start_dim!r} and {end_dim!r}"
            )

    def forward(self, x: np.ndarray) -> np.ndarray:
        self._saved = x.shape
        return x.reshape(*x.shape[:1], prod(x.shape[1:]))  # -1 cannot be told from an empty array

    def backward(self, grad_y: np.ndarray) -> np.ndarray:
        return grad_y.reshape(self.saved())

    def extra_repr(self) -> str:
        return "start_dim=1, end_dim=-1"
