"""The photograph: from a file to the array that every section of the tour works on."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["LONGEST", "BadImage", "Photo", "read_photo"]

LONGEST = 640  # pixels of the longer side; larger images are reduced to it, for the page's size
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # none of which starts another program to be read
ORIENTATION = 0x0112  # EXIF's tag; from 5 on, width and height change places


class BadImage(Exception):
    """An image that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Photo:
    """A photograph as the tour uses it.

    Attributes
    ----------
    name : str
        What to call it on the page.
    width, height : int
        Of the image in the file, before any reduction.
    pixels : ndarray of uint8, shape (H, W, 3)
        Red, green, blue; at most :data:`LONGEST` pixels a side.
    notes : tuple of str
        What was done to it on the way, in whole sentences.
    """

    name: str
    width: int
    height: int
    pixels: np.ndarray
    notes: tuple[str, ...] = field(default=())

    @cached_property
    def x(self) -> np.ndarray:
        """The photograph as a float32 tensor (3, H, W) of the whole numbers 0 to 255."""
        return np.ascontiguousarray(self.pixels.transpose(2, 0, 1), dtype=np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_photo(path: str | Path | None = None) -> Photo:
    """Read an image file, or the photograph that ships with Matplotlib.

    Grey, palette, 16-bit, CMYK and transparent images all become red, green and blue of 8 bits;
    a camera's rotation is applied.

    Raises
    ------
    BadImage
        If the file is missing, unreadable, broken, of another format, or unpacks to more pixels than
        Pillow thinks safe.
    """
    if path is None:
        from matplotlib.cbook import get_sample_data

        path = get_sample_data("grace_hopper.jpg", asfileobj=False)
        name = "Grace Hopper (US Navy, public domain; ships with Matplotlib)"
    else:
        name = Path(path).name.encode("utf-8", "replace").decode()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return _photo(name, image)
    except UnidentifiedImageError as error:
        raise BadImage(
            f"cannot read image {path}: it is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        ) from error
    except Exception as error:  # Pillow's decoders raise whatever broken bytes lead them to
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadImage(f"cannot read image {path}: {' '.join(reason.split())}") from error


def _photo(name: str, image: Image.Image) -> Photo:
    mode, (width, height), notes = image.mode, image.size, []
    if image.getexif().get(ORIENTATION, 1) >= 5:
        width, height = height, width
    image.draft(None, (2 * LONGEST, 2 * LONGEST))  # a large JPEG is decoded at 1/2, 1/4 or 1/8 size
    image = _eight_bits(ImageOps.exif_transpose(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
        notes.append("Its transparent parts are laid on white.")
    image = image.convert("RGB")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    pixels = np.array(image)
    if image.size != (width, height):
        notes.append(
            f"The file holds {width:,} × {height:,} pixels (width × height); for this page it was reduced "
            f"to {image.width} × {image.height}, and every number is about the reduced one."
        )
    if mode not in ("RGB", "RGBA", "L", "LA"):
        notes.append(f"It was converted from mode {mode} to 8-bit red, green and blue.")
    if (pixels == pixels[..., :1]).all():
        notes.append("It is grey: red, green and blue are three equal planes.")
    return Photo(name, width, height, pixels, tuple(notes))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit grey, which Pillow would clip, to 8 bits: 65,535 becomes 255."""
    if image.mode[0] not in "IF":
        return image
    return Image.fromarray(np.round(np.clip(np.asarray(image) / 257, 0, 255)).astype(np.uint8))
