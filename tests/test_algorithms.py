"""The algorithms of convolution: which is chosen, what each needs and allocates, and how far it errs."""

import threading

import numpy as np
import pytest
from comparator import assert_bits, assert_close
from geometries import integers
from kernel_magnitudes import SPREAD

import convkit
from convkit import _ext, dispatch
from convkit._numpy import fft, im2col
from convkit.rules import Layer, fastest

compiled = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))


def layer(N=1, IC=64, OC=64, G=1, k=3, size=56, S=1, D=1):
    out = -(-size // S)
    return Layer(N, IC, OC, G, k, k, out, out, S, S, D, D)


# --- what is chosen ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "chosen"),
    [
        ({}, "winograd"),
        ({"IC": 16, "OC": 16}, "winograd"),
        ({"IC": 15}, "direct"),  # too few channels for the transforms
        ({"G": 8}, "direct"),
        ({"size": 12}, "winograd"),
        ({"size": 11}, "direct"),  # 121 outputs for 16 tiles
        ({"size": 7}, "direct"),
        ({"size": 7, "N": 8}, "winograd"),  # tiles are counted over the batch
        ({"N": 0}, "direct"),
        ({"S": 2}, "direct"),
        ({"D": 2}, "direct"),
        ({"k": 1}, "direct"),
        ({"k": 5}, "direct"),
        ({"k": 15}, "direct"),
        ({"k": 15, "N": 16}, "fft"),
        ({"k": 51}, "fft"),
    ],
)
def test_what_fastest_stands_for(numbers, chosen):
    assert fastest(layer(**numbers))[0] == chosen


@compiled
def test_fastest_runs_what_it_stands_for_and_auto_stays_exact():
    x, w = integers(1, 16, 12, 12, dtype="float32"), integers(16, 16, 3, 3, dtype="float32")
    convkit.conv2d(x, w, padding=1, algorithm="fastest")
    assert convkit.last_call().algorithm == "winograd"
    convkit.conv2d(x, w, padding=1)
    assert convkit.last_call().algorithm == "direct"
    convkit.conv2d(x, w, padding=1, algorithm="fastest", backend="reference")
    assert convkit.last_call().algorithm == "direct"
    convkit.conv2d(integers(1, 1, 200, 200), integers(1, 1, 51, 51), padding=25, algorithm="fastest")
    assert convkit.last_call().algorithm == "fft"


def test_a_backend_without_a_direct_kernel_runs_what_it_has():
    convkit.conv2d(integers(1, 1, 4, 4), integers(1, 1, 3, 3), backend="numpy")
    assert convkit.last_call().algorithm == "im2col"


@pytest.mark.parametrize(
    ("kernel", "options"),
    [((3, 3), {"stride": 2}), ((3, 3), {"dilation": (1, 2)}), ((5, 5), {}), ((3, 1), {})],
)
@pytest.mark.parametrize("batch", [0, 1])
def test_winograd_says_what_it_needs(kernel, options, batch):
    x, w = integers(batch, 2, 9, 9), integers(2, 2, *kernel)
    with pytest.raises(ValueError, match="winograd needs a 3x3 kernel, stride 1 and dilation 1, got a "):
        convkit.conv2d(x, w, algorithm="winograd", **options)


@compiled
def test_winograd_s_own_door_refuses_too():
    kernel = _ext.load("winograd").conv2d
    arrays = np.empty((1, 1, 5, 5)), np.ones((1, 1, 9, 9)), np.ones((1, 1, 5, 5)), np.ones(1)
    with pytest.raises(ValueError, match="winograd needs a 3x3 kernel"):
        kernel(*arrays, np.arange(9), np.arange(9), 1, 1, 1, 1)


# --- how far they err ----------------------------------------------------------------------


