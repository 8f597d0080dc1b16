"""Vectors and pointers of the Numba kernels: compiled, they do what the Python functions beside them do."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from comparator import assert_bits

from convkit._numba import vec
from convkit._numba.compile import separate
from convkit._numba.lookup import choose, following, lanes_at
from convkit._numba.microkernel import MR, tile
from convkit._numba.pointers import at, pointer, release
from convkit._numba.registers import REGISTER, evens_odds, read, transpose, width, write
from convkit._numba.vec import (
    BYTES,
    evens,
    lanes,
    load,
    load_first,
    load_where,
    splat,
    store,
    store_first,
    total,
    zero,
)

FLOATS = "float32", "float64"
BITS = 0b1011_0110  # no more than the narrowest vectors have: 4 lanes read the last four


@numba.njit
def by_vectors(y, a, n):
    """Use every function of vec.py once; y has a row of two vectors for each, filled with 7."""
    L = lanes(a)
    store(y, 0, load(a, 1) + splat(a, 3) * load(a, 0))
    store(y, 2 * L, load_first(a, 2, n))
    store(y, 4 * L, load_where(a, -1, BITS))
    store(y, 6 * L, evens(load(a, 0), load(a, L)))
    store_first(y, 8 * L, load(a, 0), n)
    store(y, 10 * L, zero(a))
    y[12 * L] = total(load(a, 0))


@numba.njit
def by_pointers(y, a, n):
    """The same through pointers, and a number by itself."""
    to, of = pointer(y), at(pointer(a), 0)
    by_vectors(to, of, n)
    to[13 * lanes(a)] = of[2] + 1
    release(y)
    release(a)


def filled(function, dtype, n):
    L = BYTES // np.dtype(dtype).itemsize
    a = np.random.default_rng(1).integers(-9, 9, 4 * L).astype(dtype)
    a.flags.writeable = False
    y = np.full(14 * L, 7, dtype)
    function(y, a, n)
    return y


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [-1, 0, 1, 3, 1000])
def test_vectors_are_what_python_says(dtype, n):
    assert_bits(filled(by_vectors, dtype, n), filled(by_vectors.py_func, dtype, n), "by vectors")


@pytest.mark.parametrize("dtype", FLOATS)
def test_pointers_are_what_python_says(dtype):
    assert_bits(filled(by_pointers, dtype, 3), filled(by_pointers.py_func, dtype, 3), "by pointers")


@pytest.mark.parametrize("dtype", FLOATS)
def test_lanes_that_are_masked_out_are_not_read(dtype):
    """A page beyond the array may be missing; here NaNs stand there, which 0*NaN would betray."""
    L = BYTES // np.dtype(dtype).itemsize
    a = np.full(3 * L, np.nan, dtype)
    a[L : L + 2] = 1, 2

    @numba.njit
    def read(y, a):
        store(y, 0, load_first(a, L, 2) + load_where(a, L, 3))

    y = np.empty(L, dtype)
    read(y, a)
    assert_bits(y, np.array([2, 4] + [0] * (L - 2), dtype))


@numba.njit
def turned(to, a):
    transpose(to, 1, width(a) + 2, a, 3, width(a) + 1)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_square_is_transposed(dtype):
    W = REGISTER // np.dtype(dtype).itemsize
    a = np.arange(3 + W * (W + 1), dtype=dtype)
    to = np.full(1 + W * (W + 2), -1, dtype)
    want = to.copy()
    turned(to, a)
    turned.py_func(want, a)
    assert_bits(to, want)
    assert_bits(to[1:].reshape(W, W + 2)[:, :W].copy(), a[3:].reshape(W, W + 1)[:, :W].T.copy())


@numba.njit
def looked_up(y, a, table):
    """Use every function that rearranges registers by a table, or that reads them through pointers."""
    W = width(a)
    v, w = read(a, 0), read(a, W)
    write(y, 0, choose(v, w, lanes_at(a, table, 1)))
    write(y, W, following(v, w))
    to, of = pointer(y), pointer(a)
    write(to, 2 * W, evens_odds(read(of, 0), read(of, width(of) - 1)))
    release(y)
    release(a)


@pytest.mark.parametrize("dtype", FLOATS)
def test_lanes_are_looked_up(dtype):
    W = REGISTER // np.dtype(dtype).itemsize
    rng = np.random.default_rng(3)
    a, table = rng.permutation(2 * W).astype(dtype), rng.integers(0, 2 * W, W + 1).astype(np.int32)
    y, want = np.full((2, 3 * W), np.nan, dtype)
    looked_up(y, a, table)
    looked_up.py_func(want, a, table)
    assert_bits(y, want)
    assert_bits(y[:W], a[table[1:]])
    assert_bits(y[2 * W :], a[: 2 * W : 2])


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names processors of Intel's")
@pytest.mark.parametrize(("cpu", "features"), [("haswell", "+avx,+avx2,+fma"), ("nehalem", "+sse4.2")])
def test_lanes_are_looked_up_on_older_processors(cpu, features):
    """Each has instructions of its own for it, or none."""
    if not {f[1:] for f in features.split(",")} <= vec._features():
        pytest.skip(f"no {features} here")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "test_lanes_are_looked_up and float", __file__],
        env={**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_plain_python_finds_what_lies_beyond():
    a = np.zeros(4, np.float32)
    for wrong in (lambda: load(a, 1), lambda: store(a, -1, a), lambda: load_first(a, 3, 2)):
        with pytest.raises(AssertionError, match="beyond the array"):
            wrong()
    with pytest.raises(AssertionError, match="beyond the array"):
        load_where(a, 1, 0b1000)


@separate
def one_tile(out, x, off, w, rows, K, start, fresh):
    L = lanes(out)
    tile(
        len(rows),
        pointer(out),
        L,
        pointer(x),
        pointer(off),
        pointer(w),
        pointer(rows),
        1,
        K,
        pointer(start),
        fresh,
    )


@numba.njit
def call_tile(out, x, off, w, rows, K, start, fresh):
    one_tile(out, x, off, w, rows, K, start, fresh)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("R", [1, 3, MR])
def test_a_tile_is_a_product_of_matrices(dtype, R):
    L, K, rng = BYTES // np.dtype(dtype).itemsize, 5, np.random.default_rng(2)
    x, w, start = (rng.integers(-3, 4, n).astype(dtype) for n in (K * L, R * K, R))
    off, rows, out = np.arange(K) * L, np.arange(R) * K, np.full(MR * L, np.nan, dtype)
    call_tile(out, x, off, w, rows, K, start, True)
    product = w.reshape(R, K) @ x.reshape(K, L)
    assert_bits(out[: R * L].reshape(R, L), product + start[:, None], "from the start")
    assert np.isnan(out[R * L :]).all()
    call_tile(out, x, off, w, rows, K, start, False)
    assert_bits(out[: R * L].reshape(R, L), 2 * product + start[:, None], "continued")


@pytest.mark.skipif("avx512f" not in vec._features(), reason="other processors have other registers")
def test_the_sums_of_a_tile_stay_in_registers():
    """Each of the 16 registers of sums gets its product once a term, and none goes to memory in between."""
    arguments = [np.zeros(1000, "float32")] * 2 + [np.arange(9)] + [np.zeros(1000, "float32")]
    arguments += [np.arange(MR), 9, np.zeros(MR, "float32"), True]
    call_tile(*arguments)
    code = call_tile.inspect_asm(tuple(map(numba.typeof, arguments)))
    loop = max(
        re.findall(r"\.LBB\w+:\n(?:\t(?!j)[^\n]*\n)*\tj\w+[^\n]*", code), key=lambda b: b.count("vfmadd")
    )
    assert loop.count("vfmadd") >= 2 * MR
    assert not re.search(r"vmov\w+\s+%zmm\d+, ", loop)
