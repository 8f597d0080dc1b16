"""The CUDA streaming kernels on the cases of :mod:`cuda_cases`, beyond those of the contract."""

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from kernel_cases import Case
from test_contract import assert_outputs, kernel_id, load, reference, run

from convkit import dispatch
from convkit.geometry import pool_windows

if dispatch.why_not("cuda"):
    pytest.skip(f"cuda: {dispatch.why_not('cuda')}", allow_module_level=True)

from cuda_cases import HIGH, LARGE, MANY, NORMALIZED, OTHERS, POOLED, TALL, TOO_LARGE, TOO_WIDE, WIDE

from convkit._cuda import bands, chunks, large_windows, pooling, small_statistics, target

CUDA = [k for k in dispatch.KERNELS if k.backend == "cuda"]
DTYPES = "float32", "float64"
TRIED = DTYPES[: 1 if target.SIMULATED else 2]  # a kernel is the same for both until a device compiles it


def check(case, kind, kernels=CUDA):
    """Compare CUDA kernels of the case's operation with the reference, and a second run with the first."""
    for dtype in TRIED:
        arguments = case.arguments(dtype, kind)
        want = run(reference(case.op), arguments)
        for kernel in (k for k in kernels if k.op == case.op):
            got = run(load(kernel), arguments)
            assert_outputs(got, want, arguments.bounds)
            for g, again in zip(got, run(load(kernel), arguments, poison=1), strict=True):
                assert_bits(again, g, f"{kernel_id(kernel)}, run again")


def named(cases: list[Case]):
    return pytest.mark.parametrize("case", cases, ids=str)


# --- normalisation: statistics of many chunks ------------------------------------------------


@named(NORMALIZED)
def test_normalisation_across_chunks(case):
    # Bounds are for small cases: a naive sum of so many doubles in a row rounds more than they allow.
    check(case, "reals", [k for k in CUDA if k.algorithm != "naive"])


