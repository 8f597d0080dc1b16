"""Lets every test file import its neighbours: the comparator, the cases, the brute force."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from convkit import dispatch
from convkit.registry import KERNELS


@pytest.fixture(scope="module")
def auto_backend(request):
    """Make ``backend="auto"`` mean the fixture's parameter; skip a test that needs what it has not.

    For :func:`every_backend.on_every_backend`.
    """
    backend, resolve = request.param, dispatch.resolve

    def resolve_there(op, asked, algorithm, layer=None, on_device=False):
        if asked != "auto" or on_device:
            return resolve(op, asked, algorithm, layer, on_device)
        if algorithm == "auto" and not any((k.op, k.backend) == (op, backend) for k in KERNELS):
            pytest.skip(f"{backend} has no {op}")
        return resolve(op, backend if algorithm == "auto" else "auto", algorithm, layer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch, "resolve", resolve_there)
        yield backend
