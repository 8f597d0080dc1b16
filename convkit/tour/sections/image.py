"""Section: a photograph is a rank-3 tensor."""

from __future__ import annotations

import numpy as np

from ...explain import pictures
from ..page import Section, cells, picture, plural
from ..photo import Photo

NAMES = ("red", "green", "blue")


def image(it: Photo) -> Section:
    """Show the photograph, its three planes, and a patch of its numbers."""
    s = Section("image", "The photograph is a tensor")
    x = it.x
    C, H, W = x.shape
    s.text(
        f"To a network this photograph is {C * H * W:,} numbers in a box with three axes: {C} channels, "
        f"{plural(H, 'row')}, {plural(W, 'column')}. Such a box is a <b>tensor of rank 3</b>, written "
        f"<code>(C, H, W)</code> = <code>({C}, {H}, {W})</code>. A batch of <i>N</i> photographs has one "
        "axis more, <code>(N, C, H, W)</code>, which is PyTorch’s order too.",
        "Each number says how much red, green or blue there is at a pixel, from 0 to 255. This page keeps those "
        "whole numbers, because sums of them can be exact; PyTorch’s <code>ToTensor</code> divides them by 255.",
    )
    for note in it.notes:
        s.note(note)
    s.figures(
        picture(it.pixels, f"<b>The photograph</b>, {W} × {H} pixels.", "The photograph in colour"),
        *(
            picture(
                pictures.grey(plane, 0, 255),
                f"<b>x[{c}], {name}</b>: white is 255, black 0. Mean {plane.mean():.1f}.",
                f"The {name} plane as a grey picture",
            )
            for c, (name, plane) in enumerate(zip(NAMES, x, strict=True))
        ),
        least=165,
    )
    top, left = max((H - 5) // 2, 0), max((W - 5) // 2, 0)
    patch = x[:, top : top + 5, left : left + 5]
    s.text(f"Zoomed in far enough, there are only numbers. These are from row {top}, column {left} on:")
    tables = "".join(
        cells(plane, 255.0, two_sided=False, name=name) for name, plane in zip(NAMES, patch, strict=True)
    )
    s.blocks.append(f'<div class="card product">{tables}</div>')
    s.text(
        "In the snippets of this page <code>x</code> is this tensor. To try them, begin with <code>import numpy as np, convkit</code>, "
        "<code>from convkit.tour import read_photo</code> and <code>x = read_photo().x</code>; or "
        '<code>read_photo("FILE").x</code> for a picture of your own.'
    )
    s.code(
        f"x.shape               # {x.shape}\n"
        f"x.dtype, x.nbytes     # {x.dtype}, {x.nbytes:,}: four bytes a number\n"
        f"{f'x[:, {top}, {left}]':<22}# red, green, blue of one pixel: {[int(v) for v in x[:, top, left]]}"
    )
    s.check("The three planes, laid over each other, are the photograph.", np.dstack(list(x)), it.pixels)
    return s
