"""The tour: a self-contained page for any image, made of statements that were tested."""

import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import convkit
from convkit.tour import BadImage, StatementFailed, make_tour, read_photo
from convkit.tour.checks import Check, rounding_bound
from convkit.tour.encode import BUDGET, img
from convkit.tour.photo import LONGEST
from convkit.tour.sections import filters

SECTIONS = [
    "image",
    "padding",
    "kernels",
    "one-pixel",
    "matrix",
    "stride",
    "pooling",
    "heatmap",
    "batchnorm",
    "dropout",
    "speed",
]
VOID = {"meta", "img", "br", "link", "input", "hr"}
rng = np.random.default_rng(0)


def noise(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


IMAGES = {
    "grey 1x1.png": lambda: Image.new("L", (1, 1), 128),
    "black 2x1.png": lambda: Image.new("RGB", (2, 1)),
    "rgba.png": lambda: Image.fromarray(noise(40, 30, 4), "RGBA"),
    "palette.png": lambda: Image.fromarray(noise(9, 33, 3)).quantize(16),
    "photo.jpg": lambda: Image.fromarray(noise(64, 50, 3)),
}


class Page(HTMLParser):
    """Collects what a page refers to, and sees that its tags nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.found, self.ids, self.references, self.unnamed = [], set(), [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.found.add(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.references += [
            values[k] for k in ("src", "href", "srcset", "data", "action", "poster") if k in values
        ]
        if (tag == "img" and not values.get("alt")) or (tag == "svg" and not values.get("aria-label")):
            self.unnamed.append(self.get_starttag_text()[:80])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module", params=IMAGES)
def made(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / request.param
    IMAGES[request.param]().save(path)
    return make_tour(path, seconds=0.001)


# --- the page ------------------------------------------------------------------------------


def test_has_every_section_in_order(made):
    assert [s.slug for s in made.sections] == SECTIONS
    assert all(s.checks for s in made.sections)


def test_is_well_formed_and_named(made):
    page = Page(made.html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.unnamed == []


def test_refers_to_nothing_outside(made):
    page = Page(made.html)
    assert {r.split(":")[0].split("#")[0] for r in page.references} <= {"data", ""}
    assert all(r[1:] in page.ids for r in page.references if r.startswith("#"))
    assert not page.found & {"script", "link", "iframe", "object", "embed", "base"}
    assert "@import" not in made.html
    assert set(re.findall(r"url\(['\"]?(.)", made.html)) <= {"#"}
    assert not re.search(r"https?://", made.html)


def test_snippets_run(made):
    snippets = re.findall(r'<pre class="python"><code>(.*?)</code></pre>', made.html, re.S)
    assert len(snippets) == len(SECTIONS)
    for snippet in snippets:
        exec(unescape(snippet), {"np": np, "convkit": convkit, "x": made.photo.x})


def test_shows_each_statement_with_how_it_came_out(made):
    assert len(made.checks) > 40
    for check in made.checks:
        assert check.difference <= check.bound
    items = re.findall(r"<li>.*? <small>(?:exactly equal|largest difference .*?)</small></li>", made.html)
    assert len(items) == len(made.checks)
    assert f"<dt>Statements checked</dt><dd>{len(made.checks)}</dd>" in made.html


def test_answers_the_lecture_notes_with_numbers(made):
    for fact in ("529,984 cells", "6,084 are not zero", "9 free", "turns 28 into 26", "512 numbers"):
        assert fact in made.html


def test_lists_every_kernel_and_why_a_backend_is_missing(made):
    table = made.html[made.html.index('id="speed"') :]
    config = convkit.show_config()
    for backend, state in config["backends"].items():
        if state == "available":
            for algorithm in convkit.backends()["conv2d"].get(backend, ()):
                assert f"<td><code>{backend}</code></td><td><code>{algorithm}</code></td>" in table
        else:
            assert state in unescape(table)


def test_small_images_say_what_they_lack(tmp_path):
    path = tmp_path / "one.png"
    IMAGES["grey 1x1.png"]().save(path)
    html = make_tour(path, seconds=0.001).html
    for need in ("needs at least 2 pixels", "needs 3", "smallest window", "more than one value a channel"):
        assert need in html


def test_noise_stays_below_two_megabytes(tmp_path):
    path = tmp_path / "noise.png"
    Image.fromarray(noise(LONGEST, LONGEST, 3)).save(path)
    assert len(make_tour(path, seconds=0.001).html.encode()) < 2_000_000


def test_name_of_the_file_cannot_become_html(tmp_path):
    path = tmp_path / "<b>&.png"
    Image.new("RGB", (4, 4)).save(path)
    assert "&lt;b&gt;&amp;.png" in make_tour(path, seconds=0.001).html


def test_default_photograph_is_the_one_of_matplotlib():
    it = read_photo()
    assert (it.width, it.height) == (512, 600)
    assert it.x.shape == (3, 600, 512)
    assert it.x.dtype == np.float32


# --- statements ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, 2.0]),
        ([1.0, 2.0 + 1e-12], [1.0, 2.0]),
        ([1.0], [1.0, 1.0]),
        ([[1.0, 1.0]], [1.0, 1.0]),
        ([], []),
    ],
)
def test_a_false_statement_is_not_made(got, expected):
    with pytest.raises(StatementFailed):
        Check.of("they agree", got, expected)


def test_a_bound_of_nan_allows_nothing():
    with pytest.raises(StatementFailed):
        Check.of("they agree", [1.0], [1.0], bound=float("nan"))


def test_a_true_statement_keeps_what_was_found():
    check = Check.of("<b>a</b> &amp; b", [1.0, np.nan], [1.25, np.nan], bound=0.5)
    assert (check.difference, check.bound, check.plain) == (0.25, 0.5, "a & b")


def test_rounding_bound_holds_and_is_not_vast():
    a = np.abs(rng.standard_normal(1000)).astype(np.float32)
    forwards, backwards = (float(np.cumsum(v, dtype=np.float32)[-1]) for v in (a, a[::-1]))
    bound = rounding_bound(1000, float(a.sum(dtype=np.float64)))
    assert abs(forwards - backwards) <= bound < 0.01 * forwards


def test_one_wrong_number_from_a_kernel_ends_the_tour(tmp_path, monkeypatch):
    right = convkit.conv2d

    def wrong(*arguments, **options):
        y = right(*arguments, **options)
        y.ravel()[y.size // 2] += 1.0
        return y

    path = tmp_path / "photo.png"
    Image.fromarray(noise(20, 20, 3)).save(path)
    monkeypatch.setattr(convkit, "conv2d", wrong)
    with pytest.raises(StatementFailed):
        make_tour(path, seconds=0.001)


# --- the filters ---------------------------------------------------------------------------


def test_every_filter_of_the_bank_ignores_a_flat_grey_area():
    assert len(filters.BANK) == len(filters.bank()) == 12
    assert (filters.bank().sum(axis=(1, 2, 3)) == 0).all()


def test_edge_filters_answer_to_the_direction_they_are_named_after():
    rows, columns = np.mgrid[-1:2, -1:2]
    for name, (down, right) in {"edge E": (0, 1), "edge S": (1, 0), "edge NW": (-1, -1)}.items():
        ramp = np.stack([rows * down + columns * right] * 3)[None].astype(np.float32)
        answers = convkit.conv2d(ramp, filters.bank())[0, :8, 0, 0]
        assert filters.BANK[int(answers.argmax())] == name


# --- reading images ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.fromarray(np.full((3, 4), 65535, np.uint16)), (255, 255, 255)),
        (Image.fromarray(np.full((3, 4), 257 * 12, np.uint16)), (12, 12, 12)),
        (Image.new("RGBA", (4, 3), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("RGBA", (4, 3), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("LA", (4, 3), (0, 255)), (0, 0, 0)),
        (Image.new("1", (4, 3), 1), (255, 255, 255)),
        (Image.new("RGB", (4, 3), (1, 2, 3)).quantize(2), (1, 2, 3)),
    ],
)
def test_modes(image, pixel, tmp_path):
    image.save(tmp_path / "image.png")
    it = read_photo(tmp_path / "image.png")
    assert it.pixels.shape == (3, 4, 3)
    assert (it.pixels == pixel).all()


def test_cmyk(tmp_path):
    Image.new("CMYK", (8, 8), (0, 0, 0, 0)).save(tmp_path / "image.jpg")
    it = read_photo(tmp_path / "image.jpg")
    assert (it.pixels == 255).all()
    assert any("CMYK" in note for note in it.notes)


def test_rotation_by_the_camera_is_applied(tmp_path):
    image = Image.new("RGB", (30, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "image.jpg", exif=exif)
    it = read_photo(tmp_path / "image.jpg")
    assert it.pixels.shape == (30, 20, 3)
    assert (it.width, it.height) == (20, 30)
    assert not any("reduced" in note for note in it.notes)


@pytest.mark.parametrize(("size", "used"), [((2000, 1000), (640, 320)), ((3, 5000), (1, 640))])
def test_large_images_are_reduced_and_it_is_said(size, used, tmp_path):
    Image.new("RGB", size, (90, 90, 90)).save(tmp_path / "image.jpg")
    it = read_photo(tmp_path / "image.jpg")
    assert it.pixels.shape == (used[1], used[0], 3)
    assert any(f"{size[0]:,} × {size[1]:,}" in note for note in it.notes)


def test_formats_that_start_other_programs_are_not_read(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "image.eps")
    with pytest.raises(BadImage, match="it is not a PNG, JPEG, WEBP, GIF or BMP"):
        read_photo(tmp_path / "image.eps")


def test_pictures_keep_to_their_budget():
    data = re.search(r"base64,([^\"]*)", img(noise(900, 900, 3), "noise"))[1]
    assert len(data) * 3 / 4 <= BUDGET + 2


def test_a_small_picture_is_exact(tmp_path):
    import base64
    import io

    pixels = noise(5, 7, 3)
    html = img(pixels, "small")
    data = base64.b64decode(re.search(r"base64,([^\"]*)", html)[1])
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == pixels).all()
    assert 'class="hard"' in html
