"""The checker's report, functions that misbehave, and how functions are called."""

import subprocess
import sys
import time

import numpy as np
import pytest
from mutants import Edit, mutant

import convkit


def conv(x, w, b=None, stride=1, padding=0):
    return convkit.conv2d(x, w, b, stride, padding)


# --- the report ----------------------------------------------------------------------------


def test_the_smallest_counterexample_of_a_turned_kernel():
    report = convkit.check(lambda x, w: convkit.conv2d(x, w, flip=True), "conv2d")
    example = report.counterexample
    assert not report
    assert example.arguments["x"].tolist() == [[[[1, 2]]]]
    assert example.arguments["w"].tolist() == [[[[1, 10]]]]
    assert (example.expected.item(), example.got.item(), example.where) == (21, 12, (0, 0, 0, 0))


def test_the_code_of_a_counterexample_can_be_pasted():
    def turned(x, w, stride=1):
        return convkit.conv2d(x, w, stride=stride, flip=True)

    example = convkit.check(turned, "conv2d").counterexample
    lines = example.code.splitlines()
    names = {"turned": turned}
    exec("\n".join(lines[:-1]), names)
    np.testing.assert_array_equal(eval(lines[-1], names), example.got)


def test_the_code_of_nan_and_of_large_arrays():
    one = mutant("max_pool2d", Edit("nan_lost", " or np.isnan(v)", ""))
    assert "np.nan" in convkit.check(one.function, "max_pool2d").counterexample.code
    report = convkit.check(lambda x, p: x, "dropout")
    assert "np.arange(1.0, 16001).reshape(8, 4, 20, 25)" in report.counterexample.code


def test_the_text_shows_the_rule_the_call_and_both_results():
    text = str(convkit.check(lambda x, w: convkit.conv2d(x, w, flip=True), "conv2d"))
    for part in ("kernel_flipped", "expected", ">12<", "1  10", "check/rules.html#kernel-flipped"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100


def test_large_arrays_are_not_written_out():
    text = str(convkit.check(lambda x, p: x, "dropout"))
    assert "1, 2, 3 ... 16000" in text
    assert len(text) < 5000


def test_the_text_of_a_right_function():
    assert "is right" in str(convkit.check(convkit.conv2d))
    text = str(convkit.check(lambda x, w: convkit.conv2d(x, w), "conv2d"))
    assert "Not checked" in text
    assert "stride_ignored" in text


def test_rich_prints_it_in_colours():
    from rich.console import Console

    console = Console(force_terminal=True, width=110)
    with console.capture() as capture:
        console.print(convkit.check(lambda x, w: convkit.conv2d(x, w, flip=True), "conv2d"))
    assert "\x1b[1;31m" in capture.get()


def test_a_notebook_shows_it_as_html():
    html = convkit.check(lambda x, w: convkit.conv2d(x, w, flip=True), "conv2d")._repr_html_()
    assert html.startswith("<pre>")
    assert "&gt;12&lt;" in html
    assert "kernel_flipped</span>" in html


def test_a_report_in_short():
    report = convkit.check(lambda x, w: convkit.conv2d(x, w, flip=True), "conv2d")
    assert repr(report).startswith("<conv2d: your_function breaks kernel_flipped;")


def test_what_a_function_cannot_do_is_not_held_against_it():
    report = convkit.check(lambda x, w: convkit.conv2d(x, w), "conv2d")
    assert report
    assert "your function has no stride" in report.skipped
    assert {"stride_ignored", "padding_ignored", "bias_missing"} <= set(report.unchecked)
    assert "kernel_flipped" in report.held
    assert not set(report.held) & set(report.unchecked)


def test_the_time_of_compiling_is_not_the_function_s():
    class Compiled:
        """As Numba's functions are, from here."""

        def __init__(self):
            self.signatures = []
            self.py_func = conv

        def __call__(self, x, w):
            if x.dtype not in self.signatures:
                time.sleep(1.2)
                self.signatures.append(x.dtype)
            return convkit.conv2d(x, w)

    assert convkit.check(Compiled(), "conv2d", seconds=1.0)


def test_two_faults_are_both_named():
    def two(x, w, b=None, stride=1):
        return convkit.conv2d(x, w, None, 1)

    report = convkit.check(two, "conv2d")
    assert set(report.broken) == {"bias_missing", "stride_ignored"}
    assert {example.rule for example in report.counterexamples} == set(report.broken)


def test_what_no_rule_explains_is_called_that():
    def odd(x, w):
        return convkit.conv2d(x, w) + (x.shape[3] > 2)

    report = convkit.check(odd, "conv2d")
    assert report.broken == ("wrong_values",)
    assert report.counterexample.arguments["x"].shape == (1, 1, 1, 3)


def test_it_says_what_wrong_calls_have_in_common():
    def odd(x, w, stride=1):
        return convkit.conv2d(x, w, stride=stride) + (stride != 1)

    report = convkit.check(odd, "conv2d")
    assert report.broken == ("wrong_values",)
    assert "and no others, have `stride`" in report.findings[0].hint


# --- functions that misbehave --------------------------------------------------------------


def test_a_function_that_returns_nothing():
    report = convkit.check(lambda x, w: None, "conv2d")
    assert report.broken == ("nothing_returned",)
    assert report.counterexample.got == "None"


@pytest.mark.parametrize("value", ["a text", [[1.0], [2.0, 3.0]], object(), np.array("x"), 1j])
def test_a_function_that_returns_no_numbers(value):
    report = convkit.check(lambda x, w: value, "conv2d")
    assert report.broken == ("nothing_returned",)
    assert str(report)


def test_a_function_that_raises():
    def failing(x, w):
        return x[0, 0, 99, 99]

    report = convkit.check(failing, "conv2d")
    assert report.broken == ("crashes",)
    assert "IndexError" in report.counterexample.got
    assert "return x[0, 0, 99, 99]" in report.counterexample.got


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), Warning()])
def test_a_function_that_raises_something_odd(error):
    def failing(x, w):
        raise error

    assert convkit.check(failing, "conv2d").broken == ("crashes",)


