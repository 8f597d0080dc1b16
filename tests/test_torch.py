"""Parity with PyTorch: each operation and each option on random data, and tensors in, tensors out."""

import itertools

import numpy as np
import pytest
from comparator import assert_bits, assert_close
from geometries import Geometry, geometries, quick
from hypothesis import assume, given
from hypothesis import strategies as st

import convkit
from convkit.geometry import conv_transpose_output_size

torch = pytest.importorskip("torch")
F = torch.nn.functional

EPS = np.finfo(np.float64).eps
small = st.integers(1, 3)


def tensors(*shapes, seed=0):
    """Return float64 tensors that ask for a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes]


def arrays(*ts):
    return [t.detach().numpy() for t in ts]


def same(got, want, terms=1):
    """Compare with a tensor: sums of `terms` numbers of order 1 to 10, added in another order."""
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else want
    assert_close(got, want, 10 * EPS * terms * max(1.0, np.abs(want).max(initial=0)))


def gradients(y, *inputs, seed=1):
    """Return a random grad_y, and PyTorch's gradients for the inputs."""
    grad_y = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)
    return grad_y.numpy(), torch.autograd.grad(y, inputs, grad_y, allow_unused=True)


# --- convolution ---------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2])
def test_convolution(rank):
    @quick
    @given(geometries(rank))
    def check(drawn):
        geometry, mode = drawn
        assume(mode != "symmetric")  # PyTorch has none
        s, pads, d, groups = geometry.options.values()
        if mode == "reflect":
            assume(
                all(max(p) < n for p, n in zip(pads, geometry.x[-rank:], strict=True))
            )  # theirs bounces once
        if mode == "circular":
            assume(all(max(p) <= n for p, n in zip(pads, geometry.x[-rank:], strict=True)))
        x, w, b = tensors(geometry.x, geometry.w, geometry.w[:1])
        flat = [p for pair in reversed(pads) for p in pair]
        batched = x if x.ndim == rank + 2 else x[None]
        padded = F.pad(batched, flat, "constant" if mode == "zeros" else mode).reshape(
            *x.shape[:-rank], *(n + sum(p) for n, p in zip(x.shape[-rank:], pads, strict=True))
        )
        y = (F.conv1d, F.conv2d)[rank - 1](padded, w, b, s, 0, d, groups)
        mine = (convkit.conv1d, convkit.conv2d)[rank - 1]
        options = {**geometry.options, "padding_mode": mode}
        same(mine(*arrays(x, w, b), **options), y, w[0].numel() + 1)
        grad_y, wanted = gradients(y, x, w, b)
        back = (convkit.conv1d_backward, convkit.conv2d_backward)[rank - 1]
        for got, want in zip(back(grad_y, *arrays(x, w), **options), wanted, strict=True):
            same(got, want, y.numel() + w.numel())

    check()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # which is what is tested here
@pytest.mark.parametrize("padding", ["same", "valid", 0, 1, (2, 1)])
def test_padding_as_it_is_written(padding):
    x, w = arrays(*tensors((2, 3, 7, 8), (4, 3, 4, 3)))
    same(
        convkit.conv2d(x, w, padding=padding), F.conv2d(torch.tensor(x), torch.tensor(w), padding=padding), 36
    )


@pytest.mark.parametrize("rank", [1, 2])
def test_transposed_convolution(rank):
    @quick
    @given(geometries(rank), st.lists(st.integers(0, 2), min_size=rank, max_size=rank))
    def check(drawn, extra):
        geometry: Geometry = drawn[0]
        s, pads, d, groups = geometry.options.values()
        p = tuple(pair[0] for pair in pads)
        assume(all(e < max(a, b) for e, a, b in zip(extra, s, d, strict=True)))
        size = list(zip(geometry.y[-rank:], geometry.w[2:], s, d, strict=True))
        assume(
            all(conv_transpose_output_size(*a) + e > 2 * q for a, e, q in zip(size, extra, p, strict=True))
        )
        x, w, b = tensors(geometry.y, geometry.w, (geometry.w[1] * groups,))
        y = (F.conv_transpose1d, F.conv_transpose2d)[rank - 1](x, w, b, s, p, tuple(extra), groups, d)
        mine = (convkit.conv_transpose1d, convkit.conv_transpose2d)[rank - 1]
        same(mine(*arrays(x, w, b), s, p, extra, groups, d), y, w.numel() + 1)
        grad_y, wanted = gradients(y, x, w, b)
        back = (convkit.conv_transpose1d_backward, convkit.conv_transpose2d_backward)[rank - 1]
        for got, want in zip(back(grad_y, *arrays(x, w), s, p, extra, groups, d), wanted, strict=True):
            same(got, want, y.numel() + w.numel())

    check()


