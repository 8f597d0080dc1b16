"""What comes in and what goes out: strides, byte orders, dtypes, ``out=``, and arrays of other libraries."""

import sys
import types

import numpy as np
import pytest
from comparator import assert_bits, assert_equal
from geometries import integers, reals

import convkit

ALL_OPS = {
    "conv2d": lambda x, **o: convkit.conv2d(x, W.astype(x.dtype), padding=1, **o),
    "conv2d-reference": lambda x, **o: convkit.conv2d(x, W.astype(x.dtype), backend="reference", **o),
    "conv_transpose2d": lambda x, **o: convkit.conv_transpose2d(x, W.astype(x.dtype), stride=2, **o),
    "im2col": lambda x, **o: convkit.im2col(x, 2, **o),
    "pad": lambda x, **o: convkit.pad(x, (1, 2, 0, 1), "reflect", **o),
    "avg_pool2d": lambda x, **o: convkit.avg_pool2d(x, 2, **o),
    "adaptive_avg_pool2d": lambda x, **o: convkit.adaptive_avg_pool2d(x, 3, **o),
    "max_pool2d": lambda x, **o: convkit.max_pool2d(x, 3, 2, 1, **o),
    "channel_mean": lambda x, **o: convkit.channel_mean(x, **o),
    "batch_norm": lambda x, **o: convkit.batch_norm(x, None, None, training=True, **o),
    "instance_norm": lambda x, **o: convkit.instance_norm(x, **o),
    "group_norm": lambda x, **o: convkit.group_norm(x, 3, **o),
    "layer_norm": lambda x, **o: convkit.layer_norm(x, 5, **o),
    "dropout": lambda x, **o: convkit.dropout(x, 0.25, seed=1, **o),
    "dropout2d": lambda x, **o: convkit.dropout2d(x, 0.25, seed=1, **o),
    "dropout-evaluation": lambda x, **o: convkit.dropout(x, training=False, **o),
}
W = reals(3, 3, 3, 3, seed=1)
X = reals(2, 3, 6, 5)
every_op = pytest.mark.parametrize("op", ALL_OPS.values(), ids=ALL_OPS)


def misaligned(x):
    buffer = np.empty(x.nbytes + 1, np.uint8)[1:]
    view = np.ndarray(x.shape, x.dtype, buffer.data)
    view[...] = x
    assert not view.flags.aligned
    return view


def read_only(x):
    view = x.copy()
    view.flags.writeable = False
    return view


