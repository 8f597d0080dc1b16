"""A window that slides: convolution and transposed convolution, one output or one input a frame.

Each frame is drawn from numbers that are added up as the picture says; the last one must be what the
kernels return, or the animation is refused.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...conv import conv2d
from ...conv_transpose import conv_transpose2d
from ...geometry import conv_padding, index_table, per_axis
from ..style import FONT_SIZE, INK, LINES, bare, pale, shade
from .cells import cell, fit, grid_limits

__all__ = ["Animation", "sliding", "sliding_transposed"]

MOST_FRAMES = 400  # beyond that a film takes minutes to draw and nobody watches it


class Animation:
    """A film: a number of frames, drawn when they are asked for.

    Attributes
    ----------
    frames : int
        How many there are.
    """

    def __init__(self, frames: int, draw: Callable[[int], Figure], describe: Callable[[int], str]) -> None:
        if frames > MOST_FRAMES:
            raise ValueError(f"an animation must have at most {MOST_FRAMES} frames, got {frames}")
        self.frames, self._draw, self._describe = frames, draw, describe

    def __len__(self) -> int:
        return self.frames

    def figure(self, frame: int) -> Figure:
        """Return one frame as a Figure; negative numbers count from the end."""
        if not -self.frames <= frame < self.frames:
            raise IndexError(f"frame must be from {-self.frames} to {self.frames - 1}, got {frame}")
        return self._draw(frame % self.frames)

    def describe(self, frame: int) -> str:
        """Return what happens in a frame, in one line of text."""
        return self._describe(frame)

    def _png(self, frame: int, dpi: float) -> bytes:
        buffer = io.BytesIO()
        self.figure(frame).savefig(buffer, format="png", dpi=dpi, facecolor="white")
        return buffer.getvalue()

    def save_gif(self, path: str | Path, seconds: float = 0.6, dpi: float = 90) -> Path:
        """Write the film as a GIF that repeats, `seconds` a frame, and return its path."""
        from PIL import Image

        images = [Image.open(io.BytesIO(self._png(i, dpi))).convert("RGB") for i in range(self.frames)]
        # One palette for all, so that a colour means one number throughout.
        palette = images[-1].quantize(128)
        first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        path = Path(path)
        first.save(path, save_all=True, append_images=rest, duration=round(1000 * seconds), loop=0)
        return path

    def to_html(self, seconds: float = 0.6, dpi: float = 110) -> str:
        """Return the film as HTML with a slider and a button; it loads nothing from elsewhere."""
        width = round(96 * self.figure(0).get_figwidth())  # as large as it was drawn, where there is room
        pictures = [base64.b64encode(self._png(i, dpi)).decode() for i in range(self.frames)]
        images = "\n".join(
            f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.describe(i))}"{hidden}>'
            for i, (data, hidden) in enumerate(zip(pictures, ["", *[" hidden"] * self.frames], strict=False))
        )
        return _PLAYER.format(
            images=images, width=width, last=self.frames - 1, milliseconds=round(1000 * seconds)
        )

    def save_html(self, path: str | Path, seconds: float = 0.6, dpi: float = 110) -> Path:
        """Write the film as an HTML page of its own, and return its path."""
        path = Path(path)
        head = "<!doctype html>\n<meta charset=utf-8>\n<title>A sliding window</title>\n"
        path.write_text(head + self.to_html(seconds, dpi), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return self.to_html()


_PLAYER = """<div class="convkit-film" style="max-width: {width}px">
{images}
<p><button type="button" aria-label="play or pause">Play</button>
<input type="range" min="0" max="{last}" value="0" aria-label="frame" style="width: 60%"></p>
<style>
.convkit-film img {{ width: 100%; background: white }}
.convkit-film img[hidden] {{ display: none }}
</style>
<script>
(() => {{
  const film = document.currentScript.parentElement;
  const images = film.querySelectorAll("img"), slider = film.querySelector("input");
  const button = film.querySelector("button");
  let timer = null;
  const show = (n) => {{ slider.value = n; images.forEach((image, i) => {{ image.hidden = i !== n; }}); }};
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "Play"; }};
  slider.addEventListener("input", () => {{ stop(); show(Number(slider.value)); }});
  button.addEventListener("click", () => {{
    if (timer !== null) {{ stop(); return; }}
    button.textContent = "Pause";
    timer = setInterval(() => show((Number(slider.value) + 1) % images.length), {milliseconds});
  }});
}})();
</script>
</div>
"""


def sliding(
    x: np.ndarray,
    w: np.ndarray,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    *,
    padding_mode: str = "zeros",
) -> Animation:
    """Return the film of a convolution: the window moves over the image, one output a frame.

    Parameters
    ----------
    x : ndarray, shape (IH, IW)
        A small image.
    w : ndarray, shape (KH, KW)
        A kernel.
    stride, padding, dilation, padding_mode
        As in :func:`convkit.conv2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> film = pictures.sliding(np.arange(16.0).reshape(4, 4), np.ones((2, 2)), stride=2)
    >>> len(film), film.describe(3)
    (4, 'y[1, 1] = 10 + 11 + 14 + 15 = 50')
    """
    x, w = (np.ascontiguousarray(a, dtype=np.float64) for a in (x, w))
    y = conv2d(x[None], w[None, None], None, stride, padding, dilation, padding_mode=padding_mode)[0]
    (SH, SW), (DH, DW) = per_axis(stride, 2, "stride"), per_axis(dilation, 2, "dilation")
    around = conv_padding(padding, x.shape, w.shape, (SH, SW), (DH, DW))
    ih_of, iw_of = (index_table(n, *p, padding_mode) for n, p in zip(x.shape, around, strict=True))
    real = (ih_of >= 0)[:, None] & (iw_of >= 0)
    shown = np.where(real, x[np.ix_(ih_of, iw_of)], 0.0)  # the image with its border
    (KH, KW), (OH, OW) = w.shape, y.shape
    products = np.empty((OH, OW, KH, KW))
    for oh, ow in np.ndindex(OH, OW):
        window = shown[oh * SH :, ow * SW :][: (KH - 1) * DH + 1 : DH, : (KW - 1) * DW + 1 : DW]
        products[oh, ow] = window * w
    _agree(products.sum(axis=(2, 3)), y)

    def describe(frame: int) -> str:
        oh, ow = divmod(frame, OW)
        return f"y[{oh}, {ow}] = {_sum(products[oh, ow].ravel())}"

    def draw(frame: int) -> Figure:
        oh, ow = divmod(frame, OW)
        figure, side, (image, kernel, result) = _stage(shown.shape, w.shape, y.shape)
        (top, _), (left, _) = around
        interior = slice(top, top + x.shape[0]), slice(left, left + x.shape[1])
        title = "x and its padding" if any(map(any, around)) else "x"
        _grid(image, shown, title, side, inside=interior)
        image.add_patch(
            Rectangle((left, top), x.shape[1], x.shape[0], fill=False, edgecolor=INK, linewidth=1.6)
        )
        for kh, kw in np.ndindex(KH, KW):
            _frame(image, oh * SH + kh * DH, ow * SW + kw * DW)
        _grid(kernel, w, "w", side)
        _grid(result, y, "y", side, until=frame)
        _frame(result, oh, ow)
        _caption(figure, describe(frame))
        return figure

    return Animation(OH * OW, draw, describe)


def sliding_transposed(
    x: np.ndarray,
    w: np.ndarray,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Animation:
    """Return the film of a transposed convolution: each input, one a frame, adds its copy of the kernel.

    Parameters
    ----------
    x : ndarray, shape (IH, IW)
        A small image.
    w : ndarray, shape (KH, KW)
        A kernel.
    stride, padding, output_padding, dilation
        As in :func:`convkit.conv_transpose2d`.

    Examples
    --------
    >>> import numpy as np
    >>> from convkit.explain import pictures
    >>> film = pictures.sliding_transposed(np.array([[1.0, 2.0]]), np.ones((1, 2)))
    >>> len(film), film.describe(1)
    (2, 'y += x[0, 1] = 2 times w')
    """
    x, w = (np.ascontiguousarray(a, dtype=np.float64) for a in (x, w))
    y = conv_transpose2d(x[None], w[None, None], None, stride, padding, output_padding, 1, dilation)[0]
    (SH, SW), (DH, DW) = per_axis(stride, 2, "stride"), per_axis(dilation, 2, "dilation")
    PH, PW = per_axis(padding, 2, "padding")
    (IH, IW), (KH, KW), (OH, OW) = x.shape, w.shape, y.shape
    sums = np.zeros((IH * IW + 1, OH, OW))  # after 0, 1, 2, ... inputs
    touched: list[list[tuple[int, int]]] = []
    for frame, (ih, iw) in enumerate(np.ndindex(IH, IW)):
        sums[frame + 1] = sums[frame]
        touched.append([])
        for kh, kw in np.ndindex(KH, KW):
            oh, ow = ih * SH + kh * DH - PH, iw * SW + kw * DW - PW
            if 0 <= oh < OH and 0 <= ow < OW:
                sums[frame + 1, oh, ow] += x[ih, iw] * w[kh, kw]
                touched[-1].append((oh, ow))
    _agree(sums[-1], y)

    def describe(frame: int) -> str:
        ih, iw = divmod(frame, IW)
        return f"y += x[{ih}, {iw}] = {x[ih, iw]:g} times w"

    def draw(frame: int) -> Figure:
        figure, side, (image, kernel, result) = _stage(x.shape, w.shape, y.shape)
        _grid(image, x, "x", side)
        _frame(image, *divmod(frame, IW))
        _grid(kernel, w, "w", side)
        _grid(result, sums[frame + 1], "y so far", side, limit=float(np.abs(sums).max()))
        for oh, ow in touched[frame]:
            _frame(result, oh, ow)
        _caption(figure, describe(frame))
        return figure

    return Animation(IH * IW, draw, describe)


def _agree(drawn: np.ndarray, y: np.ndarray) -> None:
    """Refuse to show anything but what the kernel returns; the two may add in different orders."""
    bound = 1e-12 * max(1.0, float(np.abs(y).max()))
    if drawn.shape != y.shape or not (np.abs(drawn - y) <= bound).all():
        raise AssertionError(f"the film shows {drawn}, the kernel returns {y}")


def _stage(*shapes: tuple[int, int]) -> tuple[Figure, float, Sequence[Axes]]:
    """Return a figure, the side of its cells in inches, and axes for planes of these shapes."""
    widths, height = [max(w, 1.2) for _, w in shapes], max(h for h, _ in shapes)
    unit = min(0.46, 9.0 / (sum(widths) + 2))
    figure = Figure(figsize=(unit * (sum(widths) + 2), unit * height + 1.05), layout="constrained")
    return figure, unit, figure.subplots(1, len(shapes), width_ratios=widths)


def _grid(
    ax: Axes,
    values: np.ndarray,
    title: str,
    side: float,
    until: int | None = None,
    limit: float | None = None,
    inside: tuple[slice, slice] | None = None,
) -> None:
    """Draw a plane: the cells, `side` inches wide, up to the number `until`, those not `inside` paler."""
    border = np.zeros(values.shape, dtype=bool)
    if inside is not None:
        border[...] = True
        border[inside] = False
    limit = float(np.abs(values).max()) if limit is None else limit
    for number, ((i, j), value) in enumerate(np.ndenumerate(values)):
        if until is None or number <= until:
            colour = shade(float(value), limit)
            cell(ax, i, j, pale(colour) if border[i, j] else colour, _short(value))
        else:
            cell(ax, i, j, "none")
    fit(ax, side, max(len(_short(value)) for value in values.ravel()))
    grid_limits(ax, *values.shape)
    bare(ax).set_title(title, fontsize=FONT_SIZE, color=INK)


def _frame(ax: Axes, row: int, column: int) -> None:
    ax.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=LINES[1], linewidth=2.4))


def _caption(figure: Figure, text: str) -> None:
    figure.supxlabel(text, fontsize=FONT_SIZE, color=INK)


def _sum(terms: np.ndarray) -> str:
    total = f"{terms.sum() + 0.0:.4g}"
    if terms.size > 9:
        return f"sum of {terms.size} products = {total}"
    return " + ".join(_short(t) if t >= 0 else f"({t:.3g})" for t in terms) + f" = {total}"


def _short(value: float) -> str:
    return f"{value + 0.0:.3g}"  # no minus zero
