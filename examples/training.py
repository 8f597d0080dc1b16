"""What both experiments share: the data, a loop of training steps, and a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_digits

from convkit.layers import Module, Optimizer, cross_entropy

__all__ = ["Digits", "accuracy", "batches", "digits", "progress_bar", "train"]

Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


class Digits(NamedTuple):
    """Images (N, 1, 8, 8), centred, and labels (N,), for training and held out."""

    x: np.ndarray
    labels: np.ndarray
    held_out_x: np.ndarray
    held_out_labels: np.ndarray


def digits(seed: int = 0) -> Digits:
    """Return scikit-learn's 1,797 handwritten digits, a quarter of them held out."""
    data = load_digits()
    x = (data.images[:, None] / 8 - 1).astype(np.float32)  # grey 0 to 16 becomes -1 to 1
    order = np.random.default_rng(seed).permutation(len(x))
    held_out, rest = np.split(order, [len(x) // 4])
    return Digits(x[rest], data.target[rest], x[held_out], data.target[held_out])


def batches(n: int, size: int, epochs: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers of the examples of each batch, in a new order every epoch; the rest is left out.

    A rest of a few examples would give a batch norm statistics that are mostly noise.
    """
    for _ in range(epochs):
        yield from rng.permutation(n)[: n // size * size].reshape(-1, size)


def train(
    net: Module,
    optimizer: Optimizer,
    x: np.ndarray,
    targets: np.ndarray,
    steps: Iterator[np.ndarray],
    loss: Loss = cross_entropy,
) -> Iterator[float]:
    """Train for one step a batch, and yield the loss of each batch as it was before its step."""
    net.train()
    for batch in steps:
        value, grad = loss(net(x[batch]), targets[batch])
        net.zero_grad()
        net.backward(grad)
        optimizer.step()
        yield value


def accuracy(net: Module, x: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images whose highest score is that of their label."""
    return float((net.eval()(x).argmax(axis=1) == labels).mean())


def progress_bar() -> Progress:
    """Return a bar for the terminal, with what was said last beside it."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, TextColumn("{task.fields[note]}"))
