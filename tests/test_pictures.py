"""Pictures: the right pixels and marks, readable colours, and nothing global touched."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import convkit
from convkit.explain import pictures, style


def contrast(a, b):
    """Return the contrast ratio of two colours, as WCAG defines it."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


# --- the style -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0])
def test_numbers_can_be_read_on_every_shade(value):
    colour = style.shade(value, 1.0)
    assert contrast(colour, style.text_on(colour)) >= 4.5


@pytest.mark.parametrize("colour", style.COLOURS)
def test_letters_can_be_read_on_every_weight(colour):
    assert contrast(colour, style.text_on(colour)) >= 4.5


@pytest.mark.parametrize("paper", ["#ffffff", "#000000"])
def test_ink_can_be_read_on_white_and_on_black(paper):
    assert contrast(style.INK, paper) >= 4.5


@pytest.mark.parametrize("colour", style.LINES)
@pytest.mark.parametrize("paper", ["#ffffff", "#1b1f25"])
def test_lines_can_be_seen_on_light_and_dark_paper(colour, paper):
    assert contrast(colour, paper) >= 3.0


def test_shade_of_nothing_is_neutral():
    assert style.shade(0.0, 0.0) == style.shade(0.0, 5.0)


# --- pixels --------------------------------------------------------------------------------


def test_signed_colours_are_neutral_at_zero_and_the_same_for_the_same_size():
    image = pictures.signed(np.array([[-2.0, 0.0, 2.0]]))
    blue, neutral, red = image[0].astype(int)
    assert np.ptp(neutral) <= 8  # nearly white: hardly any colour
    assert blue[2] > blue[0]
    assert red[0] > red[2]


def test_signed_takes_all_zeros():
    assert np.unique(pictures.signed(np.zeros((2, 3))).reshape(-1, 3), axis=0).shape == (1, 3)


def test_grey_runs_from_black_to_white():
    assert pictures.grey(np.array([[0.0, 255.0, 300.0]]), 0, 255)[0, :, 0].tolist() == [0, 255, 255]


def test_outline_keeps_the_inside():
    image = np.full((20, 20, 3), 7, dtype=np.uint8)
    framed = pictures.outlined(image, 5, 6, 4, 3, line=1)
    inside = np.zeros((20, 20), dtype=bool)
    inside[5:9, 6:9] = True
    assert (framed[inside] == 7).all()
    assert (framed[4, 6:9] == 255).all()
    assert (framed[3, 6:9] == 0).all()
    assert (image == 7).all()


def test_overlay_glows_where_the_plane_is_large():
    image = np.full((8, 8, 3), 100, dtype=np.uint8)
    result = pictures.overlay(image, np.array([[0.0, 1.0], [0.0, 0.0]])).astype(int)
    assert result.shape == image.shape
    assert result[0, 7].sum() > result[0, 0].sum()
    assert (result[:4, 4:] == result[0, 7]).all()  # one number, one block


# --- drawings ------------------------------------------------------------------------------


def weight_colours(ax):
    """List the colours of a drawing's cells that stand for weights."""
    return [c for p in ax.patches if (c := p.get_facecolor()) in [(*to_rgb(k), 1.0) for k in style.COLOURS]]


def test_small_operator_has_a_cell_for_each_nonzero_in_its_weights_colour():
    A = convkit.convolution_operator(np.ones((1, 1, 3, 3)), (1, 5, 5))
    ax = pictures.operator(A.row, A.column, A.tie, A.shape)
    assert len(weight_colours(ax)) == A.nonzeros
    assert sorted({t.get_text() for t in ax.texts}) == list("abcdefghi")
    for row, column, tie, text in zip(A.row, A.column, A.tie, ax.texts, strict=True):
        assert text.get_text() == chr(ord("a") + tie)
        assert np.allclose(text.get_position(), (column + 0.5, row + 0.53))


def test_large_operator_is_drawn_by_lines_that_cover_each_nonzero_once():
    A = convkit.convolution_operator(np.ones((1, 1, 3, 3)), (1, 28, 28))
    ax = pictures.operator(A.row, A.column, A.tie, A.shape)
    covered = set()
    for lines in ax.collections:
        for (x0, y0), (x1, y1) in lines.get_segments():
            assert x1 - x0 == y1 - y0
            covered.update((int(y0) + i, int(x0) + i) for i in range(round(y1 - y0)))
    assert covered == set(zip(A.row.tolist(), A.column.tolist(), strict=True))
    assert sum(len(lines.get_segments()) for lines in ax.collections) == 9 * 26


def test_columns_shows_every_number():
    cols = convkit.im2col(np.arange(16.0).reshape(1, 4, 4), 3)
    ax = pictures.columns(cols)
    shown = [t.get_text() for t in ax.texts]
    assert shown[: cols.size] == [f"{v:g}" for v in cols.ravel()]
    assert shown[cols.size :] == list("abcdefghi")


def test_mask_crosses_out_what_is_dropped():
    kept = np.array([[True, False, True], [False, False, True]])
    ax = pictures.mask(kept)
    assert len(ax.collections[0].get_segments()) == 2 * 3  # two strokes a cross


def test_windows_marks_the_cell_that_no_window_reads():
    ax = pictures.windows([[0, 1, 2], [2, 3, 4]], 6)
    colours = [patch.get_facecolor() for patch in ax.patches]
    assert len(colours) == 6
    assert colours[5] not in colours[:5]


def test_running_sum_ends_at_the_sum():
    products = np.array([[1.0, -2.0, 4.0], [0.5, 0.5, -1.0]])
    ax = pictures.running_sum(products, ["red", "green"])
    bars = ax.patches
    ends = [bar.get_y() + bar.get_height() for bar in bars]
    assert ends == np.cumsum(products).tolist()


