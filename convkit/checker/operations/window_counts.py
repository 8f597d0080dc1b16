"""How many windows there are, and how the count goes wrong: the rules, and detours that miscount."""

from __future__ import annotations

from collections.abc import Callable

from ..model import Call, NotPredicted, Result, Rule, Wrong
from .convolutions import both, taps

__all__ = [
    "AXES",
    "LAST_WINDOW_LOST",
    "SPANS",
    "SQUARES",
    "UNCOUNTED",
    "WINDOW_PAST_THE_EDGE",
    "kept",
    "square",
]

AXES = ((0, 1), (0,), (1,))  # a slip may be made for both axes or for one

# --- detours -------------------------------------------------------------------------------


def windows_lost(always: bool, axes: tuple[int, ...] = (0, 1)) -> Callable[[Result, Call], Result]:
    """Return a detour that loses the last window of some axes: always, or where it ends on the edge."""

    def after(result: Result, call: Call) -> Result:
        ((name, y),) = result.items()
        keep = []
        for axis, (n, k, s, d) in enumerate(geometry(call)):
            lost = axis in axes and (always or (n - d * (k - 1) - 1) % s == 0)
            keep.append(slice(0, y.shape[2 + axis] - lost))
        return {name: y[:, :, keep[0], keep[1]]}

    return after


def kept(count: Callable[[Call], tuple[int, int]]) -> Callable[[Result, Call], Result]:
    """Return a detour that keeps as many rows and columns of windows as `count` of the call says.

    Of windows that hang over the edge nothing is foretold: mostly their reading raises.
    """

    def after(result: Result, call: Call) -> Result:
        rows, columns = count(call)
        for y in result.values():
            if not (0 <= rows <= y.shape[2] and 0 <= columns <= y.shape[3]):
                raise NotPredicted
        return {name: y[:, :, :rows, :columns] for name, y in result.items()}

    return after


def geometry(call: Call) -> tuple[tuple[int, ...], ...]:
    """Return of both axes: the size with its padding, taps, stride and dilation."""
    s, p, d = (both(call.get(k, v)) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1)))
    padded = (n + 2 * p_ for n, p_ in zip(call["x"].shape[2:], p, strict=True))
    return tuple(zip(padded, taps(call), s, d, strict=True))


def windows(n: int, k: int, s: int, d: int) -> int:
    return (n - d * (k - 1) - 1) // s + 1


def square(rows: Callable[[Call], tuple[int, int]]) -> tuple[Wrong, ...]:
    """Return ways to have as many columns as rows, or as many rows as columns; `rows` counts the right ones.

    Code that takes one size of the kernel for both says nothing where the kernel is not square.
    """

    def as_rows(call: Call) -> tuple[int, int]:
        return rows(call)[0], rows(call)[0]

    def as_columns(call: Call) -> tuple[int, int]:
        return rows(call)[1], rows(call)[1]

    def one_kernel(call: Call) -> tuple[int, int]:
        KH, KW = taps(call)
        if KH != KW:
            raise NotPredicted
        return as_rows(call)

    return tuple(Wrong(after=kept(count)) for count in (as_rows, as_columns, one_kernel))


def right(call: Call) -> tuple[int, int]:
    rows, columns = (windows(*axis) for axis in geometry(call))
    return rows, columns


def by_the_other_kernel(axis: int) -> Callable[[Call], tuple[int, int]]:
    """Count an axis's windows with the other axis's taps: `W - KH` for `W - KW`."""

    def count(call: Call) -> tuple[int, int]:
        counts = [*right(call)]
        (n, _, s, d), k = geometry(call)[axis], taps(call)[1 - axis]
        counts[axis] = windows(n, k, s, d)
        return counts[0], counts[1]

    return count


