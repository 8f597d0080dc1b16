"""Section: BatchNorm, before and after, and its running statistics."""

from __future__ import annotations

import numpy as np

import convkit

from ...explain import pictures
from ..page import Section, drawing
from ..photo import Photo
from .filters import BANK, bank

SHOWN = ("edge E", "bright dot", "green")
EPS = 1e-5
MOMENTA = {
    "momentum 0.01": 0.01,
    "momentum 0.1 (PyTorch’s)": 0.1,
    "momentum 0.5": 0.5,
    "None: plain average": None,
}
BATCHES, BATCH = 60, 8  # batches that the running mean follows, and crops in each
OFFSETS = np.array([0.0, 120.0, -75.0], dtype=np.float32)  # as biases would move the channels apart


def batchnorm(it: Photo) -> Section:
    """Normalise three feature maps of the photograph, then follow the running mean over batches."""
    s = Section("batchnorm", "Batch normalisation")
    s.text(
        "BatchNorm looks at one channel at a time, over the whole batch and all pixels. It subtracts the mean, divides by the "
        "standard deviation, and then scales and shifts by two numbers that are <b>learned</b>, γ (<code>weight</code>) and β "
        "(<code>bias</code>). Mean and variance are not learned: they are computed."
    )
    s.formula("y = (x − mean) / √(var + eps) · γ + β")
    x = it.x
    if x[0].size < 2:
        s.note(
            "Training needs more than one value a channel, and this image has one pixel: its variance would be 0 / 0. What "
            "follows uses a batch of four copies of it, each a little brighter."
        )
        batch = np.stack([x + step for step in np.arange(4, dtype=np.float32)])
    else:
        batch = x[None]
    which = [BANK.index(name) for name in SHOWN]
    maps = convkit.conv2d(batch, bank()[which], OFFSETS, padding=1, padding_mode="replicate")
    y, mean, invstd = convkit.batch_norm_forward(maps, training=True, eps=EPS)
    _distributions(s, maps, y, mean, invstd)
    _learned(s, maps, mean, invstd, y)
    _running(s, it)
    _stability(s)
    s.code(
        "maps = convkit.conv2d(np.stack([x, x + 1]), np.ones((4, 3, 1, 1), dtype=np.float32))   # a batch of two\n"
        "mean, var = np.zeros(4, np.float32), np.ones(4, np.float32)\n"
        "y = convkit.batch_norm(maps, mean, var, training=True)      # also moves mean and var a tenth of the way\n"
        "y = convkit.batch_norm(maps, mean, var)                     # evaluation: uses them"
    )
    return s


def _distributions(s: Section, maps: np.ndarray, y: np.ndarray, mean: np.ndarray, invstd: np.ndarray) -> None:
    before = {name: maps[:, c] for c, name in enumerate(SHOWN)}
    after = {name: y[:, c] for c, name in enumerate(SHOWN)}
    s.figures(
        drawing(
            pictures.histogram(before, xlabel="value"),
            "<b>Before</b>: three feature maps of the photograph, with centres and widths of their own. (The outermost 1 % on "
            "either side is not shown.)",
            "Three histograms that differ in centre and width",
        ),
        drawing(
            pictures.histogram(after, xlabel="value"),
            "<b>After</b>: all centred at 0, with width 1. The <i>shapes</i> are as before: BatchNorm makes nothing Gaussian.",
            "Three histograms with the same centre and width",
        ),
        least=340,
    )
    rows = []
    for c, name in enumerate(SHOWN):
        x, z = before[name].astype(np.float64), after[name].astype(np.float64)
        rows.append((name, *(_round(v) for v in (x.mean(), x.std(), z.mean(), z.std()))))
        expected = x.var() / (x.var() + EPS)
        s.check(
            f"Channel “{name}” has mean 0 and variance var / (var + eps) afterwards.",
            [z.mean(), z.var()],
            [0, expected],
            bound=_tolerance(x, invstd[c]),
        )
    s.table(("channel", "mean before", "sd before", "mean after", "sd after"), rows)
    if flat := [name for name in SHOWN if before[name].var(dtype=np.float64) < 1000 * EPS]:
        s.note(
            f"This photograph is so flat that {', '.join(flat)} hardly varies: var is not large beside eps, so the "
            "width afterwards is less than 1, and a channel that does not vary at all stays at exactly β."
        )


def _tolerance(before: np.ndarray, invstd: float) -> float:
    """Rounding of float32 inputs and outputs, seen at the scale of the output."""
    eps32 = float(np.finfo(np.float32).eps)
    return 4 * eps32 * (1 + float(np.abs(before).max()) * float(invstd))


