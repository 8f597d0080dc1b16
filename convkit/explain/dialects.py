"""Dialects: one geometry as other systems state it, and where their shapes agree but their values do not."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..arrays import IntOrInts
from ..conv import conv2d
from ..conv_plan import Padding
from ..geometry import conv_padding, option, per_axis
from ..normalization import batch_norm
from ..pooling import avg_pool2d
from .ledger import Mismatch, brief
from .systems import CONVENTIONS, STATEMENTS, Convention, Geometry, Statement, same_paddings

__all__ = ["Clash", "Dialects", "dialects"]

WIDTH = 96  # columns of a line of text, where a word does not need more


def dialects(
    size: IntOrInts,
    kernel_size: IntOrInts,
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    padding_mode: str = "zeros",
) -> Dialects:
    """Say one convolution as PyTorch, TensorFlow and Keras, ONNX, oneDNN, SciPy and OpenCV say it.

    Parameters
    ----------
    size : int or (int, int)
        Rows and columns of the image.
    kernel_size, stride, padding, dilation, padding_mode
        As for :func:`convkit.conv2d`.

    Returns
    -------
    Dialects
        Printed, it is a page of text.

    Raises
    ------
    ValueError, TypeError
        If an option is out of range, or no window fits.

    References
    ----------
    The systems' own documentation, of PyTorch 2, TensorFlow 2 with Keras 3, ONNX 1, oneDNN 3, SciPy 1 and
    OpenCV 4.

    Examples
    --------
    >>> import convkit
    >>> found = convkit.explain.dialects(224, 7, stride=2, padding="same")
    >>> found.padding, found.output_size
    (((2, 3), (2, 3)), (112, 112))
    >>> found["TensorFlow"].call
    'tf.nn.conv2d(x, w, [2, 2], "SAME", dilations=[1, 1]) + b'
    >>> found["oneDNN"].options["dilates"]
    [0, 0]
    >>> clash = found.clashes[0]
    >>> clash.readings[1], clash.shape, clash.differing
    ('(2, 3) (Keras "same", ONNX SAME_UPPER)', (112, 112), 12544)
    """
    n = per_axis(size, 2, "size", least=1)
    k = per_axis(kernel_size, 2, "kernel_size", least=1)
    s, d = per_axis(stride, 2, "stride", least=1), per_axis(dilation, 2, "dilation", least=1)
    pads = conv_padding(option(padding, "padding"), n, k, s, d)
    geometry = Geometry(n, k, s, pads, d, padding_mode)
    trial = _Trial(geometry)
    if trial.run(pads).shape != geometry.output_size:
        raise Mismatch(f"the kernel's output is not of size {geometry.output_size}: {trial.run(pads).shape}")
    clashes = [
        *_clashes_of_same(geometry, trial),
        *_clashes_of_modes(geometry, trial),
        *_clashes_of_divisors(k, s, n),
    ]
    return Dialects(geometry, tuple(state(geometry) for state in STATEMENTS), tuple(clashes))


class Clash(NamedTuple):
    """Two readings of one request that give equal shapes and different values.

    Attributes
    ----------
    request : str
        What was asked for.
    readings : (str, str)
        The two readings.
    shape : tuple of int
        The size of both outputs.
    differing : int
        How many of their values differ, on an image and a kernel of random whole numbers.
    """

    request: str
    readings: tuple[str, str]
    shape: tuple[int, ...]
    differing: int

    def __str__(self) -> str:
        one, other = (
            textwrap.fill(
                text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
            )
            for text in (f"{self.request}: {self.readings[0]}", f"  and {self.readings[1]}")
        )
        size = " x ".join(map(str, self.shape))
        values = int(np.prod(self.shape))
        return f"{one}\n{other}\n  both give {size}, and {self.differing:,} of {values:,} values differ"


class _Trial:
    """An image and a kernel of random whole numbers, none zero, to see which readings give equal values."""

    def __init__(self, geometry: Geometry) -> None:
        rng = np.random.default_rng(0)
        self.geometry = geometry
        self.image = rng.integers(1, 100, (1, *geometry.size)).astype(np.float64)
        self.kernel = rng.integers(1, 100, (1, 1, *geometry.kernel_size)).astype(np.float64)

    def run(self, padding: Any, mode: str | None = None) -> np.ndarray:
        g = self.geometry
        window = g.stride, padding, g.dilation
        return conv2d(self.image, self.kernel, None, *window, padding_mode=mode or g.padding_mode)[0]


def _clash(request: str, readings: tuple[str, str], one: np.ndarray, other: np.ndarray) -> list[Clash]:
    if one.shape != other.shape or np.array_equal(one, other):
        return []
    return [Clash(request, readings, one.shape, int((one != other).sum()))]


def _clashes_of_same(geometry: Geometry, trial: _Trial) -> list[Clash]:
    """Compare all paddings that are called "same", each with each."""
    asked: dict[Any, list[str]] = {}
    for way, (padding, _) in same_paddings(geometry).items():
        if padding is not None:
            asked.setdefault(padding, []).append(way)
    named = {padding: f"{brief(padding)} ({'; '.join(ways)})" for padding, ways in asked.items()}
    outputs = {padding: trial.run(padding, "zeros") for padding in asked}
    return [
        clash
        for one, other in combinations(asked, 2)
        for clash in _clash('"same"', (named[one], named[other]), outputs[one], outputs[other])
    ]


def _clashes_of_modes(geometry: Geometry, trial: _Trial) -> list[Clash]:
    """Compare the two modes that are both called "reflect"."""
    if geometry.padding_mode not in ("reflect", "symmetric"):
        return []
    readings = ("without the edge twice (NumPy, PyTorch)", "with it twice (SciPy's ndimage, OpenCV)")
    pads = geometry.padding
    return _clash('"reflect"', readings, trial.run(pads, "reflect"), trial.run(pads, "symmetric"))


def _clashes_of_divisors(k: tuple[int, ...], s: tuple[int, ...], n: tuple[int, ...]) -> list[Clash]:
    """Compare the two divisors of an average pooling by this window, padded by half of it."""
    p = tuple(v // 2 for v in k)
    image = np.random.default_rng(0).integers(1, 100, (1, *n)).astype(np.float64)
    one, other = (avg_pool2d(image, k, s, p, count_include_pad=count)[0] for count in (True, False))
    readings = ("dividing by padding, too (PyTorch)", "by real cells alone (TensorFlow, ONNX)")
    return _clash(f"average pooling with padding {brief(p)}", readings, one, other)


def running_mean_after_one_batch(convention: Convention) -> float:
    """Return where a running mean of 0 goes after a batch of mean 1, computed by batch norm.

    >>> [round(running_mean_after_one_batch(c), 3) for c in CONVENTIONS if c.momentum is not None]
    [0.1, 0.01, 0.1]
    """
    assert convention.momentum is not None
    new = convention.momentum if convention.weighs == "the new batch" else 1 - convention.momentum
    mean, var = np.zeros(1), np.ones(1)
    batch_norm(np.array([[0.0], [2.0]]), mean, var, training=True, momentum=new)
    return float(mean[0])


@dataclass(frozen=True, repr=False)
class Dialects:
    """One convolution in the words of several systems: what :func:`dialects` returns.

    Index it by the beginning of a system's name, such as ``"ONNX"``, for its statement.

    Attributes
    ----------
    geometry : tuple
        The convolution: size, kernel_size, stride, padding, dilation, padding_mode.
    statements : tuple
        How each system states it: ``system``, ``layout``, ``call``, ``options`` and ``note``.
    clashes : tuple of Clash
        Readings of one request that give equal shapes and different values.
    """

    geometry: Geometry
    statements: tuple[Statement, ...]
    clashes: tuple[Clash, ...]

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """The padding: ((top, bottom), (left, right))."""
        return self.geometry.padding

    @property
    def output_size(self) -> tuple[int, ...]:
        """Rows and columns of the output."""
        return self.geometry.output_size

    @property
    def same(self) -> dict[str, tuple[tuple[tuple[int, int], ...] | None, str]]:
        """What each way to ask for "same" means here: the padding, or None for a refusal, and a remark."""
        return same_paddings(self.geometry)

    def __getitem__(self, system: str) -> Statement:
        """Return the statement of the system whose name begins like this; two may share one."""
        by_name = {name: one for one in self.statements for name in one.system.split(", ")}
        for name, statement in by_name.items():
            if isinstance(system, str) and system and name.lower().startswith(system.lower()):
                return statement
        raise KeyError(f"system must be one of {', '.join(map(repr, by_name))}, got {system!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dicts, lists, strings and numbers, ready for JSON."""
        return {
            **self.geometry._asdict(),
            "output_size": self.output_size,
            "statements": [statement._asdict() for statement in self.statements],
            "same": {way: {"padding": p, "remark": remark} for way, (p, remark) in self.same.items()},
            "clashes": [clash._asdict() for clash in self.clashes],
            "conventions": [convention._asdict() for convention in CONVENTIONS],
        }

    def __str__(self) -> str:
        from .dialect_text import plain

        return plain(self)

    __repr__ = __str__

    def __rich__(self) -> Any:
        from .dialect_text import coloured

        return coloured(self)
