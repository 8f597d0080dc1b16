"""Pictures as text inside the page: photographs as WebP, drawings as SVG in the page's own ink."""

from __future__ import annotations

import base64
import io
import re
from itertools import count

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ..explain.style import INK

__all__ = ["img", "svg"]

BUDGET = 40_000  # bytes of one picture, which keeps the page below 2 MB whatever the photograph is
SMALL = 64  # pixels: pictures up to this side are kept exact and shown with hard edges

_serial = count(1)


def img(pixels: np.ndarray, alt: str, width: int | None = None, hard: bool = False) -> str:
    """Return an ``<img>`` that holds `pixels`, a uint8 array (H, W, 3), shown `width` pixels wide.

    With `hard`, or if it is small, its pixels are shown with hard edges.
    """
    image = Image.fromarray(pixels)
    small = max(image.size) <= SMALL
    data = _webp(image, lossless=True) if small else _lossy(image)
    source = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
    size = f'width="{pixels.shape[1]}" height="{pixels.shape[0]}"'
    shown = f' style="width:{width}px"' if width else ""
    edges = ' class="hard"' if hard or small else ""
    return f'<img src="{source}" alt="{alt}" {size}{shown}{edges}>'


def _lossy(image: Image.Image) -> bytes:
    """Encode within the budget: first with less quality, then, for noise, with fewer pixels."""
    while True:
        for quality in (84, 72, 55):
            data = _webp(image, quality=quality)
            if len(data) <= BUDGET:
                return data
        image = image.reduce((2 if image.width > 1 else 1, 2 if image.height > 1 else 1))


def _webp(image: Image.Image, **options: bool | int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()


def svg(drawing: Axes | Figure, alt: str) -> str:
    """Return a drawing as an ``<svg>`` whose grey ink is the colour of the text around it."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure = drawing.get_figure(root=True)
    assert figure is not None  # an Axes without one cannot be made
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # only clips and letters are referred to
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")  # HTML knows them
    text = re.sub(r">\s+<", "><", text)
    # Hundredths of a point are enough, but not for factors.
    text = re.sub(r"scale\([^)]*\)|(\d+\.\d\d)\d+", lambda m: m[1] or m[0], text)
    mark = f"d{next(_serial)}-"  # names must be unique in the page, not only in the drawing
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{mark}", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)
