"""The same network with and without BatchNorm: at rising learning rates, and where outputs have a range.

    python examples/batchnorm.py

**Bumpy and smooth.** Two networks start from the same weights and see the same batches; one has a
BatchNorm after each convolution. At a small learning rate both learn. As the rate rises, the plain one's
loss begins to jump, and then it is lost, while the normalised one goes on. (A batch norm's output does not
change when all weights before it are scaled, so long steps there cannot blow up what follows; Santurkar et
al. 2018 find the loss to be a smoother function of the weights.)

**Between 1 and 5.** A network is to predict ratings whose mean is 3, and what it starts with is near 0. All
of its weights have a part in moving its output there, unless it ends in a batch norm: then beta **is** the
mean of the outputs of a batch and abs(gamma) their standard deviation, two numbers that can be learned, or
written down.

Needs scikit-learn for the digits: ``pip install 'convkit[examples]'``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from training import Digits, batches, digits, progress_bar, train

from convkit.explain.style import FONT_SIZE, INK, LINES, dress, new_axes
from convkit.layers import (
    SGD,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    mse_loss,
)

RATES, EPOCHS, BATCH = (0.01, 0.1, 0.3, 1.0), 8, 32
RATING_RATE = 0.02


def network(normalised: bool, outputs: int, seed: int) -> Sequential:
    """Return four convolutions and a linear layer; a seed gives the same weights, normalised or not.

    The convolutions' weights are scaled to He et al.'s (2015) variance, 2 / fan_in, without which the plain
    network would hardly learn at any rate, and the comparison would be too easy.
    """
    rng = np.random.default_rng(seed)
    layers: list[Module] = []
    for before, after in ((1, 16), (16, 16), (16, 16), (16, 16)):
        conv = Conv2d(before, after, 3, padding=1, rng=rng)
        conv.weight.data *= np.float32(6**0.5)  # uniform within 1/sqrt(fan_in) has variance 1/(3 fan_in)
        layers.append(conv)
        layers += [BatchNorm2d(after)] if normalised else []
        layers.append(ReLU())
    return Sequential(*layers, AvgPool2d(4), Flatten(), Linear(64, outputs, rng=rng))


def race(data: Digits, rates: tuple[float, ...], epochs: int, seed: int) -> dict[bool, list[np.ndarray]]:
    """Train both networks at every rate; return the losses, without BatchNorm (False) and with it."""
    curves: dict[bool, list[np.ndarray]] = {False: [], True: []}
    steps = len(data.x) // BATCH * epochs
    with progress_bar() as bar, np.errstate(over="ignore", invalid="ignore"):  # a lost network overflows
        task = bar.add_task("rising rates", total=2 * len(rates) * steps, note="")
        for rate in rates:
            for normalised, of in curves.items():
                net = network(normalised, 10, seed)
                order = batches(len(data.x), BATCH, epochs, np.random.default_rng(seed))
                losses = []
                for loss in train(net, SGD(net.parameters(), rate), data.x, data.labels, order):
                    losses.append(loss)
                    bar.update(task, advance=1, note=f"rate {rate:g} {'with' if normalised else 'without'}")
                of.append(np.array(losses))
    return curves


def bumps(losses: np.ndarray) -> float:
    """Return the mean of abs(loss - the loss before) over the second half: how bumpy a curve ends."""
    half = losses[len(losses) // 2 :]
    return float(np.abs(np.diff(half)).mean())


def draw_race(curves: dict[bool, list[np.ndarray]], rates: tuple[float, ...]) -> Figure:
    """Draw the losses side by side: a column a rate, the plain network above, the normalised one below."""
    figure = Figure(figsize=(2.3 * len(rates) + 0.6, 4.2), layout="constrained")
    grid = figure.subplots(2, len(rates), sharex=True, sharey=True, squeeze=False)
    for row, (normalised, of) in enumerate(curves.items()):
        for ax, rate, losses in zip(grid[row], rates, of, strict=True):
            shown = np.where(np.isfinite(losses), losses, np.nan)
            ax.plot(shown, color=LINES[0] if normalised else LINES[1], linewidth=0.8)
            lost = np.flatnonzero(~np.isfinite(losses))
            if lost.size:
                ax.axvline(lost[0], color=INK, linewidth=0.8, linestyle=":")
                ax.text(lost[0] + 2, 3.4, "overflow", color=INK, fontsize=FONT_SIZE)
            dress(ax)
            if row == 0:
                ax.set_title(f"learning rate {rate:g}", fontsize=FONT_SIZE + 0.5, color=INK)
        grid[row, 0].set_ylabel(f"{'with' if normalised else 'without'} BatchNorm\ncross-entropy")
    grid[0, 0].set_ylim(0, 4)
    for ax in grid[1]:
        ax.set_xlabel("step")
    return figure


def ratings(data: Digits) -> np.ndarray:
    """Return a rating from 1 to 5 for each digit, (N, 1): 0 gets 1, 9 gets 5."""
    return (1 + data.labels[:, None] * (4 / 9)).astype(np.float32)


def heads(seed: int) -> dict[str, Sequential]:
    """Return three networks of one output: plain; ending in a batch norm; with that one's numbers given."""
    plain, learned, written = (network(True, 1, seed) for _ in range(3))
    for net in learned, written:
        net.layers.append(BatchNorm1d(1))
    gamma, beta = written[len(written) - 1].parameters()
    beta.data[...] = 3  # the middle of 1..5
    gamma.data[...] = 4 / 12**0.5  # the standard deviation of numbers that are spread evenly over 1..5
    return {"plain": plain, "gamma and beta learned": learned, "gamma and beta given": written}