@quick
@given(geometries(2))
def test_unfold_and_fold(drawn):
    geometry, _ = drawn
    (x,) = arrays(*tensors(geometry.x))
    p = tuple(pair[0] for pair in geometry.options["padding"])
    k, d, s = geometry.w[2:], geometry.options["dilation"], geometry.options["stride"]
    assume(all(n + 2 * q > e * (m - 1) for n, q, e, m in zip(x.shape[-2:], p, d, k, strict=True)))
    cols = F.unfold(torch.tensor(x), k, d, p, s)
    assert_bits(convkit.im2col(x, k, d, p, s), cols.numpy())
    same(
        convkit.col2im(cols.numpy(), x.shape[-2:], k, d, p, s),
        F.fold(cols, x.shape[-2:], k, d, p, s),
        k[0] * k[1],
    )


# --- padding and pooling -------------------------------------------------------------------


@quick
@given(
    st.sampled_from(["constant", "reflect", "replicate", "circular"]), st.tuples(*[st.integers(-2, 4)] * 4)
)
def test_pad(mode, padding):
    if mode != "constant":
        padding = tuple(map(abs, padding))
    (x,) = tensors((2, 3, 5, 6))
    y = F.pad(x, padding, mode, **({"value": 2.5} if mode == "constant" else {}))
    assert_bits(convkit.pad(x.detach().numpy(), padding, mode, 2.5), y.detach().numpy())
    grad_y, (want,) = gradients(y, x)
    same(convkit.pad_backward(grad_y, x.shape, padding, mode), want, 9)


pools = st.tuples(st.integers(3, 9), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))


