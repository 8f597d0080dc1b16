"""Three optimizers: what to do with a gradient. All of them are averages.

An **exponentially weighted average** forgets: each new value gets a fixed weight, and what was there keeps
the rest, so that a value which came k steps ago still counts ``weight * (1 - weight)**k``. One line, twice
in deep learning:

- BatchNorm averages the statistics of batches so, for use in evaluation. Its `momentum` is the weight of
  the **new** value (0.1: a window of about ten batches).
- Optimizers average gradients (momentum), their squares (RMSprop), or both (Adam). Their `momentum`,
  `alpha` and `betas` are what the **old** average keeps (0.9: the same window).

So 0.1 in one and 0.9 in the other are the same average, and "momentum" means opposite things.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..arrays import number
from .module import Parameter

__all__ = ["SGD", "Adam", "Optimizer", "RMSprop", "weighted_average"]


def weighted_average(average: np.ndarray, new: np.ndarray, weight: float) -> None:
    """Move `average` towards `new` by the share `weight` of the way, in place.

    Notes
    -----
    ``average = (1 - weight) * average + weight * new``: with `weight` = momentum it is what batch norm does
    to its running mean, with `weight` = 1 - momentum what an optimizer does to its average gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import weighted_average
    >>> average = np.zeros(1)
    >>> for new in 1.0, 1.0, 1.0:
    ...     weighted_average(average, np.array([new]), 0.1)
    >>> average.round(3)                      # 1 - 0.9**3: an average that starts at 0 lags
    array([0.271])
    """
    average += average.dtype.type(weight) * (new - average)


class Optimizer:
    """What the three share: parameters, a learning rate, and the gradients that are there.

    Parameters
    ----------
    parameters : iterable of Parameter
        What to change, ``net.parameters()``.
    lr : float
        Learning rate: the length of a step. It may be changed at any time.

    Raises
    ------
    TypeError
        If something else stands where parameters or numbers are meant.
    ValueError
        If there are no parameters, or a number is out of its range.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        self.parameters = list(parameters) if isinstance(parameters, Iterable) else [parameters]
        self.lr = _at_least_0(lr, "lr")
        if not self.parameters:
            raise ValueError("parameters must not be empty")
        for p in self.parameters:
            if not isinstance(p, Parameter):
                raise TypeError(f"parameters must be what net.parameters() yields, got {type(p).__name__}")
        self.steps = 0

    def _averages(self) -> list[np.ndarray]:
        return [np.zeros_like(p.data) for p in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters:
            p.grad = None

    def step(self) -> None:
        """Change each parameter that has a gradient, in place."""
        self.steps += 1
        for i, p in enumerate(self.parameters):
            if p.grad is not None:
                p.data -= self.change(i, p.grad).astype(p.data.dtype, copy=False)

    options: tuple[str, ...] = ()  # what is set besides lr

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)}" for name in ("lr", *self.options))
        numbers = sum(p.data.size for p in self.parameters)
        return f"{type(self).__name__}({options}), numbers: {numbers:,}, steps: {self.steps:,}"

    def change(self, number: int, grad: np.ndarray) -> np.ndarray:
        """Return what to subtract from the parameter of that number."""
        raise NotImplementedError(f"{type(self).__name__} has no change")


class SGD(Optimizer):
    """Gradient descent, along the average of the gradients if there is momentum.

    Parameters
    ----------
    parameters, lr
        See :class:`Optimizer`.
    momentum : float, optional
        What the average keeps of itself at a step, in [0, 1): a share of the last **step**, not of the
        last weight.

    Notes
    -----
    As in PyTorch, the step is ``lr`` times the *sum* ``v = momentum * v + grad``, which is the average
    divided by ``1 - momentum``: with momentum 0.9 steps are up to ten times as long as without.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import Parameter
    >>> from convkit.layers import SGD
    >>> w = Parameter(np.array([1.0]))
    >>> sgd = SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     w.grad = np.array([1.0])
    ...     sgd.step()
    >>> w.data.round(6)                       # 1 - 0.1 * 1 - 0.1 * 1.9
    array([0.71])
    >>> sgd
    SGD(lr=0.1, momentum=0.9), numbers: 1, steps: 2
    """

    options = ("momentum",)

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.momentum = _share(momentum, "momentum")
        self.average = self._averages()

    def change(self, number: int, grad: np.ndarray) -> np.ndarray:
        """Return lr * v, where v is the average gradient over 1 - momentum."""
        new = 1 - self.momentum
        weighted_average(self.average[number], grad, new)
        return self.lr / new * self.average[number]


class RMSprop(Optimizer):
    """Steps in units of the gradient's usual size: its root mean square, averaged over recent steps.

    Parameters
    ----------
    parameters, lr
        See :class:`Optimizer`.
    alpha : float, optional
        What the average of squares keeps of itself, in [0, 1).
    eps : float, optional
        Added to the root (outside of it, unlike batch norm's).

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import RMSprop, Parameter
    >>> w = Parameter(np.array([1.0, 1.0]))
    >>> optimizer = RMSprop([w], lr=0.1)
    >>> w.grad = np.array([1.0, 100.0])        # the first step is as long for both
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0., 0.])
    """

    options = ("alpha", "eps")

    def __init__(
        self, parameters: Iterable[Parameter], lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha, self.eps = _share(alpha, "alpha"), _at_least_0(eps, "eps")
        self.square = self._averages()

    def change(self, number: int, grad: np.ndarray) -> np.ndarray:
        """Return lr * grad / (root of the average square + eps)."""
        weighted_average(self.square[number], grad * grad, 1 - self.alpha)
        return self.lr * grad / (np.sqrt(self.square[number]) + self.eps)


class Adam(Optimizer):
    """Both: the average gradient, in units of its root mean square.

    Parameters
    ----------
    parameters, lr
        See :class:`Optimizer`.
    betas : (float, float), optional
        What the average gradient and the average square keep of themselves, each in [0, 1).
    eps : float, optional
        Added to the root.

    Notes
    -----
    Averages that start at zero are too small at first, after t steps by the factor ``1 - beta**t``; Adam
    divides by it. (BatchNorm's running statistics start at 0 and 1 and are not corrected.)

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import Adam, Parameter
    >>> w = Parameter(np.array([1.0, 1.0]))
    >>> optimizer = Adam([w], lr=0.1)
    >>> w.grad = np.array([1.0, 100.0])        # the first step is as long for both
    >>> optimizer.step()
    >>> w.data.round(6)
    array([0.9, 0.9])
    """

    options = ("betas", "eps")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr)
        if np.shape(betas) != (2,):
            raise ValueError(f"betas must be two numbers, got {betas}")
        self.betas, self.eps = tuple(_share(b, "betas") for b in betas), _at_least_0(eps, "eps")
        self.average, self.square = self._averages(), self._averages()

    def change(self, number: int, grad: np.ndarray) -> np.ndarray:
        """Return lr * (average / correction) / (root of (square / correction) + eps)."""
        average, square = self.average[number], self.square[number]
        keep, keep_square = self.betas
        weighted_average(average, grad, 1 - keep)
        weighted_average(square, grad * grad, 1 - keep_square)
        mean = average / (1 - keep**self.steps)
        return self.lr * mean / (np.sqrt(square / (1 - keep_square**self.steps)) + self.eps)


def _share(value: float, name: str) -> float:
    if not 0 <= number(value, name) < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")
    return value


def _at_least_0(value: float, name: str) -> float:
    if not number(value, name) >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value
