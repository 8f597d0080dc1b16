"""From (operation, backend, algorithm) to the kernel that does it.

The contract between the public API and a kernel
------------------------------------------------
1. ``kernel(*outputs, *inputs, *tables_and_sizes) -> None``, the same signature in every backend.
2. Arrays are C-contiguous, aligned, of one float dtype (float32 or float64), validated and
   non-overlapping; inputs are read-only to the kernel, and no extent is zero.
3. Outputs are wholly overwritten and never read.
4. No validation, no padding mode, no exception and no GIL inside; workspace is small, per thread
   and bounded.
5. The same bits at any number of threads.

The signatures
--------------
Index tables come from :mod:`convkit.geometry`: ``ih_of[oh*SH + kh*DH]`` is the input row that
output row ``oh`` reads at tap ``kh``, or -1 for a zero; ``iw_of`` likewise for columns. A window
table has a row ``(start, stop, divisor)``, or ``(start, stop, step)`` for max pooling, per output;
starts never decrease, unless steps are longer than 1.
Where memory is just a stack of planes, its leading axes are folded into one, ``P``::

    conv2d            (y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)
    conv_transpose2d  (y, x, w, b, ih_of, iw_of, SH, SW, DH, DW)    also the gradient for conv2d's x
    conv2d_grad_w     (dw, dy, x, ih_of, iw_of, SH, SW, DH, DW)
    conv2d_grad_b     (db, dy)
    im2col            (cols, x, ih_of, iw_of, SH, SW, DH, DW)
    col2im            (x, cols, ih_of, iw_of, SH, SW, DH, DW)       sums where windows overlap

        x (N, IC, IH, IW)   w (OC, IC/G, KH, KW)   b (OC,)   y (N, OC, OH, OW)
        cols (N, IC, KH, KW, OH, OW)
        transposed: x and y change places, so x (N, OC, OH, OW), y (N, IC, IH, IW), b (IC,)

    pad2d             (y, x, ih_of, iw_of, value)                   x (P, IH, IW)   y (P, OH, OW)
    pad2d_backward    (dx, dy, ih_of, iw_of)
    avg_pool2d        (y, x, h_windows, w_windows)
    avg_pool2d_backward (dx, dy, h_windows, w_windows)
    max_pool2d        (y, x, h_windows, w_windows)
    max_pool2d_indices (y, indices, x, h_windows, w_windows)        indices: int64, ih*IW + iw
    max_pool2d_backward (dx, dy, indices)
    channel_mean      (y, x)                                        x (N, C, S)   y (N, S)
    channel_mean_backward (dx, dy)

    normalize         (y, mean, var, x, weight, bias, eps)
    normalize_given   (y, x, mean, invstd, weight, bias)
    normalize_backward       (dx, dweight, dbias, dy, x, weight, mean, invstd)
    normalize_given_backward (dx, dweight, dbias, dy, x, weight, mean, invstd)

        x (N, G, P, S): one mean, (biased) variance and 1/sqrt(var + eps) per g, over n, p and s;
        they are float64, whatever x is. weight and bias (W, P), where W divides G: element
        (n, g, p, s) takes weight[g % W, p]. Batch norm is (N, C, 1, S) with W = C, instance norm
        (1, N*C, 1, S) with W = C, group norm (1, N*groups, C/groups, S) with W = groups,
        layer norm (1, rows, D, 1) with W = 1.

    dropout           (y, x, seed, threshold, scale)                x, y (U, B): U units kept or dropped
    dropout_mask      (y, mask, x, seed, threshold, scale)          mask (U,) of bool, True where kept
    dropout_given     (y, x, mask, scale)

        Unit u is kept if its 32 random bits are >= threshold, an int in [0, 2**32]. They are word
        (u // 16) % 4 of Philox4x32-10 at counter (u // 64)*16 + u % 16 (low word first, upper two
        words 0) and key seed (64 bits, low word first): a pure function of (seed, u), laid out so
        that 16 vector lanes run 16 counters side by side and use all four words of each.

Each kernel is one line of :data:`convkit.registry.KERNELS`; the dispatch, the contract tests, the
benchmarks and the support matrix of the docs all come from that list.
"""

from __future__ import annotations

import importlib
import platform
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from . import _ext
from .border import recalled
from .place import here
from .registry import BACKENDS, KERNELS, KERNELS_OF, Kernel, kernels_of
from .rules import PREFERENCES, Layer
from .threads import get_num_threads

