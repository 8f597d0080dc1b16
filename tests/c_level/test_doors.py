"""The Python side of the compiled kernels: no argument whatever may make one touch stray memory.

The public functions check and word things for users; these checks stand behind them.
"""

import numpy as np
import pytest
from comparator import assert_equal
from guarded import Guarded

from convkit import _ext
from convkit.geometry import index_table, pool_windows

pytestmark = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))


@pytest.fixture
def pad():
    """Return pad2d and good arguments for it, by name."""
    good = {
        "y": np.empty((2, 5, 7), np.float32),
        "x": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "ih_of": index_table(3, 1, 1),
        "iw_of": index_table(4, 1, 2),
        "value": 0.0,
    }
    return _ext.load("padding").pad2d, good


@pytest.fixture
def conv():
    """Return conv2d and good arguments for it, by name."""
    good = {
        "y": np.empty((2, 6, 3, 2), np.float64),
        "x": np.ones((2, 4, 5, 5)),
        "w": np.ones((6, 2, 3, 2)),
        "b": np.zeros(6),
        "ih_of": index_table(5, 0, 0),
        "iw_of": index_table(5, 0, 0),
        "SH": 1,
        "SW": 2,
        "DH": 1,
        "DW": 2,
    }
    return _ext.load("ladder.conv_seven_loops").conv2d, good


@pytest.fixture
def gradients():
    """Return the kernels of convolution's gradients by name, and good arguments for each."""
    tables = {
        "ih_of": index_table(5, 0, 0),
        "iw_of": index_table(5, 0, 0),
        "SH": 1,
        "SW": 2,
        "DH": 1,
        "DW": 2,
    }
    x, w, y = np.ones((2, 4, 5, 5)), np.ones((6, 2, 3, 2)), np.ones((2, 6, 3, 2))
    return {
        "conv_transpose2d": (
            _ext.load("conv_transpose").conv_transpose2d,
            {"y": np.empty_like(x), "x": y, "w": w, "b": np.zeros(4), **tables},
        ),
        "conv2d_grad_w": (
            _ext.load("conv_grad_w").conv2d_grad_w,
            {"dw": np.empty_like(w), "dy": y, "x": x, **tables},
        ),
        "conv2d_grad_b": (_ext.load("conv_grad_b").conv2d_grad_b, {"db": np.empty(6), "dy": y}),
    }


def misaligned(shape: tuple[int, ...]) -> np.ndarray:
    size = 4 * int(np.prod(shape))
    return np.zeros(size + 1, np.uint8)[1:].view(np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("name", "bad", "error", "message"),
    [
        ("x", None, TypeError, "x must be an array"),
        ("x", [[[1.0]]], TypeError, "x"),
        ("x", np.zeros((2, 3, 4)), TypeError, "x must be float32, got float64"),
        ("y", np.zeros((2, 5, 7), int), TypeError, "y must be float64, got int64"),
        ("y", np.zeros((2, 5, 7), np.float16), TypeError, "float16"),
        ("x", np.zeros((2, 3, 4), ">f4"), ValueError, "native byte order"),
        ("x", np.zeros((2, 3, 8), np.float32)[:, :, ::2], ValueError, "C-contiguous"),
        ("x", misaligned((2, 3, 4)), ValueError, "aligned"),
        ("x", np.zeros((6, 4), np.float32), ValueError, r"3 axes, got shape \(6, 4\)"),
        ("x", np.zeros((2, 0, 4), np.float32), ValueError, "must not be empty"),
        ("x", np.zeros((3, 3, 4), np.float32), ValueError, "planes of x must be 2, got 3"),
        ("ih_of", index_table(3, 1, 0), ValueError, "4 entries, too few for 5 outputs"),
        ("ih_of", np.array([0, 1, 2, 3, 0]), ValueError, r"ih_of\[3\] must be from -1 to 2, got 3"),
        ("iw_of", np.array([0, 1, 2, 3, 0, -2, 0]), ValueError, r"iw_of\[5\] must be from -1 to 3, got -2"),
        ("iw_of", index_table(4, 1, 2).astype(np.int32), TypeError, "iw_of must be int64, got int32"),
        ("value", "one", TypeError, "real number"),
    ],
)
def test_pad_refuses(pad, name, bad, error, message):
    pad2d, good = pad
    with pytest.raises(error, match=message):
        pad2d(**good | {name: bad})


def test_a_read_only_output_is_refused(pad):
    pad2d, good = pad
    good["y"].flags.writeable = False
    with pytest.raises(ValueError, match="y is written to and must not be read-only"):
        pad2d(**good)


