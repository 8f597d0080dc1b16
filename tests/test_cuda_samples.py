"""The samples by which `benchmarks/gpu.py` judges large results: right ones pass, and each fault is seen."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from gpu_cases import convolutions, rng_block
from gpu_samples import assert_right, expected
from gpu_streaming import streaming
from kernel_cases import Arguments

TIMED = [*streaming(True), *convolutions(True)]


def results_of(timed):
    like, inputs = timed.case.build(rng_block)
    outputs = [np.empty(o.shape, np.float32 if o.dtype == "float" else o.dtype) for o in like]
    return like, expected(timed.case.op, Arguments(outputs, inputs, [])), inputs


@pytest.mark.parametrize("timed", TIMED, ids=lambda t: f"{t.name}-{t.case.op}")
def test_samples(timed):
    like, results, inputs = results_of(timed)
    assert_right(timed.case, like, results, inputs)
    for k, result in enumerate(results):  # a fault in any of the outputs
        wrong = [r.copy() for r in results]
        wrong[k].flat[-1] = ~result.flat[-1] if result.dtype == bool else result.flat[-1] + 2
        with pytest.raises(AssertionError):
            assert_right(timed.case, like, wrong, inputs)