def adversaries(dtype):
    """Yield inputs that algorithms with transforms dislike."""
    rng = np.random.default_rng(5)
    shapes = (1, 32, 21, 22), (9, 32, 3, 3)
    x, w = (rng.standard_normal(s) for s in shapes)
    sign = (-1.0) ** np.add.outer(np.arange(21), np.arange(22))
    positive = rng.uniform(0.5, 1, shapes[0]), rng.uniform(0.5, 1, shapes[1])
    return {
        "large mean": (x + 1000, w),
        "alternating signs": (sign * (1 + x / 1000), np.abs(w)),
        "one sign": positive,
        "signs": (np.sign(x), np.sign(w)),
        "magnitudes": (x * 10.0 ** rng.integers(-5, 6, x.shape), w),
        "denormals": (x * np.finfo(dtype).tiny, w),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", adversaries("float64"))
@pytest.mark.parametrize("algorithm", SPREAD)
def test_errors_keep_their_bound_on_adversarial_inputs(algorithm, name, dtype):
    if algorithm not in convkit.algorithms("conv2d"):
        pytest.skip(f"{algorithm} cannot run here")
    x, w = (a.astype(dtype) for a in adversaries(dtype)[name])
    wide = [a.astype(np.longdouble) for a in (x, w)]
    planes = np.pad(wide[0], ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = np.ndindex(3, 3)
    exact = sum(np.tensordot(wide[1][:, :, i, j], planes[0, :, i : i + 21, j : j + 22], 1) for i, j in taps)
    tables = [np.r_[-1, 0:n, -1] for n in x.shape[2:]]
    epsilons = SPREAD[algorithm](x.astype(np.float64), w.astype(np.float64), np.zeros(9), *tables)
    # Denormals are rounded to a grid of their own.
    bound = np.finfo(dtype).eps * epsilons + 1000 * np.finfo(dtype).smallest_subnormal
    got = convkit.conv2d(x, w, padding=1, algorithm=algorithm)
    assert_close((got[0] - exact).astype(np.float64), np.zeros(exact.shape), bound[0])


@pytest.mark.parametrize("algorithm", SPREAD)
def test_zero_windows_get_their_neighbours_rounding(algorithm):
    """Why the bound is no multiple of an output's own sum |x||w|: here that is zero, and the error is not."""
    if algorithm not in convkit.algorithms("conv2d"):
        pytest.skip(f"{algorithm} cannot run here")
    rng = np.random.default_rng(3)
    x, w = np.zeros((1, 1, 6, 6), np.float32), rng.standard_normal((8, 1, 3, 3)).astype(np.float32)
    x[..., :3, :3] = rng.standard_normal((3, 3))
    assert not convkit.conv2d(x, w)[..., 3, 3].any()  # whose window begins at (3, 3)
    tables = np.arange(6), np.arange(6)
    bound = SPREAD[algorithm](x.astype(np.float64), w.astype(np.float64), np.zeros(8), *tables)
    got = np.abs(convkit.conv2d(x, w, algorithm=algorithm)[..., 3:, 3:])
    assert got.max() > 0
    assert (got <= np.finfo(np.float32).eps * bound).all()


# --- memory --------------------------------------------------------------------------------


def test_workspace_of_im2col_is_its_columns():
    assert convkit.conv2d_workspace((3, 4, 9, 9), (5, 4, 3, 2), algorithm="im2col", backend="numpy") == (
        4 * 3 * 2 * 7 * 8 * 4
    )
    assert convkit.conv2d_workspace((1, 4, 9, 9), (5, 4, 1, 1), algorithm="im2col", backend="numpy") == 0
    assert convkit.conv2d_workspace((1, 4, 9, 9), (5, 4, 1, 1), backend="reference") is None


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_workspace_of_direct_is_at_most_two_mebibytes_a_thread(dtype):
    shapes = [
        ((1, 3, 224, 224), (64, 3, 7, 7), 2),
        ((8, 64, 224, 224), (64, 64, 3, 3), 1),
        ((1, 2048, 7, 7), (512, 2048, 1, 1), 1),
        ((1, 4096, 9, 9), (8, 4096, 5, 5), 1),
        ((1, 1, 1, 10**6), (4, 1, 1, 99), 3),
        ((2, 3, 5000, 5000), (8, 3, 11, 11), 4),
    ]
    for threads in (1, 3):
        with convkit.num_threads(threads):
            for x, w, stride in shapes:
                used = convkit.conv2d_workspace(x, w, stride, algorithm="direct", dtype=dtype)
                assert 0 < used <= threads * 2**21, (x, w)
                assert used % threads == 0


@compiled
def test_workspace_of_winograd_grows_with_blocks_and_filters_not_with_the_batch():
    with convkit.num_threads(1):
        sizes = [
            convkit.conv2d_workspace((N, 64, 224, 224), (64, 64, 3, 3), padding=1, algorithm="winograd")
            for N in (1, 100)
        ]
    # U and V take 36 numbers a channel and filter, or tile of a block of 48 or 64; M and scratch, the rest.
    least = 36 * 64 * (64 + 48) * 4
    assert least < sizes[0] < 2 * least
    assert sizes[1] == sizes[0]


@pytest.mark.parametrize(("module", "algorithm"), [(im2col, "im2col"), (fft, "fft")])
def test_too_much_memory_is_an_error_that_names_direct(module, algorithm, monkeypatch):
    def full(shape, itemsize, name):
        raise MemoryError(f"{name} of shape {shape} needs 99.0 GiB")

    monkeypatch.setattr(module, "check_allocation", full)
    message = rf"{algorithm}.* needs 99.0 GiB; algorithm='direct' needs none of it"
    with pytest.raises(MemoryError, match=message):
        convkit.conv2d(integers(1, 2, 9, 9), integers(1, 2, 3, 3), algorithm=algorithm, backend="numpy")


# --- prepared filters ----------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("size", [13, 50])
def test_prepared_filters_change_no_bit(size, groups, dtype):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 6, size, size)).astype(dtype)
    w, b = rng.standard_normal((34, 6 // groups, 3, 3)).astype(dtype), rng.standard_normal(34).astype(dtype)
    options = {"padding": 1, "groups": groups, "algorithm": "winograd"}
    prepared = convkit.prepare_conv2d(w, b, **options)
    for _ in range(2):
        assert_bits(prepared(x), convkit.conv2d(x, w, b, **options))
    assert convkit.last_call().algorithm == "winograd"


@compiled
def test_prepared_filters_are_made_once_by_threads_that_race_for_them(monkeypatch):
    x, w = np.ones((1, 16, 40, 40), np.float32), np.ones((16, 16, 3, 3), np.float32)
    made = []

    def counted(*arguments):
        made.append(arguments)
        return _ext.load("winograd").ready(*arguments)

    load = dispatch.load
    monkeypatch.setattr(dispatch, "load", lambda kernel: load(kernel)._replace(ready=counted))
    dispatch.resolve.cache_clear()
    prepared = convkit.prepare_conv2d(w, algorithm="winograd")
    gate = threading.Barrier(4)

    def first_call():
        gate.wait()
        prepared(x)

    threads = [threading.Thread(target=first_call) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    dispatch.resolve.cache_clear()
    assert len(made) == 1


@compiled
def test_foreign_transformed_filters_are_refused():
    kernel = _ext.load("winograd").conv2d
    x, w = np.ones((1, 16, 40, 40)), np.ones((16, 16, 3, 3))
    arguments = np.empty((1, 16, 38, 38)), x, w, np.zeros(16), np.arange(40), np.arange(40), 1, 1, 1, 1
    with pytest.raises(ValueError, match="length of U must be"):
        kernel(*arguments, np.zeros(100))
    with pytest.raises(TypeError, match="U must be float64"):
        kernel(*arguments, np.zeros(100, np.float32))
