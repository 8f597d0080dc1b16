"""A convolution as the sparse matrix that it is: three ways to one result."""

import numpy as np
import pytest
from comparator import assert_equal
from geometries import geometries, integers, quick
from hypothesis import given

import convkit

CONV = {1: convkit.conv1d, 2: convkit.conv2d}
BACKWARD = {1: convkit.conv1d_backward, 2: convkit.conv2d_backward}


@pytest.mark.parametrize("rank", [1, 2])
def test_matrix_transpose_and_ties_are_convolution_and_its_gradients(rank):
    @quick
    @given(geometries(rank))
    def check(drawn):
        geometry, mode = drawn
        shape, out = (s[-rank - 1 :] for s in (geometry.x, geometry.y))
        x, w, grad_y = integers(*shape), integers(*geometry.w, seed=1), integers(*out, seed=2)
        options = {**geometry.options, "padding_mode": mode}
        A = convkit.convolution_operator(w, shape, **options)
        assert A.output_shape == out
        assert_equal((A @ x.ravel()).reshape(out), CONV[rank](x, w, **options))
        grad_x, grad_w, _ = BACKWARD[rank](grad_y, x, w, **options)
        assert_equal((A.T @ grad_y.ravel()).reshape(shape), grad_x)
        assert_equal(A.tie_gradient(grad_y, x), grad_w)
        assert_equal(A.tie_map @ w.ravel(), A.matrix.data)
        assert A.tie_map.shape == (A.nonzeros, A.free_values)
        # What the matrix's own gradient is in each non-zero, summed over what is tied.
        rows, columns = np.repeat(np.arange(A.shape[0]), np.diff(A.matrix.indptr)), A.matrix.indices
        of_cells = grad_y.ravel()[rows] * x.ravel()[columns]
        assert_equal((A.tie_map.T @ of_cells).reshape(w.shape), grad_w)

    check()


@quick
@given(geometries(2))
def test_algorithm_matrix_is_this_matrix(drawn):
    geometry, mode = drawn
    x, w, b = integers(*geometry.x), integers(*geometry.w, seed=1), integers(geometry.w[0], seed=3)
    options = {**geometry.options, "padding_mode": mode}
    y = convkit.conv2d(x, w, b, **options, algorithm="matrix")
    assert convkit.last_call().algorithm == "matrix"
    A = convkit.convolution_operator(w, geometry.x[-3:], **options)
    images = x.reshape(-1, A.shape[1]).T  # one image a column
    assert_equal((A @ images).T.reshape(y.shape) + b[:, None, None], y)


def test_numbers_of_a_3x3_on_a_28x28_image():
    """529,984 cells, 6,084 of them non-zero, 9 free values."""
    A = convkit.convolution_operator(np.ones((1, 1, 3, 3)), (1, 28, 28))
    assert A.shape == (26 * 26, 28 * 28)
    assert (A.cells, A.nonzeros, A.free_values) == (529_984, 6_084, 9)
    assert A.dense_bytes == 529_984 * 8
    assert A.matrix.nnz == 6_084
    assert (
        repr(A) == "convolution of (1, 28, 28) into (1, 26, 26): 529,984 cells, 6,084 non-zero, 9 free values"
    )


def test_the_report_counts_cells_bytes_and_operations():
    A = convkit.convolution_operator(np.ones((2, 1, 3, 3)), (1, 5, 6), padding=1, padding_mode="reflect")
    told = A.report()
    assert (told.cells, told.nonzeros, told.free_values) == (A.cells, A.nonzeros, 18)
    matrix = A.matrix
    assert told.dense_bytes == matrix.toarray().nbytes
    assert told.sparse_bytes == matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert told.conv_flops == 2 * 9 * 2 * 5 * 6 > told.sparse_flops == 2 * matrix.nnz
    assert f"{A.nonzeros / 18:.1f} cells" in str(told)


def test_weights_are_tied_and_reflection_adds_two_in_one_cell():
    A = convkit.convolution_operator(
        np.array([[[1.0, 10.0, 100.0]]]), (1, 3), padding=1, padding_mode="reflect"
    )
    want = np.array([[10.0, 101.0, 0.0], [1.0, 10.0, 100.0], [0.0, 101.0, 10.0]])
    assert_equal(A.matrix.toarray(), want)
    assert A.nonzeros == 7
    assert len(A.tie) == 9


def test_it_keeps_its_own_weights_and_their_dtype():
    w = np.ones((1, 1, 2), np.float32)
    A = convkit.convolution_operator(w, [1, 3])
    w[...] = 7
    assert_equal(A.matrix.toarray(), np.array([[1, 1, 0], [0, 1, 1]], np.float32))


@pytest.mark.parametrize(
    ("w", "shape", "error"),
    [
        (np.ones((1, 1, 2)), (3,), "input_shape must be"),
        (np.ones((1, 1, 2)), (2, 3), "input channels"),
        (np.ones((1, 2)), (1, 3), "w must have shape"),
        (np.ones((1, 1, 5)), (1, 3), "does not fit"),
    ],
)
def test_what_has_no_operator(w, shape, error):
    with pytest.raises(ValueError, match=error):
        convkit.convolution_operator(w, shape)


@pytest.mark.parametrize("shape", [(1, 3), (4,), (3, 1, 1), ()])
def test_images_that_are_not_raveled(shape):
    A = convkit.convolution_operator(np.ones((1, 1, 2)), (1, 3))
    assert (A @ np.ones((3, 5))).shape == (2, 5)
    with pytest.raises(ValueError, match="x must be a raveled image of 3 numbers"):
        A @ np.ones(shape)


def test_gradients_of_the_wrong_shape():
    A = convkit.convolution_operator(np.ones((1, 1, 2)), (1, 3))
    with pytest.raises(ValueError, match=r"grad_y must have shape \(1, 2\), got \(2,\)"):
        A.tie_gradient(np.ones(2), np.ones((1, 3)))
    with pytest.raises(TypeError, match="input_shape must be an array or its shape, got int"):
        convkit.convolution_operator(np.ones((1, 1, 2)), 3)
