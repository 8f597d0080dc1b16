"""Every kernel of the registry keeps the contract of :mod:`convkit.dispatch`, on every case.

The tests are made from the registry: a new line is tested as it stands. A kernel of another
backend is compared with the reference of its operation; the reference itself is compared with
brute force in ``test_reference.py``.
"""

from collections import defaultdict

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from device import SIMULATED, affordable, on_device
from kernel_cases import CASES, Arguments, serves, spread, spread_of_reals

from convkit import dispatch, num_threads

DTYPES = "float32", "float64"
GUARD = 17  # cells around each buffer; odd, so that arrays start where no vector would like them to
POISONS = {"f": (np.nan, 12345.0), "i": (-7777, 7777), "b": (False, True)}


def cases_of(op):
    return [c for c in CASES if c.op == op]


def kernel_id(kernel):
    return f"{kernel.op}-{kernel.backend}-{kernel.algorithm}"


def load(kernel):
    if reason := dispatch.why_not(kernel.backend):
        pytest.skip(f"{kernel.backend}: {reason}")
    function = dispatch.load(kernel).kernel
    return on_device(function, GUARD) if kernel.backend == "cuda" else function


def reference(op):
    (line,) = [k for k in dispatch.KERNELS if (k.op, k.backend, k.algorithm) == (op, "reference", "direct")]
    return dispatch.load(line).kernel


def every(kernels, simulated=DTYPES):
    """Parametrize by kernel, case that it serves, and dtype; in the simulator by less of them.

    Without a GPU there are no CUDA kernels here: ``test_cuda.py`` starts these tests in the simulator.
    """
    some = [c for c in CASES if affordable(c)]
    kernels = [k for k in kernels if k.backend != "cuda" or not dispatch.why_not("cuda")]
    return pytest.mark.parametrize(
        ("kernel", "case", "dtype"),
        [
            pytest.param(k, c, d, id=f"{kernel_id(k)}-{c.name}-{d}")
            for k in kernels
            for c in cases_of(k.op)
            if serves(k, c) and (k.backend != "cuda" or c in some)
            for d in (simulated if k.backend == "cuda" and SIMULATED else DTYPES)
        ],
    )


class Guarded:
    """A copy of `array` inside a larger buffer, whose other cells must stay as they are."""

    def __init__(self, array, fence):
        self.buffer = np.full(array.size + 2 * GUARD, fence, array.dtype)
        self.array = self.buffer[GUARD : GUARD + array.size].reshape(array.shape)
        self.array[...] = array
        self.before = self.buffer.copy()

    def check(self, what, *, inside):
        """Check the guard bands and, where `inside`, the array itself."""
        if inside:
            assert_bits(self.buffer, self.before, what)
        else:
            assert_bits(self.buffer[:GUARD], self.before[:GUARD], f"{what}, before its start")
            assert_bits(self.buffer[-GUARD:], self.before[-GUARD:], f"{what}, beyond its end")


def run(kernel, arguments, poison=0):
    """Call a kernel as the contract allows and no more kindly, and return its outputs.

    Outputs are poisoned. Inputs are read-only, with NaNs on either side, so that one read too
    many shows in a result.
    """
    poisons = [POISONS[a.dtype.kind][poison] for a in arguments.outputs]
    outputs = [Guarded(np.full_like(a, p), p) for a, p in zip(arguments.outputs, poisons, strict=True)]
    inputs = []
    for a in arguments.inputs:
        if isinstance(a, np.ndarray):
            a = Guarded(a, POISONS[a.dtype.kind][0])
            a.array.flags.writeable = False
        inputs.append(a)
    kernel(*(a.array for a in outputs), *(a.array if isinstance(a, Guarded) else a for a in inputs))
    for number, a in enumerate(outputs):
        a.check(f"output {number}", inside=False)
    for number, a in enumerate(inputs):
        if isinstance(a, Guarded):
            a.check(f"input {number}", inside=True)
    return [a.array for a in outputs]


def assert_outputs(got, want, bounds):
    for number, (g, w, bound) in enumerate(zip(got, want, bounds, strict=True)):
        assert_close(g, w, bound, f"output {number}")


# --- what the registry promises ------------------------------------------------------------


def test_every_operation_has_a_reference_and_cases():
    for op in {k.op for k in dispatch.KERNELS}:
        assert callable(reference(op))
        assert len(cases_of(op)) >= 3, op
    assert {c.op for c in CASES} == {k.op for k in dispatch.KERNELS}


def test_names_are_unique():
    ids = [kernel_id(k) for k in dispatch.KERNELS]
    names = [str(c) for c in CASES]
    assert len(set(ids)) == len(ids)
    assert len(set(names)) == len(names)


def test_most_results_are_not_zeros():
    """An operation whose expected results are zeros would be passed by a kernel that does nothing."""
    trusted = defaultdict(list)
    for case in CASES:
        arguments = case.arguments("float64")
        result = run(reference(case.op), arguments)[0]
        trusted[case.op].append(np.count_nonzero(result) >= result.size / 10)
    for op, cases in trusted.items():
        assert sum(cases) > len(cases) / 2, op


