"""The compiled kernels, called from C on raw pointers, in every instruction set of this CPU.

What a kernel reads or writes beyond its arrays hits a forbidden page; what it writes into an input
hits a read-only one; the results must equal the reference's, bit for bit, on small integers.
"""

import ctypes
import importlib

import numpy as np
import pytest
from build_driver import driver as compiled_driver
from c_level_cases import CASES
from comparator import assert_close
from guarded import Guarded
from kernel_magnitudes import SPREAD, magnitudes

from convkit import _ext, dispatch
from convkit.rules import Layer

pytestmark = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))

COMPILED = [k for k in dispatch.KERNELS if k.backend == "cython"]
ISAS = _ext.config()["isa_available"]
TYPES = {"f32": np.float32, "f64": np.float64}


@pytest.fixture(scope="session")
def driver():
    """Return the compiled call_*.pyx."""
    return compiled_driver()


@pytest.fixture
def past_the_caches():
    """Let results go past the caches however small they are."""
    from convkit._ext import streaming

    before = streaming.set_large(0)
    yield
    streaming.set_large(before)


def capsule(kernel: dispatch.Kernel, isa: str, suffix: str) -> object:
    module, _, function = kernel.place.partition(":")
    return importlib.import_module(f"convkit._ext.{isa}.{module}").__pyx_capi__[f"{function}_{suffix}"]


def expected(kernel: dispatch.Kernel, case, dtype: type) -> list[np.ndarray]:
    (reference,) = [
        k for k in dispatch.KERNELS if (k.op, k.backend, k.algorithm) == (kernel.op, "reference", "direct")
    ]
    outputs = case.poisoned(dtype)
    dispatch.load(reference).kernel(*outputs, *case.inputs, *case.options)
    return outputs


def layer(case) -> Layer:
    (y,), (x, w, *_) = case.outputs, case.inputs
    return Layer.of(y, x.shape, w.shape, *case.options)


def check(driver, kernel: dispatch.Kernel, entry: object, suffix: str, at_end: bool) -> None:
    """Try every case that the kernel serves; one that rounds integers too has a bound for it."""
    dtype = TYPES[suffix]
    served = 0
    for case in CASES[kernel.op](np.random.default_rng(7), dtype):
        if kernel.serves is not None and not kernel.serves(layer(case)):
            continue
        if kernel.algorithm in case.rounded_by:
            continue
        served += 1
        right = expected(kernel, case, dtype)
        bounds = [0.0] * len(right)
        if kernel.algorithm in SPREAD:
            wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in case.inputs]
            bounds = [np.finfo(dtype).eps * SPREAD[kernel.algorithm](*wide)]
        elif not kernel.exact:  # six roundings of y, and as many of the statistics as there are terms
            scales = magnitudes(kernel.op, right, [*case.inputs, *case.options], kernel.algorithm)
            roundings = 6, case.inputs[0].size, case.inputs[0].size
            eps = [np.finfo(a.dtype).eps for a in right]
            bounds = [n * e * m for n, e, m in zip(roundings, eps, scales, strict=True)]
        outputs = [Guarded(array, at_end) for array in case.poisoned(dtype)]
        inputs = [Guarded(array, at_end).freeze() for array in case.inputs]
        addresses = [a.address for a in outputs + inputs]
        getattr(driver, f"{kernel.op}_{suffix}")(entry, *addresses, *case.sizes)
        for out, want, bound in zip(outputs, right, bounds, strict=True):
            assert_close(out.array, want, bound)
            assert out.canaries_live()
    assert served >= 5


@pytest.mark.parametrize("at_end", [True, False], ids=["page_after", "page_before"])
@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", COMPILED, ids=lambda k: f"{k.op}-{k.algorithm}")
def test_through_its_capsule(driver, kernel, isa, suffix, at_end):
    check(driver, kernel, capsule(kernel, isa, suffix), suffix, at_end)


@pytest.mark.parametrize("at_end", [True, False], ids=["page_after", "page_before"])
@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "kernel",
    [k for k in COMPILED if k.op.startswith("normalize") and k.algorithm == "direct"],
    ids=lambda k: k.op,
)
def test_past_the_caches(driver, past_the_caches, kernel, isa, suffix, at_end):
    check(driver, kernel, capsule(kernel, isa, suffix), suffix, at_end)


@pytest.mark.parametrize("suffix", TYPES)
@pytest.mark.parametrize("kernel", [k for k in COMPILED if k.algorithm == "direct"], ids=lambda k: k.op)
def test_through_cimport(driver, kernel, suffix):
    check(driver, kernel, None, suffix, at_end=True)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernel", COMPILED, ids=lambda k: f"{k.op}-{k.algorithm}")
def test_signature_is_the_capsules_name(kernel, isa):
    from convkit._ext.kernels import SIGNATURES

    _, signature = SIGNATURES[kernel.op]
    for suffix, T in (("f32", "float"), ("f64", "double")):
        assert f'"{signature.format(T=T)}"' in repr(capsule(kernel, isa, suffix))


def test_kernels_pxd_names_production():
    from convkit._ext.kernels import SIGNATURES

    registered = {k.op: k.place.partition(":")[0] for k in COMPILED if k.algorithm == "direct"}
    assert {op: module for op, (module, _) in SIGNATURES.items()} == registered


@pytest.mark.parametrize("at_end", [True, False], ids=["page_after", "page_before"])
def test_canaries_notice_a_write(at_end):
    guarded = Guarded(np.zeros(5, np.float32), at_end)
    assert guarded.canaries_live()
    beside = guarded.address + (-1 if at_end else 20)
    ctypes.memset(beside, 0, 1)
    assert not guarded.canaries_live()
