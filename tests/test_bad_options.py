"""Bad options: refused by name, with the numbers, before any work is done."""

import inspect
import re

import numpy as np
import pytest
from api_calls import CALLS, VECTOR, refused

import convkit

LEAST_ONE = ("stride", "dilation", "groups", "kernel_size", "output_size", "num_groups")
OPTIONS = [
    (name, option)
    for name in CALLS
    for option in (*LEAST_ONE, "padding", "output_padding")
    if option in inspect.signature(getattr(convkit, name)).parameters and name != "prepare_conv2d"
]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_rule_29_options_out_of_range(name, option):
    """hardening: zero or negative stride, dilation, groups, window; size arithmetic overflows."""
    many = (lambda v: (v, v)) if name.startswith("pad") else (lambda v: v)
    bad = [-(2**63) - 1, 2**63, 2**100]
    if not name.startswith("pad"):  # whose negative padding crops
        bad += [-1] + [0] * (option in LEAST_ONE)
    for value in bad:
        message = refused(name, ValueError, f"{option} must", **{option: many(value)})
        assert str(value) in message


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_options_of_the_wrong_length_or_type(name, option):
    """hardening: option list of wrong length."""
    for wrong in ((1, 1, 1), (), [[1], 1, 2]):
        refused(name, (ValueError, TypeError), f"{option} must", **{option: wrong})
    for wrong in (1.0, True, None, {1}, {"a": 1}, b"12", 1j, (1, None), (1.5, 2)):
        if wrong is None and option == "stride" and "pool" in name:
            continue  # the window's size
        refused(name, (TypeError, ValueError), f"{option} must", **{option: wrong})


def having(option, *more):
    """Return the functions that have an option, each with every value of `more`."""
    names = [n for n in CALLS if option in inspect.signature(getattr(convkit, n)).parameters]
    return [(name, value) for name in names for value in more]


@pytest.mark.parametrize(("name", "eps"), having("eps", -1e-5, -np.inf, np.inf, np.nan, np.float32(-1)))
def test_eps_is_finite_and_at_least_0(name, eps):
    refused(name, ValueError, re.escape(f"eps must be finite and at least 0, got {eps!r}"), eps=eps)


@pytest.mark.parametrize(("name", "p"), having("p", -0.1, 1.1, -1, 2, np.nan, np.inf))
def test_rule_22_a_probability_is_in_0_to_1(name, p):
    refused(name, ValueError, re.escape(f"p must be in [0, 1], got {float(p)!r}"), p=p)


@pytest.mark.parametrize(("name", "momentum"), having("momentum", -0.1, 1.1, -1, 2, np.nan, np.inf))
@pytest.mark.parametrize("train", [True, False])
def test_rule_16_momentum_is_in_0_to_1(name, momentum, train):
    """Refused before the running statistics are touched, and in evaluation too, which does not use it."""
    training = {"use_input_stats" if name == "instance_norm" else "training": train}
    statistics = {"running_mean": np.full(3, 5.0), "running_var": np.full(3, 7.0)}
    message = re.escape(f"momentum must be in [0, 1], got {float(momentum)!r}")
    refused(name, ValueError, message, momentum=momentum, **training, **statistics)
    assert [v.tolist() for v in statistics.values()] == [[5.0] * 3, [7.0] * 3]


@pytest.mark.parametrize("padding", [2, 3, 2**40])
@pytest.mark.parametrize("name", [n for n, _ in having("kernel_size", 0) if "pool" in n])
def test_rule_3_padding_is_at_most_half_the_window(name, padding):
    """hardening: negative output, window wholly in padding."""
    for window in (2, 3):
        message = f"padding must be at most half the window, got padding {padding} for window {window}"
        if padding > window // 2:
            refused(name, ValueError, message, kernel_size=window, padding=padding)


FLAGS = [
    (name, option)
    for name in CALLS
    for option, p in inspect.signature(getattr(convkit, name)).parameters.items()
    if isinstance(p.default, bool)
]


@pytest.mark.parametrize(("name", "option"), FLAGS)
def test_flags_are_true_or_false(name, option):
    """An argument that slipped into the place of a flag is not taken for True."""
    for wrong in (1, 0.1, None, "no", VECTOR, [True]):
        refused(name, TypeError, f"{option} must be True or False", **{option: wrong})
    function = getattr(convkit, name)
    default = inspect.signature(function).parameters[option].default
    function(**{**CALLS[name], option: np.bool_(default)})


