"""Bad arrays: refused by name, with the shapes and dtypes, before any work is done."""

import inspect
import re

import numpy as np
import pytest
from api_calls import ARRAYS, CALLS, OPTIONAL, W, X, counts_by_its_shape, refused

import convkit


def test_every_function_is_here():
    functions = {n for n in convkit.__all__ if inspect.isfunction(getattr(convkit, n))}
    asking = {
        "algorithms",
        "backends",
        "check",  # its bad calls are in test_check_functions.py
        "conv2d_workspace",
        "get_num_threads",
        "last_call",
        "num_threads",
        "set_num_threads",
        "show_config",
    }
    assert functions - asking == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_the_calls_are_good_as_they_stand(name):
    getattr(convkit, name)(**CALLS[name])


# --- what is no array, or of no dtype that we compute in ---------------------------------------


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_rule_31_what_is_no_float_array_is_refused_by_name(name, argument):
    """hardening: other dtypes; None or a wrong object."""
    shape = CALLS[name][argument].shape
    for wrong in ([1.0], "x", 3.0, object(), None):
        if wrong is not None or argument not in OPTIONAL:
            refused(name, TypeError, f"{argument} must be an array", **{argument: wrong})
    if counts_by_its_shape(name, argument):
        return
    refused(name, TypeError, "got MaskedArray", **{argument: np.ma.masked_array(np.ones(shape))})
    for dtype in ("int64", "bool", "float16", "longdouble", "complex128", "O", "U3", "M8[s]", "f8,f4"):
        wrong = np.zeros(shape, dtype)
        refused(
            name,
            TypeError,
            f"{argument} must be float32 or float64, got {re.escape(str(wrong.dtype))}",
            **{argument: wrong},
        )


def test_the_way_from_a_list_that_the_message_shows():
    x = [[1.0, 2.0]]
    message = refused("pad", TypeError, "got list", x=x)
    way = re.search(r"np\.array\(.*?\)", message)[0]
    assert convkit.pad(eval(way, {"np": np, "x": x}), (1, 1)).tolist() == [[0, 1, 2, 0]]


def of_one_dtype(name):
    """Arguments of a call that must share a dtype; statistics of the forward pass are float64 anyway."""
    return [
        a for n, a in ARRAYS if n == name and a not in ("mean", "invstd") and not counts_by_its_shape(n, a)
    ]


@pytest.mark.parametrize(
    ("name", "argument"), [(n, a) for n in CALLS if len(of_one_dtype(n)) > 1 for a in of_one_dtype(n)]
)
def test_rule_31_mixed_dtypes_are_named(name, argument):
    """No silent cast: the error names both."""
    message = refused(name, TypeError, "float32", **{argument: CALLS[name][argument].astype(np.float32)})
    assert "float64" in message


# --- ranks, sizes, channels ----------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [n for n in CALLS if "x" in CALLS[n] and "dropout" not in n and n != "layer_norm"]
)
def test_wrong_ranks_show_the_shape(name):
    """hardening: backward functions take their own shapes."""
    refused(
        name,
        ValueError,
        r"\(5,\)",
        x=np.ones(5),
        **({"padding": (1, 1, 1, 1)} if name.startswith("pad") else {}),
    )


@pytest.mark.parametrize(
    "name", [n for n in CALLS if "x" in CALLS[n] and not n.startswith(("dropout", "layer"))]
)
def test_rule_28_only_the_batch_may_be_empty(name):
    """hardening: empty arrays."""
    shape = CALLS[name]["x"].shape
    empty = np.ones((*shape[:-1], 0))
    changed = {"grad_y": empty} if "norm" in name and "grad_y" in CALLS[name] else {}
    refused(name, ValueError, "empty", x=empty, **changed)


@pytest.mark.parametrize(
    ("name", "argument"),
    [(n, a) for n, a in ARRAYS if a.startswith("grad_") and "dropout" not in n and n != "col2im_backward"],
)
def test_rule_35_the_gradient_s_shape_is_derived_again(name, argument):
    """hardening: backward functions take their own shapes."""
    shape = CALLS[name][argument].shape
    for wrong in ((*shape[:-1], shape[-1] + 1), shape[:-1], (1, *shape), (*shape[:-1], 0)):
        message = refused(name, ValueError, f"{argument} must have", **{argument: np.ones(wrong)})
        assert str(shape) in message
        assert str(wrong) in message


