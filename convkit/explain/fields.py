"""Receptive fields of whole networks: which pixels an output depends on, and by how many paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import IntOrInts
from ..conv import conv2d_backward
from ..geometry import Field, conv_padding, option, per_axis, whole
from ..geometry import receptive_field as along_one_axis
from .ledger import Mismatch, brief

__all__ = ["ReceptiveField", "receptive_field"]

POINTWISE = {
    "BatchNorm1d", "BatchNorm2d", "Dropout", "Dropout2d", "ELU", "GELU", "Hardswish", "Identity", "LeakyReLU",
    "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softplus", "Tanh",
}  # fmt: skip
"""Layers that see one pixel, and are left out. (BatchNorm's statistics see more, in training.)"""

ENDS = {"Flatten": "has no rows and columns any more", "Linear": "sees the whole image"}
"""Layers that end the image, and what they make of each number after them."""


def receptive_field(layers: Iterable[Any], input_size: IntOrInts | None = None) -> ReceptiveField:
    """Follow the receptive field through a network's layers.

    Parameters
    ----------
    layers : iterable
        Dicts with ``kernel_size`` and optionally ``stride``, ``padding`` and ``dilation``, as for
        :func:`convkit.conv2d`; or layers that know these: those of :mod:`convkit.layers`, or a framework's.
        Sequences of layers may be nested; layers that see one pixel, such as ReLU and BatchNorm, change
        nothing. Flatten and Linear end the image: the field is that of what goes into them.
    input_size : int or (int, int), optional
        Rows and columns of the image; with it there are output sizes, and fields that end at its edge.

    Returns
    -------
    ReceptiveField

    Raises
    ------
    ValueError, TypeError
        If a layer has no window, or stands behind Flatten or Linear; if an option is out of range, or the
        image too small.

    Examples
    --------
    >>> import convkit
    >>> convkit.explain.receptive_field([{"kernel_size": 3}] * 2 + [{"kernel_size": 2, "stride": 2}], 12)
    layer         field   jump  starts at  outputs
    input         1 x 1   1     0          12 x 12
    3 x 3         3 x 3   1     0          10 x 10
    3 x 3         5 x 5   1     0          8 x 8
    2 x 2 / 2     6 x 6   2     0          4 x 4

    >>> from convkit.layers import BatchNorm2d, Conv2d, Flatten, Linear
    >>> convkit.explain.receptive_field([Conv2d(1, 2, 3), BatchNorm2d(2), Flatten(), Linear(72, 10)], 8)
    layer  field  jump  starts at  outputs
    input  1 x 1  1     0          8 x 8
    3 x 3  3 x 3  1     0          6 x 6
    Behind layer 2 (Flatten) each number has no rows and columns any more.
    Behind layer 3 (Linear) each number sees the whole image.
    """
    size = None if input_size is None else per_axis(input_size, 2, "input_size", least=1)
    windows: list[_Window] = []
    sizes = size
    end: dict[str, int] = {}  # which layers end the image, and which number the first of them has
    for number, layer in enumerate(_flat(layers)):
        if (kind := type(layer).__name__) in ENDS:
            end.setdefault(kind, number)
            continue
        window = _window(layer, number, sizes)
        if window is None:
            continue
        if end:
            raise ValueError(f"layer {number} ({kind}) has a window, but stands behind {' and '.join(end)}")
        windows.append(window)
        sizes = None if size is None else _outputs(windows, size)
    rows, columns = (
        tuple(along_one_axis([w.axis(i) for w in windows], None if size is None else size[i])) for i in (0, 1)
    )
    ends = tuple(f"Behind layer {number} ({kind}) each number {ENDS[kind]}." for kind, number in end.items())
    return ReceptiveField(tuple(windows), rows, columns, size, ends)


@dataclass(frozen=True)
class _Window:
    """A layer's window, both axes."""

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    def axis(self, i: int) -> dict[str, Any]:
        names = ("kernel_size", "stride", "padding", "dilation")
        return {name: getattr(self, name)[i] for name in names}

    def __str__(self) -> str:
        text = " x ".join(map(str, self.kernel_size))
        text += f" / {brief(self.stride)}" if set(self.stride) != {1} else ""
        text += f", padding {brief(self.padding)}" if any(map(any, self.padding)) else ""
        return text + (f", dilation {brief(self.dilation)}" if set(self.dilation) != {1} else "")


def _flat(layers: Any) -> Iterable[Any]:
    for layer in layers:
        if isinstance(layer, Mapping) or hasattr(layer, "kernel_size") or not _is_sequence(layer):
            yield layer
        else:
            yield from _flat(layer)


def _is_sequence(layer: Any) -> bool:
    return hasattr(layer, "__len__") and hasattr(layer, "__getitem__") and not isinstance(layer, str)


def _window(layer: Any, number: int, size: tuple[int, ...] | None) -> _Window | None:
    """Return a layer's window, or None if it sees one pixel."""
    kind = "a dict" if isinstance(layer, Mapping) else type(layer).__name__
    options = _options(layer)
    if "kernel_size" not in options:
        if kind in POINTWISE:
            return None
        raise ValueError(
            f"layer {number} ({kind}) has no kernel_size: only layers with a window have a field"
        )
    unknown = set(options) - {"kernel_size", "stride", "padding", "dilation"}
    if isinstance(layer, Mapping) and unknown:
        raise ValueError(f"layer {number} may have kernel_size, stride, padding and dilation, got {layer!r}")
    if getattr(layer, "transposed", False) or options.get("ceil_mode"):
        raise ValueError(
            f"layer {number} ({kind}) is transposed or in ceil mode, which is not supported here"
        )
    k = per_axis(options["kernel_size"], 2, "kernel_size", least=1)
    stride = options.get("stride")
    s = per_axis(1 if stride is None else stride, 2, "stride", least=1)
    d = per_axis(options.get("dilation", 1), 2, "dilation", least=1)
    padding = option(options.get("padding", 0), "padding")
    if padding == "same" and size is None and set(s) != {1}:
        raise ValueError(f'layer {number} has padding="same" and stride {brief(s)}: input_size is needed')
    return _Window(k, s, conv_padding(padding, size or k, k, s, d), d)


def _options(layer: Any) -> dict[str, Any]:
    """Return what a dict or a layer says of its window."""
    if isinstance(layer, Mapping):
        return dict(layer)
    own = dict(getattr(layer, "options", {}))
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    return {name: getattr(layer, name) for name in names if hasattr(layer, name)} | own


def _outputs(windows: list[_Window], size: tuple[int, ...]) -> tuple[int, ...]:
    """Return rows and columns after the last window."""
    last = (along_one_axis([w.axis(i) for w in windows], size[i])[-1].outputs for i in (0, 1))
    return tuple(o for o in last if o is not None)


def _inside(cells: range, n: int) -> range:
    """Return the cells that are in an image of `n`; none where all are in its padding."""
    start = min(max(cells.start, 0), n)
    return range(start, max(min(cells.stop, n), start))


@dataclass(frozen=True, repr=False)
class ReceptiveField:
    """What one output of a network sees: what :func:`receptive_field` returns.

    Attributes
    ----------
    windows : tuple
        The layers that have a window, in order.
    rows, columns : tuple of convkit.geometry.Field
        The fields along each axis: the input's own, then one after each of those layers.
    input_size : (int, int) or None
        Rows and columns of the image.
    ends : tuple of str
        Which layers end the image, Flatten and Linear, and what that means, in sentences.
    """

    windows: tuple[_Window, ...]
    rows: tuple[Field, ...]
    columns: tuple[Field, ...]
    input_size: tuple[int, ...] | None
    ends: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the image that one output of the last layer depends on."""
        return self.rows[-1].size, self.columns[-1].size

    @property
    def jump(self) -> tuple[int, int]:
        """Pixels between the fields of neighbouring outputs."""
        return self.rows[-1].jump, self.columns[-1].jump

    def cells(self, oh: int, ow: int) -> tuple[range, range]:
        """Return the rows and columns that output (oh, ow) sees, cut off at the image's edge if it is known.

        Examples
        --------
        >>> import convkit
        >>> field = convkit.explain.receptive_field([{"kernel_size": 3, "padding": 1}] * 2, 8)
        >>> field.cells(0, 4)
        (range(0, 3), range(2, 7))
        """
        found = []
        for name, i, field, n in zip(
            ("oh", "ow"),
            (oh, ow),
            (self.rows[-1], self.columns[-1]),
            self.input_size or (None, None),
            strict=True,
        ):
            i = whole(i, name, least=0)
            if field.outputs is not None and i >= field.outputs:
                raise ValueError(f"{name} must be below {field.outputs}, the outputs of that axis, got {i}")
            cells = field.cells(i)
            found.append(cells if n is None else _inside(cells, n))
        return found[0], found[1]

    def paths(self, oh: int, ow: int) -> np.ndarray:
        """Count the ways from each pixel to output (oh, ow), one weight a layer.

        With all weights alike, a pixel's influence is in proportion: it falls off from the middle, which is
        why the field that matters is smaller than the field.

        Returns
        -------
        ndarray of float64, shape `input_size`

        Raises
        ------
        ValueError
            If the input size is not known, or there is no such output.
        Mismatch
            If the kernels' gradient is not zero outside :meth:`cells`, or does not fill them.

        Examples
        --------
        >>> import convkit
        >>> convkit.explain.receptive_field([{"kernel_size": (1, 3)}] * 2, (1, 7)).paths(0, 1)
        array([[0., 1., 2., 3., 2., 1., 0.]])
        """
        if self.input_size is None:
            raise ValueError("input_size is needed to count paths: give it to receptive_field")
        rows, columns = self.cells(oh, ow)
        sizes: list[Any] = [(r.outputs, c.outputs) for r, c in zip(self.rows, self.columns, strict=True)]
        grad: Any = np.zeros((1, *sizes[-1]))
        grad[0, oh, ow] = 1.0
        for window, size in zip(reversed(self.windows), reversed(sizes[:-1]), strict=True):
            ones = np.ones((1, 1, *window.kernel_size))
            options = window.stride, window.padding, window.dilation
            grad = conv2d_backward(grad, (1, *size), ones, *options, needs=(True, False, False)).grad_x
        self._check(grad[0], rows, columns, (oh, ow))
        return grad[0]

    def _check(self, paths: np.ndarray, rows: range, columns: range, at: tuple[int, int]) -> None:
        """Compare the field by the formula with where the kernels' gradient is not zero."""
        outside = paths.copy()
        outside[rows.start : rows.stop, columns.start : columns.stop] = 0
        inside = paths[rows.start : rows.stop, columns.start : columns.stop]
        whole_field = (len(rows), len(columns)) == self.size  # cut off, it may end in a layer's padding
        ends = [inside[0], inside[-1], inside[:, 0], inside[:, -1]] if inside.size else []
        if outside.any() or (whole_field and not all(line.any() for line in ends)):
            raise Mismatch(f"output {at} sees other pixels than rows {rows} and columns {columns}")

    def overlay(self, image: np.ndarray, oh: int, ow: int) -> np.ndarray:
        """Return the image as a picture in which all that output (oh, ow) does not see is dimmed.

        Parameters
        ----------
        image : ndarray, shape (H, W) or (H, W, 3)
            Grey or colour; uint8, or any other numbers, which are then spread from black to white.
        oh, ow : int
            Which output.

        Returns
        -------
        ndarray of uint8, shape (H, W, 3)

        Examples
        --------
        >>> import numpy as np, convkit
        >>> field = convkit.explain.receptive_field([{"kernel_size": 5, "stride": 2}])
        >>> field.overlay(np.full((9, 9), 200, np.uint8), 1, 1)[2:7, 4, 0]
        array([200, 200, 200, 200, 200], dtype=uint8)
        """
        from .pictures import grey, outlined

        image = np.asarray(image)
        if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise ValueError(f"image must have shape (H, W) or (H, W, 3), got {image.shape}")
        if self.input_size and image.shape[:2] != self.input_size:
            raise ValueError(f"image must have {self.input_size} pixels, got {image.shape[:2]}")
        if image.dtype != np.uint8:
            image = np.stack([grey(p)[..., 0] for p in np.atleast_3d(image).transpose(2, 0, 1)], axis=-1)
        pixels = np.broadcast_to(np.atleast_3d(image), (*image.shape[:2], 3))
        rows, columns = (
            _inside(cells, n) for cells, n in zip(self.cells(oh, ow), image.shape[:2], strict=True)
        )
        if not (rows and columns):
            raise ValueError(f"output {oh, ow} sees nothing of an image of {image.shape[:2]} pixels")
        grey_levels = np.round(0.35 * pixels.mean(axis=2, keepdims=True)).astype(np.uint8)
        dimmed = np.repeat(grey_levels, 3, axis=2)
        dimmed[rows.start : rows.stop, columns.start : columns.stop] = pixels[
            rows.start : rows.stop, columns.start : columns.stop
        ]
        line = max(1, min(image.shape[:2]) // 200)
        return outlined(dimmed, rows.start, columns.start, len(rows), len(columns), line=line)

    def __str__(self) -> str:
        names = ["input", *map(str, self.windows)]
        table = [("layer", "field", "jump", "starts at", "outputs")]
        for name, r, c in zip(names, self.rows, self.columns, strict=True):
            outputs = "" if r.outputs is None else f"{r.outputs} x {c.outputs}"
            jump, start = brief((r.jump, c.jump)), brief((r.start, c.start))
            table.append((name, f"{r.size} x {c.size}", jump, start, outputs))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        return "\n".join([*lines, *self.ends])

    __repr__ = __str__