@pytest.mark.parametrize(
    ("name", "option", "bad", "error", "message"),
    [
        ("conv2d", "padding", "full", ValueError, 'padding must be "same", "valid"'),
        ("conv2d", "padding", ((1, 1), 1), ValueError, r"padding must hold 2 \(before, after\) pairs"),
        ("conv2d", "padding", ((1, 1, 1), (1, 1)), ValueError, r"padding must hold \(before, after\) pairs"),
        ("conv2d", "padding", ((1, -1), (1, 1)), ValueError, "padding must be at least 0"),
        ("conv2d", "padding_mode", "mirror", ValueError, "padding_mode must be one of zeros, reflect"),
        ("conv2d", "padding_mode", ["zeros"], ValueError, "padding_mode must be one of"),
        ("conv2d", "padding_mode", None, ValueError, "padding_mode must be one of"),
        ("conv2d", "padding_mode", VECTOR, ValueError, "padding_mode must be one of"),
        ("conv_transpose2d", "padding", "same", ValueError, "padding of a transposed convolution"),
        ("conv_transpose2d", "output_padding", 1, ValueError, "smaller than stride 1 or dilation 1, got 1"),
        ("conv2d_backward", "needs", (True, True), ValueError, "needs must be three booleans"),
        ("conv2d_backward", "needs", "xwb", ValueError, "needs must be three booleans"),
        ("pad", "mode", "zeros", ValueError, "mode must be one of constant, reflect"),
        ("pad", "mode", {}, ValueError, "mode must be one of constant, reflect"),
        ("pad", "mode", VECTOR, ValueError, "mode must be one of constant, reflect"),
        ("pad", "padding", (1, 1, 1), ValueError, "last axis first"),
        ("pad", "padding", 1, ValueError, "last axis first"),
        ("pad", "value", "0", TypeError, "value must be a number, got '0'"),
        ("pad", "value", 1j, TypeError, "value must be a number, got 1j"),
        ("pad", "value", 10**400, ValueError, "value must fit 64 bits"),
        ("avg_pool2d", "padding", 2, ValueError, "at most half the window, got padding 2 for window 2"),
        ("avg_pool2d", "divisor_override", 0, ValueError, "divisor_override must not be 0"),
        ("avg_pool2d", "divisor_override", 1.5, TypeError, "divisor_override must be an int, got 1.5"),
        ("avg_pool2d", "divisor_override", (2, 2), TypeError, "divisor_override must be an int"),
        ("batch_norm", "eps", -1e-5, ValueError, "eps must be finite and at least 0, got -1e-05"),
        ("batch_norm", "eps", np.nan, ValueError, "eps must be finite"),
        ("batch_norm", "eps", "1e-5", TypeError, "eps must be a number"),
        ("batch_norm", "running_var", -VECTOR, ValueError, "running_var must be at least 0, got -1.0"),
        ("batch_norm", "running_mean", None, ValueError, "evaluation needs running_mean"),
        ("layer_norm", "normalized_shape", 5.0, TypeError, "normalized_shape must be an int"),
        ("dropout", "p", "half", TypeError, "p must be a number"),
        ("dropout", "p", True, TypeError, "p must be a number, got True"),
        ("dropout", "seed", 1.0, TypeError, "seed must be an int, got 1.0"),
        ("dropout", "seed", True, TypeError, "seed must be an int, got True"),
        (
            "convolution_operator",
            "input_shape",
            (3, 6.0, 5),
            TypeError,
            "input_shape must be an array or its shape",
        ),
        ("convolution_operator", "input_shape", (3, -6, 5), ValueError, "input_shape as a shape must hold"),
    ],
)
def test_options_by_hand(name, option, bad, error, message):
    refused(name, error, message, **{option: bad})


@pytest.mark.parametrize(
    ("count", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_rule_16_the_number_of_batches_counts_this_one(count, error):
    options = {"training": True, "momentum": None, "num_batches_tracked": count}
    refused("batch_norm", error, "num_batches_tracked must be", **options)


def test_the_traceback_of_a_bad_option_holds_no_look_up():
    """A plan that is made for the first time is no error, and a refusal shows no other one before it."""
    for bad in (9, (9, 9), [9, 9], 1.5):
        with pytest.raises((ValueError, TypeError)) as caught:
            convkit.avg_pool2d(CALLS["avg_pool2d"]["x"], bad)
        assert caught.value.__context__ is None or caught.value.__suppress_context__
