"""im2col and col2im: the layout by its definition, and one the adjoint of the other."""

import numpy as np
import pytest
from brute_force import pad as pad_by_numpy
from comparator import assert_equal
from every_backend import on_every_backend
from geometries import geometries, inner, integers, quick
from hypothesis import given

import convkit

pytestmark = on_every_backend("im2col", "col2im")


def unfold_options(geometry, mode):
    options = {name: geometry.options[name] for name in ("dilation", "padding", "stride")}
    return {"kernel_size": geometry.w[2:], **options, "padding_mode": mode}


@quick
@given(geometries(batchless=False))
def test_columns_are_windows_in_the_order_of_torch_s_unfold(drawn):
    """Row (c*KH + kh)*KW + kw, column oh*OW + ow."""
    geometry, mode = drawn
    x, (KH, KW) = integers(*geometry.x), geometry.w[2:]
    (SH, SW), padding, (DH, DW), _ = geometry.options.values()
    planes = pad_by_numpy(x, padding, mode)
    N, C, (OH, OW) = x.shape[0], x.shape[1], geometry.y[2:]
    want = np.empty((N, C * KH * KW, OH * OW))
    for c, kh, kw, oh, ow in np.ndindex(C, KH, KW, OH, OW):
        want[:, (c * KH + kh) * KW + kw, oh * OW + ow] = planes[:, c, oh * SH + kh * DH, ow * SW + kw * DW]
    assert_equal(convkit.im2col(x, **unfold_options(geometry, mode)), want)


@quick
@given(geometries())
def test_rule_27_col2im_is_the_adjoint_of_im2col(drawn):
    geometry, mode = drawn
    options = unfold_options(geometry, mode)
    x = integers(*geometry.x)
    cols = convkit.im2col(x, **options)
    other = integers(*cols.shape, seed=1)
    image = convkit.col2im(other, x.shape[-2:], **options)
    assert image.shape == x.shape
    assert inner(cols, other) == inner(x, image)
    assert_equal(convkit.im2col_backward(other, x.shape, **options), image)
    assert_equal(convkit.col2im_backward(x, **options), cols)


def test_rule_27_col2im_sums_overlaps_and_is_no_inverse():
    x = np.arange(9.0).reshape(1, 3, 3)
    back = convkit.col2im(convkit.im2col(x, 2), 3, 2)
    assert_equal(back, x * np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]))
    apart = convkit.col2im(convkit.im2col(x, 3, stride=3), 3, 3, stride=3)
    assert_equal(apart, x)  # without overlap it is


@quick
@given(geometries(batchless=False))
def test_convolution_is_a_matrix_product_with_the_columns(drawn):
    geometry, mode = drawn
    x, w, groups = integers(*geometry.x), integers(*geometry.w, seed=1), geometry.options["groups"]
    cols = convkit.im2col(x, **unfold_options(geometry, mode))
    K = w[0].size
    products = w.reshape(groups, -1, K) @ cols.reshape(len(x), groups, K, -1)
    want = convkit.conv2d(x, w, **geometry.options, padding_mode=mode)
    assert_equal(products.reshape(want.shape), want)


def test_rule_28_an_empty_batch():
    cols = convkit.im2col(np.empty((0, 2, 4, 4)), 3)
    assert_equal(cols, np.empty((0, 18, 4)))
    assert_equal(convkit.col2im(cols, 4, 3), np.empty((0, 2, 4, 4)))


def test_rule_34_without_the_batch_axis():
    x = integers(2, 5, 6)
    cols = convkit.im2col(x, (2, 3), padding=1)
    assert_equal(cols, convkit.im2col(x[None], (2, 3), padding=1)[0])
    assert_equal(
        convkit.col2im(cols, (5, 6), (2, 3), padding=1),
        convkit.col2im(cols[None], (5, 6), (2, 3), padding=1)[0],
    )


@pytest.mark.parametrize("shape", [(17, 4), (18, 5), (18,), (1, 1, 18, 4), (0, 4)])
def test_columns_that_are_of_no_such_image(shape):
    with pytest.raises(ValueError, match=r"cols must have shape .*, got \("):
        convkit.col2im(np.ones(shape), 4, 3)
