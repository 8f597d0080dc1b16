"""The reference kernels against brute force: two derivations of one rule must meet.

Numbers are small integers, so sums are exact and both sides must be equal, unless said otherwise.
"""

import brute_force
import numpy as np
import pytest
from comparator import assert_close, assert_equal
from kernel_geometries import CONVOLUTIONS, PADS, POOLS

from convkit.geometry import adaptive_windows, index_table, max_pool_windows, pool_windows
from convkit.reference import conv, dropout, loops, matrix, normalization, padding, pooling, unfold

EPS = np.finfo(np.float64).eps


def integers(*shape, seed=0):
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float64)


def call(kernel, shape, *inputs):
    y = np.full(shape, np.nan)
    kernel(y, *inputs)
    return y


# --- convolution ---------------------------------------------------------------------------

convolutions = pytest.mark.parametrize("c", CONVOLUTIONS, ids=lambda c: c.name)
# One basis vector a gradient element: the larger cases would take long and show nothing new.
small_convolutions = pytest.mark.parametrize(
    "c", [c for c in CONVOLUTIONS if np.prod(c.cols) <= 5000], ids=lambda c: c.name
)


@convolutions
@pytest.mark.parametrize(
    "kernel", [conv.conv2d, conv.conv2d_im2col, matrix.conv2d, loops.conv2d], ids=lambda k: k.__module__
)
def test_conv2d(kernel, c):
    x, w, b = integers(*c.x), integers(*c.w, seed=1), integers(c.OC, seed=2)
    want = brute_force.conv2d(x, w, b, c.stride, c.dilation, c.padding, c.groups, c.mode)
    assert_equal(call(kernel, c.y, x, w, b, *c.tables), want)


@pytest.mark.parametrize("c", [c for c in CONVOLUTIONS if c.mode == "zeros"], ids=lambda c: c.name)
def test_conv_transpose2d(c):
    """semantics.md, rule 6: zeros are inserted, and the output's size chooses how much is cropped."""
    x, w, b = integers(*c.y), integers(*c.w, seed=1), integers(c.x[1], seed=2)
    want = brute_force.conv_transpose2d(x, w, b, c.stride, c.dilation, c.padding, c.groups, c.x[2:])
    assert_equal(call(conv.conv_transpose2d, c.x, x, w, b, *c.tables), want)


@small_convolutions
def test_conv_transpose2d_is_the_gradient_for_x(c):
    """semantics.md, rules 11 and 27: through padding that reflects and cells that a stride drops, too."""
    dy, w, zero = integers(*c.y), integers(*c.w, seed=1), np.zeros(c.OC)

    def forward(x):
        return call(conv.conv2d, c.y, x, w, zero, *c.tables)

    got = call(conv.conv_transpose2d, c.x, dy, w, np.zeros(c.x[1]), *c.tables)
    assert_equal(got, brute_force.adjoint(forward, c.x, dy))


@small_convolutions
def test_conv2d_grad_w_and_grad_b(c):
    dy, x = integers(*c.y), integers(*c.x, seed=1)

    def of_w(w):
        return call(conv.conv2d, c.y, x, w, np.zeros(c.OC), *c.tables)

    def of_b(b):
        return call(conv.conv2d, c.y, x, np.zeros(c.w), b, *c.tables)

    assert_equal(call(conv.conv2d_grad_w, c.w, dy, x, *c.tables), brute_force.adjoint(of_w, c.w, dy))
    assert_equal(call(conv.conv2d_grad_b, (c.OC,), dy), brute_force.adjoint(of_b, (c.OC,), dy))


@small_convolutions
def test_col2im_is_the_adjoint_of_im2col(c):
    """semantics.md, rule 27: it sums overlaps."""
    cols = integers(*c.cols)

    def forward(x):
        return call(unfold.im2col, c.cols, x, *c.tables)

    assert_equal(call(unfold.col2im, c.x, cols, *c.tables), brute_force.adjoint(forward, c.x, cols))


@convolutions
def test_im2col_reads_patches(c):
    """Each column is a patch of the padded image, cut out as a slice."""
    x = integers(*c.x)
    cols = call(unfold.im2col, c.cols, x, *c.tables)
    planes = brute_force.pad(x, c.padding, c.mode)
    (KH, KW), (SH, SW), (DH, DW) = c.kernel, c.stride, c.dilation
    for oh, ow in np.ndindex(c.cols[-2:]):
        patch = planes[:, :, oh * SH :, ow * SW :][:, :, : DH * KH : DH, : DW * KW : DW]
        assert_equal(cols[..., oh, ow], patch)


def test_the_matrix_by_hand():
    """A 2x2 kernel on 2x3 pixels: two rows of the matrix, and the four weights in each."""
    table_h, table_w = index_table(2, 0, 0), index_table(3, 0, 0)
    row, column, tie = matrix.ties((1, 2, 3), (1, 1, 2, 2), table_h, table_w, 1, 2, 1, 1, 1, 1)
    dense = np.full((2, 6), -1)
    dense[row, column] = tie
    assert_equal(dense, np.array([[0, 1, -1, 2, 3, -1], [-1, 0, 1, -1, 2, 3]]))


