"""What the checker says of homework: results of no windows, several faults, images only."""

import numpy as np
import pytest
from mutants import Edit, homework, mutant

import convkit

# --- the counter-example -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "layout", "shape"),
    [(homework.nested_lists, "NCHW", (1, 1, 1, 1)), (homework.nested_lists_of_a_plane, "HW", (1, 1))],
)
def test_lists_of_no_windows_are_as_good_as_an_empty_array(function, layout, shape):
    report = convkit.check(function, "conv2d", layout=layout)
    assert report.broken == ("last_window_lost",)
    assert report.counterexample.got.size == 0
    assert report.counterexample.expected.shape == shape


def test_an_empty_result_that_no_rule_foretells_is_wrong():
    report = convkit.check(lambda x, w: np.zeros(0), "conv2d")
    assert report.broken == ("wrong_shape",)


def test_a_wrong_shape_is_shown_by_a_wrong_shape():
    def odd(x, w):
        y = convkit.conv2d(x, w) + (x.size > 1)
        return np.concatenate([y, y], axis=3) if x.size > 3 else y

    example = convkit.check(odd, "conv2d").counterexample
    assert example.rule == "wrong_shape"
    assert example.arguments["x"].size == 4
    assert example.got.shape != example.expected.shape


@pytest.mark.parametrize(
    ("function", "like", "shown"),
    [
        (
            homework.norm_whose_statistics_stay,
            "batch_norm",
            {"running_statistics_not_updated": "running_mean"},
        ),
        (
            homework.norm_of_images,
            "batch_norm",
            {"eps_outside_the_root": "y", "running_var_biased": "running_var"},
        ),
        (
            homework.backward_of_images,
            "batch_norm_backward",
            {"variance_s_gradient_lost": "grad_x", "parameters_summed_over_the_batch_only": "grad_weight"},
        ),
    ],
)
def test_a_counterexample_shows_an_output_that_its_rule_changes(function, like, shown):
    report = convkit.check(function, like)
    assert {example.rule: example.output for example in report.counterexamples} == shown
    for example in report.counterexamples:
        assert not np.array_equal(example.expected, example.got)


def test_one_fault_s_example_is_free_of_the_other_where_it_can_be():
    one, other = (
        Edit("bias_missing", "= total + bias", "= total"),
        Edit("dilation_ignored", "pair(dilation)", "(1, 1)"),
    )
    report = convkit.check(mutant("conv2d", one, other).function, "conv2d")
    assert report.broken == ("bias_missing", "dilation_ignored")
    calls = [example.call for example in report.counterexamples]
    assert calls == ["conv2d(x, w, b)", "conv2d(x, w, dilation=2)"]
    assert "as well" not in str(report)


def sums_of_a_plane(x, w):
    """Wrong: turned round."""
    H, W, (KH, KW) = *x.shape, w.shape
    return [
        [(x[i : i + KH, j : j + KW] * w[::-1, ::-1]).sum() for j in range(W - KW + 1)]
        for i in range(H - KH + 1)
    ]


def norm_with_parameters_first(x, gamma, beta, running_mean, running_var, training=True):
    """Wrong: by the unbiased variance, and nothing has a default."""
    mean, var = (x.mean(0), x.var(0, ddof=1)) if training else (running_mean, running_var)
    return gamma * (x - mean) / np.sqrt(var + 1e-5) + beta


def options_without_defaults(w, stride, x, /, padding, *, b):
    """Wrong: without the bias."""
    return convkit.conv2d(x, w, None, stride, padding)


@pytest.mark.parametrize(
    ("function", "like", "layout", "call"),
    [
        (sums_of_a_plane, "conv2d", "HW", "sums_of_a_plane(x, w)"),
        (
            norm_with_parameters_first,
            "batch_norm",
            "NC",
            "norm_with_parameters_first(x, weight, bias, running_mean, running_var, training=True)",
        ),
        (options_without_defaults, "conv2d", "NCHW", "options_without_defaults(w, 1, x, padding=0, b=b)"),
    ],
)
def test_the_call_shown_is_the_one_that_was_made(function, like, layout, call):
    example = convkit.check(function, like, layout=layout).counterexample
    assert example.call == call
    names = {function.__name__: function}
    exec("\n".join(example.code.splitlines()[:-1]), names)
    np.testing.assert_array_equal(eval(call, names), example.got)
    assert np.shape(example.got) == np.shape(example.expected)
    assert example.got[example.where] != example.expected[example.where]


# --- several faults ------------------------------------------------------------------------


def test_three_faults_are_named_with_where_they_show():
    report = convkit.check(homework.three_faults, "conv2d")
    hints = {finding.rule.name: finding.hint for finding in report.findings}
    assert hints["kernel_flipped"].startswith("Three things differ. This one shows in the simplest calls.")
    assert hints["bias_missing"].startswith("Three things differ. This one shows in calls with `b`.")
    flipped = report.counterexamples[report.broken.index("kernel_flipped")]
    assert flipped.got.size, "an empty result shows no turned kernel"
    assert "The example shows last_window_lost as well." in hints["kernel_flipped"]


