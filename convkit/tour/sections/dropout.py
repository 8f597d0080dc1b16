"""Section: dropout in its three forms."""

from __future__ import annotations

import numpy as np

import convkit

from ...dispatch import why_not
from ...explain import pictures
from ..page import Section, drawing, picture, plural
from ..photo import Photo

SEED = 2026


def dropout(it: Photo) -> Section:
    """Drop elements, channels and rows; show masks, scaling and shares."""
    s = Section("dropout", "Dropout")
    x = it.x
    s.text(
        "In training, dropout sets each number to zero with probability <i>p</i>, and divides those that stay by "
        "1 − <i>p</i>, so that on average the mean stays what it was. In use it does nothing at all. <i>p</i> is the probability to "
        "<b>drop</b>, and p = 0.5 means 50 %; in the original paper <i>p</i> is the probability to keep."
    )
    figures, rows = [], []
    for p in (0.2, 0.5, 0.8):
        y, kept = convkit.dropout(x, p, seed=SEED, return_mask=True)
        scale = 1 / (1 - p)
        s.check(
            f"p = {p}: each number is 0 or {scale:.4g} times what it was.",
            y,
            np.where(kept, x.astype(np.float64) * scale, 0),
            bound=255 * scale * float(np.finfo(np.float32).eps),
        )
        sigma = (p * (1 - p) / kept.size) ** 0.5
        s.check(
            f"p = {p}: the share of kept numbers is within five standard deviations of 1 − p.",
            kept.mean(),
            1 - p,
            bound=5 * sigma,
        )
        rows.append(
            (
                p,
                f"{scale:.4g}",
                f"{kept.mean():.4f}",
                f"{x.mean(dtype=np.float64):.2f}",
                f"{y.mean(dtype=np.float64):.2f}",
            )
        )
        figures.append(
            picture(
                np.clip(y, 0, 255).round().astype(np.uint8).transpose(1, 2, 0),
                f"<b>p = {p}</b>: {100 * kept.mean():.1f} % stay, times {scale:.4g}. (Above 255 the screen shows white.)",
                f"The photograph after dropout with p = {p}",
            )
        )
    s.figures(*figures, least=165)
    s.table(("p", "scale 1 / (1 − p)", "share kept", "mean before", "mean after"), rows)
    s.text(
        "“What is not dropped is doubled” holds for p = 0.5 only. Whole units can be dropped instead of single numbers, and two "
        "different things are called embedding dropout: dropping numbers of the embedded words, and dropping whole <b>rows</b> of "
        "the table, so that a word vanishes everywhere at once."
    )
    _forms(s)
    s.check(
        "In use (<code>training=False</code>) nothing changes, and p = 0 changes nothing in training.",
        np.stack([convkit.dropout(x, 0.5, training=False, seed=SEED), convkit.dropout(x, 0.0, seed=SEED)]),
        np.stack([x, x]),
    )
    s.check(
        "p = 1 gives zeros, though 1 / (1 − p) is infinite.",
        convkit.dropout(x, 1.0, seed=SEED),
        np.zeros_like(x),
    )
    _anywhere(s, x)
    s.code(
        "y = convkit.dropout(x, p=0.5, seed=1)\n"
        "y, kept = convkit.dropout2d(x, p=0.5, seed=1, return_mask=True)     # whole channels"
    )
    return s


def _anywhere(s: Section, x: np.ndarray) -> None:
    """One seed, drawn by each backend that can run here, on one thread and on all."""
    here = [backend for backend in convkit.backends()["dropout"] if not why_not(backend)]
    numbers = sorted({1, convkit.get_num_threads()})
    drawn = []
    for backend in here:
        for threads in numbers:
            with convkit.num_threads(threads):
                drawn.append(convkit.dropout(x, 0.5, seed=SEED, backend=backend))
    names = ", ".join(f"<code>{backend}</code>" for backend in here)
    s.check(
        "The same seed draws the same mask, a function of seed and position alone: drawn twice, and by every backend "
        f"here that has dropout ({names}) on {' and on '.join(plural(n, 'thread') for n in numbers)}.",
        np.stack(drawn),
        np.stack([convkit.dropout(x, 0.5, seed=SEED)] * len(drawn)),
    )


def _forms(s: Section) -> None:
    """The three masks at p = 0.5, on a small array of ones."""
    ones = np.ones((12, 16), dtype=np.float32)
    channels = np.ones((1, 12, 4, 4), dtype=np.float32)
    element = convkit.dropout(ones, 0.5, seed=SEED) > 0
    channel = convkit.dropout2d(channels, 0.5, seed=SEED).reshape(12, 16) > 0
    row = convkit.dropout_rows(ones, 0.3, seed=SEED + 1) > 0
    for name, mask in (("channel", channel), ("row", row)):
        s.check(
            f"{name.capitalize()} dropout keeps or drops each {name} as a whole.",
            mask,
            np.repeat(mask[:, :1], 16, axis=1),
        )
    s.figures(
        drawing(
            pictures.mask(element, xlabel="columns", ylabel="rows"),
            f"<b>Element</b> dropout, p = 0.5: every number for itself; {element.sum()} of {element.size} stay.",
            "A mask with single cells crossed out at random",
        ),
        drawing(
            pictures.mask(channel, xlabel="pixels of a 4 × 4 map", ylabel="channels"),
            f"<b>Channel</b> dropout (<code>dropout2d</code>), p = 0.5: whole feature maps; {channel[:, 0].sum()} of 12 stay. "
            "Neighbouring pixels say nearly the same, so dropping some of them would hide nothing.",
            "A mask with whole rows, one a channel, crossed out",
        ),
        drawing(
            pictures.mask(row, xlabel="numbers of a word", ylabel="words"),
            f"<b>Row</b> dropout (<code>dropout_rows</code>), p = 0.3: whole rows of an embedding table; "
            f"{row[:, 0].sum()} of 12 words stay.",
            "A mask with whole rows, one a word, crossed out",
        ),
        least=260,
    )
