"""What `benchmarks/gpu.py` times against PyTorch is what PyTorch does: compared here on the CPU."""

import sys
from pathlib import Path

import numpy as np
import pytest
from comparator import assert_close

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from gpu_cases import convolutions  # noqa: E402
from gpu_samples import expected  # noqa: E402
from gpu_streaming import streaming  # noqa: E402

TIMED = [t for t in (*streaming(True), *convolutions(True)) if t.peer]
DRAWN = "dropout", "dropout_mask"  # their random numbers are their own


@pytest.mark.parametrize("timed", TIMED, ids=lambda t: f"{t.name}-{t.case.op}")
def test_a_peer_does_the_same(timed, monkeypatch):
    monkeypatch.setattr(
        torch, "empty", lambda *a, _empty=torch.empty, **k: _empty(*a, **k | {"device": "cpu"})
    )
    arguments = timed.case.arguments("float32", "reals")
    if timed.case.op == "conv_transpose2d":
        arguments.inputs[2][:] = 0  # a bias, which a gradient has not
    # A device has tensors, and the host has index tables.
    inputs = [
        torch.as_tensor(a) if isinstance(a, np.ndarray) and (a.dtype.kind != "i" or a.ndim == 3) else a
        for a in arguments.inputs
    ]
    theirs = timed.peer(torch, inputs)()
    theirs = list(theirs) if isinstance(theirs, tuple) else [theirs]
    for got, want in zip(theirs, expected(timed.case.op, arguments), strict=False):
        got = got.numpy().reshape(want.shape)
        assert got.dtype == want.dtype or want.dtype == np.float64
        if timed.case.op not in DRAWN:
            assert_close(got, want, 1e-4 * (1 + np.abs(want).max()))  # both have rounded
