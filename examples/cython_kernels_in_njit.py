"""The Cython kernels inside a function of your own that Numba compiles.

Each of them is a C function, whose address and signature Cython leaves in its module, in a capsule. Numba
finds the address by the function's name, ctypes says what it takes, and compiled code calls it: no Python
in between. What the arguments are is said at the head of convkit/_ext/kernels.pxd; nothing checks
them here, so the caller must.

    python examples/cython_kernels_in_njit.py
"""

import ctypes

import numba
import numpy as np
from numba.extending import get_cython_function_address

import convkit
from convkit import _ext
from convkit.geometry import max_pool_windows

# void max_pool2d_f32(float *y, const float *x, const Py_ssize_t *h_windows, const Py_ssize_t *w_windows,
#                     Py_ssize_t P, Py_ssize_t IH, Py_ssize_t IW, Py_ssize_t OH, Py_ssize_t OW)
module = _ext.load("max_pooling").__name__  # the build for this processor
address = get_cython_function_address(module, "max_pool2d_f32")
max_pool2d_f32 = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, *[ctypes.c_ssize_t] * 5)(address)


@numba.njit
def largest_by_scale(x, tables):
    """Pool square planes x again and again, by halves, and return the sum of each scale."""
    sums = np.empty(len(tables))
    for i, windows in enumerate(tables):
        P, IN, OUT = len(x), x.shape[1], len(windows)
        y = np.empty((P, OUT, OUT), np.float32)
        max_pool2d_f32(y.ctypes, x.ctypes, windows.ctypes, windows.ctypes, P, IN, IN, OUT, OUT)
        sums[i] = y.sum()
        x = y
    return sums


def main() -> None:
    x = np.random.default_rng(0).integers(0, 100, (4, 32, 32)).astype(np.float32)
    tables = tuple(max_pool_windows(n, 2, 2).copy() for n in (32, 16, 8, 4, 2))
    result = largest_by_scale(x, tables)
    print(f"called by {module}: {result}")
    expected, planes = [], x
    for _ in tables:
        planes = convkit.max_pool2d(planes, 2)
        expected.append(planes.sum())
    assert result.tolist() == expected, (result, expected)
    print("the same as convkit.max_pool2d, scale after scale")


if __name__ == "__main__":
    main()