def test_the_matrix_adds_weights_that_reflection_ties_to_one_pixel():
    """Three taps on pixels a b c, padded by one: b a b, a b c, b c b."""
    tables = index_table(1, 0, 0), index_table(3, 1, 1, "reflect")
    w = np.array([1.0, 10.0, 100.0]).reshape(1, 1, 1, 3)
    A = matrix.operator((1, 1, 3), w, *tables, 1, 3, 1, 1, 1, 1)
    assert_equal(A.toarray(), np.array([[10.0, 101.0, 0.0], [1.0, 10.0, 100.0], [0.0, 101.0, 10.0]]))


# --- padding -------------------------------------------------------------------------------


@pytest.mark.parametrize(("P", "size", "pads", "mode", "value"), PADS)
def test_pad2d_and_its_gradient(P, size, pads, mode, value):
    """semantics.md, rules 8 to 11."""
    x = integers(P, *size)
    tables = [index_table(n, *p, mode) for n, p in zip(size, pads, strict=True)]
    want = brute_force.pad(x, pads, mode, value)
    assert_equal(call(padding.pad2d, want.shape, x, *tables, value), want)

    dy = integers(*want.shape, seed=1)
    got = call(padding.pad2d_backward, x.shape, dy, *tables)
    assert_equal(got, brute_force.adjoint(lambda x: brute_force.pad(x, pads, mode), x.shape, dy))


# --- pooling -------------------------------------------------------------------------------

pools = pytest.mark.parametrize(
    ("P", "size", "kernel", "stride", "pad", "dilation", "ceil_mode"),
    [pytest.param(*p[1:], id=p[0]) for p in POOLS],
)


@pools
@pytest.mark.parametrize("include", [True, False])
def test_avg_pool2d_and_its_gradient(P, size, kernel, stride, pad, dilation, ceil_mode, include):
    """semantics.md, rules 2 and 13."""
    del dilation  # max pooling's alone
    x = integers(P, *size)
    axes = zip(size, kernel, stride, pad, strict=True)
    tables = [pool_windows(*axis, ceil_mode, include) for axis in axes]

    def oracle(x):
        return brute_force.avg_pool2d(x, kernel, stride, pad, ceil_mode, include)

    want = oracle(x)
    assert_equal(call(pooling.avg_pool2d, want.shape, x, *tables), want)
    assert_equal(call(loops.avg_pool2d, want.shape, x, *tables), want)

    plane, dy = (1, *size), integers(1, *want.shape[1:], seed=1)  # planes do not mix: one will do
    got = call(pooling.avg_pool2d_backward, plane, dy, *tables)
    terms = np.prod(kernel)  # shares of at most |4|, rounded, added up in another order
    assert_close(got, brute_force.adjoint(oracle, plane, dy), 4 * terms * EPS)


@pools
@pytest.mark.parametrize("nans", [False, True])
def test_max_pool2d_and_its_gradient(P, size, kernel, stride, pad, dilation, ceil_mode, nans):
    """semantics.md, rules 12 and 14: full of ties, and with several NaNs to a window."""
    x = integers(P, *size)
    if nans:
        x[integers(P, *size, seed=2) > 0] = np.nan
    axes = zip(size, kernel, stride, pad, strict=True)
    tables = [max_pool_windows(*axis, dilation, ceil_mode) for axis in axes]
    want, where = brute_force.max_pool2d(x, kernel, stride, pad, dilation, ceil_mode)
    y, indices = np.empty(want.shape), np.empty(want.shape, np.int64)
    pooling.max_pool2d_indices(y, indices, x, *tables)
    assert_equal(y, want)
    assert_equal(indices, where)
    assert_equal(call(pooling.max_pool2d, want.shape, x, *tables), want)

    dy, grad = integers(*want.shape, seed=1), np.zeros((P, size[0] * size[1]))
    for p, i, j in np.ndindex(where.shape):
        grad[p, where[p, i, j]] += dy[p, i, j]
    assert_equal(call(pooling.max_pool2d_backward, x.shape, dy, indices), grad.reshape(x.shape))


@pytest.mark.parametrize(("size", "o"), [((5, 7), (3, 2)), ((3, 4), (7, 4)), ((6, 9), (1, 1))])
def test_adaptive_windows_average_what_they_cover(size, o):
    x = integers(2, *size)
    want = np.empty((2, *o))
    for p, i, j in np.ndindex(want.shape):
        # A cell belongs to window i where the two overlap, both stretched to the same length.
        rows = [h for h in range(size[0]) if h * o[0] < (i + 1) * size[0] and i * size[0] < (h + 1) * o[0]]
        columns = [w for w in range(size[1]) if w * o[1] < (j + 1) * size[1] and j * size[1] < (w + 1) * o[1]]
        want[p, i, j] = sum(x[p, h, w] for h in rows for w in columns) / (len(rows) * len(columns))
    assert_equal(call(pooling.avg_pool2d, want.shape, x, *map(adaptive_windows, size, o)), want)


