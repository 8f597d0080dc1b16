"""Single numbers and single planes of large results, in float64: what a GPU computes is compared with them.

The reference would take minutes for arrays of the size that is timed; a few numbers of a convolution, or a
few planes of an operation that treats them one by one, take none. Every output is compared, and the bounds
are those of the contract's tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from comparator import assert_close, assert_equal
from device import is_tensor
from kernel_cases import Arguments, Case, Output

from convkit import dispatch
from convkit.registry import KERNELS
from convkit.scalars import unit_bits

__all__ = ["assert_right", "expected"]

SAMPLES = 48


def expected(op: str, arguments: Arguments) -> list[np.ndarray]:
    """Return the outputs of the reference."""
    (line,) = (k for k in KERNELS if (k.op, k.backend, k.algorithm) == (op, "reference", "direct"))
    want = [np.empty_like(a) for a in arguments.outputs]
    dispatch.load(line).kernel(*want, *arguments.inputs)
    return want


def assert_right(case: Case, like: list[Output], results: list[np.ndarray], inputs: list[Any]) -> None:
    """Compare samples of all results of a call with float64; `like` are the case's outputs."""
    if case.op in PRODUCTS:
        assert_samples(case.op, results[0], inputs)
    elif case.op.startswith("dropout"):
        assert_kept(results, inputs)
    else:
        for part in PARTS[case.op](results, inputs):
            shapes = [o._replace(shape=r.shape) for o, r in zip(like, part.results, strict=True)]
            small = Case(part.op, case.name, lambda draw, s=shapes, i=part.inputs: (s, i))
            arguments = small.arguments("float32", "reals")
            want = expected(part.op, arguments)
            for name in part.compared:
                assert_close(part.results[name], want[name], arguments.bounds[name], f"output {name}")


# --- planes and statistics, one by one ---------------------------------------------------------


class Part(NamedTuple):
    """A part of a call that is a call of its own, and which of its outputs are right on their own."""

    op: str
    results: list[np.ndarray]
    inputs: list[Any]
    compared: range