def test_an_input_inside_the_output_is_refused(pad, conv):
    pad2d, good = pad
    x = good["y"].reshape(-1)[:24].reshape(2, 3, 4)
    with pytest.raises(ValueError, match="x shares memory with the output"):
        pad2d(**good | {"x": x})
    conv2d, good = conv
    with pytest.raises(ValueError, match="b shares memory with the output"):
        conv2d(**good | {"b": good["y"].reshape(-1)[-6:]})


def seen(out: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return a table written over the first cells of an output."""
    inside = out.reshape(-1)[: table.size].view(np.intp).reshape(table.shape)
    inside[...] = table
    return inside


DOORS = {
    "pad2d": ("padding", {"y": (2, 9, 9), "x": (2, 9, 9)}, "index"),
    "pad2d_backward": ("padding", {"dx": (2, 9, 9), "dy": (2, 9, 9)}, "index"),
    "avg_pool2d": ("avg_pooling", {"y": (2, 9, 9), "x": (2, 9, 9)}, "windows"),
    "avg_pool2d_backward": ("avg_backward", {"dx": (2, 9, 9), "dy": (2, 9, 9)}, "windows"),
    "max_pool2d": ("max_pooling", {"y": (2, 9, 9), "x": (2, 9, 9)}, "windows"),
    "im2col": ("unfold", {"cols": (2, 3, 1, 1, 9, 9), "x": (2, 3, 9, 9)}, "strided"),
    "col2im": ("fold", {"x": (2, 3, 9, 9), "cols": (2, 3, 1, 1, 9, 9)}, "strided"),
    "conv_transpose2d": (
        "conv_transpose",
        {"y": (2, 3, 9, 9), "x": (2, 3, 9, 9), "w": (3, 3, 1, 1), "b": (3,)},
        "strided",
    ),
    "conv2d_grad_w": ("conv_grad_w", {"dw": (9, 3, 1, 1), "dy": (2, 9, 9, 9), "x": (2, 3, 9, 9)}, "strided"),
}


@pytest.mark.parametrize("op", DOORS)
def test_tables_inside_the_output_are_refused(op):
    module, shapes, kind = DOORS[op]
    kernel = getattr(_ext.load(module), op)
    arrays = {name: np.zeros(shape) for name, shape in shapes.items()}
    tables = {name: index_table(9, 0, 0) for name in ("ih_of", "iw_of")}
    more = {"value": 0.0} if op == "pad2d" else {}
    if kind == "windows":
        tables = {name: pool_windows(9, 1, 1) for name in ("h_windows", "w_windows")}
    if kind == "strided":
        more = {"SH": 1, "SW": 1, "DH": 1, "DW": 1}
    kernel(**arrays, **tables, **more)
    out = next(iter(arrays.values()))
    for name, table in tables.items():
        with pytest.raises(ValueError, match=f"{name} shares memory with the output"):
            kernel(**arrays, **tables | {name: seen(out, table)}, **more)


def test_outputs_and_indices_lie_apart():
    kernel = _ext.load("max_indices").max_pool2d_indices
    windows = pool_windows(9, 1, 1)
    y, x, indices = np.zeros((2, 9, 9)), np.zeros((2, 9, 9)), np.zeros((2, 9, 9), np.int64)
    kernel(y, indices, x, windows, windows)
    with pytest.raises(ValueError, match="indices shares memory with the output"):
        kernel(y, y.view(np.int64), x, windows, windows)
    with pytest.raises(ValueError, match="x shares memory with the output"):
        kernel(y, x.view(np.int64), x, windows, windows)
    inside = indices.reshape(-1)[:27].reshape(9, 3)
    inside[...] = windows
    with pytest.raises(ValueError, match="h_windows shares memory with the output"):
        kernel(y, indices, x, inside, windows)
    with pytest.raises(ValueError, match="w_windows shares memory with the output"):
        kernel(y, indices, x, windows, inside)
    backward = _ext.load("max_backward").max_pool2d_backward
    with pytest.raises(ValueError, match="indices shares memory with the output"):
        backward(x, y, x.view(np.int64))


@pytest.fixture
def norms():
    """Return the normalisations by name, with good arguments: outputs first."""
    x, v, w = np.arange(24.0).reshape(2, 3, 1, 4), np.ones(3), np.ones((3, 1))
    given = {"x": x, "weight": w, "bias": w.copy()}
    grads = {
        "dx": x.copy(),
        "dweight": w.copy(),
        "dbias": w.copy(),
        "dy": x.copy(),
        "x": x,
        "weight": w.copy(),
    }
    forward, backward = _ext.load("normalization"), _ext.load("normalization_backward")
    return {
        "normalize": (forward.normalize, {"y": x.copy(), "mean": v, "var": v.copy(), **given, "eps": 0.0}),
        "normalize_given": (
            forward.normalize_given,
            {"y": x.copy(), "x": x, "mean": v, "invstd": v.copy(), "weight": w, "bias": w.copy()},
        ),
        "normalize_backward": (backward.normalize_backward, {**grads, "mean": v, "invstd": v.copy()}),
        "normalize_given_backward": (
            backward.normalize_given_backward,
            {**grads, "mean": v, "invstd": v.copy()},
        ),
    }


@pytest.mark.parametrize(
    ("op", "outputs"),
    [("normalize", 3), ("normalize_given", 1), ("normalize_backward", 3), ("normalize_given_backward", 3)],
)
def test_a_normalisation_refuses_whatever_shares_memory_with_an_output(norms, op, outputs):
    kernel, good = norms[op]
    kernel(**good)
    names = [name for name in good if name != "eps"]
    for output in names[:outputs]:
        for name in names:
            if name == output:
                continue
            size = max(good[output].size, good[name].size)
            memory = np.ones(size)
            bad = {a: memory[: good[a].size].reshape(good[a].shape) for a in (output, name)}
            with pytest.raises(ValueError, match="shares memory with the output"):
                kernel(**good | bad)


@pytest.mark.parametrize("op", ["dropout", "dropout_mask", "dropout_given", "channel_mean"])
def test_dropout_and_means_refuse_whatever_shares_memory_with_an_output(op):
    memory = np.ones(48)
    x, y, mask = memory[:24].reshape(4, 6), memory[20:44].reshape(4, 6), np.ones(4, np.bool_)
    inside = memory[:24].view(np.bool_)[:4]
    kernels, channels = _ext.load("dropout"), _ext.load("channels")
    calls = {
        "dropout": [(kernels.dropout, (y, x, 1, 2**31, 2.0))],
        "dropout_mask": [
            (kernels.dropout_mask, (y, mask, x, 1, 2**31, 2.0)),
            (kernels.dropout_mask, (np.empty((4, 6)), inside, x, 1, 2**31, 2.0)),
            (kernels.dropout_mask, (x, inside, np.ones((4, 6)), 1, 2**31, 2.0)),
        ],
        "dropout_given": [
            (kernels.dropout_given, (y, x, mask, 2.0)),
            (kernels.dropout_given, (x, np.ones((4, 6)), inside, 2.0)),
        ],
        "channel_mean": [
            (channels.channel_mean, (memory[:6].reshape(1, 6), x[None])),
            (channels.channel_mean_backward, (x[None], memory[:6].reshape(1, 6))),
        ],
    }
    for kernel, arguments in calls[op]:
        with pytest.raises(ValueError, match="shares memory with the output"):
            kernel(*arguments)


def test_read_only_inputs_are_welcome(pad):
    pad2d, good = pad
    good["x"].flags.writeable = False
    pad2d(**good)
    assert_equal(good["y"], np.pad(good["x"], ((0, 0), (1, 1), (1, 2))))


@pytest.mark.parametrize(
    ("name", "bad", "message"),
    [
        ("b", np.zeros(5), "length of b must be 6, got 5"),
        ("y", np.empty((3, 6, 3, 2)), "images of y must be 2, got 3"),
        ("y", np.empty((2, 5, 3, 2)), "channels of y must be 6, got 5"),
        ("w", np.ones((6, 3, 3, 2)), "no groups of 3 inputs"),
        ("w", np.ones((6, 5, 3, 2)), "no groups of 5 inputs"),
        ("x", np.ones((2, 8, 5, 5)), "no groups of 2 inputs"),  # 4 groups, and 6 outputs
        ("SH", 0, "too few"),
        ("DW", -1, "too few"),
        ("SH", 2**62, "too few"),  # (OH - 1)*SH would overflow to a small number
        ("SW", 2**63 - 1, "too few"),
        ("DH", 2**63 - 1, "too few"),
        ("DW", 5, "too few"),
    ],
)
def test_conv_refuses(conv, name, bad, message):
    conv2d, good = conv
    with pytest.raises(ValueError, match=message):
        conv2d(**good | {name: bad})


@pytest.mark.parametrize(
    ("op", "name", "bad", "message"),
    [
        ("conv_transpose2d", "b", np.zeros(6), "length of b must be 4, got 6"),
        ("conv_transpose2d", "x", np.ones((3, 6, 3, 2)), "images of x must be 2, got 3"),
        ("conv_transpose2d", "x", np.ones((2, 5, 3, 2)), "channels of x must be 6, got 5"),
        ("conv_transpose2d", "w", np.ones((6, 3, 3, 2)), "no groups of 3 inputs"),
        ("conv_transpose2d", "ih_of", index_table(5, 0, 0)[:-1], "too few"),
        ("conv2d_grad_w", "dw", np.empty((5, 2, 3, 2)), "channels of dy must be 5, got 6"),
        ("conv2d_grad_w", "dw", np.empty((6, 3, 3, 2)), "no groups of 3 inputs"),
        ("conv2d_grad_w", "dy", np.ones((1, 6, 3, 2)), "images of dy must be 2, got 1"),
        ("conv2d_grad_w", "SW", 3, "too few"),
        ("conv2d_grad_w", "iw_of", np.array([0, 1, 2, 3, 5]), r"iw_of\[4\] must be from -1 to 4, got 5"),
        ("conv2d_grad_b", "db", np.empty(5), "channels of dy must be 5, got 6"),
        ("conv2d_grad_b", "dy", np.ones((6, 6)), "dy must have 4 axes"),
    ],
)
def test_gradients_refuse(gradients, op, name, bad, message):
    kernel, good = gradients[op]
    with pytest.raises(ValueError, match=message):
        kernel(**good | {name: bad})


def test_a_size_beyond_64_bits_is_an_overflow_error(conv):
    conv2d, good = conv
    with pytest.raises(OverflowError):
        conv2d(**good | {"SH": 2**63})


def test_good_arguments_are_good(pad, conv, gradients):
    for kernel, good in (pad, conv, *gradients.values()):
        out = next(iter(good.values()))
        out.fill(np.nan)
        kernel(**good)
        assert not np.isnan(out).any()


@pytest.mark.parametrize("op", ["avg_pool2d", "avg_pool2d_backward", "max_pool2d"])
@pytest.mark.parametrize("name", ["h_windows", "w_windows"])
def test_windows_that_go_back_or_outside_are_refused(op, name):
    module, shapes, _ = DOORS[op]
    arrays = {key: np.zeros((20, 7, 7), np.float32) for key in shapes}
    tables = {key: pool_windows(7, 1, 1) for key in ("h_windows", "w_windows")}
    kernel = getattr(_ext.load(module), op)
    kernel(**arrays, **tables)
    with pytest.raises(ValueError, match=rf"{name}\[1\] must not start before {name}\[0\], got 5 after 6"):
        kernel(**arrays, **tables | {name: tables[name][::-1].copy()})
    beyond = tables[name].copy()
    beyond[6, 1] = 8
    with pytest.raises(ValueError, match=rf"{name}\[6\] must hold cells from 0 to 6, got 6 to 8"):
        kernel(**arrays, **tables | {name: beyond})


@pytest.mark.parametrize("wrong", [-1, 9 * 9, 2**62, -(2**63)])
def test_an_index_of_no_cell_is_named_and_nothing_is_written_for_it(wrong):
    dx, dy = Guarded(np.empty((2, 9, 9)), at_end=True), np.ones((2, 4, 4))
    indices = np.zeros((2, 4, 4), np.int64)
    indices[1, 2, 3] = wrong
    with pytest.raises(ValueError, match=f"indices must be at least 0 and below 81, got {wrong}"):
        _ext.load("max_backward").max_pool2d_backward(dx.array, dy, indices)
    assert dx.canaries_live()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_windows_with_steps_may_come_in_any_order(dtype):
    """Steps and the edge can make them; a plane that is small has kernels that count on none of it."""
    forwards = np.array([(0, 3, 2), (2, 5, 2), (4, 7, 2)], np.intp)
    x = Guarded(np.random.default_rng(4).standard_normal((20, 7, 7)).astype(dtype), at_end=True)
    want = x.array[:, [0, 2, 4, 6]][:, :, [0, 2, 4, 6]]
    want = np.maximum(want[:, :-1], want[:, 1:])
    want = np.maximum(want[..., :-1], want[..., 1:])
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 1, 1]):
        y = np.empty((20, 3, 3), dtype)
        _ext.load("max_pooling").max_pool2d(y, x.array, forwards[order], forwards[order])
        assert_equal(y, want[:, order][:, :, order])