__all__ = [
    "BackendUnavailable",
    "Call",
    "algorithms",
    "backends",
    "last_call",
    "pick",
    "show_config",
    "why_not",
]


class BackendUnavailable(RuntimeError):
    """A backend was asked for that cannot run here; the message says why."""


# --- which kernel --------------------------------------------------------------------------


class Call(NamedTuple):
    """Which code an operation ran: what :func:`last_call` returns."""

    op: str
    backend: str
    algorithm: str
    where: str
    kernel: Callable[..., None]
    ready: Callable[..., Any] | None = None
    workspace: Callable[..., int] | None = None
    checks_indices: bool = False

    def __repr__(self) -> str:
        return f"{self.op}: {self.backend}, {self.algorithm} ({self.where})"


class _Last(threading.local):
    call: Call | None = None


_last = _Last()


def last_call() -> Call | None:
    """Return which kernel the last operation in this thread ran, or None before the first.

    Nothing falls back in silence: this tells what ``"auto"`` chose.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> y = convkit.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), backend="reference")
    >>> convkit.last_call()
    conv2d: reference, direct (convkit.reference.conv)
    """
    return _last.call


def pick(
    op: str, backend: str = "auto", algorithm: str = "auto", layer: Layer | None = None
) -> Callable[..., None]:
    """Return the kernel that runs `op`, and note it for :func:`last_call`.

    Parameters
    ----------
    op : str
        An operation of :data:`convkit.registry.KERNELS`.
    backend : str
        ``"auto"`` takes the first of :data:`convkit.registry.BACKENDS` that can run here and has the
        algorithm; for arrays on a GPU that is ``"cuda"``, for all others it never is.
    algorithm : str
        ``"auto"`` and ``"fastest"`` choose by the rules of :mod:`convkit.rules`.
    layer : Layer, optional
        The numbers of a convolution, which those rules go by.

    Raises
    ------
    ValueError
        If there is no such backend or algorithm, or the algorithm cannot do this layer.
    BackendUnavailable
        If the backend that was named cannot run here.
    TypeError
        If the arrays are not where that backend works.
    """
    call = _last.call = resolve(op, backend, algorithm, layer, here() is not None)
    return call.kernel


@recalled
def resolve(
    op: str, backend: str, algorithm: str, layer: Layer | None = None, on_device: bool = False
) -> Call:
    """Return what :func:`pick` would run, without noting it."""
    if not (isinstance(backend, str) and isinstance(algorithm, str)):
        raise TypeError(f"backend and algorithm must be strings, got {backend!r} and {algorithm!r}")
    if on_device and backend == "auto":
        backend = "cuda"
    order = PREFERENCES[algorithm](layer) if algorithm in PREFERENCES else (algorithm,)
    kernels = [k for k in KERNELS if k.op == op and k.algorithm in order]
    if not kernels:
        known = f"auto, fastest or, {_by_backend(op, on_device)}"
        raise ValueError(f"algorithm of {_spoken(op)} must be {known}; got {algorithm!r}")
    if backend != "auto":
        if backend not in BACKENDS:
            raise ValueError(f"backend must be auto, {', '.join(BACKENDS)}; got {backend!r}")
        if reason := why_not(backend):
            raise BackendUnavailable(f"{backend}: {reason}")
        if (backend == "cuda") is not on_device:
            raise TypeError(
                f"backend {backend!r} works on arrays in main memory, and these are on a GPU: "
                "convkit.cuda.to_host copies them"
                if on_device
                else "backend 'cuda' works on arrays on a GPU: convkit.cuda.to_device copies them there"
            )
        having = sorted({k.backend for k in kernels})
        kernels = [k for k in kernels if k.backend == backend]
        if not kernels:
            raise ValueError(
                f"backend {backend!r} has no {op} by algorithm {algorithm!r}; it is in: {', '.join(having)}"
            )
    serving = [k for k in kernels if layer is None or k.serves is None or k.serves(layer)]
    if not serving:
        raise ValueError(f"{algorithm} needs {kernels[0].needs}, got {layer}")
    places = list(BACKENDS)
    for kernel in sorted(serving, key=lambda k: (order.index(k.algorithm), places.index(k.backend))):
        if backend == kernel.backend or (kernel.backend != "cuda" and not why_not(kernel.backend)):
            return load(kernel)
    reasons = "; ".join(
        f"{k.backend}: {'for arrays on a GPU' if k.backend == 'cuda' else why_not(k.backend)}"
        for k in serving
    )
    raise BackendUnavailable(f"nothing here runs {op} by algorithm {algorithm!r} ({reasons})")


