"""The top rung: share the work among threads. This is ``direct``.

What limited the rung below
---------------------------
One core: it does most of its 64 FLOPs a cycle, and the others wait.

The change
----------
``prange`` instead of one call. Threads share out either the units (images, groups, blocks of rows) or,
where those are too few to go round evenly, each unit's output channels; then every thread packs planes for
itself, which takes less time than to wait for one another. A sum is never split, so its bits are
the same at any number of threads.

What to expect
--------------
Nearly twice the speed on two cores, but for the smallest layers, where the threads take as long to
wake up.
"""

from __future__ import annotations

from numba import prange

from ..blocks import blocks_of, convolve, make_plan, straightened
from ..compile import kernel, separate
from ..microkernel import MR
from ..panels import conv2d_by_panels
from ..shape import multiply_adds, shape_of
from ..vec import lanes


@separate
def share(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, thread, threads):
    """Do the thread's share: some units whole, or some output channels of all units."""
    s, ih_of, iw_of = straightened(shape_of(y, x, w, SH, SW, DH, DW), ih_of, iw_of)
    a = make_plan(s, lanes(y), y.itemsize)
    m, M, first, last = 0, s.OC // s.G, 0, a.units
    parts = blocks_of(M, MR)
    if not a.possible:
        last = 0
        conv2d_by_panels(y, x, w, b, ih_of, iw_of, s, thread, threads)
    elif blocks_of(a.units, threads) * parts <= blocks_of(parts, threads) * a.units:
        first, last = a.units * thread // threads, a.units * (thread + 1) // threads
    else:
        m = parts * thread // threads * MR
        M = min(M, parts * (thread + 1) // threads * MR) - m
    if M > 0 and last > first:
        convolve(y, x, w, b, ih_of, iw_of, s, a, first, last, m, M)


@kernel(work=multiply_adds)
def conv2d(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, threads):
    """Fill y (N, OC, OH, OW) from x (N, IC, IH, IW), w (OC, IC/G, KH, KW) and b (OC,)."""
    for thread in prange(threads):
        share(y, x, w, b, ih_of, iw_of, SH, SW, DH, DW, thread, threads)