@quick
@given(pools, pools, st.booleans(), st.booleans(), st.sampled_from([None, 3, -2]))
def test_avg_pool2d(rows, columns, ceil_mode, count_include_pad, divisor):
    n, k, s, p = zip(rows, columns, strict=True)
    assume(all(q <= m // 2 and a + 2 * q >= m for a, m, q in zip(n, k, p, strict=True)))
    (x,) = tensors((2, 2, *n))
    options = (k, s, p, ceil_mode, count_include_pad, divisor)
    y = F.avg_pool2d(x, *options)
    same(convkit.avg_pool2d(x.detach().numpy(), *options), y, k[0] * k[1])
    grad_y, (want,) = gradients(y, x)
    same(convkit.avg_pool2d_backward(grad_y, x.shape, *options), want, k[0] * k[1])


@quick
@given(pools, st.booleans(), st.booleans())
def test_avg_pool1d(axis, ceil_mode, count_include_pad):
    n, k, s, p = axis
    assume(p <= k // 2 and n + 2 * p >= k)
    (x,) = tensors((3, n))
    options = (k, s, p, ceil_mode, count_include_pad)
    y = F.avg_pool1d(x, *options)
    same(convkit.avg_pool1d(x.detach().numpy(), *options), y, k)
    grad_y, (want,) = gradients(y, x)
    same(convkit.avg_pool1d_backward(grad_y, x.shape, *options), want, k)


@quick
@given(pools, pools, small, st.booleans(), st.booleans())
def test_max_pool2d(rows, columns, d, ceil_mode, ties):
    n, k, s, p = zip(rows, columns, strict=True)
    assume(all(q <= m // 2 and a + 2 * q > d * (m - 1) for a, m, q in zip(n, k, p, strict=True)))
    (x,) = tensors((2, 2, *n))
    if ties:
        x = x.detach().round().requires_grad_()
    options = (k, s, p, d, ceil_mode)
    y, indices = F.max_pool2d(x, *options, return_indices=True)
    assume(torch.isfinite(y).all())  # theirs returns -inf where a window holds padding alone
    got = convkit.max_pool2d(x.detach().numpy(), *options, return_indices=True)
    assert_bits(got.y, y.detach().numpy())
    assert_bits(got.indices, indices.numpy())
    grad_y, (want,) = gradients(y, x)
    same(convkit.max_pool2d_backward(grad_y, x.detach().numpy(), *options), want, k[0] * k[1])


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_max_pooling_of_nan_and_infinity(value):
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x[0, 0, 2:5], x[1, 2, :, 3:] = value, value
    y, indices = F.max_pool2d(x, 3, 1, 1, return_indices=True)
    got = convkit.max_pool2d(x.numpy(), 3, 1, 1, return_indices=True)
    assert_close(got.y, y.numpy(), 0.0)
    if value != value:  # PyTorch takes the last NaN of a window, as we do
        assert_bits(got.indices, indices.numpy())


@pytest.mark.parametrize("size", list(itertools.product([1, 2, 5, 7, 9], [1, 3, 8])))
def test_adaptive_avg_pool2d(size):
    (x,) = tensors((2, 3, 7, 8))
    y = F.adaptive_avg_pool2d(x, size)
    same(convkit.adaptive_avg_pool2d(x.detach().numpy(), size), y, 56)
    grad_y, (want,) = gradients(y, x)
    same(convkit.adaptive_avg_pool2d_backward(grad_y, x.shape, size), want, 56)


# --- normalisation -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 3, 2)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, training, affine):
    x, w, b = tensors(shape, (3,), (3,))
    w, b = (w, b) if affine else (None, None)
    mean, var = torch.linspace(-1, 1, 3, dtype=torch.float64), torch.linspace(0.5, 2, 3, dtype=torch.float64)
    mine = mean.numpy().copy(), var.numpy().copy()
    y = F.batch_norm(x, mean, var, w, b, training, 0.3, 1e-3)
    numbers = [None if t is None else t.detach().numpy() for t in (w, b)]
    same(convkit.batch_norm(x.detach().numpy(), *mine, *numbers, training, 0.3, 1e-3), y, 40)
    same(mine[0], mean, 40)
    same(mine[1], var, 40)
    inputs = [t for t in (x, w, b) if t is not None]
    grad_y, wanted = gradients(y, *inputs)
    got = convkit.batch_norm_backward(
        grad_y,
        x.detach().numpy(),
        numbers[0],
        running_mean=mine[0],
        running_var=mine[1],
        training=training,
        eps=1e-3,
    )
    for g, want in zip(got, wanted, strict=affine):
        same(g, want, 100)


@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm(use_input_stats):
    x, w, b = tensors((3, 4, 5, 6), (4,), (4,))
    mean, var = torch.zeros(4, dtype=torch.float64), torch.full((4,), 2.0, dtype=torch.float64)
    mine = mean.numpy().copy(), var.numpy().copy()
    y = F.instance_norm(x, mean, var, w, b, use_input_stats, 0.3)
    same(convkit.instance_norm(x.detach().numpy(), *mine, *arrays(w, b), use_input_stats, 0.3), y, 40)
    same(mine[0], mean, 40)
    same(mine[1], var, 40)
    grad_y, wanted = gradients(y, x, w, b)
    got = convkit.instance_norm_backward(
        grad_y, *arrays(x, w), running_mean=mine[0], running_var=mine[1], use_input_stats=use_input_stats
    )
    for g, want in zip(got, wanted, strict=True):
        same(g, want, 200)


@pytest.mark.parametrize(
    ("theirs", "forward", "backward", "shape"),
    [
        (lambda x, w, b: F.group_norm(x, 2, w, b), lambda x, w, b: convkit.group_norm(x, 2, w, b),
         lambda g, x, w: convkit.group_norm_backward(g, x, 2, w), (4,)),
        (lambda x, w, b: F.layer_norm(x, (5, 6), w, b), lambda x, w, b: convkit.layer_norm(x, (5, 6), w, b),
         lambda g, x, w: convkit.layer_norm_backward(g, x, (5, 6), w), (5, 6)),
    ],
    ids=["group", "layer"],
)  # fmt: skip
def test_group_and_layer_norm(theirs, forward, backward, shape):
    x, w, b = tensors((3, 4, 5, 6), shape, shape)
    y = theirs(x, w, b)
    same(forward(*arrays(x, w, b)), y, 60)
    grad_y, wanted = gradients(y, x, w, b)
    for got, want in zip(backward(grad_y, *arrays(x, w)), wanted, strict=True):
        same(got, want, 200)


# --- tensors -------------------------------------------------------------------------------


def test_tensors_come_back_as_tensors():
    x, w = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    y = convkit.conv2d(x, w, padding=1)
    assert isinstance(y, torch.Tensor)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, F.conv2d(x, w, padding=1))
    pooled = convkit.max_pool2d(x, 2, return_indices=True)
    assert pooled.indices.dtype == torch.int64
    assert convkit.dropout(x, seed=0, return_mask=True).mask.dtype == torch.bool
    out = torch.empty(1, 3, 3, 3)
    assert convkit.conv2d(x, w, out=out) is out
    torch.testing.assert_close(out, F.conv2d(x, w))
    strided = x.transpose(2, 3)
    torch.testing.assert_close(convkit.conv2d(strided, w), F.conv2d(strided, w))


def test_running_statistics_of_tensors_are_updated_in_place():
    x = torch.randn(4, 3, 5)
    mine, theirs = ([torch.zeros(3), torch.ones(3)] for _ in range(2))
    y = convkit.batch_norm(x, *mine, training=True)
    torch.testing.assert_close(y, F.batch_norm(x, *theirs, training=True))
    torch.testing.assert_close(mine, theirs)


def test_a_tensor_that_asks_for_a_gradient_is_refused():
    """Its gradient would be lost in silence."""
    with pytest.raises(TypeError, match=r"torch.Tensor cannot be read as an array"):
        convkit.pad(torch.zeros(3, requires_grad=True), (1, 1))