def _by_backend(op: str, on_device: bool) -> str:
    """List an operation's algorithms backend by backend, those that can run on this array first."""
    of = backends()[op]
    places = sorted(
        (b for b in BACKENDS if b in of), key=lambda b: ((b == "cuda") is not on_device, bool(why_not(b)))
    )
    return "; ".join(f"in {b}, {', '.join(of[b])}" for b in places)


def _spoken(op: str) -> str:
    """Name an operation so that who called a public function recognises it."""
    functions = [name for name, ops in KERNELS_OF.items() if op in ops]
    return op if op in functions else f"{op}, which {functions[0]} runs,"


def load(kernel: Kernel) -> Call:
    """Import the code behind a line of the registry."""
    module_name, _, function = kernel.place.partition(":")
    module = importlib.import_module(BACKENDS[kernel.backend]).load(module_name)
    ready, workspace = (getattr(module, name) if name else None for name in (kernel.ready, kernel.workspace))
    main = getattr(module, function)
    where = module.__name__
    checks = kernel.checks_indices
    return Call(kernel.op, kernel.backend, kernel.algorithm, where, main, ready, workspace, checks)


# --- what there is -------------------------------------------------------------------------


@cache
def why_not(backend: str) -> str | None:
    """Return why `backend` cannot run here, or None if it can."""
    return importlib.import_module(BACKENDS[backend]).why_not()


class Support(dict[str, dict[str, tuple[str, ...]]]):
    """Operation -> backend -> its algorithms; prints as the table that it is."""

    def __repr__(self) -> str:
        names = list(BACKENDS)
        rows = [["operation", *names, "run by"]]
        for op, of in self.items():
            having = (", ".join(of.get(b, ())) or "-" for b in names)
            rows.append([op, *having, ", ".join(name for name, ops in KERNELS_OF.items() if op in ops)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines += [f"{b} cannot run here: {reason}" for b in names if (reason := why_not(b))]
        return "\n".join(lines)


def backends() -> Support:
    """Return the support matrix: for each operation and backend, the algorithms there are.

    Backends that cannot run here are listed too; printed, the table ends with their reasons.

    Examples
    --------
    >>> import convkit
    >>> convkit.backends()["pad2d"]["cython"]
    ('direct',)
    """
    table = Support()
    for k in KERNELS:
        of = table.setdefault(k.op, {})
        of[k.backend] = (*of.get(k.backend, ()), k.algorithm)
    return table


def algorithms(op: str, backend: str = "auto") -> tuple[str, ...]:
    """Return the algorithms of an operation, in one backend or in any that can run here.

    Parameters
    ----------
    op : str
        A public function (``"batch_norm"``), or an operation of the support matrix (``"normalize"``).
        Of a function that runs several operations, the algorithms of its main one: batch norm in
        evaluation has not all that it has in training.
    backend : str
        A backend's name, or ``"auto"``.

    Raises
    ------
    ValueError
        If there is no such operation or backend.

    Examples
    --------
    >>> import convkit
    >>> convkit.algorithms("conv2d", "reference")
    ('seven_loops', 'direct', 'im2col', 'matrix')
    >>> convkit.algorithms("batch_norm", "reference")
    ('two_passes', 'direct')
    """
    having = backends()[kernels_of(op)[0]]
    if backend == "auto":
        found = [a for b, of in having.items() if not why_not(b) for a in of]
        return tuple(dict.fromkeys(found))
    if backend not in BACKENDS:
        raise ValueError(f"backend must be auto, {', '.join(BACKENDS)}; got {backend!r}")
    return having.get(backend, ())


def show_config() -> dict[str, Any]:
    """Return what convkit runs on here: versions, instruction set, threads, backends.

    Examples
    --------
    >>> import convkit
    >>> sorted(convkit.show_config()["backends"])
    ['cuda', 'cython', 'numba', 'numpy', 'reference']
    """
    import numpy as np

    from . import __version__

    return {
        "convkit": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        **_ext.config(),
        "threads": get_num_threads(),
        "backends": {b: why_not(b) or _has_kernels(b) for b in BACKENDS},
    }


def _has_kernels(backend: str) -> str:
    return "available" if any(k.backend == backend for k in KERNELS) else "no kernels yet"
