"""A convolution as the matrix that it is: mostly zeros, with the same few weights tied all over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from .arrays import IntOrInts, any_array, key, operand, shape_of
from .conv_plan import Padding, conv_plan
from .geometry import check_allocation
from .reference import matrix

__all__ = ["ConvolutionOperator", "OperatorReport", "convolution_operator"]


@any_array
def convolution_operator(
    w: Any,
    input_shape: Sequence[int],
    stride: IntOrInts = 1,
    padding: Padding = 0,
    dilation: IntOrInts = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> ConvolutionOperator:
    """Return the matrix of a convolution of one image.

    Parameters
    ----------
    w : array, shape (OC, IC / groups, KH, KW) or (OC, IC / groups, K)
        Filters; float32 or float64. The operator keeps a copy.
    input_shape : (IC, IH, IW) or (IC, L)
        Shape of the image.
    stride, padding, dilation, groups, padding_mode
        As for :func:`convkit.conv2d`.

    Returns
    -------
    ConvolutionOperator

    Raises
    ------
    ValueError, TypeError
        As :func:`convkit.conv2d`.

    Examples
    --------
    >>> import numpy as np, convkit
    >>> A = convkit.convolution_operator(np.array([[[1.0, 2.0]]]), (1, 4))
    >>> A.matrix.toarray()
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    >>> A
    convolution of (1, 4) into (1, 3): 12 cells, 6 non-zero, 2 free values
    """
    w = operand(w, "w")
    if not isinstance(w, np.ndarray):
        raise TypeError(
            "w must be in main memory, where SciPy's matrices are: convkit.cuda.to_host(w) copies it"
        )
    rank = w.ndim - 2
    if rank not in (1, 2):
        raise ValueError(
            f"w must have shape (OC, IC / groups, KH, KW) or (OC, IC / groups, K), got {w.shape}"
        )
    shape = shape_of(input_shape, "input_shape")
    if len(shape) != rank + 1:
        expected = "(IC, L)" if rank == 1 else "(IC, IH, IW)"
        raise ValueError(f"input_shape must be {expected}, without a batch, got {input_shape!r}")
    options = key(stride, "stride"), key(padding, "padding"), key(dilation, "dilation"), key(groups, "groups")
    return ConvolutionOperator(w.copy(), shape, conv_plan(shape, w.shape, rank, *options, padding_mode))


@dataclass(frozen=True, repr=False)
class OperatorReport:
    """What a convolution's matrix holds and costs, for one image.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Shapes of the image and of the result.
    shape : (int, int)
        Rows and columns of the matrix.
    cells, nonzeros, free_values : int
        Its cells, those that a weight stands in, and the different weights.
    dense_bytes, sparse_bytes, weight_bytes : int
        Memory of the matrix written out, in compressed rows, and of the filters alone.
    dense_flops, sparse_flops, conv_flops : int
        Multiplications and additions of a product with either, and of the convolution where padding
        costs nothing.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    shape: tuple[int, int]
    cells: int
    nonzeros: int
    free_values: int
    dense_bytes: int
    sparse_bytes: int
    weight_bytes: int
    dense_flops: int
    sparse_flops: int
    conv_flops: int

    def __str__(self) -> str:
        counts = [
            ("cells", self.cells, f"{self.shape[0]:,} rows x {self.shape[1]:,} columns"),
            ("non-zero", self.nonzeros, f"{100 * self.nonzeros / self.cells:.3g} % of the cells"),
            ("free values", self.free_values,
             f"each stands in {self.nonzeros / self.free_values:,.1f} cells on average"),
        ]  # fmt: skip
        costs = [
            ("dense", self.dense_bytes, self.dense_flops),
            ("sparse", self.sparse_bytes, self.sparse_flops),
            ("weights", self.weight_bytes, self.conv_flops),
        ]
        wide = max(len(f"{number:,}") for _, number, _ in counts)
        left, right = (max(len(f"{row[i]:,}") for row in costs) for i in (1, 2))
        lines = [f"convolution of {self.input_shape} into {self.output_shape}", ""]
        lines += [f"{name:<11}  {number:>{wide},}  {what}" for name, number, what in counts]
        lines += ["", f"{'':<7}  {'bytes':>{left}}  {'FLOPs':>{right}}"]
        lines += [f"{name:<7}  {size:>{left},}  {flops:>{right},}" for name, size, flops in costs]
        return "\n".join(lines)

    __repr__ = __str__


