"""Films of sliding windows, galleries, and pictures of normalisation: they show what the kernels return."""

import re

import numpy as np
import pytest
from comparator import assert_close
from PIL import Image

import convkit
from convkit.explain import pictures


def shown(ax):
    """Return the numbers in a grid of cells."""
    return [float(text.get_text()) for text in ax.texts]


@pytest.mark.parametrize("mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), ((1, 2), (2, 1), (2, 1))])
def test_sliding_ends_on_the_convolution(mode, stride, padding, dilation):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (6, 5)).astype(float), rng.integers(-2, 3, (3, 2)).astype(float)
    film = pictures.sliding(x, w, stride, padding, dilation, padding_mode=mode)
    y = convkit.conv2d(x[None], w[None, None], None, stride, padding, dilation, padding_mode=mode)[0]
    assert len(film) == y.size
    _, kernel, result = film.figure(-1).axes
    assert shown(kernel) == list(w.ravel())
    assert shown(result) == list(y.ravel())
    assert film.describe(len(film) - 1).endswith(f"= {y[-1, -1]:g}")
    assert len(film.figure(0).axes[2].texts) == 1  # only the first output is known yet


def test_sliding_frames_the_cells_that_the_window_reads():
    film = pictures.sliding(np.arange(25.0).reshape(5, 5), np.ones((2, 2)), 1, 0, 2)
    framed = [p.get_xy() for p in film.figure(4).axes[0].patches if not p.get_fill()]
    assert framed[1:] == [(1, 1), (3, 1), (1, 3), (3, 3)]  # (column, row); the first frame is that of x


@pytest.mark.parametrize(("stride", "padding", "more"), [(1, 0, 0), (2, 1, 1), (3, 1, 0)])
def test_transposed_ends_on_the_transposed_convolution(stride, padding, more):
    rng = np.random.default_rng(0)
    x, w = rng.integers(-4, 5, (2, 3)).astype(float), rng.integers(-2, 3, (3, 3)).astype(float)
    film = pictures.sliding_transposed(x, w, stride, padding, more)
    y = convkit.conv_transpose2d(x[None], w[None, None], None, stride, padding, more)[0]
    assert len(film) == x.size
    assert shown(film.figure(-1).axes[2]) == list(y.ravel())


def test_a_film_that_disagrees_with_the_kernel_is_refused(monkeypatch):
    from convkit.explain.pictures import animation

    monkeypatch.setattr(animation, "conv2d", lambda *a, **k: 2 * convkit.conv2d(*a, **k))
    with pytest.raises(AssertionError, match="the kernel returns"):
        pictures.sliding(np.ones((3, 3)), np.ones((2, 2)))


def test_film_as_gif_and_as_page(tmp_path):
    film = pictures.sliding(np.eye(3), np.ones((2, 2)))
    with Image.open(film.save_gif(tmp_path / "film.gif", seconds=0.2, dpi=40)) as gif:
        assert gif.n_frames == 4
        assert gif.info["duration"] == 200
    page = film.save_html(tmp_path / "film.html", dpi=40).read_text()
    assert page.count("<img ") == 4
    assert page.count(" hidden>") == 3
    assert "y[1, 1] = 1 + 0 + 0 + 1 = 2" in page
    assert not re.search(r"https?://|src=\"(?!data:)", page)
    assert film._repr_html_().count("<img ") == 4


def test_films_have_an_end():
    with pytest.raises(ValueError, match="at most 400 frames, got 2500"):
        pictures.sliding(np.ones((50, 50)), np.ones((1, 1)))
    with pytest.raises(IndexError, match="frame must be from -1 to 0, got 1"):
        pictures.sliding(np.ones((1, 1)), np.ones((1, 1))).figure(1)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular", "symmetric"])
def test_padded_shows_pad_and_its_sources(mode):
    x = np.arange(1.0, 7).reshape(2, 3)
    ax = pictures.padded(x, (1, 2), mode)
    labels = [text.get_text() for text in ax.texts]
    numbers = [float(t) for t in labels if not t.startswith("(") and t != "padding"]
    y = convkit.pad(x, (2, 2, 1, 1), mode)
    assert numbers == list(y.ravel())
    sources = [tuple(map(int, t[1:-1].split(","))) for t in labels if t.startswith("(")]
    border = np.ones(y.shape, bool)
    border[1:-1, 2:-2] = False
    if mode == "constant":
        assert labels.count("padding") == border.sum()
    else:
        assert [x[s] for s in sources] == list(y[border])


def test_gallery_colours_differences_and_keeps_brightness_grey():
    image = np.add.outer(np.arange(6.0), np.arange(8.0))
    figure = pictures.gallery(
        image, {"blur": np.full((3, 3), 1 / 9), "edge": np.array([[-1.0, 0, 1]])}, columns=2
    )
    shown = {ax.get_title(): ax.get_images()[0].get_array() for ax in figure.axes if ax.get_images()}
    assert set(shown) == {"image", "blur", "edge"}
    assert np.ptp(shown["blur"].astype(int), axis=2).max() == 0
    assert np.ptp(shown["edge"].astype(int), axis=2).max() > 0


def test_masks_are_those_of_the_functions():
    figure = pictures.masks((3, 2, 2), p=0.5, seed=5)
    crossed = len(figure.axes[0].collections[0].get_segments()) // 2
    assert crossed == (convkit.dropout(np.ones((3, 2, 2), np.float32), 0.5, seed=5) == 0).sum()


def test_running_averages_are_batch_norms():
    batches = [np.full((4, 1), v) + np.array([[-1.0], [1], [-1], [1]]) for v in (10.0, 20.0)]
    mean, variance = pictures.running_averages(batches).axes
    assert_close(mean.lines[1].get_ydata(), np.array([0, 1, 2.9]), 1e-12)
    assert_close(mean.lines[0].get_ydata(), np.array([10.0, 20.0]), 0)
    assert_close(
        variance.lines[1].get_ydata(), np.array([1, 0.9 + 0.4 / 3, 0.81 + 0.36 / 3 + 0.4 / 3]), 1e-12
    )


def test_before_after_tells_four_channels_apart_at_most():
    with pytest.raises(ValueError, match=r"at most four channels .* got 5"):
        pictures.before_after(np.ones((2, 5)))
