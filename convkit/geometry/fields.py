"""Receptive fields: what one output of a stack of layers sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .options import per_axis
from .sizes import conv_output_size, effective_kernel


@dataclass(frozen=True)
class Field:
    """What one output cell of a stack of layers sees, along one axis.

    Attributes
    ----------
    outputs : int or None
        Number of outputs, where the input size was given.
    size : int
        Input cells that one output depends on: the receptive field.
    jump : int
        Input cells between the fields of neighbouring outputs: the product of the strides.
    start : int
        First input cell that output 0 sees; negative inside the padding.
    """

    size: int = 1
    jump: int = 1
    start: int = 0
    outputs: int | None = None

    def cells(self, i: int) -> range:
        """Input cells that output `i` sees, padding cells included.

        >>> Field(size=3, jump=2, start=-1).cells(0)
        range(-1, 2)
        """
        return range(self.start + i * self.jump, self.start + i * self.jump + self.size)


def receptive_field(layers: Iterable[dict[str, int]], n: int | None = None) -> list[Field]:
    """Follow the receptive field through `layers`, along one axis.

    Parameters
    ----------
    layers : iterable of dict
        One dict a layer, with ``kernel_size`` and optionally ``stride``, ``padding`` and
        ``dilation``, as ints; padding may be a pair (before, after). Convolutions and poolings are the
        same here.
    n : int, optional
        Input size; with it each field tells the number of outputs too.

    Returns
    -------
    list of Field
        The input's own field, then one after each layer.

    Examples
    --------
    >>> two = receptive_field([{"kernel_size": 3}, {"kernel_size": 3, "stride": 2}])[-1]
    >>> two.size, two.jump  # two 3x3 layers see what one 5x5 sees
    (5, 2)
    """
    fields = [Field(outputs=n)]
    for number, layer in enumerate(layers):
        known = {"kernel_size", "stride", "padding", "dilation"}
        if not isinstance(layer, dict) or not {"kernel_size"} <= layer.keys() <= known:
            raise ValueError(
                f"layer {number} must have kernel_size and may have stride, padding, dilation; got {layer!r}"
            )
        (k,) = per_axis(layer["kernel_size"], 1, "kernel_size", least=1)
        (s,) = per_axis(layer.get("stride", 1), 1, "stride", least=1)
        p0, p1 = per_axis(layer.get("padding", 0), 2, "padding")
        (d,) = per_axis(layer.get("dilation", 1), 1, "dilation", least=1)
        last = fields[-1]
        fields.append(
            Field(
                size=last.size + (effective_kernel(k, d) - 1) * last.jump,
                jump=last.jump * s,
                start=last.start - p0 * last.jump,
                outputs=None if last.outputs is None else conv_output_size(last.outputs, k, s, d, p0, p1),
            )
        )
    return fields
