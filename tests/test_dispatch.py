"""Which kernel runs: what can be asked for, what is refused, and what was run."""

import threading

import numpy as np
import pytest
from api_calls import CALLS

import convkit
from convkit import dispatch
from convkit.registry import KERNELS_OF

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


@pytest.mark.parametrize("kernel", dispatch.KERNELS, ids=lambda k: f"{k.op}-{k.backend}-{k.algorithm}")
def test_every_line_of_the_registry_names_a_function(kernel):
    assert kernel.backend in dispatch.BACKENDS
    if reason := dispatch.why_not(kernel.backend):
        pytest.skip(reason)
    call = dispatch.load(kernel)
    assert callable(call.kernel)
    assert call.where.startswith(dispatch.BACKENDS[kernel.backend])


def test_lines_are_unique_and_every_operation_has_a_reference():
    lines = [(k.op, k.backend, k.algorithm) for k in dispatch.KERNELS]
    assert len(set(lines)) == len(lines)
    for op in {k.op for k in dispatch.KERNELS}:
        assert (op, "reference", "direct") in lines


def test_last_call_tells_what_ran():
    for algorithm in convkit.algorithms("conv2d", "reference"):
        convkit.conv2d(X, W, algorithm=algorithm, backend="reference")
        call = convkit.last_call()
        assert (call.op, call.backend, call.algorithm) == ("conv2d", "reference", algorithm)
    convkit.avg_pool2d(X, 2, backend="reference")
    assert repr(convkit.last_call()) == "avg_pool2d: reference, direct (convkit.reference.pooling)"


def test_last_call_is_each_thread_s_own():
    convkit.pad(X, (1, 1), backend="reference")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(convkit.last_call()))
    thread.start()
    thread.join()
    assert seen == [None]
    assert convkit.last_call().op == "pad2d"


def test_auto_takes_the_first_backend_that_has_the_operation():
    convkit.conv2d(X, W)
    having = convkit.backends()["conv2d"]
    first = next(b for b in dispatch.BACKENDS if b in having and b != "cuda" and not dispatch.why_not(b))
    assert convkit.last_call().backend == first
    assert convkit.last_call().algorithm == "direct"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"algorithm": "magic"},
            "algorithm of conv2d must be auto, fastest or, in .*direct, .*; got 'magic'",
        ),
        ({"backend": "abacus"}, "backend must be auto, cython, numba, cuda, numpy, reference; got 'abacus'"),
        ({"algorithm": "seven"}, "in cython, seven_loops, .*; got 'seven'"),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(options, error):
    with pytest.raises(ValueError, match=error):
        convkit.conv2d(X, W, **options)


@pytest.fixture
def fresh_picks(monkeypatch):
    """A registry to be changed: nothing that was picked before or meanwhile is remembered."""
    dispatch.resolve.cache_clear()
    yield monkeypatch
    dispatch.resolve.cache_clear()


def test_there_is_no_silent_fallback(fresh_picks):
    """A backend that has no such kernel says where there is one."""
    lines = [k for k in dispatch.KERNELS if (k.op, k.backend) != ("pad2d", "reference")]
    fresh_picks.setattr(dispatch, "KERNELS", tuple(lines))
    with pytest.raises(
        ValueError, match=r"backend 'reference' has no pad2d by algorithm 'auto'; it is in: .*cython"
    ):
        dispatch.pick("pad2d", "reference")


def test_a_backend_that_cannot_run_says_why(fresh_picks):
    fresh_picks.setattr(dispatch, "why_not", lambda b: "no device" if b == "cuda" else None)
    with pytest.raises(convkit.BackendUnavailable, match=r"^cuda: no device$"):
        convkit.conv2d(X, W, backend="cuda")
    fresh_picks.setattr(dispatch, "why_not", lambda b: f"{b} is broken")
    with pytest.raises(convkit.BackendUnavailable, match=r"nothing here runs conv2d .*reference is broken"):
        convkit.conv2d(X, W)
    with pytest.raises(convkit.BackendUnavailable, match="nothing here runs conv2d by algorithm 'im2col'"):
        convkit.conv2d(X, W, algorithm="im2col")


def test_a_wrong_name_is_refused_on_an_empty_batch_too():
    with pytest.raises(ValueError, match="algorithm of conv2d"):
        convkit.conv2d(X[:0], W, algorithm="magic")


@pytest.mark.parametrize("options", [{"backend": None}, {"algorithm": 1}, {"backend": ["cython"]}])
def test_names_are_strings(options):
    with pytest.raises(TypeError, match="backend and algorithm must be strings"):
        convkit.conv2d(X, W, **options)


