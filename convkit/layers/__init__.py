"""A handful of layers, enough to train a small convolutional network with convkit's kernels alone.

Names, initial weights, printed forms and state dicts are PyTorch's, so that a network reads the same in
both. Arguments stand where PyTorch has them as far as the two lists agree; those beyond are given by name.
There is no automatic differentiation: every layer has a ``backward``, which says what the chain rule makes
of the gradient that it is given::

    from convkit.layers import SGD, AvgPool2d, BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
    from convkit.layers import cross_entropy

    net = Sequential(
        Conv2d(1, 8, 3, padding=1), BatchNorm2d(8), ReLU(), AvgPool2d(2), Flatten(), Linear(8 * 4 * 4, 10)
    )
    optimizer = SGD(net.parameters(), lr=0.1, momentum=0.9)

    loss, grad = cross_entropy(net(images), labels)
    net.zero_grad()
    net.backward(grad)
    optimizer.step()
"""

from .layers import AvgPool2d, BatchNorm1d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from .losses import cross_entropy, mse_loss
from .module import Hook, Module, Parameter, RemovableHook, Sequential
from .optimizers import SGD, Adam, Optimizer, RMSprop, weighted_average

__all__ = [
    "SGD",
    "Adam",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Hook",
    "Linear",
    "MaxPool2d",
    "Module",
    "Optimizer",
    "Parameter",
    "RMSprop",
    "ReLU",
    "RemovableHook",
    "Sequential",
    "cross_entropy",
    "mse_loss",
    "weighted_average",
]
