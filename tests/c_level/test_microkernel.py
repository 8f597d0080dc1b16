"""The microkernel by itself, between forbidden pages, at every height and width of its tile.

Small integers make every order of a sum exact. Each array ends where memory stops being accessible,
and lengths are one less than a vector, a vector, and one more, so a load or a store too many shows.
"""

import fcntl
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_equal
from guarded import Guarded

from convkit import _ext

pytestmark = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))

HERE = Path(__file__).parent
TYPES = {"f32": np.float32, "f64": np.float64}


@pytest.fixture(scope="module", params=_ext.config()["isa_available"])
def microkernel(request):
    """Return microkernel_driver.pyx, compiled for one instruction set; one worker builds it."""
    folder = HERE.parent.parent / "build" / "c_level" / request.param
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, str(HERE / "build_microkernel.py"), str(folder), request.param]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob(f"microkernel_driver*{sys.implementation.cache_tag}*.so")
    spec = importlib.util.spec_from_file_location("microkernel_driver", built)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def whole(rng, shape, dtype):
    return rng.integers(-4, 5, shape).astype(dtype)


def term_counts(lanes):
    return (1, lanes - 1, lanes, lanes + 1, 3 * lanes + 2)


@pytest.mark.parametrize("goes_on", [False, True], ids=["start", "goes_on"])
@pytest.mark.parametrize("suffix", TYPES)
def test_tile(microkernel, suffix, goes_on):
    rng, dtype, lanes = np.random.default_rng(1), TYPES[suffix], microkernel.LANES[suffix]
    for R in range(1, microkernel.MR + 1):
        for V in range(1, microkernel.NV + 1):
            for K in term_counts(lanes):
                P = V * lanes
                x = whole(rng, 3 * P + 7, dtype)
                off = np.append(rng.integers(0, x.size - P, K - 1), x.size - P).astype(np.intp)
                w, start, before = whole(rng, (R, K), dtype), whole(rng, R, dtype), whole(rng, (R, P), dtype)
                cells = np.stack([x[o : o + P] for o in off])
                check(
                    getattr(microkernel, f"tile_{suffix}"),
                    (R, V),
                    (before, x, w, start),
                    (off.ctypes.data, P, K, K),
                    w @ cells + (before if goes_on else start[:, None]),
                    goes_on,
                )


@pytest.mark.parametrize("goes_on", [False, True], ids=["start", "goes_on"])
@pytest.mark.parametrize("suffix", TYPES)
def test_tile_kept(microkernel, suffix, goes_on):
    """It computes what `tile` does, and its panel holds the pixels, from which `tile` computes it again."""
    rng, dtype, lanes = np.random.default_rng(3), TYPES[suffix], microkernel.LANES[suffix]
    R, NR = microkernel.MR, microkernel.NV * lanes
    for V in range(1, microkernel.NV + 1):
        for K in term_counts(lanes):
            P = V * lanes
            x = whole(rng, 3 * P + 7, dtype)
            off = np.append(rng.integers(0, x.size - P, K - 1), x.size - P).astype(np.intp)
            w, start, before = whole(rng, (R, K), dtype), whole(rng, R, dtype), whole(rng, (R, P), dtype)
            cells = np.stack([x[o : o + P] for o in off])
            right = w @ cells + (before if goes_on else start[:, None])
            panel = Guarded(np.full((K - 1) * NR + P, np.nan, dtype), at_end=True)
            check(
                getattr(microkernel, f"tile_kept_{suffix}"),
                (V,),
                (before, x, w, start),
                (panel.address, off.ctypes.data, P, K, K),
                right,
                goes_on,
            )
            assert panel.canaries_live()
            copies = np.lib.stride_tricks.as_strided(panel.array, (K, P), (NR * x.itemsize, x.itemsize))
            assert_equal(copies, cells)
            kept_off = np.arange(K) * NR
            check(
                getattr(microkernel, f"tile_{suffix}"),
                (R, V),
                (before, panel.array, w, start),
                (kept_off.ctypes.data, P, K, K),
                right,
                goes_on,
            )


@pytest.mark.parametrize("goes_on", [False, True], ids=["start", "goes_on"])
@pytest.mark.parametrize("suffix", TYPES)
def test_dots(microkernel, suffix, goes_on):
    rng, dtype, lanes = np.random.default_rng(2), TYPES[suffix], microkernel.LANES[suffix]
    for R in range(1, microkernel.MR + 1):
        for V in range(1, microkernel.NV + 1):
            for K in term_counts(lanes):
                x, w = whole(rng, (V, K), dtype), whole(rng, (R, K), dtype)
                start, before = whole(rng, R, dtype), whole(rng, (R, V), dtype)
                check(
                    getattr(microkernel, f"dots_{suffix}"),
                    (R, V),
                    (before, x, w, start),
                    (V, K, K, K),
                    w @ x.T + (before if goes_on else start[:, None]),
                    goes_on,
                )


def check(kernel, sizes, arrays, rest, right, goes_on):
    """Call `kernel` twice: with all arrays at the end of their pages, and at the beginning."""
    for at_end in (True, False):
        out = Guarded(arrays[0], at_end)
        inputs = [Guarded(a, at_end).freeze() for a in arrays[1:]]
        addresses = [a.address for a in inputs]
        if goes_on:
            addresses[-1] = 0
        kernel(*sizes, out.address, *addresses, *rest)
        assert_equal(out.array, right, f"tile {sizes}, at the {'end' if at_end else 'beginning'}")
        assert out.canaries_live()
