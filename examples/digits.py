"""Train a small network on handwritten digits, then ask it where it looked.

    python examples/digits.py

The network is convolution, BatchNorm, ReLU, average pooling and dropout, all of it by convkit's kernels,
and it is trained in seconds. Then a **hook** on the last ReLU catches its feature maps, and the maps,
weighted as the last layer weighs their means for a class, become a heatmap: a *class-activation map*
(Zhou et al. 2016). Its mean, plus the class's bias, is the class's score; the script checks that it is.

Needs scikit-learn for the digits: ``pip install 'convkit[examples]'``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from training import Digits, accuracy, batches, digits, progress_bar, train

from convkit.explain.pictures import signed
from convkit.explain.style import DIVERGING, FONT_SIZE, INK, LINES, bare, dress, new_axes
from convkit.layers import SGD, AvgPool2d, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Sequential

EPOCHS, BATCH, RATE, MOMENTUM = 15, 32, 0.1, 0.9


def network(rng: np.random.Generator) -> Sequential:
    """Return an untrained network from images (N, 1, 8, 8) to ten scores."""

    def block(before: int, after: int) -> list:
        # no bias: the batch norm that follows would subtract it again
        return [Conv2d(before, after, 3, padding=1, bias=False, rng=rng), BatchNorm2d(after), ReLU()]

    return Sequential(
        *block(1, 16),
        *block(16, 32),
        *block(32, 32),
        AvgPool2d(8),
        Flatten(),
        Dropout(0.25, rng=rng),
        Linear(32, 10, rng=rng),
    )


def fit(net: Sequential, data: Digits, epochs: int, rng: np.random.Generator) -> list[float]:
    """Train with momentum and a rate that falls to zero in a straight line; return the losses."""
    optimizer = SGD(net.parameters(), RATE, MOMENTUM)
    steps = len(data.x) // BATCH * epochs
    losses: list[float] = []
    with progress_bar() as bar:
        task = bar.add_task("training", total=steps, note="")
        for loss in train(net, optimizer, data.x, data.labels, batches(len(data.x), BATCH, epochs, rng)):
            losses.append(loss)
            optimizer.lr = RATE * (1 - len(losses) / steps)
            bar.update(task, advance=1, note=f"loss {loss:.3f}")
    return losses


def class_activation_maps(net: Sequential, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each image's maps (N, 10, 8, 8), one a class, and the scores that they add up to."""
    caught: list[np.ndarray] = []
    last_relu = net[8]
    with last_relu.register_forward_hook(lambda layer, x, y: caught.append(y)):
        scores = net.eval()(images)
    (maps,) = caught
    head = net[len(net) - 1]
    cams = np.einsum("kc,nchw->nkhw", head.weight.data.astype(np.float64), maps.astype(np.float64))
    from_maps = cams.mean(axis=(2, 3)) + head.bias.data
    if not np.allclose(from_maps, scores, rtol=1e-4, atol=1e-4):
        raise AssertionError("a class-activation map does not average to its score")
    return cams, scores


def draw_losses(losses: list[float]) -> Figure:
    """Draw the loss of each batch, and its exponentially weighted average."""
    ax = new_axes(5.6, 2.8)
    smooth = np.empty(len(losses))
    average = losses[0]
    for step, loss in enumerate(losses):
        average += 0.05 * (loss - average)
        smooth[step] = average
    ax.plot(losses, color=INK, linewidth=0.5, alpha=0.6, label="each batch")
    ax.plot(smooth, color=LINES[0], linewidth=1.6, label="weighted average, 5 % new")
    ax.set(xlabel="step", ylabel="cross-entropy", yscale="log")
    ax.legend()
    return dress(ax).figure


def draw_heatmaps(images: np.ndarray, labels: np.ndarray, cams: np.ndarray, scores: np.ndarray) -> Figure:
    """Draw digits, and the maps of the class that won and of the runner-up; a frame marks what is missed."""
    n = len(images)
    figure = Figure(figsize=(0.95 * n + 0.9, 3.5), layout="constrained")
    grid = figure.subplots(3, n)
    order = np.argsort(-scores, axis=1)
    limit = np.abs(cams).max()
    for i in range(n):
        first, second = order[i, :2]
        grid[0, i].imshow(images[i, 0], cmap="gray")
        grid[1, i].imshow(signed(cams[i, first], limit))
        grid[2, i].imshow(signed(cams[i, second], limit))
        titles = f"a {labels[i]}", f"{first}: {scores[i, first]:.1f}", f"{second}: {scores[i, second]:.1f}"
        missed = first != labels[i]
        for ax, title in zip(grid[:, i], titles, strict=True):
            bare(ax)
            ax.set_title(title, fontsize=FONT_SIZE, color=INK)
        if missed:
            grid[0, i].set_title(f"{titles[0]}, missed", fontsize=FONT_SIZE, color=LINES[1], weight="bold")
            for spine in grid[1, i].spines.values():
                spine.set(visible=True, color=LINES[1], linewidth=2)
    for ax, label in zip(grid[:, 0], ("image", "winner", "second"), strict=True):
        ax.set_ylabel(label, fontsize=FONT_SIZE, color=INK)
    colours = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    bar = figure.colorbar(colours, ax=grid[1:, :], shrink=0.7, aspect=12, label="mean + bias = score")
    bar.outline.set_visible(False)
    dress(bar.ax, frame="")
    return figure


def interesting(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the numbers of five sure examples, and of the five where first and second are closest."""
    ordered = np.sort(scores, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    sure = [max(np.flatnonzero(labels == digit), key=lambda i: margin[i]) for digit in (0, 2, 3, 6, 8)]
    return np.array([*sure, *np.argsort(margin)[:5]])


def main(argv: list[str] | None = None) -> float:
    """Train, draw, and return the accuracy on held-out digits."""
    parser = argparse.ArgumentParser(description="Train a small network on digits and draw where it looked.")
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help="times through the data (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights, batches and dropout (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")

    data, rng = digits(), np.random.default_rng(options.seed)
    net = network(rng)
    losses = fit(net, data, options.epochs, rng)
    right = accuracy(net, data.held_out_x, data.held_out_labels)
    print(f"{sum(p.data.size for p in net.parameters()):,} weights, {len(losses):,} steps")
    print(f"held-out digits: {right:.2%} of {len(data.held_out_labels)} right")

    cams, scores = class_activation_maps(net, data.held_out_x)
    chosen = interesting(scores, data.held_out_labels)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = {
        "digits-loss.png": draw_losses(losses),
        "digits-heatmaps.png": draw_heatmaps(
            data.held_out_x[chosen], data.held_out_labels[chosen], cams[chosen], scores[chosen]
        ),
    }
    for name, figure in pictures.items():
        figure.savefig(options.out / name, dpi=150)
        print(f"wrote {options.out / name}")
    return right


if __name__ == "__main__":
    main()