def test_a_function_that_raises_on_some_calls():
    def failing(x, w, padding=0):
        if padding == 2:
            raise RuntimeError("no")
        return convkit.conv2d(x, w, padding=padding)

    report = convkit.check(failing, "conv2d")
    assert report.broken == ("crashes",)
    assert "and no others, have `padding=2`" in report.findings[0].hint


def test_a_function_that_says_that_it_cannot():
    def small(x, w, dilation=1):
        if dilation != 1:
            raise NotImplementedError("no dilation yet")
        return convkit.conv2d(x, w)

    report = convkit.check(small, "conv2d")
    assert report
    assert any("no dilation yet" in reason for reason in report.skipped)
    assert "dilation_ignored" in report.unchecked


def test_a_function_that_takes_no_pairs():
    def square(x, w, stride=1):
        return convkit.conv2d(x, w, stride=stride + 0)

    report = convkit.check(square, "conv2d")
    assert report
    assert "your function takes a number for stride, but no pair" in report.skipped
    assert "stride_swapped" in report.unchecked


def test_a_function_that_knows_one_number_of_axes():
    def of_vectors(x, eps=1e-5):
        _, _ = x.shape
        return (x - x.mean(0)) / np.sqrt(x.var(0) + eps)

    report = convkit.check(of_vectors, "batch_norm")
    assert report
    assert "your function takes no x of shape (N, C, H, W)" in report.skipped


def test_a_function_of_planes_is_told_how_to_say_so():
    def of_a_plane(x, w):
        _, _ = x.shape
        return x

    assert "layout='CHW' or 'HW'" in str(convkit.check(of_a_plane, "conv2d"))


def test_an_endless_function_is_given_up_and_stopped():
    turns = [0]

    def endless(x, w):
        while True:
            turns[0] += 1

    start = time.perf_counter()
    report = convkit.check(endless, "conv2d", seconds=0.1)
    assert report.broken == ("too_slow",)
    assert time.perf_counter() - start < 5
    before = turns[0]
    time.sleep(0.05)
    assert turns[0] == before, "its thread has ended"


def test_a_slow_function_is_not_waited_for():
    def slow(x, w):
        time.sleep(0.03)
        return convkit.conv2d(x, w)

    report = convkit.check(slow, "conv2d", seconds=0.2)
    assert report.broken == ("too_slow",)
    assert "no answer within 0.2 s" in report.counterexample.got


def test_a_function_that_prints_is_silenced_and_reported(capsys):
    def printing(x, w):
        print("hello")
        return convkit.conv2d(x, w)

    report = convkit.check(printing, "conv2d")
    assert report
    assert capsys.readouterr().out == ""
    assert report.notes == ("it prints: 'hello'",)


def test_a_function_that_overwrites_what_it_should_not():
    def greedy(x, w):
        y = convkit.conv2d(x, w)
        x[:] = 0
        return y

    report = convkit.check(greedy, "conv2d")
    assert report.broken == ("input_overwritten",)
    assert report.counterexample.got == "x changed"


def test_a_function_that_keeps_state():
    memory = []

    def remembering(x, w):
        memory.append(0)
        return convkit.conv2d(x, w) + len(memory)

    assert convkit.check(remembering, "conv2d").broken == ("not_repeatable",)


def test_warnings_of_a_function_are_its_own_affair():
    def warning(x, eps=1e-5):
        return (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True))

    report = convkit.check(
        lambda x, eps=1e-5: warning(x.reshape(*x.shape, *(1,) * (4 - x.ndim))).reshape(x.shape), "batch_norm"
    )
    assert report.broken == ("eps_ignored",)