def rate_digits(data: Digits, epochs: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Train the three to predict ratings; return each one's first outputs and its losses."""
    nets, targets = heads(seed), ratings(data)
    steps = len(data.x) // BATCH * epochs
    results = {}
    with progress_bar() as bar:
        task = bar.add_task("ratings", total=len(nets) * steps, note="")
        for name, net in nets.items():
            first = net.train()(data.x)
            order = batches(len(data.x), BATCH, epochs, np.random.default_rng(seed))
            losses = []
            for loss in train(net, SGD(net.parameters(), RATING_RATE), data.x, targets, order, mse_loss):
                losses.append(loss)
                bar.update(task, advance=1, note=name)
            results[name] = first, np.array(losses)
    return results


def draw_ratings(results: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw the losses of the networks whose outputs must lie between 1 and 5."""
    ax = new_axes(5.6, 2.9)
    for (name, (_, losses)), colour in zip(results.items(), LINES[1::-1] + LINES[2:], strict=False):
        ax.plot(losses, color=colour, linewidth=1, label=name)
    ax.set(xlabel="step", ylabel="mean squared error", yscale="log")
    ax.legend()
    return dress(ax).figure


def main(argv: list[str] | None = None) -> None:
    """Run both experiments, print what they show, and write the pictures."""
    parser = argparse.ArgumentParser(description="The same network with and without BatchNorm.")
    parser.add_argument(
        "--epochs", type=int, default=EPOCHS, help="times through the data (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args(argv)
    if options.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {options.epochs}")

    data = digits()
    curves = race(data, RATES, options.epochs, options.seed)
    print("rate    loss at the end (mean jump from batch to batch)")
    for i, rate in enumerate(RATES):
        ends = [f"{np.mean(of[i][-20:]):7.3f} ({bumps(of[i]):.3f})" for of in curves.values()]
        print(f"{rate:<7g} without {ends[0]}   with {ends[1]}")
    results = rate_digits(data, options.epochs, options.seed)
    print("\nratings from 1 to 5: before the first step, and the error after the last")
    for name, (first, losses) in results.items():
        print(f"{name:28} mean {first.mean():6.3f}  sd {first.std():5.3f}  error {np.mean(losses[-20:]):.3f}")

    options.out.mkdir(parents=True, exist_ok=True)
    for name, figure in {
        "batchnorm-rates.png": draw_race(curves, RATES),
        "batchnorm-ratings.png": draw_ratings(results),
    }.items():
        figure.savefig(options.out / name, dpi=150)
        print(f"wrote {options.out / name}")


if __name__ == "__main__":
    main()
