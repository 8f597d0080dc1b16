"""Convolutions large enough to be cut up: into blocks, panels and parts, and among threads.

The cases of the contract are small, and many fit a single block. Each of these makes the compiled
kernels cut where those do not. Integers come out exact, and no thread count changes a bit.
"""

from typing import NamedTuple

import numpy as np
import pytest
from comparator import assert_bits, assert_equal
from geometries import integers, reals
from programs import run

import convkit
from convkit.dispatch import why_not

pytestmark = pytest.mark.skipif(why_not("cython") is not None, reason="no compiled kernels")


class Case(NamedTuple):
    """A convolution, and what is cut in it."""

    x: tuple[int, int, int, int]
    w: tuple[int, int, int, int]
    options: dict[str, object]


SAME = {"padding": 1}
CASES = {
    "blocks of 16 and 12 rows, cut between channels": Case((1, 128, 28, 28), (40, 128, 3, 3), SAME),
    "a block for each image and group": Case((3, 32, 9, 11), (20, 16, 3, 3), {**SAME, "groups": 2}),
    "dilated rows that do not fit with all channels": Case(
        (1, 128, 40, 60), (9, 128, 3, 3), {"padding": 16, "dilation": 16}
    ),
    "too many phases for planes: panels": Case((2, 3, 60, 57), (10, 3, 18, 19), {"stride": (17, 18)}),
    "shared panels of 2 vectors": Case((2, 64, 20, 23), (24, 64, 3, 3), SAME),
    "shared panels, idle lanes": Case((2, 31, 30, 13), (9, 31, 3, 2), {"stride": (1, 2), "dilation": (2, 1)}),
    "shared panels of groups": Case((1, 96, 17, 40), (10, 48, 5, 3), {**SAME, "groups": 2}),
    "shared panels of tables": Case(
        (1, 32, 26, 26), (7, 32, 3, 3), {"padding": 5, "padding_mode": "reflect"}
    ),
    "groups whose sums do not fit together": Case(
        (1, 8, 203, 203), (128, 1, 3, 3), {"stride": 2, "groups": 8}
    ),
    "pixels kept in blocks of rows and of terms": Case((1, 1200, 23, 19), (21, 1200, 1, 1), {}),
    "pixels kept in every group and image": Case((2, 150, 20, 21), (27, 50, 1, 1), {"groups": 3}),
    "as many images as threads": Case((4, 24, 14, 14), (16, 24, 3, 3), SAME),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture
def shared_however_small():
    """Let kernels share even small cases among threads."""
    from convkit._ext import threads

    before = threads.set_small(0)
    yield
    threads.set_small(before)


def everything(x, w, options, backend):
    """Return y and all three gradients for a dy that is made from the shape of y."""
    y = convkit.conv2d(x, w, **options, backend=backend)
    dy = (integers if np.all(x == np.round(x)) else reals)(*y.shape, dtype=x.dtype.name)
    return [y, *convkit.conv2d_backward(dy, x, w, **options, backend=backend)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@cases
def test_integers_come_out_exact(case, dtype):
    x, w = integers(*case.x), integers(*case.w)
    want = everything(x, w, case.options, "reference")
    assert max(abs(a).max() for a in want) < 2**24  # exact in float32, too
    got = everything(x.astype(dtype), w.astype(dtype), case.options, "cython")
    for a, b in zip(got, want, strict=True):
        assert_equal(a, b.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@cases
def test_rule_32_no_bit_depends_on_the_threads(shared_however_small, case, dtype):
    x, w = reals(*case.x, dtype=dtype), reals(*case.w, dtype=dtype)
    with convkit.num_threads(1):
        want = everything(x, w, case.options, "cython")
    for n in (2, 3, 4, 7):
        with convkit.num_threads(n):
            got = everything(x, w, case.options, "cython")
        for a, b in zip(got, want, strict=True):
            assert_bits(a, b)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_transposed_convolution_done_in_parts(groups, stride):
    """hardening: Ctrl-C. The parts are the whole: they give what each image alone gives."""
    x, w = reals(2, 64, 200, 200, dtype="float32"), reals(64, 40, 9, 9, dtype="float32")
    assert x[:, 0].size * w.size / 80 > 100_000_000  # nanoseconds: two parts at least
    for n in (1, 2):
        with convkit.num_threads(n):
            y = convkit.conv_transpose2d(x, w, stride=stride, groups=groups)
        alone = [convkit.conv_transpose2d(x[i : i + 1], w, stride=stride, groups=groups) for i in range(2)]
        assert_bits(y, np.concatenate(alone))


@pytest.mark.parametrize("shape", [(400, 64, 50, 50), (1, 64, 1000, 1000)], ids=["images", "image"])
def test_control_c_ends_a_long_transposed_convolution(shape):
    """hardening: Ctrl-C. It is looked for between images, or parts of one."""
    program = f"""
import os, signal, threading, time
import numpy as np, convkit
signal.signal(signal.SIGINT, signal.default_int_handler)
convkit.set_num_threads(1)
x, w = np.ones({shape}, np.float32), np.ones((64, 128, 7, 7), np.float32)
start = time.process_time()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    convkit.conv_transpose2d(x, w)
except KeyboardInterrupt:
    print(time.process_time() - start)
"""
    done = run(program)
    assert done.stdout, done.stderr
    assert float(done.stdout) < 2  # seconds of the processor; the whole takes about three
