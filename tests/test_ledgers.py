"""Ledgers: what they list adds up to the kernel's own output, whatever the geometry."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from geometries import geometries, integers, quick, reals
from hypothesis import given, settings
from hypothesis import strategies as st

import convkit
from convkit import explain
from convkit.explain.rendering import figure, latex_number, latex_words

CONV = {1: (explain.conv1d, convkit.conv1d), 2: (explain.conv2d, convkit.conv2d)}
few = settings(quick, max_examples=40)


def exactly(explanation, expected):
    """Check every ledger: equal to the operation's output, without any help from a bound."""
    assert explanation.shape == expected.shape
    for ledger in explanation.ledgers():
        assert ledger.value == expected[ledger.output.index]
        assert ledger.difference == 0


# --- the four ways to one number -----------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2])
def test_ledger_direct_im2col_and_matrix_agree_for_every_padding_mode(rank):
    ledgers, conv = CONV[rank]

    @few
    @given(geometries(rank), st.booleans(), st.booleans())
    def check(drawn, flip, with_bias):
        geometry, mode = drawn
        x, w = integers(*geometry.x), integers(*geometry.w, seed=1)
        b = integers(geometry.w[0], seed=2) if with_bias else None
        options = {**geometry.options, "padding_mode": mode, "flip": flip}
        explanation = ledgers(x, w, b, **options)
        for algorithm in ("direct", "im2col", "matrix"):
            for backend in ("auto", "reference"):
                if algorithm in convkit.algorithms("conv2d", backend):
                    exactly(explanation, conv(x, w, b, **options, algorithm=algorithm, backend=backend))

    check()


@few
@given(geometries(2))
def test_sources_name_the_cells_that_padding_shows(drawn):
    geometry, mode = drawn
    x, w = integers(*geometry.x), integers(*geometry.w, seed=1)
    top, left = (before for before, _ in geometry.options["padding"])
    stride, dilation = geometry.options["stride"], geometry.options["dilation"]
    padded = explain.conv2d(x, w, **geometry.options, padding_mode=mode)
    last = tuple(n - 1 for n in padded.shape)
    for at in ((0,) * len(last), last):
        for row in padded[at].rows:
            _, _, kh, kw = row["tap"].index
            ih = at[-2] * stride[0] + kh * dilation[0] - top
            iw = at[-1] * stride[1] + kw * dilation[1] - left
            came = row["from"]
            inside = 0 <= ih < x.shape[-2] and 0 <= iw < x.shape[-1]
            assert (came.kind == "real") == inside
            assert (came.cell is None) == (not inside and mode == "zeros")
            if came.cell:
                assert x[came.cell.index] == row["value"]


@pytest.mark.parametrize("rank", [1, 2])
def test_transposed_convolutions(rank):
    conv = {1: convkit.conv_transpose1d, 2: convkit.conv_transpose2d}[rank]
    ledgers = {1: explain.conv_transpose1d, 2: explain.conv_transpose2d}[rank]

    @few
    @given(geometries(rank), st.integers(0, 1), st.booleans())
    def check(drawn, extra, flip):
        geometry, mode = drawn
        stride, dilation = geometry.options["stride"], geometry.options["dilation"]
        options = {**geometry.options, "padding_mode": mode, "flip": flip}
        if extra < max(stride[0], dilation[0]) and extra < max(stride[-1], dilation[-1]):
            options["output_padding"] = extra
        x, w = integers(*geometry.y), integers(*geometry.w, seed=1)
        b = integers(geometry.options["groups"] * geometry.w[1], seed=2)
        try:
            expected = conv(x, w, b, **options)
        except ValueError:
            return  # no output is left, or a single cell has no reflection
        exactly(ledgers(x, w, b, **options), expected)

    check()


def test_an_output_that_no_input_reaches_is_its_bias():
    x, w = integers(1, 3), integers(1, 1, 1, seed=1)
    ledger = explain.conv_transpose1d(x, w, np.array([7.0]), stride=3)[0, 1]
    assert ledger.rows == []
    assert ledger.value == 7
    assert "0 products" in str(ledger)


# --- the other operations ------------------------------------------------------------------

windows = st.tuples(
    st.tuples(st.integers(4, 7), st.integers(4, 7)),  # size
    st.tuples(st.integers(1, 3), st.integers(1, 3)),  # window
    st.tuples(st.integers(1, 3), st.integers(1, 3)),  # stride
    st.booleans(),  # padding, of half the window
    st.booleans(),  # ceil mode
)