def _learned(s: Section, maps: np.ndarray, mean: np.ndarray, invstd: np.ndarray, y: np.ndarray) -> None:
    """What gamma and beta do, and what eps is for."""
    C = maps.shape[1]
    gamma, beta = np.full(C, -2.0, dtype=np.float32), np.full(C, 3.0, dtype=np.float32)
    scaled = convkit.batch_norm(maps, None, None, gamma, beta, training=True, eps=EPS)
    s.check(
        "γ = −2 and β = 3 make the mean 3 and double the standard deviation: β sets the mean, |γ| the width.",
        np.concatenate([scaled.mean((0, 2, 3), dtype=np.float64), scaled.std((0, 2, 3), dtype=np.float64)]),
        np.concatenate([np.full(C, 3.0), 2 * y.std((0, 2, 3), dtype=np.float64)]),
        bound=max(_tolerance(maps[:, c], invstd[c]) for c in range(C)) * 2,
    )
    undone = convkit.batch_norm(
        maps, None, None, (1 / invstd).astype(np.float32), mean.astype(np.float32), training=True, eps=EPS
    )
    largest = float(np.abs(maps).max())
    s.check(
        "To get the input back takes both: γ = √(var + eps) <b>and</b> β = mean.",
        undone,
        maps,
        bound=8 * float(np.finfo(np.float32).eps) * largest,
    )
    flat = np.full((2, 1, 4, 4), 7.0, dtype=np.float32)
    s.check(
        "A constant channel becomes exactly 0: eps is <b>added</b>, inside the root. With “var − eps” there would be a root "
        "of a negative number.",
        convkit.batch_norm(flat, None, None, training=True),
        np.zeros_like(flat),
    )


def _running(s: Section, it: Photo) -> None:
    """The running mean over batches of random crops."""
    (H, W), rng = it.shape, np.random.default_rng(5)
    h, w = min(32, H), min(32, W)
    curves = {name: np.zeros(BATCHES + 1) for name in MOMENTA}
    statistics = {name: (np.zeros(3, np.float32), np.ones(3, np.float32)) for name in MOMENTA}
    batch_means, outputs, closed = np.zeros(BATCHES), {}, np.zeros(BATCHES + 1)
    crops = it.x[None]
    for t in range(BATCHES):
        corners = zip(rng.integers(0, H - h + 1, BATCH), rng.integers(0, W - w + 1, BATCH), strict=True)
        crops = np.stack([it.x[:, i : i + h, j : j + w] for i, j in corners])
        batch_means[t] = crops[:, 0].mean(dtype=np.float64)
        closed[t + 1] = 0.9 * closed[t] + 0.1 * batch_means[t]
        for name, momentum in MOMENTA.items():
            mean, var = statistics[name]
            outputs[name] = convkit.batch_norm(
                crops, mean, var, training=True, momentum=momentum, num_batches_tracked=t + 1
            )
            curves[name][t + 1] = mean[0]
    s.text(
        "In use there may be a single image and no batch. So training also keeps <b>running</b> averages of mean and variance for "
        f"later. Here they follow {BATCHES} batches of {BATCH} random crops of the photograph’s red plane, starting from 0:"
    )
    s.formula("running = (1 − momentum) · running + momentum · batch")
    s.figures(
        drawing(
            pictures.lines(
                curves,
                dots=batch_means,
                dots_name="mean of one batch",
                xlabel="batches seen",
                ylabel="running mean, red",
            ),
            "<b>Momentum weights the new batch</b>: 0.1 remembers about ten batches, 0.01 about a hundred (after "
            f"{BATCHES} it has not yet arrived), 0.5 follows every jump. Keras and ONNX count the other way, 0.99 and 0.9. It "
            "is not the optimizer’s momentum.",
            "Running means over 60 batches at four momenta; small momenta rise slowly, large ones jump about",
            wide=True,
        )
    )
    first, *others = MOMENTA
    s.check(
        "The running mean at momentum 0.1 follows the formula through all batches.",
        curves["momentum 0.1 (PyTorch’s)"],
        closed,
        bound=BATCHES * 256 * float(np.finfo(np.float32).eps),
    )
    s.check(
        "The output in training is the same, bit for bit, at every momentum: it never reads the running averages.",
        np.stack([outputs[name] for name in others]),
        np.stack([outputs[first]] * len(others)),
    )
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    convkit.batch_norm(crops, mean, var, training=True, momentum=1.0)
    unbiased = crops.astype(np.float64).var(axis=(0, 2, 3), ddof=1)
    s.check(
        "The running variance receives the unbiased one, M / (M − 1) times the one that normalises.",
        var,
        unbiased,
        bound=4 * float(np.finfo(np.float32).eps) * max(float(unbiased.max()), 1.0),
    )


def _stability(s: Section) -> None:
    """Why the variance is not computed as E[x^2] - E[x]^2."""
    x = (1000 + 0.1 * np.random.default_rng(0).standard_normal((64, 1, 32, 32))).astype(np.float32)
    naive = np.mean(x * x, dtype=np.float32) - np.mean(x, dtype=np.float32) ** 2
    _, _, invstd = convkit.batch_norm_forward(x, training=True, eps=0.0)
    ours, truth = float(1 / invstd[0] ** 2), float(x.astype(np.float64).var())
    s.check(
        "The variance of values near 1000 with standard deviation 0.1 is right.",
        ours,
        truth,
        bound=1e-6 * truth,
    )
    s.text(
        "One trap for those who write it themselves: the variance is not to be computed as E[x²] − E[x]². For numbers near 1000 with "
        f"a standard deviation of 0.1, float32 gives <b>{naive:.4g}</b> that way; the true variance is {truth:.4g}, and "
        f"two passes over the data give {ours:.4g}."
    )


def _round(value: float) -> str:
    text = f"{value:.3f}".replace("-", "−")
    return text[1:] if text == "−0.000" else text
