"""The one comparator that all tests use.

Three degrees of sameness, each of which starts from the same shape and the same dtype:

- :func:`assert_bits`: the same bits, of every NaN and of every zero;
- :func:`assert_equal`: the same values. NaN equals NaN, and -0.0 equals 0.0, because which zero a sum
  of nothing but zeros ends on depends on its order, and the order is a kernel's own business;
- :func:`assert_close`: each element within a bound of its own, which the caller has to justify. NaNs
  and infinities have no distance: they must still be equal.
"""

from __future__ import annotations

import numpy as np


def assert_bits(got: np.ndarray, want: np.ndarray, what: str = "result") -> None:
    """Check that two arrays hold the same bits."""
    _same_kind(got, want, what)
    got_bits, want_bits = (
        np.frombuffer(a.tobytes(), dtype=np.uint8).reshape(*a.shape, a.itemsize) for a in (got, want)
    )
    _refuse((got_bits != want_bits).any(axis=-1), got, want, 0.0, what)


def assert_equal(got: np.ndarray, want: np.ndarray, what: str = "result") -> None:
    """Check that two arrays hold equal values."""
    assert_close(got, want, 0.0, what)


def assert_close(got: np.ndarray, want: np.ndarray, bound: float | np.ndarray, what: str = "result") -> None:
    """Check that each element of `got` is within `bound` (a number, or an array of them) of `want`."""
    _same_kind(got, want, what)
    bound = np.asarray(bound, dtype=np.float64)
    if not (np.isfinite(bound).all() and (bound >= 0).all()):
        raise AssertionError(f"{what}: a bound must be finite and not negative, got {bound!r}")
    bound = np.broadcast_to(bound, want.shape)
    if want.dtype.kind == "f":
        wrong = ~((got == want) | (np.isnan(got) & np.isnan(want)) | (_distance(got, want) <= bound))
    else:
        wrong = got != want
    _refuse(wrong, got, want, bound, what)


def _same_kind(got: np.ndarray, want: np.ndarray, what: str) -> None:
    for name, a in (("got", got), ("want", want)):
        if not isinstance(a, np.ndarray):
            raise AssertionError(f"{what}: {name} a {type(a).__name__}, not an array")
    if got.shape != want.shape:
        raise AssertionError(f"{what}: got shape {got.shape}, want {want.shape}")
    if got.dtype != want.dtype:
        raise AssertionError(f"{what}: got dtype {got.dtype}, want {want.dtype}")


def _distance(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """|got - want| in float64; infinite or NaN, and so within no bound, where either is."""
    with np.errstate(all="ignore"):
        return np.abs(got.astype(np.float64) - want.astype(np.float64))


def _refuse(
    wrong: np.ndarray, got: np.ndarray, want: np.ndarray, bound: float | np.ndarray, what: str
) -> None:
    """Raise if any element is wrong, and say how many, which is the first and which the worst."""
    if not wrong.any():
        return
    excess = _distance(got, want) - bound
    excess[np.isnan(excess)] = np.inf
    excess[~wrong] = -np.inf
    first = tuple(int(i) for i in np.unravel_index(wrong.argmax(), wrong.shape))
    worst = tuple(int(i) for i in np.unravel_index(excess.argmax(), wrong.shape))
    lines = [f"{what}: {np.count_nonzero(wrong)} of {wrong.size} elements are wrong"]
    for name, at in (("first", first), ("worst", worst)):
        allowed = np.broadcast_to(bound, wrong.shape)[at]
        lines.append(f"  {name} at {at}: got {got[at]!r}, want {want[at]!r}, allowed distance {allowed:.3g}")
    raise AssertionError("\n".join(lines))
