"""Two losses, each with its gradient: what a network is trained to make small."""

from __future__ import annotations

import numpy as np

__all__ = ["cross_entropy", "mse_loss"]


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of -log softmax(logits)[label], and its gradient for the logits.

    Parameters
    ----------
    logits : numpy.ndarray
        Scores (N, classes).
    labels : numpy.ndarray
        The right class of each, ints (N,) in [0, classes).

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import cross_entropy
    >>> loss, grad = cross_entropy(np.array([[0.0, 0.0]]), np.array([1]))
    >>> round(loss, 4), grad                          # log 2; softmax minus one-hot
    (0.6931, array([[ 0.5, -0.5]]))
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"logits must be (N, classes) and labels N ints, "
            f"got {logits.shape} and {labels.dtype} {labels.shape}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
        raise ValueError(f"labels must be in [0, {logits.shape[1]}), got {labels.min()} to {labels.max()}")
    if not labels.size:
        raise ValueError(f"logits must not be empty: there is no mean of nothing, got {logits.shape}")
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)  # changes nothing but the overflow
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=1, keepdims=True)
    loss = float(np.mean(np.log(sums[:, 0]) - shifted[rows, labels], dtype=np.float64))
    grad = exponentials / sums
    grad[rows, labels] -= 1
    return loss, grad / grad.dtype.type(len(labels))


def mse_loss(y: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of (y - target)**2, and its gradient for y; of whole numbers, both in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.layers import mse_loss
    >>> mse_loss(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    (2.0, array([0., 2.]))
    """
    y, target = np.asarray(y), np.asarray(target)
    if y.shape != target.shape:
        raise ValueError(f"y and target must have one shape, got {y.shape} and {target.shape}")
    if not y.size:
        raise ValueError(f"y must not be empty: there is no mean of nothing, got {y.shape}")
    difference = (y if y.dtype.kind == "f" else y.astype(np.float64)) - target
    return float(np.mean(difference**2, dtype=np.float64)), difference * difference.dtype.type(2 / y.size)