def test_channel_mean_and_its_gradient():
    x, dy = integers(2, 3, 5), integers(2, 5, seed=1)
    want = (x[:, 0] + x[:, 1] + x[:, 2]) / 3
    assert_equal(call(pooling.channel_mean, (2, 5), x), want)
    assert_equal(call(pooling.channel_mean_backward, x.shape, dy), np.stack([dy / 3] * 3, axis=1))


# --- normalisation -------------------------------------------------------------------------

normalizations = pytest.mark.parametrize(
    ("shape", "W"),
    [((2, 3, 1, 5), 3), ((1, 6, 1, 4), 3), ((1, 4, 3, 5), 2), ((1, 3, 7, 1), 1), ((3, 4, 2, 3), 2)],
    ids=["batch", "instance", "group", "layer", "everything"],
)


def normalization_data(shape, W):
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((2, *shape))
    weight, bias = rng.standard_normal((2, W, shape[2]))
    return x, dy, weight, bias


@normalizations
@pytest.mark.parametrize("kernel", [normalization.normalize, loops.normalize], ids=lambda k: k.__module__)
def test_normalize(kernel, shape, W):
    """semantics.md, rules 15 and 17, on reals; some 20 roundings of numbers below 10."""
    x, _, weight, bias = normalization_data(shape, W)
    outputs = np.empty(shape), np.empty(shape[1]), np.empty(shape[1])
    kernel(*outputs, x, weight, bias, 1e-3)
    for got, want in zip(outputs, brute_force.normalize(x, weight, bias, 1e-3), strict=True):
        assert_close(got, want, 200 * EPS)


@normalizations
def test_normalize_given(shape, W):
    x, _, weight, bias = normalization_data(shape, W)
    mean, var = np.arange(shape[1]) - 1.5, np.arange(shape[1]) + 0.25
    got = call(normalization.normalize_given, shape, x, mean, (var + 1e-3) ** -0.5, weight, bias)
    one_hot = np.zeros(shape)
    for at in np.ndindex(shape):
        one_hot[at] = 1.0
        want = brute_force.normalize_loss(one_hot, x, weight, bias, 1e-3, mean, var)
        assert abs(got[at] - want) <= 200 * EPS
        one_hot[at] = 0.0


@normalizations
@pytest.mark.parametrize("given", [False, True])
def test_normalize_gradients(shape, W, given):
    """semantics.md, rule 19: each is the derivative of sum(y * dy)."""
    x, dy, weight, bias = normalization_data(shape, W)
    eps = 1e-3
    if given:
        kernel = normalization.normalize_given_backward
        mean, var = np.arange(shape[1]) - 1.5, np.arange(shape[1]) + 0.25
        statistics = {"mean": mean, "var": var}
    else:
        kernel, statistics = normalization.normalize_backward, {}
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    grads = np.empty(shape), np.empty(weight.shape), np.empty(bias.shape)
    kernel(*grads, dy, x, weight, mean, 1 / np.sqrt(var + eps))

    def loss(x=x, weight=weight, bias=bias):
        return brute_force.normalize_loss(dy, x, weight, bias, eps, **statistics)

    wants = (
        brute_force.complex_step(lambda a: loss(x=a), x),
        brute_force.complex_step(lambda a: loss(weight=a), weight),
        brute_force.complex_step(lambda a: loss(bias=a), bias),
    )
    for name, got, want in zip(("dx", "dweight", "dbias"), grads, wants, strict=True):
        assert_close(got, want, 2000 * EPS, name)  # some 100 roundings of numbers up to 20


# --- dropout -------------------------------------------------------------------------------


def test_dropout_keeps_whole_units():
    x = integers(1000, 3) + 10.0
    y, mask = np.empty(x.shape), np.empty(1000, bool)
    dropout.dropout_mask(y, mask, x, 5, 2**30, 1.25)
    want = np.array([row * 1.25 if kept else row * 0.0 for row, kept in zip(x, mask, strict=True)])
    assert_equal(y, want)
    assert_equal(call(dropout.dropout, x.shape, x, 5, 2**30, 1.25), want)
    assert_equal(call(dropout.dropout_given, x.shape, x, mask, 1.25), want)
    assert 650 < np.count_nonzero(mask) < 850  # 3/4 of them, give or take seven standard deviations


@pytest.mark.parametrize(("threshold", "kept"), [(0, True), (2**32, False)])
def test_dropout_of_nothing_and_of_everything(threshold, kept):
    """semantics.md, rule 22."""
    y, mask = np.empty((200, 1)), np.full(200, not kept)
    dropout.dropout_mask(y, mask, np.ones((200, 1)), 0, threshold, 1.0)
    assert_equal(mask, np.full(200, kept))
    assert_equal(y, mask[:, None].astype(float))
