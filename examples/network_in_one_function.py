"""A small network in one compiled function: what convkit.njit is for.

Convolution, BatchNorm, ReLU and pooling, a linear layer and the sum over a batch become one piece of machine
code, in which nothing returns to Python. The same lines with `convkit` in place of `ck` and no decorator
are the same network; both results are compared below.

    python examples/network_in_one_function.py
"""

from time import perf_counter

import numba
import numpy as np

import convkit
from convkit import njit as ck


@numba.njit(nogil=True)
def scores(x, w1, mean, var, gamma, beta, w2, b2, linear):
    """Return the scores of images x (N, 3, H, W), one row an image."""
    x = ck.conv2d(x, w1, padding=1)
    x = np.maximum(ck.batch_norm(x, mean, var, gamma, beta), 0)
    x = ck.max_pool2d(x, 2)
    x = np.maximum(ck.conv2d(x, w2, b2, stride=2, padding="same", padding_mode="reflect"), 0)
    return ck.global_avg_pool2d(x) @ linear


@numba.njit(nogil=True)
def total(x, w1, mean, var, gamma, beta, w2, b2, linear):
    """Sum the scores over a batch, image by image: what lies between two layers then stays in the cache."""
    result = np.zeros(linear.shape[1], x.dtype)
    for n in range(len(x)):
        result += scores(x[n : n + 1], w1, mean, var, gamma, beta, w2, b2, linear)[0]
    return result


def in_python(x, w1, mean, var, gamma, beta, w2, b2, linear):
    """Do the same by calls from Python."""
    x = convkit.conv2d(x, w1, padding=1)
    x = np.maximum(convkit.batch_norm(x, mean, var, gamma, beta), 0)
    x = convkit.max_pool2d(x, 2)
    x = np.maximum(convkit.conv2d(x, w2, b2, 2, "same", padding_mode="reflect"), 0)
    return (convkit.global_avg_pool2d(x) @ linear).sum(axis=0)


def main() -> None:
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    arguments = (
        rng.standard_normal((8, 3, 32, 32)).astype(np.float32),
        numbers(16, 3, 3, 3),  # w1
        numbers(16),  # the running mean
        np.abs(numbers(16)) + 1,  # and variance
        numbers(16),
        numbers(16),
        numbers(24, 16, 3, 3),  # w2
        numbers(24),
        numbers(24, 10),
    )
    start = perf_counter()
    result = total(*arguments)
    print(f"the first call compiled for {perf_counter() - start:.1f} s")
    expected = in_python(*arguments)
    largest = np.max(np.abs(result - expected))
    print(f"scores of 8 images, summed: {np.array2string(result, precision=3)}")
    print(f"called from Python they differ by at most {largest:.1e}")
    # Some hundred roundings, of sums that are hardly larger than 1.
    assert largest < 100 * np.finfo(np.float32).eps


if __name__ == "__main__":
    main()