def test_integers_and_float32():
    assert convkit.check(lambda x, w: convkit.conv2d(x, w).astype(np.float32), "conv2d")
    report = convkit.check(lambda x, w: convkit.conv2d(x, w).astype(int), "conv2d")
    assert report.broken == ("fractions_lost",)
    assert any("int64" in note for note in report.notes)


def test_some_gradients_are_enough():
    def two(grad_y, x, w):
        return convkit.conv2d_backward(grad_y, x, w)[:2]

    report = convkit.check(two, "conv2d_backward")
    assert report
    assert "it returned no grad_b" in report.notes
    assert "grad_b_averaged" in report.unchecked


# --- how functions are called --------------------------------------------------------------


def test_usual_names_are_recognised():
    def mine(image, kernel, bias=None, strides=1, pad=0):
        return convkit.conv2d(image, kernel, bias, strides, pad)

    report = convkit.check(mine, "conv2d")
    assert report
    assert "stride_ignored" in report.held


def test_the_call_shown_is_the_function_s_own():
    def mine(image, kernel, pad=0):
        return convkit.conv2d(image, kernel)

    assert convkit.check(mine, "conv2d").counterexample.call == "mine(x, w, pad=1)"


def test_names_say_what_is_what():
    def mine(k, p, a):
        return convkit.conv2d(a, k, padding=p)

    report = convkit.check(mine, "conv2d", names={"x": "a", "w": "k", "padding": "p"})
    assert report
    assert "padding_ignored" in report.held


def test_parameters_of_every_kind():
    def positional(x, w, /, *, stride=1):
        return convkit.conv2d(x, w, stride=stride)

    def anything(*args, **options):
        return convkit.conv2d(*args, **options)

    for function in (positional, anything, np.frompyfunc(lambda x, w: x, 2, 1)):
        report = convkit.check(function, "conv2d")
        assert bool(report) == (function in (positional, anything))


def test_arguments_that_a_function_insists_on_get_their_defaults():
    def strict(x, w, b, stride, padding):
        return convkit.conv2d(x, w, b, stride, padding)

    assert convkit.check(strict, "conv2d")


@pytest.mark.parametrize(
    ("function", "like", "options", "error", "message"),
    [
        (3, "conv2d", {}, TypeError, "must be callable, got 3"),
        (conv, "conv3d", {}, ValueError, "like must be one of conv2d, .* got 'conv3d'"),
        (conv, None, {}, ValueError, "say which operation conv is like"),
        (conv, "conv2d", {"names": "x=y"}, TypeError, "names must map"),
        (conv, "conv2d", {"names": {"z": "x"}}, ValueError, "got 'z'"),
        (
            conv,
            "conv2d",
            {"names": {"stride": "step"}},
            ValueError,
            "stride is called 'step', but .* x, w, b",
        ),
        (conv, "conv2d", {"layout": "NHWC"}, ValueError, "layout must be one of .* got 'NHWC'"),
        (conv, "conv2d", {"seconds": 0}, ValueError, "seconds must be .* got 0"),
        (conv, "conv2d", {"layout": "NC"}, ValueError, "no case of conv2d"),
        (lambda x, w, step: x, "conv2d", {}, ValueError, "insists on 'step'"),
        (lambda x, w, step: x, "conv2d", {}, ValueError, "--names stride=step on the command line"),
        (lambda self, x, w: x, "conv2d", {}, ValueError, "it is a method"),
        (lambda x: x, "conv2d", {}, ValueError, "no parameter of the function takes w"),
        (lambda x, w, *, q: x, "conv2d", {}, ValueError, "insists on 'q'"),
    ],
)
def test_bad_usage(function, like, options, error, message):
    with pytest.raises(error, match=message):
        convkit.check(function, like, **options)


def test_nothing_of_it_is_imported_before_it_is_used():
    code = "import sys, convkit; print([m for m in sys.modules if m.startswith('convkit.checker.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_coroutine_is_not_awaited_and_nobody_is_warned(recwarn):
    async def later(x, w):
        return x

    assert convkit.check(later, "conv2d").broken == ("nothing_returned",)
    assert not recwarn.list


def no_float32(x, gamma, beta, eps=1e-5):
    if x.dtype != np.float64:
        raise TypeError("float64 only")
    return convkit.batch_norm(x, None, None, gamma, beta, True, eps=eps)


def no_large_mean(x, running_mean, running_var, training=False):
    if abs(x.mean()) > 100:
        raise ValueError("too large")
    return convkit.batch_norm(x, running_mean, running_var, training=training)


@pytest.mark.parametrize("function", [no_float32, no_large_mean])
def test_what_raises_on_a_large_mean_has_not_lost_the_variance(function):
    assert convkit.check(function, "batch_norm").broken == ("crashes",)


def test_parameters_that_are_needed_have_x_s_dtype():
    def norm(x, weight, bias):
        return convkit.batch_norm(x, None, None, weight, bias, True)

    assert convkit.check(norm, "batch_norm")