# --- what these tests can see ---------------------------------------------------------------


def writes_beyond(y, x):
    y[...] = x
    y.base[GUARD + y.size] = 0.0


def writes_before(y, x):
    y[...] = x
    y.base[GUARD - 1] = 0.0


def writes_its_input(y, x):
    y[...] = x
    x.base[GUARD] = -1.0


def leaves_a_cell(y, x):
    y[1:] = x[1:]


def adds_to_its_output(y, x):
    y += x


def reads_beyond(y, x):
    y[...] = x.base[GUARD + 1 : GUARD + 1 + x.size]


@pytest.mark.parametrize(
    "fault",
    [writes_beyond, writes_before, writes_its_input, leaves_a_cell, adds_to_its_output, reads_beyond],
)
def test_a_planted_violation_is_seen(fault):
    x = np.arange(5.0)
    with pytest.raises(AssertionError, match=r"\d+ of \d+ elements are wrong"):
        assert_outputs(run(fault, Arguments([np.empty(5)], [x], [0.0])), [x], [0.0])


def test_an_input_cannot_be_written_by_mistake():
    def fault(y, x):
        x[0] = y[0]

    with pytest.raises(ValueError, match="read-only"):
        run(fault, Arguments([np.empty(5)], [np.arange(5.0)], [0.0]))


# --- every kernel --------------------------------------------------------------------------


@every(dispatch.KERNELS, simulated=["float32"])
def test_integers_come_out_exact(kernel, case, dtype):
    """Twice, from outputs poisoned in two ways: whatever is left, or read, shows as a difference."""
    function = load(kernel)
    arguments = case.arguments(dtype, spread=spread(kernel))
    got = run(function, arguments)
    assert_outputs(got, run(reference(case.op), arguments), arguments.bounds)
    for first, second in zip(got, run(function, arguments, poison=1), strict=True):
        assert_bits(second, first, "the second run")


@every(
    [k for k in dispatch.KERNELS if (k.backend, k.algorithm) != ("reference", "direct")],
    simulated=["float64"],
)
def test_reals_come_out_within_their_rounding(kernel, case, dtype):
    arguments = case.arguments(dtype, "reals", spread_of_reals(kernel))
    assert_outputs(run(load(kernel), arguments), run(reference(case.op), arguments), arguments.bounds)


@every(
    [k for k in dispatch.KERNELS if (k.backend, k.algorithm) != ("reference", "direct")],
    simulated=["float32"],
)
def test_nan_and_infinity_propagate(kernel, case, dtype):
    """semantics.md, rule 33: as the arithmetic says, or wider where an algorithm mixes more inputs."""
    arguments = case.arguments(dtype, "nonfinite", spread(kernel))
    got, want = run(load(kernel), arguments), run(reference(case.op), arguments)
    if not kernel.exact:
        for g, w in zip(got, want, strict=True):
            assert not np.isfinite(g[~np.isfinite(w)]).any()
            w[~np.isfinite(g)] = g[~np.isfinite(g)]
    assert_outputs(got, want, arguments.bounds)


def test_kernels_that_need_something_serve_cases_and_refuse_others():
    for kernel in dispatch.KERNELS:
        assert (kernel.serves is None) == (kernel.needs == ""), kernel
        if kernel.serves is not None:
            served = [serves(kernel, case) for case in cases_of(kernel.op)]
            assert sum(served) >= 8, kernel
            assert not all(served), kernel


@pytest.fixture
def shared_however_small():
    """Let the compiled kernels share even the smallest case among threads."""
    from convkit._numba import threads as numba_threads

    knobs = [numba_threads]
    if not dispatch.why_not("cython"):
        from convkit._ext import threads as cython_threads

        knobs.append(cython_threads)
    before = [knob.set_small(0) for knob in knobs]
    yield
    for knob, elements in zip(knobs, before, strict=True):
        knob.set_small(elements)


@every([k for k in dispatch.KERNELS if k.backend not in ("reference", "cuda")])
def test_the_same_bits_at_any_number_of_threads(shared_however_small, kernel, case, dtype):
    """semantics.md, rule 32. The reference and CUDA do not ask how many threads there are."""
    function = load(kernel)
    arguments = case.arguments(dtype, "reals")
    results = []
    for n in (1, 2, 3):
        with num_threads(n):
            results.append(run(function, arguments))
    for n, result in zip((2, 3), results[1:], strict=True):
        for got, want in zip(result, results[0], strict=True):
            assert_bits(got, want, f"{n} threads against one")


# --- values that kernels get wrong ---------------------------------------------------------


def kernels_of(*ops):
    kernels = [k for k in dispatch.KERNELS if k.op in ops]
    return pytest.mark.parametrize("kernel", kernels, ids=map(kernel_id, kernels))


