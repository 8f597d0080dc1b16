"""The tour: every operation of convkit at work on one photograph, as one page of HTML.

The page is computed by convkit alone and holds everything that it needs. Each statement in it was
tested at the moment it was written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from ..dispatch import show_config
from .checks import Check, StatementFailed
from .page import Section, document, picture, plural
from .photo import BadImage, Photo, read_photo
from .sections.batchnorm import batchnorm
from .sections.dropout import dropout
from .sections.gallery import gallery
from .sections.heatmap import heatmap
from .sections.image import image
from .sections.matrix import matrix
from .sections.one_pixel import one_pixel
from .sections.padding import padding
from .sections.pooling import pooling
from .sections.speed import speed
from .sections.stride import stride

__all__ = ["ON_PHOTO", "BadImage", "StatementFailed", "Tour", "make_tour", "read_photo", "write_atomically"]

ON_PHOTO = (image, padding, gallery, one_pixel, matrix, stride, pooling, heatmap, batchnorm, dropout)
"""The sections that show the photograph, in the page's order; the table of speeds follows them."""


@dataclass(frozen=True)
class Tour:
    """A finished page, and what it is made of."""

    html: str
    photo: Photo
    sections: tuple[Section, ...]

    @property
    def checks(self) -> list[Check]:
        """All statements that were tested."""
        return [check for section in self.sections for check in section.checks]


def make_tour(
    image: str | Path | None = None,
    *,
    seconds: float = 0.5,
    progress: Callable[[str, int, int], None] = lambda title, done, total: None,
) -> Tour:
    """Make the page.

    Parameters
    ----------
    image : path, optional
        PNG or JPEG (WebP, GIF and BMP are read too); by default the photograph that ships with
        Matplotlib.
    seconds : float
        How long each kernel is measured in the last section, about.
    progress : callable
        Called as ``progress(name, done, total)`` before each section and once at the end.

    Raises
    ------
    BadImage
        If the image cannot be read.
    StatementFailed
        If something that the page states turns out not to be so.
    """
    it = read_photo(image)
    sections: list[Section] = []
    for name, make in _makers(it, seconds):
        progress(name, len(sections), len(ON_PHOTO) + 1)
        sections.append(make())
    progress("page", len(sections), len(sections))
    html = document("convkit: a tour on one photograph", _head(it, sections), sections, _foot())
    return Tour(html, it, tuple(sections))


def _makers(it: Photo, seconds: float) -> Iterator[tuple[str, Callable[[], Section]]]:
    for section in ON_PHOTO:
        yield section.__name__.replace("_", " "), partial(section, it)
    yield "speed", partial(speed, seconds)


def _head(it: Photo, sections: list[Section]) -> str:
    config = show_config()
    H, W = it.shape
    facts = {
        "Photograph": escape(it.name),
        "Tensor": f"(3, {H}, {W}), {plural(3 * H * W, 'number')}",
        "Statements checked": str(sum(len(s.checks) for s in sections)),
        "Made with": f"convkit {escape(config['convkit'])}, {plural(config['threads'], 'thread')}",
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    return (
        "<div><h1>Convolution, pooling, BatchNorm and dropout on one photograph</h1>"
        '<p class="lead">A walk through the arithmetic of a convolutional network, step by step. '
        "Every picture and every number was computed by convkit when this page was made, and every "
        "statement with a ✓ was tested in that moment."
        f"</p><dl>{items}</dl></div>" + picture(it.pixels, "", "The photograph of this tour")
    )


def _foot() -> str:
    config = show_config()
    facts = ", ".join(
        f"{name} {escape(str(value))}"
        for name, value in config.items()
        if isinstance(value, str | int) and name != "convkit"
    )
    return f"<p>Made by <code>convkit tour</code>, version {escape(config['convkit'])}, on: {facts}.</p>"


def write_atomically(path: str | Path, text: str) -> int:
    """Write a file as a whole or not at all, and return its size in bytes.

    It is written beside its place under a temporary name and then renamed, so that neither an error
    nor Ctrl-C leaves half of it, and an older file stays until the new one is complete.
    """
    path = Path(path)
    data = text.encode("utf-8", "xmlcharrefreplace")
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    if path.exists() and not path.is_file():  # /dev/stdout, a pipe: nothing there to replace
        path.write_bytes(data)
        return len(data)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(data)


def _mode(path: Path) -> int:
    """The file's permissions: those of the file to be replaced, else those that open() would give."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