@pytest.mark.parametrize(
    ("name", "argument"), [(n, a) for n, a in ARRAYS if a in OPTIONAL and n not in ("prepare_conv2d",)]
)
def test_statistics_and_parameters_of_the_wrong_length(name, argument):
    """hardening: statistics of wrong length, or None."""
    (length,) = CALLS[name][argument].shape
    for wrong in ((length + 1,), (1, length), (0,), ()):
        refused(
            name,
            ValueError,
            rf"{argument} must have shape \({length},\), got {re.escape(str(wrong))}",
            **{argument: np.ones(wrong)},
        )


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        (
            "conv2d",
            {"w": np.ones((4, 2, 3, 3))},
            r"w must have 3 / 1 = 3 input channels.*got w \(4, 2, 3, 3\)",
        ),
        ("conv2d", {"groups": 2}, r"groups must divide the channels, got groups 2, x \(2, 3, 6, 5\)"),
        ("conv2d", {"groups": 3, "w": W[:, :1]}, r"groups must divide.*w \(4, 1, 3, 3\) with 4"),
        ("conv2d", {"w": W[..., 0]}, r"w must have shape .*got \(4, 3, 3\)"),
        ("conv2d", {"w": W[..., :0]}, r"only the batch may be empty.*w \(4, 3, 3, 0\)"),
        ("conv_transpose2d", {"w": W[:3]}, r"w must have 4 input channels.*got w \(3, 3, 3, 3\)"),
        ("conv_transpose2d", {"groups": 3}, "groups must divide the channels, got groups 3"),
    ],
)
def test_rule_26_channels_that_do_not_match(name, changed, message):
    refused(name, ValueError, message, **changed)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("conv2d", {"dilation": 4}, r"input 6 \+ padding 0 \+ 0 = 6 cells, kernel 3 at dilation 4 spans 9"),
        ("avg_pool2d", {"kernel_size": 6}, r"input 5 \+ padding 0 \+ 0 = 5 cells, window 6 .* spans 6"),
        (
            "conv_transpose2d",
            {"padding": 3},
            r"no output is left: input 4, kernel 3, .* padding 3 \+ 3 give size 0",
        ),
        (
            "max_pool1d",
            {"x": X[..., :1, 0], "padding": 1, "dilation": 2},
            "window 0 would hold padding alone",
        ),
    ],
)
def test_rule_1_a_window_that_does_not_fit_shows_the_numbers(name, changed, message):
    """hardening: negative output, window wholly in padding."""
    refused(name, ValueError, message, **changed)


@pytest.mark.parametrize(
    ("option", "bad", "error", "message"),
    [
        ("momentum", -0.1, ValueError, r"momentum must be in \[0, 1\], got -0.1"),
        ("momentum", np.nan, ValueError, r"momentum must be in \[0, 1\], got nan"),
        ("momentum", "0.1", TypeError, "momentum must be a number"),
        ("momentum", None, ValueError, "num_batches_tracked is needed"),
        ("running_mean", None, TypeError, "running_mean must be an array"),
        ("running_var", np.ones(4), ValueError, r"running_var must have shape \(3,\), got \(4,\)"),
        ("running_mean", X[0, :, 0, 0], ValueError, "running_mean shares memory with x"),
        ("running_mean", np.broadcast_to(0.0, 3), ValueError, "running_mean is read-only"),
    ],
)
def test_training_with_statistics_that_it_cannot_update(option, bad, error, message):
    """hardening: statistics of wrong length, or None; aliasing."""
    refused("batch_norm", error, message, training=True, **{option: bad})


SHARED, TABLE = np.ones(3), np.ones((6, 4))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"running_mean": SHARED, "running_var": SHARED[::-1]}, "running_mean and running_var share memory"),
        ({"running_var": SHARED, "bias": SHARED[::-1]}, "running_var shares memory with bias"),
        # a view of x is found behind the copy that x's strides call for
        ({"x": TABLE[:, ::-1][:, :3], "running_mean": TABLE[0, 1:]}, "running_mean shares memory with x"),
    ],
)
def test_running_statistics_that_are_part_of_something_else(changed, message):
    """hardening: aliasing."""
    refused("batch_norm", ValueError, message, training=True, **changed)


def test_running_statistics_that_are_part_of_out():
    """hardening: aliasing."""
    out = np.empty(X.shape)
    refused(
        "batch_norm",
        ValueError,
        "shares memory with out",
        training=True,
        running_mean=out[0, 0, 0, :3],
        out=out,
    )


@pytest.mark.parametrize("kind", [np.array, list, tuple])
def test_data_in_an_option_s_place_is_described_and_not_printed(kind):
    """As in PyTorch's order of arguments, where the indices come earlier."""
    indices = kind(np.arange(200_000).tolist())
    shape = re.escape("array of shape (200000,)") if kind is np.array else f"{kind.__name__} of 200000 items"
    message = f"kernel_size must be an int or a sequence of ints, got an? {shape}"
    with pytest.raises(TypeError, match=f"^{message}$"):
        convkit.max_pool2d(np.ones((1, 8, 8)), indices)
