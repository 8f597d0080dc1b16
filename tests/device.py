"""CUDA kernels for tests that have NumPy arrays: everything is copied to the device and back.

With ``NUMBA_ENABLE_CUDASIM=1`` the device is Numba's simulator, in which each CUDA thread is a thread of
Python. A case that a GPU does in a millisecond can take it a minute, hence :func:`affordable`.
"""

import os
import sys

import numpy as np

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

if SIMULATED:  # a barrier waits for every thread to be switched to: seven times faster than by default
    sys.setswitchinterval(1e-4)

MOST_WORK = 10_000  # multiply-adds of a convolution that the simulator is given
MOST_CELLS = 3_000  # numbers of any other operation


def is_tensor(array):
    """Tell a tensor, which is on the device, from an index table or windows, which the host has."""
    return array.dtype.kind != "i" or array.ndim == 3


def on_device(function, guard):
    """Return a CUDA kernel's host function as one that takes NumPy arrays, and changes them.

    Arrays inside a larger buffer, `guard` cells on either side, take the whole of it to the device.
    """

    def adapted(*arguments):
        from convkit._cuda import target

        copies, back = [], []
        for a in arguments:
            if isinstance(a, np.ndarray) and is_tensor(a):
                buffer = a.base if a.base is not None and a.base.shape == (a.size + 2 * guard,) else None
                there = target.to_device(a if buffer is None else buffer)
                back.append((a if buffer is None else buffer, there))
                a = there if buffer is None else there[guard:-guard].reshape(a.shape)
            copies.append(a)
        function(*copies)
        for here, there in back:
            if here.flags.writeable:
                here[...] = target.to_host(there)

    return adapted


def affordable(case):
    """Tell whether the device is fast enough for a case: a GPU is for all of them."""
    if not SIMULATED:
        return True
    outputs, inputs, _ = case.arguments("float32")
    if case.op in ("conv2d", "conv_transpose2d", "conv2d_grad_w"):
        shapes = [a.shape for a in (*outputs, *inputs) if isinstance(a, np.ndarray) and a.ndim == 4]
        y, w = {"conv2d": (0, 2), "conv_transpose2d": (1, 2), "conv2d_grad_w": (1, 0)}[case.op]
        return np.prod(shapes[y]) * np.prod(shapes[w][1:]) <= MOST_WORK
    return sum(a.size for a in (*outputs, *inputs) if isinstance(a, np.ndarray)) <= MOST_CELLS