def test_small_statistics_share_a_block(monkeypatch):
    launched, launch = [], small_statistics.launch
    monkeypatch.setattr(
        small_statistics, "launch", lambda kernel, *a: (launched.append((kernel, a[0])), launch(kernel, *a))
    )
    direct = [k for k in CUDA if k.algorithm == "direct"]
    for case in (c for c in NORMALIZED if c.name == "no-longer-small"):
        check(case, "reals", direct)
    assert not launched
    for case in (c for c in NORMALIZED if c.name == "small-side-by-side"):
        check(case, "reals", direct)
    blocks = -(-(2 * target.THREADS + 1) // (target.THREADS // small_statistics.LEAST))
    assert set(launched) == {
        (small_statistics.norm_small, min(blocks, target.MOST_BLOCKS)),
        (small_statistics.gradient_small, min(blocks, target.MOST_BLOCKS)),
    }


def test_the_chunks_are_many():
    assert chunks.chunks_of(1, 2, MANY).number >= 4
    assert chunks.chunks_of(5 * HIGH, 2, 7).number >= 5
    assert chunks.chunks_of(1, 3, chunks.CELLS, fewest=True).number == 1


@pytest.mark.parametrize("N", [1, 2, 31, 300])
@pytest.mark.parametrize("L", [1, 3, 255, 256, 257, 784, 3136, 5000])
@pytest.mark.parametrize("G", [1, 64, 5000])
def test_chunks_cover_a_statistic_once_and_fit(N, G, L):
    cut = chunks.chunks_of(N, G, L)
    covered = np.zeros((N, L), int)
    for chunk in range(cut.number):
        n, c = chunk // cut.pieces * cut.runs, chunk % cut.pieces * cut.columns
        covered[n : n + cut.runs, c : c + cut.columns] += 1
        turns = -(-cut.columns // target.THREADS)
        down = target.THREADS // min(cut.columns, target.THREADS)
        assert -(-cut.runs // down) * turns <= chunks.SLOTS
    assert (covered == 1).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [k for k in CUDA if k.op == "normalize"], ids=kernel_id)
@pytest.mark.parametrize("M", [small_statistics.MOST, small_statistics.MOST + 1, MANY])
def test_statistics_that_are_easily_lost(kernel, dtype, M):
    """semantics.md, rule 20: a constant, a large mean, and both where chunks are merged."""
    for values, mean, var in (
        (np.full(M, 0.1, dtype), np.float64(np.dtype(dtype).type(0.1)), 0.0),
        (10000 + 2.0**-9 * np.resize([1.0, -1.0], M // 2 * 2), 10000.0, 2.0**-18),
    ):
        x = values.astype(dtype).reshape(1, 1, 1, -1)
        y, got_mean, got_var = np.empty_like(x), np.empty(1), np.empty(1)
        one = np.ones((1, 1), dtype)
        load(kernel)(y, got_mean, got_var, x, one, 0 * one, 1e-30)
        assert_close(got_mean, np.array([mean]), 4 * np.finfo(np.float64).eps * mean, "mean")
        # A mean off by 4 ulps (7e-12) moves deviations of 2e-3 by 4e-9 of their size.
        assert_close(got_var, np.array([var]), 1e-8 * var, "var")
        want = np.sign(x - x.dtype.type(mean)) if var else np.zeros_like(x)
        assert_close(y, want, 1e-8 + 4 * np.finfo(dtype).eps, "y")


# --- pooling: bands, planes in stacks, and windows too large for shared memory ------------------


@named(POOLED)
def test_pooling_in_bands_and_stacks(case):
    check(case, "integers")


def test_planes_are_cut_and_stacked():
    windows = pool_windows(TALL, 3, 2, 1)
    assert len(bands.bands_of(1, windows[:, :2], TALL, WIDE, WIDE // 2).reach) > 1
    assert bands.bands_of(67 * bands.BLOCKS, np.array([[0, 5]]), 5, 7, 7).planes > 1


@named([c for c in LARGE if "avg" in c.op])
def test_a_block_takes_a_window(case, monkeypatch):
    launched, launch = [], large_windows.launch
    monkeypatch.setattr(
        large_windows, "launch", lambda kernel, *a: (launched.append(kernel), launch(kernel, *a))
    )
    check(case, "integers")
    check(case, "reals")
    assert bool(launched) == (case.op == "avg_pool2d")


@pytest.mark.parametrize("size", [9, 96])  # below, and above, what a block takes
@pytest.mark.parametrize("kernel", [k for k in CUDA if k.op == "avg_pool2d"], ids=kernel_id)
def test_large_windows_are_added_in_double(kernel, size):
    """In float32, ones that are added to 2^24 are lost one by one."""
    x = np.ones((1, size, size), np.float32)
    x[0, 0, 0] = 2**24
    y = np.empty((1, 1, 1), np.float32)
    windows = np.array([[0, size, 1]])
    load(kernel)(y, x, windows, windows)
    assert_equal(y, np.full_like(y, 2**24 + size**2 - 1))


@pytest.mark.parametrize("kernel", [k for k in CUDA if k.op == "channel_mean"], ids=kernel_id)
def test_channel_means_are_added_in_double(kernel):
    x = np.ones((1, 8 * pooling.DEPTH, 2), np.float32)
    x[0, 0] = 2**24
    y = np.empty((1, 2), np.float32)
    load(kernel)(y, x)
    assert_equal(y, ((2**24 + x.shape[1] - 1) / np.full((1, 2), x.shape[1])).astype(np.float32))


@named(TOO_LARGE)
def test_pooling_of_windows_that_do_not_fit(case):
    assert bands.bands_of(1, np.array([[0, 3]]), 3, bands.CELLS // 2, 9) is None
    check(case, "integers", [k for k in CUDA if k.algorithm == "direct"])


def test_a_gradient_of_rows_that_do_not_fit():
    check(TOO_WIDE, "integers")


def test_indices_tell_the_gradient_where_to_look():
    """The gradient of disjoint windows finds each cell's output at once; of any indices, it finds all."""
    P, OH, OW = 3, 4, 5
    lower_left = (2 * np.arange(OH)[:, None] + 1) * 2 * OW + 2 * np.arange(OW)
    for where, reach in ((lower_left, 1), (np.zeros((OH, OW), np.int64), OH)):
        indices = np.broadcast_to(where, (P, OH, OW))
        dx, dy = target.to_device(np.empty((P, 2 * OH, 2 * OW))), target.to_device(np.ones((P, OH, OW)))
        ranges = pooling.reach_of(dx, dy, target.to_device(indices))
        first, stop = target.to_host(ranges)[: 2 * OH].T
        assert (stop - first).max() == reach
        pooling.max_pool2d_backward(dx, dy, target.to_device(indices))
        want = np.zeros((P, 4 * OH * OW))
        np.add.at(want, (np.arange(P)[:, None], indices.reshape(P, -1)), 1)
        assert_equal(target.to_host(dx), want.reshape(dx.shape))


@pytest.mark.parametrize("stray", [-1, 12, 2**62, -(2**62), -(2**63)])
def test_an_index_outside_its_plane_is_passed_by(stray):
    """And takes nothing from others, though a product with it may overflow."""
    (line,) = (k for k in CUDA if k.op == "max_pool2d_backward")
    indices = np.array([[[stray], [3], [11]], [[0], [5], [stray]]])
    dx, dy = np.empty((2, 12, 1)), np.arange(1.0, 7.0).reshape(2, 3, 1)
    load(line)(dx, dy, indices)
    want = np.zeros((2, 12, 1))
    want[0, [3, 11], 0], want[1, [0, 5], 0] = (2, 3), (4, 5)
    assert_equal(dx, want)


# --- the others ------------------------------------------------------------------------------


@named(OTHERS)
def test_more_than_a_block_has_threads(case):
    check(case, "integers")


def test_numbers_beyond_float32_are_infinite():
    x, tables = np.ones((1, 2, 2), np.float32), (np.array([-1, 0, 1]), np.array([0, 1]))
    (pad,), (drop,) = ([k for k in CUDA if k.op == op] for op in ("pad2d", "dropout"))
    padded, dropped = np.empty((1, 3, 2), np.float32), np.empty((2, 2), np.float32)
    load(pad)(padded, x, *tables, 1e300)
    load(drop)(dropped, x[0], 0, 0, 1e300)
    assert_equal(padded, np.array([[[np.inf, np.inf], [1, 1], [1, 1]]], np.float32))
    assert_equal(dropped, np.full((2, 2), np.inf, np.float32))