def spans_too_long(call: Call) -> tuple[int, int]:
    """Take d * k for the span of a window, where it is d * (k - 1) + 1."""
    rows, columns = ((n - d * k) // s + 1 for n, k, s, d in geometry(call))
    return rows, columns


def unpadded(call: Call) -> tuple[int, int]:
    rows, columns = (
        windows(n - 2 * p, k, s, d)
        for (n, k, s, d), p in zip(geometry(call), both(call.get("padding", 0)), strict=True)
    )
    return rows, columns


def some(count: Callable[[Call], tuple[int, int]]) -> Callable[[Call], tuple[int, int]]:
    """Say nothing where no window is left: other code than a loop may raise there."""

    def at_least_one(call: Call) -> tuple[int, int]:
        if min(count(call)) < 1:
            raise NotPredicted
        return count(call)

    return at_least_one


def over_the_edge(call: Call, chosen: tuple[int, ...], further: Callable[[int, int], bool]) -> Call:
    """Add a further window along some axes, which hangs over the edge and reads zeros there.

    Whether there is one is for `further` to say, from how many pixels the last window might still move, and
    the stride.
    """
    pairs = []
    padding = both(call.get("padding", 0))
    for axis, ((n, k, s, d), p) in enumerate(zip(geometry(call), padding, strict=True)):
        room = n - d * (k - 1) - 1
        over = axis in chosen and further(room, s)
        pairs.append((p, p + (s - room % s if over else 0)))
    return {**call, "padding": tuple(pairs)}


def rounded_up(room: int, s: int) -> bool:
    return room % s > 0


def rounded_half_up(room: int, s: int) -> bool:
    return 2 * (room % s) >= s > 1


def rounded(room: int, s: int) -> bool:
    """Tell whether Python's round, which takes halves to even numbers, goes up before 1 is added."""
    return round(room / s) > room // s


def sum_rounded(room: int, s: int) -> bool:
    """Tell whether Python's round goes up after 1 was added."""
    return round(room / s + 1) > room // s + 1


def past_the_edge(axes: tuple[int, ...], further: Callable[[int, int], bool]) -> tuple[Wrong, Wrong]:
    """Return two ways: the further window reads zeros, or its reading raises."""

    def raises(call: Call) -> Call:
        padding = both(call.get("padding", 0))
        if over_the_edge(call, axes, further)["padding"] != tuple((p, p) for p in padding):
            raise NotPredicted
        return call

    return Wrong(lambda call: over_the_edge(call, axes, further)), Wrong(raises)


# --- rules ---------------------------------------------------------------------------------

LAST_WINDOW_LOST = Rule(
    "last_window_lost",
    says="The last window counts, also where it ends on the very edge: o = floor((n + 2p - d(k - 1) - "
    "1) / s) + 1.",
    instead="stops one window early",
    why="`range(0, n - k, s)` leaves out its end, and the end is a window. The + 1 of the formula is "
    "the window that stands at the start, before any step was made.",
    wrong=tuple(Wrong(after=windows_lost(always, axes)) for always in (True, False) for axes in AXES),
)

WINDOW_PAST_THE_EDGE = Rule(
    "window_past_the_edge",
    says="A window counts only if it ends inside the padded image: o = floor((n + 2p - d(k - 1) - 1) / "
    "s) + 1.",
    instead="adds a window that hangs over the edge",
    why="Rounding up instead of down gives one output too many wherever the stride does not divide "
    "evenly, and `round` does so in some of these places: `//` is what is meant. Either an index runs out "
    "of the array, or the last column is made of zeros that nobody asked for.",
    wrong=tuple(
        wrong
        for further in (rounded_up, rounded, sum_rounded, rounded_half_up)
        for axes in (AXES if further is rounded_up else AXES[:1])
        for wrong in past_the_edge(axes, further)
    ),
)

SQUARES = Rule(
    "square_assumed",
    says="Rows and columns are counted each by their own numbers: OH from H and KH, OW from W and KW.",
    instead="takes a number of the rows for the columns, or of the columns for the rows",
    why="Square images and square kernels hide it. A photograph is seldom square, nor is a 1x3 kernel.",
    wrong=(
        *square(right),
        Wrong(after=kept(by_the_other_kernel(1))),
        Wrong(after=kept(by_the_other_kernel(0))),
    ),
)

UNCOUNTED = Rule(
    "padding_not_counted",
    says="Padding makes room for further windows: o = floor((n + 2p - d(k - 1) - 1) / s) + 1.",
    instead="pads, and returns only as many outputs as there are without padding",
    why="The size has to be taken from the padded image, or 2p to be added to it. Otherwise the last rows "
    "and columns are missing.",
    wrong=(Wrong(after=kept(unpadded)),),
)

SPANS = Rule(
    "dilated_span_too_long",
    says="k taps that stand d apart span d(k - 1) + 1 pixels.",
    instead="counts its windows as if k taps at dilation d spanned d * k pixels",
    why="There are k - 1 gaps between k taps. Without dilation both numbers are k, so nothing shows; with it "
    "the last windows are lost.",
    wrong=(Wrong(after=kept(spans_too_long)), Wrong(after=kept(some(spans_too_long)))),
)
