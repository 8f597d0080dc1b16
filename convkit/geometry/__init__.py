"""Where every output comes from: sizes, padding and index tables, all in integers.

This is the only place in convkit that does shape arithmetic. An operation asks it once per
shape; what comes back are output sizes and small integer tables, and the kernels only gather,
multiply and add. Every function works on **one axis**; two-dimensional operations call it twice.

Symbols, per axis::

    n        input size                     k   kernel size
    p0, p1   padding before and after       s   stride
    o        output size                    d   dilation (1 means none)

    e = d*(k - 1) + 1                       effective kernel: the cells that a window spans

A convolution reads, for output ``i`` and tap ``j``, the padded cell ``i*s + j*d``; the
*index table* of the axis says which input cell that is, or -1 where there is only a zero::

    source = table[i*s + j*d]

The names of the padding modes appear in ``tables.py`` and in no kernel.
"""

from .fields import Field, receptive_field
from .memory import check_allocation, remembered, worth_keeping
from .options import LARGEST, option, per_axis, whole
from .sizes import (
    conv_output_size,
    conv_padding,
    conv_transpose_output_size,
    effective_kernel,
    pool_output_size,
    same_padding,
)
from .tables import (
    PADDING_MODES,
    adaptive_windows,
    index_table,
    max_pool_windows,
    pool_windows,
    with_divisor,
)

__all__ = [
    "LARGEST",
    "PADDING_MODES",
    "Field",
    "adaptive_windows",
    "check_allocation",
    "conv_output_size",
    "conv_padding",
    "conv_transpose_output_size",
    "effective_kernel",
    "index_table",
    "max_pool_windows",
    "option",
    "per_axis",
    "pool_output_size",
    "pool_windows",
    "receptive_field",
    "remembered",
    "same_padding",
    "whole",
    "with_divisor",
    "worth_keeping",
]
