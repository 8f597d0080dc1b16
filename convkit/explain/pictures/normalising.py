"""What batch normalisation does to a channel, and how its running averages follow the batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ...normalization import batch_norm, batch_norm_forward
from ..ledger import given
from ..style import dress
from .charts import histogram, lines

__all__ = ["before_after", "running_averages"]


def before_after(x: np.ndarray, weight: np.ndarray | None = None, bias: np.ndarray | None = None) -> Figure:
    """Draw the histograms of up to four channels before and after a batch norm in training.

    Parameters
    ----------
    x : ndarray, shape (N, C) or (N, C, ...)
        The input, with C of at most four channels.
    weight, bias : ndarray, shape (C,), optional
        Gamma and beta: afterwards each channel's standard deviation is abs(gamma), its mean is beta.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> x = np.random.default_rng(0).normal([0, 50], [1, 9], size=(500, 2))
    >>> [ax.get_title() for ax in pictures.before_after(x).axes]
    ['before', 'after']
    """
    x, weight, bias = given(x=x, weight=weight, bias=bias)
    if x.ndim < 2:
        raise ValueError(f"x must have shape (N, C) or (N, C, ...), got {x.shape}")
    C = x.shape[1]
    if C > 4:
        raise ValueError(f"x must have at most four channels to be told apart, got {C}")
    y = batch_norm_forward(x, weight=weight, bias=bias).y
    figure = Figure(figsize=(8.2, 2.9), layout="constrained")
    for ax, title, values in zip(figure.subplots(1, 2), ("before", "after"), (x, y), strict=True):
        groups = {f"channel {c}": np.ravel(values[:, c]) for c in range(C)}
        histogram(groups, ax, outside=0.001, xlabel="value")
        ax.get_legend().remove()
        ax.set_title(title)
        dress(ax)
    figure.axes[0].legend(frameon=False, loc="upper right")
    dress(figure.axes[0])
    return figure


def running_averages(batches: Sequence[np.ndarray], momentum: float | None = 0.1) -> Figure:
    """Draw each batch's mean and variance, and the running averages that evaluation will use.

    Parameters
    ----------
    batches : sequence of ndarray, each of shape (N, 1) or (N, 1, ...)
        Batches of a single channel, in the order in which training sees them.
    momentum : float or None, optional
        As in :func:`convkit.batch_norm`: the weight of the newest batch.

    Raises
    ------
    ValueError
        If there are no batches, or one has more channels than one.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> rng = np.random.default_rng(0)
    >>> figure = pictures.running_averages([rng.normal(5, 2, (16, 1)) for _ in range(40)])
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['mean', 'variance']
    """
    mean, var = np.zeros(1), np.ones(1)
    running, seen = [(mean[0], var[0])], []
    for number, batch in enumerate(batches, 1):
        batch = np.asarray(batch, dtype=np.float64)
        if batch.ndim < 2 or batch.shape[1] != 1:
            raise ValueError(
                f"batches must have one channel, so shape (N, 1) or (N, 1, ...), got {batch.shape}"
            )
        batch_norm(batch, mean, var, training=True, momentum=momentum, num_batches_tracked=number)
        running.append((mean[0], var[0]))
        seen.append((batch.mean(), batch.var(ddof=1)))
    if not seen:
        raise ValueError("batches must not be empty")
    figure = Figure(figsize=(8.2, 2.9), layout="constrained")
    for ax, name, averages, dots in zip(
        figure.subplots(1, 2), ("mean", "variance"), np.transpose(running), np.transpose(seen), strict=True
    ):
        lines(
            {f"running {name}": averages},
            ax,
            dots=dots,
            dots_name=f"{name} of a batch",
            xlabel="batches seen",
            ylabel=name,
        )
    return figure