def test_the_support_matrix():
    table = convkit.backends()
    assert table["conv2d"]["reference"] == ("seven_loops", "direct", "im2col", "matrix")
    lines = repr(table).splitlines()
    assert lines[0].split() == ["operation", *dispatch.BACKENDS, "run", "by"]
    assert next(line for line in lines if line.startswith("pad2d ")).endswith("  pad, pad_backward")
    assert lines[1].startswith("conv2d ")
    for backend in dispatch.BACKENDS:
        if reason := dispatch.why_not(backend):
            assert f"{backend} cannot run here: {reason}" in lines
    assert set(convkit.algorithms("conv2d")) >= set(table["conv2d"]["reference"])
    assert convkit.algorithms("max_pool2d", "cuda") == table["max_pool2d"].get("cuda", ())
    with pytest.raises(ValueError, match=r"op must be one of conv2d, .*; got 'conv3d'"):
        convkit.algorithms("conv3d")
    with pytest.raises(ValueError, match=r"backend must be auto, .*; got 'abacus'"):
        convkit.algorithms("conv2d", "abacus")


def test_algorithms_of_a_public_function_are_those_of_its_kernels():
    assert convkit.algorithms("batch_norm", "cython") == convkit.algorithms("normalize", "cython")
    assert convkit.algorithms("pad", "reference") == ("direct",)
    assert convkit.algorithms("batch_norm_backward", "cython") == ("direct",)  # though it may run normalize
    with pytest.raises(ValueError, match=r"op must be one of .*normalize, .*batch_norm, .*; got 'norm'"):
        convkit.algorithms("norm")


def test_every_public_function_runs_the_kernels_it_is_said_to_run(monkeypatch):
    seen = []
    resolve = dispatch.resolve
    monkeypatch.setattr(dispatch, "resolve", lambda op, *rest: seen.append(op) or resolve(op, *rest))
    functions = set()
    for name, arguments in CALLS.items():
        seen.clear()
        call = getattr(convkit, name)(**arguments)
        if name == "prepare_conv2d":
            call(X[:, :, :6, :5].repeat(3, axis=1))
        if seen:
            assert set(seen) <= set(KERNELS_OF[name]), name
            functions.add(name)
    assert functions == set(KERNELS_OF)


def test_a_function_s_name_is_in_the_message_about_its_kernel():
    x, v = np.ones((2, 1, 3, 3)), np.ones(1)
    with pytest.raises(ValueError, match=r"algorithm of normalize_given, which batch_norm runs, must be"):
        convkit.batch_norm(x, v, v, algorithm="lanes")


def test_algorithms_that_run_on_this_array_are_listed_first():
    with pytest.raises(ValueError, match="algorithm of avg_pool2d must be") as caught:
        convkit.avg_pool2d(X, 2, algorithm="magic")
    listed = str(caught.value)
    assert listed.index("in reference, window_loops") < listed.index("in cuda, naive")


@pytest.mark.skipif(not dispatch.why_not("cuda"), reason="the arrays here may be on a GPU")
def test_an_algorithm_for_gpus_on_an_array_in_main_memory():
    with pytest.raises(convkit.BackendUnavailable) as caught:
        convkit.avg_pool2d(X, 2, algorithm="naive")
    assert str(caught.value).endswith("(cuda: for arrays on a GPU)")


def test_rungs_stand_in_order_and_direct_behind_them():
    assert convkit.algorithms("avg_pool2d", "cython")[-2:] == ("registers", "direct")
    for op in ("avg_pool2d", "max_pool2d", "normalize", "conv_transpose2d"):
        for backend, of in convkit.backends()[op].items():
            assert of[-1] == "direct", (op, backend)


def test_threads_are_set_for_all_and_for_a_block():
    before = convkit.get_num_threads()
    convkit.set_num_threads(3)
    try:
        assert convkit.get_num_threads() == 3
        with convkit.num_threads(1):
            assert convkit.get_num_threads() == 1
            with convkit.num_threads(2):
                assert convkit.get_num_threads() == 2
            assert convkit.get_num_threads() == 1
        with pytest.raises(RuntimeError, match="mine"), convkit.num_threads(1):
            raise RuntimeError("mine")
        assert convkit.get_num_threads() == 3
    finally:
        convkit.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1025, 2**70])
def test_a_number_of_threads_that_makes_no_sense(n):
    with pytest.raises(ValueError, match="num_threads must"):
        convkit.set_num_threads(n)
    with pytest.raises(ValueError, match="num_threads must"), convkit.num_threads(n):
        pytest.fail("the block must not run")


def test_show_config():
    config = convkit.show_config()
    assert config["convkit"] == convkit.__version__
    assert config["numpy"] == np.__version__
    assert config["threads"] == convkit.get_num_threads()
    assert config["backends"]["reference"] == "available"
    assert config["isa"] in (None, *config["isa_available"])