def statistics(kernel, x, eps=1e-5):
    """Normalise x (N, G, P, S) without weights; return y, mean and var."""
    x = np.asarray(x)
    outputs = np.empty_like(x), np.empty(x.shape[1]), np.empty(x.shape[1])
    ones = np.ones((1, x.shape[2]), x.dtype)
    load(kernel)(*outputs, x, ones, np.zeros_like(ones), eps)
    return outputs


@pytest.mark.parametrize("dtype", DTYPES)
@kernels_of("normalize")
def test_a_constant_has_variance_zero(kernel, dtype):
    """semantics.md, rule 20."""
    for value in (0.1, -1e-30, 1e30, 3.3e7):
        x = np.full((3, 2, 1, 77), value, dtype)
        y, mean, var = statistics(kernel, x)
        assert_equal(mean, x[0, :, 0, 0].astype(np.float64), "mean")
        assert_equal(var, np.zeros(2), "var")
        assert_equal(y, np.zeros_like(y), "y")


@pytest.mark.parametrize("dtype", DTYPES)
@kernels_of("normalize")
def test_a_large_mean_does_not_hide_the_variance(kernel, dtype):
    """semantics.md, rule 20: E[x^2] - E[x]^2 loses it, in float64 too."""
    step = 2.0**-9  # 10000 +- step is exact in float32
    x = 10000 + step * np.resize([1.0, -1.0], (2, 1, 1, 98))
    y, mean, var = statistics(kernel, x.astype(dtype), eps=0.0)
    assert_close(mean, np.array([10000.0]), 4 * np.finfo(np.float64).eps * 10000, "mean")
    # Off by up to 4 ulps (7e-12), the mean moves the deviations of 2e-3 by 4e-9 of their size.
    assert_close(var, np.array([step**2]), 1e-8 * step**2, "var")
    assert_close(y, np.sign(x - 10000).astype(dtype), 1e-8 + 4 * np.finfo(dtype).eps, "y")


@pytest.mark.parametrize("dtype", DTYPES)
@kernels_of("normalize")
def test_squares_of_large_values_do_not_overflow(kernel, dtype):
    x = np.array([1e30, -1e30, 1e30, -1e30], dtype).reshape(1, 1, 1, 4)
    y, _, var = statistics(kernel, x)
    assert_close(var, np.array([np.float64(x[0, 0, 0, 0]) ** 2]), 4e-16 * 1e60, "var")
    assert_close(y, np.sign(x), 4 * np.finfo(dtype).eps, "y")


MAXIMA = [  # the 2x3 window, its maximum and its index
    ([[1, 5, 5], [5, 0, 2]], 5, 1),  # of equals the first
    ([[-np.inf] * 3] * 2, -np.inf, 0),  # an index of the window even so
    ([[-5, -np.inf, -4], [-4, -7, -9]], -4, 2),
    ([[1, np.nan, 3], [np.inf, 4, 5]], np.nan, 1),
    ([[1, np.nan, 3], [np.nan, 9, 5]], np.nan, 3),  # a NaN takes over from a NaN, as in PyTorch
    ([[np.nan] * 3] * 2, np.nan, 5),
    ([[-0.0, 0.0, -1], [-1, -1, -1]], 0.0, 0),  # equal, so the first
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("window", "maximum", "index"), MAXIMA)
@kernels_of("max_pool2d", "max_pool2d_indices")
def test_which_maximum_wins(kernel, window, maximum, index, dtype):
    """semantics.md, rules 12 and 14."""
    x = np.full((1, 4, 5), 99.0, dtype)  # around the window, to be let alone
    x[0, 1:3, 1:4] = window
    tables = np.array([[1, 3, 1]]), np.array([[1, 4, 1]])
    y, where = np.empty((1, 1, 1), dtype), np.empty((1, 1, 1), np.int64)
    outputs = (y, where) if kernel.op == "max_pool2d_indices" else (y,)
    load(kernel)(*outputs, x, *tables)
    assert_equal(y, np.full_like(y, maximum))
    if len(outputs) == 2:
        row, column = divmod(index, 3)
        assert_equal(where, np.full_like(where, (row + 1) * 5 + column + 1))


@pytest.mark.parametrize("dtype", DTYPES)
@kernels_of("dropout")
def test_a_dropped_value_is_zero_even_if_it_was_infinite(kernel, dtype):
    """semantics.md, rule 22: left out, not multiplied by 0, which would give NaN."""
    x = np.resize(np.array([np.inf, np.nan, -np.inf, 1.0], dtype), (65, 1))
    y = np.empty_like(x)
    load(kernel)(y, x, 1, 2**32, np.inf)
    assert_equal(y, np.zeros_like(x))


@pytest.mark.parametrize("dtype", DTYPES)
@kernels_of("dropout_given")
def test_a_dropped_value_is_zero_by_a_mask_too(kernel, dtype):
    x = np.resize(np.array([np.inf, np.nan, -np.inf, 1.0], dtype), (65, 1))
    y, mask = np.empty_like(x), np.arange(65) % 4 == 3
    load(kernel)(y, x, mask, 2.0)
    assert_equal(y, np.where(mask, 2.0, 0.0).astype(dtype)[:, None])  # the mask keeps the ones