def test_histogram_shares_are_of_all_values():
    ax = pictures.histogram({"a": np.linspace(0, 1, 1000), "b": np.linspace(0.5, 1, 500)}, bins=10)
    a, b = (patch.get_data().values.sum() for patch in ax.patches)
    assert 0.95 < a <= 1.0
    assert 0.95 < b <= 1.0


def test_curves_start_at_zero_and_dots_at_one():
    ax = pictures.lines({"m": np.array([0.0, 1.0, 2.0])}, dots=np.array([5.0, 6.0]), dots_name="batch")
    dots, curve = ax.get_lines()
    assert dots.get_xdata().tolist() == [1, 2]
    assert curve.get_xdata().tolist() == [0, 1, 2]


def wide_drawings():
    numbers = np.random.default_rng(0).normal(0, 5e4, (3, 4)) * 1.0001
    film = pictures.sliding(numbers.repeat(4, axis=1) / 3e5, np.full((2, 2), 1 / 9), padding=1)
    return {
        "numbers": pictures.numbers(numbers),
        "columns": pictures.columns(numbers / 1e6),
        "film": film.figure(-1),
    }


@pytest.mark.parametrize("name", ["numbers", "columns", "film"])
def test_numbers_stay_inside_their_cells(name):
    drawing = wide_drawings()[name]
    figure = drawing.get_figure(root=True)
    figure.draw_without_rendering()
    for ax in figure.axes:
        cells = [patch.get_window_extent() for patch in ax.patches if patch.get_facecolor()[3]]
        for text in ax.texts:
            box = text.get_window_extent()
            middle = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            assert any(c.contains(*middle) and c.width >= box.width for c in cells), text.get_text()


def test_as_many_ways_to_every_pixel_are_as_bright_everywhere():
    field = convkit.explain.receptive_field([{"kernel_size": 3}], 8)
    image = pictures.receptive_field(field, 2, 2).axes[1].images[0]
    assert image.get_array().min() == image.norm.vmax == 1
    assert image.norm.vmin == 0


def test_bars_say_their_numbers():
    ax = pictures.bars(np.array([1.5, 0.25]), ["one", "two"])
    assert [t.get_text() for t in ax.texts] == ["1.5", "0.25"]


def test_numbers_takes_the_axes_it_is_given():
    ax = style.new_axes()
    assert pictures.numbers(np.array([[1.0, -1.0]]), ax) is ax


def test_nothing_global_changes():
    before = dict(mpl.rcParams)
    pictures.bars(np.array([1.0]), ["one"]).figure.savefig("/dev/null", format="svg")
    assert dict(mpl.rcParams) == before


def test_pyplot_is_not_imported():
    code = (
        "import sys, numpy as np; from convkit.explain import pictures; pictures.numbers(np.ones((2, 2))); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- numbers of any size -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (-0.5, "-0.5"), (12345.0, "12345"), (0.123456, "0.12"), (-7.6543, "-7.7"), (158.25, "158")],
)
def test_a_cell_s_number_is_short_and_whole_numbers_are_whole(value, text):
    (label,) = pictures.numbers(np.array([[value]])).texts
    assert label.get_text() == text


def test_columns_of_signed_numbers_have_colours_for_both_signs():
    def colours(values):
        patches = pictures.columns(np.array(values)).patches
        return [np.array(patch.get_facecolor()[:3]) for patch in patches[: np.size(values)]]

    minus, zero, plus = colours([[-2.0, 0.0, 2.0]])
    assert minus[2] > minus[0], "blue below zero"
    assert plus[0] > plus[2], "red above"
    assert np.ptp(zero) < 0.05
    assert all(one[2] >= one[0] - 0.05 for one in colours([[0.0, 1.0, 2.0]])), "blues from zero upwards"


def test_a_result_beyond_the_image_s_greys_has_colours():
    image = np.random.default_rng(0).random((12, 12))
    kernels = {"half": np.array([[0.5]]), "minus": np.array([[-1.0]]), "three": np.array([[3.0]])}
    grey = {
        ax.get_title(): bool(np.ptp(ax.images[0].get_array(), axis=2).max() == 0)
        for ax in pictures.gallery(image, kernels).axes
        if ax.images
    }
    assert grey == {"image": True, "half": True, "minus": False, "three": False}


def test_running_averages_are_of_one_channel():
    with pytest.raises(ValueError, match="one channel"):
        pictures.running_averages([np.zeros((4, 3))])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: pictures.numbers(np.zeros((2, 2, 2))), r"values must have shape \(H, W\).*\(2, 2, 2\)"),
        (lambda: pictures.numbers(np.zeros((0, 2))), r"values must have shape .*\(0, 2\)"),
        (lambda: pictures.columns(np.zeros(3)), r"values must have shape .*\(3,\)"),
        (lambda: pictures.mask(np.zeros(3)), r"kept must have shape .*\(3,\)"),
        (lambda: pictures.padded(np.zeros(3), 1), r"x must have shape .*\(3,\)"),
        (lambda: pictures.gallery(np.zeros((2, 2, 3)), {}), r"image must have shape .*\(2, 2, 3\)"),
        (lambda: pictures.gallery(np.eye(4), {"a": np.zeros(3)}), r"kernels\['a'\] must have .*\(3,\)"),
        (lambda: pictures.masks((2, 3)), r"shape must be an int or 3 ints, got \(2, 3\)"),
        (lambda: pictures.before_after(np.zeros(3)), r"x must have shape \(N, C\).*\(3,\)"),
        (lambda: pictures.running_averages([]), "batches must not be empty"),
    ],
)
def test_wrong_shapes_are_named(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
