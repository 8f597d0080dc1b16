"""Section: stride, and the sizes that come of it."""

from __future__ import annotations

import numpy as np

import convkit

from ...explain import pictures
from ...geometry import conv_output_size, effective_kernel, same_padding
from ..page import Section, drawing, picture
from ..photo import Photo
from .filters import PICTURES, kernel

EXAMPLES = (
    (28, 3, 1, 1, 0),
    (28, 3, 1, 1, 1),
    (28, 5, 1, 1, 0),
    (28, 3, 1, 2, 0),
    (28, 3, 2, 1, 0),
    (28, 3, 2, 1, 1),
    (224, 7, 2, 1, 3),
)


def stride(it: Photo) -> Section:
    """Show strides 1, 2 and 4, the size formula, and the cells that no window reads."""
    s = Section("stride", "Stride, and what size comes out")
    H, W = it.shape
    w = np.repeat(kernel(*PICTURES["Gaussian blur"][:2])[None, None], 3, axis=0)
    s.text(
        "Stride is how far the window steps. With stride 2 it lands on every second pixel, so the output has about half the "
        "rows and half the columns: a quarter of the numbers, and a quarter of the work."
    )
    every = convkit.conv2d(it.x, w, padding=1, groups=3)
    figures = []
    for step in (1, 2, 4):
        y = convkit.conv2d(it.x, w, stride=step, padding=1, groups=3)
        if step > 1:
            s.check(
                f"Stride {step} gives every {('second', 'fourth')[step // 4]} output of stride 1, no other numbers.",
                y,
                every[:, ::step, ::step],
            )
        h, w_ = y.shape[1:]
        figures.append(
            picture(
                np.round(y).astype(np.uint8).transpose(1, 2, 0),
                f"<b>Stride {step}</b>: {h} × {w_}, {y.size:,} numbers.",
                f"The photograph blurred with stride {step}",
                width=round(260 * w_ / W),
            )
        )
    s.blocks.append(f'<div class="strip">{"".join(figures)}</div>')
    s.text(
        "Along each axis of <i>n</i> cells, with a kernel of <i>k</i>, stride <i>s</i>, dilation <i>d</i> and padding "
        "<i>p</i> on both sides:"
    )
    s.formula("outputs = ⌊(n + 2p − d·(k − 1) − 1) / s⌋ + 1")
    rows, sizes = [], []
    for n, k, step, d, p in (*EXAMPLES, (H, 3, 2, 1, 1), (W, 3, 2, 1, 1)):
        o = conv_output_size(n, k, step, d, p, p)
        lost = n + 2 * p - ((o - 1) * step + effective_kernel(k, d))
        y = convkit.conv1d(np.ones((1, n)), np.ones((1, 1, k)), stride=step, padding=p, dilation=d)
        sizes.append((o, y.shape[1]))
        rows.append((n, k, step, d, p, o, lost))
    s.table(
        ("input n", "kernel k", "stride s", "dilation d", "padding p", "outputs", "cells left over"),
        rows,
    )
    s.check(
        "Each size in the table is the one that the kernel returns.",
        [o for o, _ in sizes],
        [o for _, o in sizes],
    )
    edge = 28 - conv_output_size(28, 3)
    s.text(
        f"The last two rows are this photograph’s height and width. The loss at the edge, then, is no vague “some pixels”: without padding and with stride 1 it is exactly "
        f"<b>d·(k − 1)</b> cells an axis. A 3 × 3 kernel turns 28 into {conv_output_size(28, 3)}, {edge} fewer. The rounding down, "
        "⌊…⌋, loses cells too: where the last step does not fit, the cells left over at the end are read by no window. With "
        "padding they are cells of the padded axis, and may hold nothing but zeros."
    )
    examples = ((8, 3, 1, 1, 0), (8, 3, 2, 1, 0), (8, 3, 1, 2, 0), (8, 3, 2, 1, 1))
    s.figures(*(_windows(s, *example) for example in examples), least=330)
    _same(s, it)
    s.code(
        "blur = np.full((3, 1, 3, 3), 1 / 9, dtype=np.float32)\n"
        "convkit.conv2d(x, blur, stride=2, padding=1, groups=3).shape\n"
        "convkit.geometry.conv_output_size(28, 3)         # 26: the formula is public"
    )
    return s


def _windows(s: Section, n: int, k: int, step: int, d: int, p: int) -> str:
    """Draw the windows along one axis; the gradient tells which cells were read."""
    x, w = np.ones((1, n)), np.ones((1, 1, k))
    y = convkit.conv1d(x, w, stride=step, padding=p, dilation=d)
    gradient = convkit.conv1d_backward(np.ones_like(y), x, w, stride=step, padding=p, dilation=d).grad_x
    assert gradient is not None  # it was asked for
    reads = [[i * step + j * d - p for j in range(k)] for i in range(y.shape[1])]
    counts = np.bincount([c for cells in reads for c in cells if 0 <= c < n], minlength=n)
    name = (
        f"n = {n}, k = {k}, stride {step}"
        + (f", dilation {d}" if d > 1 else "")
        + (f", padding {p}" if p else "")
    )
    s.check(f"{name}: a cell’s gradient counts the windows that read it.", gradient[0], counts)
    unread = np.flatnonzero(gradient[0] == 0)
    rest = (
        f" No window reads cell {', '.join(map(str, unread))}: its gradient is exactly zero."
        if unread.size
        else ""
    )
    return drawing(
        pictures.windows(reads, n, p),
        f"<b>{name}</b>: {y.shape[1]} outputs.{rest}",
        f"Which cells each of {y.shape[1]} windows reads, for {name}",
    )


def _same(s: Section, it: Photo) -> None:
    """Two paddings with the same output size and different outputs."""
    before, after = same_padding(224, 7, 2)
    H, W = it.shape
    x = convkit.pad(it.x[:1], (0, max(224 - W, 0), 0, max(224 - H, 0)), "circular")[:, :224, :224] / 255
    w = np.random.default_rng(1).standard_normal((1, 1, 7, 7), dtype=np.float32)
    ours = convkit.conv2d(x, w, stride=2, padding="same")
    symmetric = convkit.conv2d(x, w, stride=2, padding=3)
    s.check(
        'Same-sized outputs: <code>padding="same"</code> and <code>padding=3</code> at 224, k = 7, stride 2.',
        ours.shape,
        symmetric.shape,
    )
    s.text(
        f"Equal sizes can hide different values. For 224 cells, a kernel of 7 and stride 2, TensorFlow’s <i>same</i> pads "
        f"({before}, {after}) and PyTorch models pad (3, 3). Both give {ours.shape[2]} outputs, but the windows are one pixel "
        f"apart: on a plane of this photograph the outputs differ by up to {np.abs(ours - symmetric).max():.2f}, where they "
        f"reach {np.abs(ours).max():.2f}."
    )
