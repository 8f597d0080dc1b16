"""Running the tests of a file on every backend: ``pytestmark = on_every_backend("pad2d", ...)``."""

import pytest

from convkit import dispatch
from convkit.registry import BACKENDS, KERNELS


def on_every_backend(*ops: str) -> list[pytest.MarkDecorator]:
    """Return marks under which ``backend="auto"`` is, in turn, each backend that has one of `ops`.

    The list is that of the registry: a backend that is added there is tested here. CUDA is not, for
    these tests have NumPy arrays; ``test_cuda_*`` have its own.
    """
    having = {k.backend for k in KERNELS if k.op in ops} - {"cuda"}
    if unknown := set(ops) - {k.op for k in KERNELS}:
        raise ValueError(f"no kernel does {unknown}")
    backends = [b for b in BACKENDS if b in having and dispatch.why_not(b) is None]
    return [
        pytest.mark.parametrize("auto_backend", backends, indirect=True),
        pytest.mark.usefixtures("auto_backend"),
    ]