def some(n: int) -> np.ndarray:
    """Return the first two, a middle and the last of n."""
    return np.unique([0, min(1, n - 1), n // 2, n - 1])


def _planes(op: str) -> Callable[..., Iterator[Part]]:
    """Return what takes some planes: slices of all tensors, along their first axis."""

    def parts(results: list[np.ndarray], inputs: list[Any]) -> Iterator[Part]:
        planes = some(len(results[0]))
        picked = [a[planes] if isinstance(a, np.ndarray) and is_tensor(a) else a for a in inputs]
        yield Part(op, [r[planes] for r in results], picked, range(len(results)))

    return parts


def _channels(results: list[np.ndarray], inputs: list[Any]) -> Iterator[Part]:
    channels = some(len(results[0]))
    yield Part("conv2d_grad_b", [results[0][channels]], [inputs[0][:, channels]], range(1))


def _statistics(op: str) -> Callable[..., Iterator[Part]]:
    """Return what takes some statistics g: slices of x (N, G, P, S) and of what belongs to them."""

    def parts(results: list[np.ndarray], inputs: list[Any]) -> Iterator[Part]:
        (G, P), (W, _) = results[0].shape[1:3], next(a for a in inputs if np.ndim(a) == 2).shape
        each, backward = some(G), op.endswith("backward")

        def of(a: Any) -> Any:
            if np.ndim(a) == 4:
                return np.ascontiguousarray(a[:, each])
            return a[each] if np.ndim(a) == 1 or (np.ndim(a) == 2 and W == G) else a

        own = range(1) if backward and W != G else range(len(results))
        yield Part(op, [of(r) for r in results], [of(a) for a in inputs], own)
        if backward and W != G:  # weights that statistics share: some of their columns, over all of x
            dy, x, weight, mean, invstd = inputs
            p = some(P)
            columns = [dy[:, :, p], x[:, :, p], weight[:, p], mean, invstd]
            sums = [results[0][:, :, p], results[1][:, p], results[2][:, p]]
            yield Part("normalize_given_backward", sums, columns, range(1, 3))

    return parts


PARTS: dict[str, Callable[..., Iterator[Part]]] = {
    op: _planes(op) for op in {k.op for k in KERNELS if k.backend == "reference"}
}
PARTS["conv2d_grad_b"] = _channels
PARTS |= {op: _statistics(op) for op in PARTS if op.startswith("normalize")}


# --- dropout -----------------------------------------------------------------------------------


def assert_kept(results: list[np.ndarray], inputs: list[Any]) -> None:
    """Check some units of dropout, whose bits depend on their number or are given, and of its mask."""
    x, *drawn, scale = inputs
    units = np.array([0, len(x) - 1, *np.random.default_rng(3).integers(len(x), size=SAMPLES)])
    if len(drawn) == 1:
        kept = drawn[0][units]
    else:
        seed, threshold = drawn
        kept = np.array([int(unit_bits(np.uint64(seed), np.uint64(u))) >= threshold for u in units])
    want = np.where(kept[:, None], x[units] * np.float32(scale), 0).astype(x.dtype), kept
    for result, right in zip(results, want, strict=False):
        assert_equal(result[units], right)


# --- convolutions ------------------------------------------------------------------------------


def _conv2d(at: tuple[int, ...], x, w, b, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    """Return the products of one output of a convolution, and what is added to them."""
    n, oc, oh, ow = at
    _, _, KH, KW = w.shape
    rows, columns = ih_of[oh * SH + np.arange(KH) * DH], iw_of[ow * SW + np.arange(KW) * DW]
    cells = x[n][:, rows[:, None], columns].astype(np.float64)
    cells[:, (rows[:, None] < 0) | (columns < 0)] = 0
    return w[oc] * cells, float(b[oc])


def _conv_transpose2d(at: tuple[int, ...], x, w, b, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    n, ic, ih, iw = at
    _, _, OH, OW = x.shape
    _, _, KH, KW = w.shape
    kh, oh = np.nonzero(ih_of[np.arange(OH) * SH + np.arange(KH)[:, None] * DH] == ih)
    kw, ow = np.nonzero(iw_of[np.arange(OW) * SW + np.arange(KW)[:, None] * DW] == iw)
    weights = w[:, ic, kh[:, None], kw].astype(np.float64)
    return weights * x[n][:, oh[:, None], ow], float(b[ic])


def _conv2d_grad_w(at: tuple[int, ...], dy, x, ih_of, iw_of, SH, SW, DH, DW) -> tuple[np.ndarray, float]:
    oc, ic, kh, kw = at
    _, _, OH, OW = dy.shape
    rows, columns = ih_of[np.arange(OH) * SH + kh * DH], iw_of[np.arange(OW) * SW + kw * DW]
    cells = x[:, ic][:, rows[:, None], columns].astype(np.float64)
    cells[:, (rows[:, None] < 0) | (columns < 0)] = 0
    return dy[:, oc] * cells, 0.0


PRODUCTS = {"conv2d": _conv2d, "conv_transpose2d": _conv_transpose2d, "conv2d_grad_w": _conv2d_grad_w}


def assert_samples(op: str, result: np.ndarray, inputs: list[Any]) -> None:
    """Check some numbers of a convolution without groups, its corners among them.

    A sum of t rounded products errs by at most about ``t * eps`` times the sum of their absolute values.
    """
    rng = np.random.default_rng(3)
    places = [(0,) * 4, tuple(n - 1 for n in result.shape)]
    places += [tuple(int(rng.integers(n)) for n in result.shape) for _ in range(SAMPLES)]
    for at in places:
        products, more = PRODUCTS[op](at, *inputs)
        want, magnitude = products.sum() + more, np.abs(products).sum() + abs(more)
        bound = (products.size + 1) * np.finfo(result.dtype).eps * magnitude
        if not abs(float(result[at]) - want) <= bound:
            raise AssertionError(
                f"{op} at {at}: got {result[at]!r}, want {want!r}, allowed distance {bound:.3g}"
            )
