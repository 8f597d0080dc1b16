"""Time every kernel of the registry on every realistic case: ``make bench``.

Groups are an operation and a case, so a table compares the kernels that do the same work.
"""

import pytest
from kernel_cases import spread
from realistic import PAIRS
from verified import verified_call

from convkit.dispatch import load, why_not


@pytest.mark.benchmark(max_time=0.4, min_rounds=5)
@pytest.mark.parametrize(
    ("timed", "kernel"),
    [pytest.param(t, k, id=f"{t.size}-{t.case}-{k.backend}-{k.algorithm}") for t, k in PAIRS],
)
def test_kernel(benchmark, timed, kernel):
    if reason := why_not(kernel.backend):
        pytest.skip(f"{kernel.backend}: {reason}")
    call = verified_call(timed.case, load(kernel).kernel, spread(kernel))
    benchmark.group = timed.group
    benchmark.name = f"{kernel.backend} {kernel.algorithm}"
    benchmark(call)
