"""Pictures of what an operation does, in one style.

There are three kinds. :func:`signed`, :func:`grey`, :func:`heat`, :func:`outlined` and :func:`overlay`
turn numbers into the pixels of an image, a ``uint8`` array of shape (H, W, 3). :func:`sliding` and
:func:`sliding_transposed` return an :class:`Animation`, which saves itself as GIF or HTML. All others
draw into a Matplotlib Axes and return it, or return a Figure where they draw several; without `ax` they
make a Figure of their own, without pyplot, so that nothing global changes and any thread may draw.

What is drawn was computed by convkit's kernels. All are in the style of ``convkit.explain.style``.
"""

from .animation import Animation, sliding, sliding_transposed
from .cells import columns, mask, numbers, padded
from .charts import bars, histogram, lines, running_sum
from .galleries import gallery, masks
from .images import grey, heat, outlined, overlay, signed
from .matrix import operator, windows
from .normalising import before_after, running_averages
from .seen import coverage, receptive_field

__all__ = [
    "Animation",
    "bars",
    "before_after",
    "columns",
    "coverage",
    "gallery",
    "grey",
    "heat",
    "histogram",
    "lines",
    "mask",
    "masks",
    "numbers",
    "operator",
    "outlined",
    "overlay",
    "padded",
    "receptive_field",
    "running_averages",
    "running_sum",
    "signed",
    "sliding",
    "sliding_transposed",
    "windows",
]