class ConvolutionOperator:
    """A convolution of one image as a sparse matrix, and which weight each entry is tied to.

    ``A @ x.ravel()`` is the convolution and ``A.T @ y.ravel()`` the transposed one; a gradient
    summed over ties is the gradient for the weights.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Shapes of x and y, without a batch.
    row, column, tie : ndarray of intp
        One entry a product of the convolution: ``w.ravel()[tie]`` stands in ``A[row, column]``.
        Entries that fall on the same cell, as they do under reflection, add up; :attr:`tie_map` has
        one row a cell.
    """

    def __init__(self, w: np.ndarray, input_shape: tuple[int, ...], plan: Any) -> None:
        self.w = w
        self.input_shape = input_shape
        self.output_shape: tuple[int, ...] = plan.result
        products = plan.y[1] * plan.y[2] * plan.y[3] * prod(plan.w[1:])
        check_allocation((3, products), 8, "operator")
        self.row, self.column, self.tie = matrix.ties(
            plan.x[1:], plan.w, *plan.tables[:2], *plan.y[2:], *plan.tables[2:]
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (numbers of the output) and columns (numbers of the input)."""
        return prod(self.output_shape), prod(self.input_shape)

    @cached_property
    def matrix(self) -> Any:
        """The matrix as a :class:`scipy.sparse.csr_array` of w's dtype."""
        from scipy.sparse import coo_array

        entries = self.w.ravel()[self.tie]
        short = np.int32 if max(*self.shape, len(entries)) < 2**31 else np.intp  # half the memory
        places = self.row.astype(short), self.column.astype(short)
        return coo_array((entries, places), shape=self.shape).tocsr()

    @cached_property
    def tie_map(self) -> Any:
        """Which weights stand in each non-zero of `matrix`: a sparse matrix of shape (nonzeros, free_values).

        Row i belongs to ``matrix.data[i]`` and counts how often each weight is in it: one 1, except under
        padding that shows a pixel twice in a window. So ``tie_map @ w.ravel()`` is ``matrix.data``, and the
        transpose sums a gradient over what is tied.

        Examples
        --------
        >>> import numpy as np, convkit
        >>> A = convkit.convolution_operator(np.array([[[1.0, 10.0]]]), (1, 3))
        >>> A.tie_map.toarray().astype(int).tolist(), A.matrix.data.tolist()
        ([[1, 0], [0, 1], [1, 0], [0, 1]], [1.0, 10.0, 1.0, 10.0])
        """
        from scipy.sparse import coo_array

        cells, which = np.unique(self.row * self.shape[1] + self.column, return_inverse=True)
        ones = np.ones(len(which), self.w.dtype)
        return coo_array((ones, (which, self.tie)), shape=(len(cells), self.w.size)).tocsr()

    @property
    def cells(self) -> int:
        """Cells of the matrix if it were written out."""
        return prod(self.shape)

    @cached_property
    def nonzeros(self) -> int:
        """Cells that a weight stands in, whatever its value."""
        return len(np.unique(self.row * self.shape[1] + self.column))

    @property
    def free_values(self) -> int:
        """Different weights: what there is to learn."""
        return self.w.size

    @property
    def dense_bytes(self) -> int:
        """Bytes that the matrix would need if it were written out."""
        return self.cells * self.w.itemsize

    def report(self) -> OperatorReport:
        """Return what the matrix holds, and what it would cost to use it.

        Examples
        --------
        >>> import numpy as np, convkit
        >>> convkit.convolution_operator(np.ones((1, 1, 3, 3), np.float32), (1, 28, 28)).report()
        convolution of (1, 28, 28) into (1, 26, 26)
        <BLANKLINE>
        cells        529,984  676 rows x 784 columns
        non-zero       6,084  1.15 % of the cells
        free values        9  each stands in 676.0 cells on average
        <BLANKLINE>
                      bytes      FLOPs
        dense     2,119,936  1,059,968
        sparse       51,380     12,168
        weights          36     12,168
        """
        sparse = sum(a.nbytes for a in (self.matrix.data, self.matrix.indices, self.matrix.indptr))
        return OperatorReport(
            self.input_shape, self.output_shape, self.shape, self.cells, self.nonzeros, self.free_values,
            self.dense_bytes, sparse, self.w.nbytes, 2 * self.cells, 2 * self.nonzeros, 2 * len(self.tie),
        )  # fmt: skip

    def __matmul__(self, x: np.ndarray) -> np.ndarray:
        """Return ``A @ x`` for a raveled image, or one a column."""
        if x.ndim not in (1, 2) or len(x) != self.shape[1]:
            raise ValueError(
                f"x must be a raveled image of {self.shape[1]} numbers, or one a column, got {x.shape}"
            )
        return self.matrix @ x

    @property
    def T(self) -> Any:
        """The transposed matrix, which is the transposed convolution."""
        return self.matrix.T

    def tie_gradient(self, grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the gradient for w: the matrix's gradient, summed over what is tied.

        Parameters
        ----------
        grad_y, x : ndarray
            Gradient for the output, and the image, of shapes `output_shape` and `input_shape`.

        Returns
        -------
        ndarray of float64, shape of w

        Examples
        --------
        >>> import numpy as np, convkit
        >>> A = convkit.convolution_operator(np.ones((1, 1, 2)), (1, 3))
        >>> A.tie_gradient(np.array([[1.0, 10.0]]), np.array([[1.0, 2.0, 3.0]]))
        array([[[21., 32.]]])
        """
        grad_y, x = operand(grad_y, "grad_y"), operand(x, "x")
        for name, a, shape in (("grad_y", grad_y, self.output_shape), ("x", x, self.input_shape)):
            if a.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {a.shape}")
        products = grad_y.ravel()[self.row].astype(np.float64) * x.ravel()[self.column]
        sums = np.bincount(self.tie, products, self.w.size)  # integers, where there is no product at all
        return sums.astype(np.float64).reshape(self.w.shape)

    def __repr__(self) -> str:
        return (
            f"convolution of {self.input_shape} into {self.output_shape}: {self.cells:,} cells, "
            f"{self.nonzeros:,} non-zero, {self.free_values:,} free values"
        )