@few
@given(windows, st.booleans(), st.sampled_from([None, 3, -2]))
def test_average_pooling(drawn, count_include_pad, divisor):
    size, k, s, padded, ceil_mode = drawn
    x, p = integers(2, 2, *size), tuple(padded * n // 2 for n in k)
    options = (k, s, p, ceil_mode, count_include_pad)
    exactly(explain.avg_pool2d(x, *options, divisor), convkit.avg_pool2d(x, *options, divisor))
    if not padded:
        one = x[0, :, 0]
        exactly(explain.avg_pool1d(one, k[1], s[1]), convkit.avg_pool1d(one, k[1], s[1]))


@few
@given(windows, st.integers(1, 2))
def test_max_pooling_and_who_won(drawn, dilation):
    size, k, s, padded, ceil_mode = drawn
    x, p = integers(2, 2, *size), tuple(padded * n // 2 for n in k)
    try:
        y, indices = convkit.max_pool2d(x, k, s, p, dilation, ceil_mode, True)
    except ValueError:
        return  # no window fits
    explanation = explain.max_pool2d(x, k, s, p, dilation, ceil_mode)
    exactly(explanation, y)
    for ledger in explanation.ledgers():
        winner = [row["from"].cell for row in ledger.rows if row["takes over"]][-1]
        assert winner.index[-2] * size[1] + winner.index[-1] == indices[ledger.output.index]


def test_max_pooling_of_nan_and_of_minus_infinity():
    x = np.array([[1.0, np.nan, 3.0, -np.inf, -np.inf, -np.inf]])
    ledger = explain.max_pool1d(x, 3)[0, 0]
    assert np.isnan(ledger.value)
    assert ledger.lines[-1].how == "x[0, 1]"
    assert explain.max_pool1d(x, 3)[0, 1].lines[-1].how == "x[0, 3], the first of equals"


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular", "symmetric"])
@pytest.mark.parametrize("padding", [(2, 1), (3, 0, 1, 2)])
def test_pad(mode, padding):
    x = integers(2, 3, 4)
    exactly(explain.pad(x, padding, mode, 7.0), convkit.pad(x, padding, mode, 7.0))


def test_pad_that_crops():
    x = integers(3, 5)
    exactly(explain.pad(x, (-1, 2, 1, -2)), convkit.pad(x, (-1, 2, 1, -2)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 3, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(dtype, shape, training):
    x = reals(*shape, dtype=dtype) * 3 + 5
    running = reals(3, seed=1, dtype=dtype), np.abs(reals(3, seed=2, dtype=dtype))
    weight, bias = reals(3, seed=3, dtype=dtype), reals(3, seed=4, dtype=dtype)
    before = [v.copy() for v in running]
    explanation = explain.batch_norm(x, *running, weight, bias, training)
    assert all(np.array_equal(v, old) for v, old in zip(running, before, strict=True))
    expected = convkit.batch_norm(x, *running, weight, bias, training)
    for ledger in explanation.ledgers():  # each of which compared itself with the kernel
        assert ledger.kernel == expected[ledger.output.index]
        assert ledger.bound < 1e-3 if dtype == "float32" else ledger.bound < 1e-12


def test_batch_norm_of_a_constant_channel_is_beta():
    ledger = explain.batch_norm(np.full((3, 1), 0.1), training=True, bias=np.array([2.0]))[1, 0]
    assert ledger.value == ledger.kernel == 2.0
    assert [line.value for line in ledger.lines if line.what == "variance"] == [0.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_batch_norm_of_what_is_not_finite(bad):
    ledger = explain.batch_norm(np.array([[1.0], [bad], [2.0]]), training=True)[0, 0]
    assert np.isnan([ledger.value, ledger.kernel]).all()


def test_sums_beyond_the_largest_number_have_no_bound():
    x, w = np.full((1, 4, 4), 3e38, np.float32), np.full((1, 1, 2, 2), 2, np.float32)
    ledger = explain.conv2d(x, w)[0, 0, 0]
    assert ledger.kernel == np.inf
    assert ledger.value == pytest.approx(24e38)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("op", ["dropout", "dropout2d", "dropout_rows"])
def test_dropout(op, p, training):
    x = integers(3, 4, 5, seed=5)
    exactly(
        getattr(explain, op)(x, p, training, seed=9),
        getattr(convkit, op)(x, p, training, seed=9),
    )


def test_dropout_draws_a_seed_and_tells_it():
    explanation = explain.dropout(np.ones(8))
    seed = int(explanation[0].options.rpartition(" ")[2])
    assert np.array_equal(convkit.dropout(np.ones(8), seed=seed), explanation.y)


# --- rounding, and what disagrees ----------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["direct", "im2col", "matrix", "winograd", "fft"])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_real_numbers_agree_within_the_bound_of_the_algorithm(algorithm, mode):
    x, w, b = (reals(*s, seed=i, dtype="float32") for i, s in enumerate([(2, 4, 6, 7), (6, 2, 3, 3), (6,)]))
    explanation = explain.conv2d(x, w, b, 1, 2, groups=2, padding_mode=mode, algorithm=algorithm)
    largest = max(ledger.difference for ledger in explanation.ledgers())
    assert largest < 1e-4
    assert explanation.ran.endswith(algorithm)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_number_that_is_not_finite_goes_where_the_kernel_lets_it(bad):
    x = integers(1, 4, 4)
    x[0, 1, 1] = bad
    for ledger in explain.conv2d(x, integers(1, 1, 2, 2, seed=1)).ledgers():
        assert ledger.value == ledger.kernel or np.isnan([ledger.value, ledger.kernel]).all()
    ledger = explain.conv2d(x, integers(1, 1, 3, 3, seed=1), algorithm="winograd", padding=1)[0, 3, 3]
    assert "no bound" in str(ledger) or ledger.difference == 0


def test_a_kernel_that_is_wrong_is_found_out():
    explanation = explain.conv2d(integers(1, 3, 3), integers(1, 1, 2, 2))
    explanation.y[0, 1, 1] += 1e-9
    with pytest.raises(explain.Mismatch, match=r"y\[0, 1, 1\].*cython, direct.*rounding allows"):
        explanation[0, 1, 1]
    assert explanation[0, 0, 0].difference == 0


def test_the_input_is_let_alone():
    x, w = integers(1, 2, 3, 3), integers(2, 2, 2, 2)
    x.flags.writeable = w.flags.writeable = False
    list(explain.conv2d(x, w).ledgers())


# --- indices -------------------------------------------------------------------------------


def test_negative_indices_count_from_the_end():
    explanation = explain.conv2d(integers(1, 3, 3), integers(2, 1, 2, 2))
    assert explanation[-1, -1, -2].output.index == (1, 1, 0)


@pytest.mark.parametrize("index", [(0, 0), (0, 0, 2), (0, -3, 0), 0, ()])
def test_indices_outside_the_output(index):
    with pytest.raises(IndexError, match=r"conv2d's output has shape \(2, 2, 2\)"):
        explain.conv2d(integers(1, 3, 3), integers(2, 1, 2, 2))[index]


@pytest.mark.parametrize("index", [(0, 0, slice(None)), (0, 0, 1.0), (0, 0, None)])
def test_indices_that_are_no_numbers(index):
    with pytest.raises(TypeError, match="index must be an int"):
        explain.conv2d(integers(1, 3, 3), integers(2, 1, 2, 2))[index]


def test_an_explanation_is_no_sequence():
    with pytest.raises(TypeError, match="not iterable"):
        iter(explain.conv2d(integers(1, 3, 3), integers(2, 1, 2, 2)))


@pytest.mark.parametrize("op", ["conv2d", "avg_pool2d", "pad", "batch_norm", "dropout"])
def test_what_the_operation_refuses_is_refused_in_its_words(op):
    second = {"conv2d": (np.ones((1, 1, 1, 1)),), "avg_pool2d": (2,), "pad": ((1, 1),)}.get(op, ())
    with pytest.raises(TypeError, match="x must be an array of float32 or float64, got dict"):
        getattr(explain, op)({}, *second)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("conv2d", ("x", "w")), ("conv_transpose2d", ("x", "w")), ("avg_pool2d", ("x", 2)),
        ("max_pool2d", ("x", 2)), ("pad", ("x", (1, 1))),
        ("batch_norm", ("x", "v", "v")), ("dropout", ("x",)), ("dropout2d", ("x",)),
    ],
)  # fmt: skip
def test_arrays_of_other_libraries_are_explained_as_well(op, arguments):
    torch = pytest.importorskip("torch")
    tensors = {"x": torch.ones(1, 2, 3, 3), "w": torch.ones(2, 2, 2, 2), "v": torch.ones(2)}
    explanation = getattr(explain, op)(*(tensors[a] if isinstance(a, str) else a for a in arguments))
    assert explanation[(0,) * 4].difference == 0


# --- forms ---------------------------------------------------------------------------------

LEDGERS = {
    "conv2d": lambda: explain.conv2d(
        integers(2, 3, 3), integers(1, 2, 2, 2, seed=1), reals(1), padding=1, padding_mode="circular"
    )[0, 0, 0],
    "avg_pool2d": lambda: explain.avg_pool2d(integers(1, 3, 3), 2, 2, 1, True)[0, 1, 1],
    "max_pool2d": lambda: explain.max_pool2d(integers(1, 3, 3), 2, 2, 1)[0, 0, 0],
    "conv_transpose1d": lambda: explain.conv_transpose1d(
        integers(1, 3), integers(1, 1, 3, seed=1), padding=[(1, 0)], padding_mode="reflect"
    )[0, 1],
    "pad": lambda: explain.pad(integers(3), (1, 1))[0],
    "batch_norm": lambda: explain.batch_norm(reals(3, 2), training=True, weight=reals(2))[0, 1],
    "dropout": lambda: explain.dropout(reals(4), 0.5, seed=2)[3],
}


class Tags(HTMLParser):
    """Checks that what is opened is closed, and collects the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.cells = [], "", 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.cells += tag == "td"
        assert not {"src", "href"} & {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", LEDGERS)
def test_every_form_has_every_number(name):
    ledger = LEDGERS[name]()
    text, latex, html = str(ledger), ledger.to_latex(), Tags(ledger.to_html())
    assert html.open == []
    assert html.cells == sum(map(len, ledger.rows)) + 3 * len(ledger.lines)
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\begin") == latex.count(r"\end")
    numbers = [c for row in ledger.rows for c in row.values() if isinstance(c, float)]
    for number in (*numbers, *(line.value for line in ledger.lines)):
        assert figure(number) in text
        assert figure(number) in html.text
        assert latex_number(figure(number)) in latex
    assert ledger.verdict in text
    assert text == repr(ledger) == "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("name", LEDGERS)
def test_the_dict_is_json_with_all_of_it(name):
    ledger = LEDGERS[name]()
    told = json.loads(json.dumps(ledger.to_dict()))
    assert told["value"] == told["kernel"] == ledger.value
    assert len(told["rows"]) == len(ledger.rows)
    assert tuple(told["output"]) == ledger.output.index
    assert told["rows"][0]["from"].keys() == {"kind", "cell"}


def test_colours_on_a_terminal_leave_the_text_as_it_is():
    from rich.console import Console
    from rich.text import Text

    ledger = LEDGERS["conv2d"]()
    console = Console(width=1000, force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(ledger)
    lines = [line.rstrip() for line in Text.from_ansi(captured.get()).plain.splitlines()]
    assert "\n".join(lines) == str(ledger)
    assert "\x1b[" in captured.get()


def test_a_long_ledger_shows_its_ends():
    ledger = explain.conv2d(integers(40, 3, 3), integers(1, 40, 3, 3, seed=1))[0, 0, 0]
    assert len(ledger.rows) == 360
    text = ledger.to_text(most_rows=5)
    assert "... 355 more ..." in text
    assert text.count("w[0, ") == 5
    assert "355 more" in ledger.to_latex(5)
    assert "355 more" in ledger.to_html(5)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1e-05", "10^{-5}"),
        ("2.5e+20", r"2.5\cdot 10^{20}"),
        ("-inf", r"-\infty"),
        ("nan", r"\mathrm{NaN}"),
        ("7", "7"),
    ],
)
def test_numbers_in_latex(text, want):
    assert latex_number(text) == want


def test_words_in_latex_are_escaped():
    assert latex_words("a_b * 2**32 \\ 5%") == r"a\_b * 2**32 \char`\\  5\%"


def test_pictures_are_imported_only_when_asked_for():
    import subprocess
    import sys

    code = (
        "import sys, convkit; convkit.explain.conv2d; "
        "before = {'matplotlib', 'rich', 'scipy', 'xlsxwriter'} & set(sys.modules); "
        "convkit.explain.pictures.numbers; print(before, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set() True\n"
    with pytest.raises(AttributeError, match="has no attribute 'no_such_thing'"):
        explain.no_such_thing  # noqa: B018


def test_a_number_beyond_the_dtype_is_said_to_be_that():
    x, w = np.full((1, 1, 2), 3e38, np.float32), np.ones((1, 1, 1, 2), np.float32)
    ledger = explain.conv2d(x, w)[0, 0, 0]
    assert (ledger.kernel, ledger.value) == (np.inf, 2 * float(x[0, 0, 0]))
    assert "returned inf: its dtype has no larger numbers." in str(ledger)
    spoilt = explain.conv2d(np.float32([[[np.inf, 1]]]), w)[0, 0, 0]
    assert "returned the same number" in str(spoilt)