def test_a_known_fault_beside_an_unknown_one():
    report = convkit.check(homework.turned_and_from_the_far_edge, "conv2d")
    first, second = report.findings
    assert (first.rule.name, second.rule.name) == ("kernel_flipped", "wrong_values")
    assert "stride" not in report.counterexample.arguments
    assert second.hint.startswith("Two things differ. This one is left when those above are mended.")
    assert "have `stride" in second.hint
    assert "stride" in second.case.call


def test_the_unknown_fault_is_shown_without_the_known_one():
    def two(x, w, b=None, stride=1):
        y = convkit.conv2d(x, w, None, stride)
        return y + (stride != 1) * (0 if x.shape[2] > 2 else 7)

    report = convkit.check(two, "conv2d")
    assert report.broken == ("bias_missing", "wrong_values")
    assert set(report.counterexamples[1].arguments) == {"x", "w", "stride"}


def test_nothing_is_named_by_chance():
    """Random numbers: no rule explains them, in no kind of calls."""

    def random(x, w, b=None, stride=1, padding=0):
        y = convkit.conv2d(x, w, b, stride, padding)
        return np.random.default_rng(y.size).integers(-9, 9, y.shape).astype(float)

    assert convkit.check(random, "conv2d").broken == ("wrong_values",)


def rounded(x, kernel_size, stride=None, padding=0):
    return convkit.avg_pool2d(x, kernel_size, stride, padding).round()


def sorted_backwards(x, kernel_size, stride=None, padding=0):
    return np.sort(convkit.avg_pool2d(x, kernel_size, stride, padding), axis=-1)[..., ::-1]


def variance_doubled(x, running_mean, running_var, training=False, eps=1e-5):
    y = convkit.batch_norm(x, running_mean, running_var, training=training, eps=eps)
    running_var *= 1 + training
    return y


def larger_indices(x, kernel_size, stride=None, padding=0, return_indices=False):
    result = convkit.max_pool2d(x, kernel_size, stride, padding, return_indices=return_indices)
    return (result.y, result.indices + (result.indices > 3)) if return_indices else result


@pytest.mark.parametrize(
    ("function", "like"),
    [
        (rounded, "avg_pool2d"),
        (sorted_backwards, "avg_pool2d"),
        (variance_doubled, "batch_norm"),
        (larger_indices, "max_pool2d"),
    ],
)
def test_no_two_rules_are_named_that_foretell_nothing(function, like):
    assert convkit.check(function, like).broken == ("wrong_values",)


# --- what is not asked ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "like", "names"),
    [
        (homework.norm_of_images, "batch_norm", "x"),
        (homework.norm_whose_statistics_stay, "batch_norm", "x"),
        (homework.backward_of_images, "batch_norm_backward", "grad_y"),
    ],
)
def test_a_function_of_images_is_not_asked_for_vectors(function, like, names):
    report = convkit.check(function, like)
    assert "crashes" not in report.broken
    assert report.skipped[f"your function takes no {names} of shape (N, C)"] > 1


def test_a_right_function_of_images_is_right():
    def images(x, running_mean, running_var, training=False, eps=1e-5):
        mean, var = running_mean.copy(), running_var.copy()
        if training:
            mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
            running_mean += 0.1 * (mean - running_mean)
            running_var += 0.1 * (x.var(axis=(0, 2, 3), ddof=1) - running_var)
        return (x - mean[:, None, None]) / np.sqrt(var + eps)[:, None, None]

    report = convkit.check(images, "batch_norm")
    assert "crashes" not in report.broken
    assert report, str(report)


def test_a_function_of_vectors_is_told_how_to_say_so():
    text = " ".join(str(convkit.check(homework.norm_of_vectors_given_images, "batch_norm")).split())
    assert "`x` of shape (N, C, H, W): look there. For a function of (N, C) alone say layout='NC'." in text


# --- hints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("layout", "told"), [("NCHW", True), ("CHW", False), ("HW", False)])
def test_a_layout_is_proposed_only_where_none_was_chosen(layout, told):
    def failing(x, w):
        raise IndexError("no")

    report = convkit.check(failing, "conv2d", layout=layout)
    assert report.broken == ("crashes",)
    assert ("layout='CHW' or 'HW'" in report.findings[0].hint) == told


def test_one_other_is_one():
    def odd(x, w, padding=0):
        right = convkit.conv2d(x, w, padding=padding)
        return right + (padding == 2 and w.size > 1 and x.shape != (1, 1, 1, 2))

    hint = convkit.check(odd, "conv2d").findings[0].hint
    assert "1 others" not in hint