LAYOUTS = {
    "fortran": np.asfortranarray,
    "reversed": lambda x: x[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
    "every-other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "channels-last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "swapped-bytes": lambda x: x.astype(x.dtype.newbyteorder()),
    "read-only": read_only,
    "misaligned": misaligned,
    "subclass": lambda x: x.view(type("Sub", (np.ndarray,), {})),
}


@every_op
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rule_30_any_layout_gives_the_answer_of_a_contiguous_copy(op, layout, dtype):
    plain = X.astype(dtype)
    x = layout(plain)
    before = x.tobytes()
    want, got = op(plain), op(x)
    assert type(got) is np.ndarray
    assert_bits(got, want)
    assert x.tobytes() == before
    assert_bits(op(plain), want)


def test_rule_30_every_other_operand_may_have_any_layout_too():
    x, w, b = integers(2, 3, 6, 5), integers(4, 3, 3, 3), integers(4)
    want = convkit.conv2d(x, w, b)
    others = np.asfortranarray(w), np.repeat(b, 2)[::2].astype(">f8")
    assert_equal(convkit.conv2d(x, *others), want)
    grad = convkit.conv2d_backward(want, x, w)
    for got, expected in zip(
        convkit.conv2d_backward(np.asfortranarray(want), x, others[0]), grad, strict=True
    ):
        assert_equal(got, expected)


@every_op
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rule_31_float32_stays_float32(op, dtype):
    y = op(X.astype(dtype))
    assert y.dtype == dtype
    assert y.flags.c_contiguous
    assert y.flags.writeable


def test_rule_31_gradients_have_the_dtype_too():
    x, w = X.astype("float32"), W.astype("float32")
    for g in convkit.conv2d_backward(convkit.conv2d(x, w), x, w):
        assert g.dtype == np.float32
    for g in convkit.batch_norm_backward(x, x):
        assert g.dtype == np.float32


# --- out= ----------------------------------------------------------------------------------


@every_op
def test_rule_30_out_is_filled_and_returned_even_where_it_is_no_plain_buffer(op):
    want = op(X)
    spread = np.full((*want.shape[:-1], 2 * want.shape[-1]), 7.0)
    for out in (np.full(want.shape, np.nan), np.full(want.shape, np.nan, order="F"), spread[..., ::2]):
        assert op(X, out=out) is out
        assert_bits(out.copy(), want)
    assert (spread[..., 1::2] == 7).all()


@every_op
def test_rule_30_out_that_overlaps_the_input_is_detected(op):
    want = op(X)
    room = np.zeros(max(X.size, want.size) + 3)
    x, out = room[: X.size].reshape(X.shape), room[3 : 3 + want.size].reshape(want.shape)
    x[...] = X
    op(x, out=out)
    assert_bits(out, want)


@every_op
def test_out_of_another_kind_is_refused(op):
    shape = op(X).shape
    with pytest.raises(ValueError, match=r"out must have shape \(.*, got \(1,"):
        op(X, out=np.empty((1, *shape)))
    with pytest.raises(TypeError, match="out must be float64, got float32"):
        op(X, out=np.empty(shape, "float32"))
    with pytest.raises(ValueError, match="out is read-only"):
        op(X, out=read_only(np.empty(shape)))
    for wrong in ([1.0], np.ma.masked_array(np.empty(shape))):
        with pytest.raises(TypeError, match=r"out must be a NumPy array, got (list|MaskedArray)"):
            op(X, out=wrong)


# --- arrays of other libraries -------------------------------------------------------------


class Foreign:
    """A NumPy array in disguise: all that it has is DLPack."""

    def __init__(self, array, device=1):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if not self.array.flags.writeable:
            raise BufferError("read-only")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device, 0


@pytest.fixture
def library(monkeypatch):
    """A module ``foreign`` with a ``from_dlpack``, as every such library has."""
    module = types.ModuleType("foreign")
    module.from_dlpack = lambda array: Foreign(np.from_dlpack(array))
    monkeypatch.setattr(Foreign, "__module__", "foreign.arrays")
    monkeypatch.setitem(sys.modules, "foreign", module)
    return module


@pytest.mark.usefixtures("library")
@every_op
def test_a_foreign_array_comes_back_in_kind(op, monkeypatch):
    monkeypatch.setattr(Foreign, "dtype", X.dtype, raising=False)  # for the casts of ALL_OPS alone
    y = op(Foreign(X))
    assert type(y) is Foreign
    assert_bits(y.array, op(X))


@pytest.mark.usefixtures("library")
def test_foreign_results_in_tuples():
    pooled = convkit.max_pool2d(Foreign(X), 2, return_indices=True)
    want = convkit.max_pool2d(X, 2, return_indices=True)
    assert_bits(pooled.y.array, want.y)
    assert_bits(pooled.indices.array, want.indices)
    back = convkit.max_pool2d_backward(pooled.y, X.shape, 2, indices=pooled.indices)
    assert_bits(back.array, convkit.max_pool2d_backward(want.y, X.shape, 2, indices=want.indices))
    some = convkit.conv2d_backward(convkit.conv2d(Foreign(X), W), X.shape, W, needs=(True, False, False))
    assert type(some.grad_x) is Foreign
    assert some.grad_w is None


@pytest.mark.usefixtures("library")
def test_foreign_out_is_returned_itself():
    out = Foreign(np.empty((2, 3, 3, 2)))
    assert convkit.max_pool2d(Foreign(X), 2, out=out) is out
    assert_bits(out.array, convkit.max_pool2d(X, 2))
    both = convkit.max_pool2d(Foreign(X), 2, return_indices=True, out=out)
    assert both.y is out
    assert type(both.indices) is Foreign
    plain = np.empty((2, 3, 3, 2))
    assert convkit.max_pool2d(Foreign(X), 2, out=plain) is plain


@pytest.mark.usefixtures("library")
def test_foreign_running_statistics_are_updated_in_place():
    mean, var = np.zeros(3), np.ones(3)
    theirs = Foreign(mean.copy()), Foreign(var.copy())
    convkit.batch_norm(X, mean, var, training=True)
    convkit.batch_norm(Foreign(X), *theirs, training=True)
    assert_bits(theirs[0].array, mean)
    assert_bits(theirs[1].array, var)


@pytest.mark.usefixtures("library")
def test_foreign_filters_of_an_operator_and_of_a_prepared_convolution():
    y = convkit.conv2d(X, W)
    assert_bits(convkit.prepare_conv2d(Foreign(W))(X), y)
    assert_bits(convkit.convolution_operator(Foreign(W), X.shape[1:]).w, W)


def test_foreign_arrays_that_cannot_be_read(library):
    with pytest.raises(
        TypeError, match=r"foreign.arrays.Foreign is not in this machine's main memory .* 10\)"
    ):
        convkit.pad(Foreign(X, device=10), (1, 1))  # AMD's
    with pytest.raises(TypeError, match=r"foreign.arrays.Foreign cannot be read as an array: read-only"):
        convkit.pad(Foreign(read_only(X)), (1, 1))
    with pytest.raises(TypeError, match="x must be float32 or float64, got int64"):
        convkit.pad(Foreign(np.arange(3)), (1, 1))
    del library.from_dlpack
    with pytest.raises(TypeError, match="has no from_dlpack"):
        convkit.pad(Foreign(X), (1, 1))


def test_a_namespace_of_the_array_api_comes_first(library, monkeypatch):
    monkeypatch.setattr(Foreign, "__array_namespace__", lambda self: library, raising=False)
    monkeypatch.delitem(sys.modules, "foreign")
    assert type(convkit.pad(Foreign(X), (1, 1))) is Foreign
