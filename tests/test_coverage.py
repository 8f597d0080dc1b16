"""Coverage and receptive fields: counts that agree with the operator's matrix and with gradients."""

import json
import sys

import numpy as np
import pytest
from comparator import assert_equal
from geometries import geometries, integers, quick
from hypothesis import given, settings
from hypothesis import strategies as st

import convkit
from convkit import explain, layers

few = settings(quick, max_examples=40)


def covered(geometry, mode):
    options = {name: geometry.options[name] for name in ("stride", "padding", "dilation")}
    return explain.coverage(geometry.x[-2:], geometry.w[-2:], **options, padding_mode=mode)


# --- coverage ------------------------------------------------------------------------------


@few
@given(geometries(2))
def test_counts_are_those_of_the_operator_s_matrix(drawn):
    geometry, mode = drawn
    found = covered(geometry, mode)
    options = {**geometry.options, "groups": 1, "padding_mode": mode}
    A = convkit.convolution_operator(np.ones((1, 1, *geometry.w[-2:])), (1, *geometry.x[-2:]), **options)
    matrix = A.matrix.toarray()
    assert_equal(found.reads.astype(float), matrix.sum(axis=0).reshape(found.size))
    assert_equal(found.outputs, (matrix != 0).sum(axis=0).reshape(found.size))
    assert A.output_shape == (1, *found.output_size)
    unused = np.zeros(found.size, bool)
    unused[found.unused_rows] = True
    unused[:, found.unused_columns] = True
    assert_equal(found.no_gradient, unused)


@few
@given(geometries(2))
def test_padding_share_is_the_share_of_ledger_rows_from_padding(drawn):
    geometry, mode = drawn
    found = covered(geometry, mode)
    options = {name: geometry.options[name] for name in ("stride", "padding", "dilation")}
    image, ones = np.ones((1, *found.size)), np.ones((1, 1, *found.kernel_size))
    explanation = explain.conv2d(image, ones, **options, padding_mode=mode)
    for ledger in explanation.ledgers():
        kinds = [row["from"].kind for row in ledger.rows]
        share = 1 - kinds.count("real") / len(kinds)
        assert found.padding_share[ledger.output.index[1:]] == share


def test_a_stride_that_skips_columns_and_an_end_that_no_window_reaches():
    found = explain.coverage((4, 8), (4, 2), stride=(1, 3))
    assert found.output_size == (1, 3)
    assert found.unused_columns == [2, 5]
    assert found.left_over == (0, 0)
    assert explain.coverage(8, 3, 2).left_over == (1, 1)
    assert "No output uses row 7 and column 7." in str(explain.coverage(8, 3, 2))
    assert "No output uses columns 2, 5. 8 of 32 pixels get no gradient." in str(found)


def test_a_corner_is_used_once_and_the_middle_nine_times():
    found = explain.coverage(7, 3)
    assert (found.outputs[0, 0], found.outputs[3, 3], found.outputs.sum()) == (1, 9, 9 * 25)
    assert not found.padding_share.any()


def test_reflection_reads_a_pixel_more_often_than_outputs_use_it():
    found = explain.coverage((1, 3), (1, 3), padding=(0, 1), padding_mode="reflect")
    assert_equal(found.reads, np.array([[2, 5, 2]]))
    assert_equal(found.outputs, np.array([[2, 3, 2]]))


def test_a_large_image_is_told_in_runs():
    text = str(explain.coverage((28, 224), 3))
    assert "its row's count     1, 2, 3 (24 times), 2, 1" in text
    assert "its column's count  1, 2, 3 (220 times), 2, 1" in text
    alternating = str(explain.coverage(64, 3, 2, 1))
    assert ", ..., " in alternating
    assert max(map(len, alternating.splitlines())) < 120


def test_coverage_as_a_dict_is_json():
    told = json.loads(json.dumps(explain.coverage(6, 3, 2, "same", padding_mode="circular").to_dict()))
    assert told["padding"] == [[0, 1], [0, 1]]
    assert told["pixels_without_gradient"] == 0
    assert np.array(told["outputs"]).shape == (6, 6)


def test_counts_that_the_kernels_do_not_come_to(monkeypatch):
    module = sys.modules["convkit.explain.coverage"]
    real = module.conv2d
    monkeypatch.setattr(module, "conv2d", lambda *a, **k: real(*a, **k) + 1)
    with pytest.raises(explain.Mismatch, match="other pixels"):
        explain.coverage(5, 3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, 3), "size must be at least 1"),
        ((5, 0), "kernel_size must be at least 1"),
        ((5, 7), "the window does not fit"),
        (((5, 5, 5), 3), "size must be an int or 2 ints"),
        ((5, 3, 1, "some"), "padding must be"),
    ],
)
def test_coverage_refuses(arguments, error):
    with pytest.raises(ValueError, match=error):
        explain.coverage(*arguments)


# --- receptive fields ----------------------------------------------------------------------


def test_a_whole_network_ends_its_field_at_flatten():
    body = [layers.Conv2d(1, 4, 3), layers.BatchNorm2d(4), layers.ReLU(), layers.AvgPool2d(2)]
    head = [layers.Flatten(), layers.Dropout(), layers.Linear(36, 10)]
    found = explain.receptive_field(layers.Sequential(*body, *head), 8)
    alone = explain.receptive_field(body, 8)
    assert (
        (found.size, found.rows, found.windows)
        == (alone.size, alone.rows, alone.windows)
        == (
            (4, 4),
            alone.rows,
            alone.windows,
        )
    )
    assert alone.ends == ()
    assert found.ends == (
        "Behind layer 4 (Flatten) each number has no rows and columns any more.",
        "Behind layer 6 (Linear) each number sees the whole image.",
    )
    assert str(found).endswith("\n".join(found.ends))
    np.testing.assert_array_equal(found.paths(1, 1), alone.paths(1, 1))


windows = st.fixed_dictionaries(
    {"kernel_size": st.tuples(st.integers(1, 3), st.integers(1, 3))},
    optional={
        "stride": st.integers(1, 2),
        "padding": st.one_of(st.integers(0, 2), st.just(((0, 1), (2, 0)))),
        "dilation": st.integers(1, 2),
    },
)


@few
@given(st.lists(windows, min_size=1, max_size=3))
def test_fields_are_where_a_pixel_changes_an_output(described):
    field = explain.receptive_field(described, (30, 31))
    shape = field.rows[-1].outputs, field.columns[-1].outputs
    weights = [np.ones((1, 1, *layer["kernel_size"])) for layer in described]
    options = [{k: v for k, v in layer.items() if k != "kernel_size"} for layer in described]

    def network(x):
        for w, o in zip(weights, options, strict=True):
            x = convkit.conv2d(x, w, **o)
        return x

    assert network(np.ones((1, 30, 31))).shape == (1, *shape)
    for at in {(0, 0), (shape[0] - 1, shape[1] // 2)}:
        paths = field.paths(*at)  # which compares itself with the field
        rows, columns = field.cells(*at)
        moved = integers(1, 30, 31)
        moved[0, rows.start : rows.stop, columns.start : columns.stop] = 0
        assert network(moved)[0, at[0], at[1]] == 0
        x = integers(1, 30, 31, seed=1)
        assert network(x)[0, at[0], at[1]] == np.sum(paths * x)


def test_layers_of_a_network_say_what_they_are():
    network = layers.Sequential(
        layers.Conv2d(1, 4, 5, stride=2, padding=2),
        layers.BatchNorm2d(4),
        layers.ReLU(),
        layers.Sequential(layers.Conv2d(4, 4, 3, padding="same"), layers.ReLU()),
        layers.AvgPool2d(2),
    )
    described = [
        {"kernel_size": 5, "stride": 2, "padding": 2},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 2, "stride": 2},
    ]
    found = explain.receptive_field(network, 16)
    assert found == explain.receptive_field(described, 16)
    assert found.size == (11, 11)
    assert found.jump == (4, 4)
    y = network(np.ones((1, 1, 16, 16), np.float32))
    assert y.shape[2:] == (found.rows[-1].outputs, found.columns[-1].outputs)


def test_layers_of_torch_say_what_they_are():
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3, 2, 1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    described = [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "stride": 2}]
    assert explain.receptive_field(net, 12) == explain.receptive_field(described, 12)


def test_same_padding_with_a_stride_needs_the_size():
    layer = {"kernel_size": 3, "stride": 2, "padding": "same"}
    assert explain.receptive_field([layer], 7).rows[-1].start == -1
    assert explain.receptive_field([layer], 8).rows[-1].start == 0
    with pytest.raises(ValueError, match="input_size is needed"):
        explain.receptive_field([layer])


@pytest.mark.parametrize(
    ("network", "error"),
    [
        ([{"stride": 2}], r"layer 0 \(a dict\) has no kernel_size"),
        ([{"kernel_size": 3}, {"kernel_size": 3, "strides": 2}], "layer 1 may have kernel_size"),
        (["conv"], r"layer 0 \(str\) has no kernel_size"),
        (
            [layers.Flatten(), layers.Conv2d(1, 1, 3)],
            r"layer 1 \(Conv2d\) has a window, but stands behind Flatten",
        ),
        ([layers.AvgPool2d(2, ceil_mode=True)], "in ceil mode"),
        ([{"kernel_size": 9}], "the window does not fit"),
    ],
)
def test_what_has_no_field(network, error):
    with pytest.raises(ValueError, match=error):
        explain.receptive_field(network, 6)


def test_outputs_that_are_not_there():
    field = explain.receptive_field([{"kernel_size": 3}], 5)
    with pytest.raises(ValueError, match="ow must be below 3, the outputs of that axis, got 3"):
        field.cells(0, 3)
    with pytest.raises(ValueError, match="oh must be at least 0, got -1"):
        field.paths(-1, 0)
    with pytest.raises(ValueError, match="input_size is needed"):
        explain.receptive_field([{"kernel_size": 3}]).paths(0, 0)


def test_an_output_in_the_padding_sees_nothing():
    field = explain.receptive_field([{"kernel_size": 1, "padding": 3}], 4)
    assert [len(cells) for cells in field.cells(0, 9)] == [0, 0]
    assert not field.paths(0, 9).any()
    with pytest.raises(ValueError, match="sees nothing"):
        field.overlay(np.ones((4, 4)), 0, 9)
    with pytest.raises(ValueError, match="sees nothing of the image, only padding"):
        explain.pictures.receptive_field(field, 0, 9)


# --- the overlay ---------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [True, False])
def test_the_overlay_keeps_what_is_seen_and_dims_the_rest(colour):
    field = explain.receptive_field([{"kernel_size": 5}], 12)
    image = np.full((12, 12, 3) if colour else (12, 12), 200, np.uint8)
    before = image.copy()
    picture = field.overlay(image, 3, 4)
    assert picture.shape == (12, 12, 3)
    assert picture.dtype == np.uint8
    assert (picture[3:8, 4:9] == 200).all()
    assert set(np.unique(picture[1:10, 2:11])) == {0, 200, 255}  # the frame is black and white
    assert (picture[0] == 70).all()
    assert_equal(image, before)


def test_the_overlay_of_real_numbers_spreads_them():
    picture = explain.receptive_field([{"kernel_size": 3}]).overlay(np.arange(25.0).reshape(5, 5), 1, 1)
    assert picture[2, 2, 0] == round(255 * 12 / 24)


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.ones(5), "image must have shape"),
        (np.ones((5, 5, 2)), "image must have shape"),
        (np.ones((5, 6)), r"image must have \(5, 5\) pixels, got \(5, 6\)"),
    ],
)
def test_images_without_an_overlay(image, error):
    with pytest.raises(ValueError, match=error):
        explain.receptive_field([{"kernel_size": 3}], 5).overlay(image, 0, 0)


# --- pictures ------------------------------------------------------------------------------


def test_the_picture_of_coverage_has_every_count_and_crosses_out_what_is_unused():
    from matplotlib.colors import to_hex

    found = explain.coverage(8, 3, 2, padding=((1, 0), (0, 0)))
    left, right = explain.pictures.coverage(found).axes
    assert [text.get_text() for text in left.texts] == [str(v) for v in found.outputs.ravel()]
    assert [text.get_text() for text in right.texts] == [
        f"{100 * v:.0f}" for v in found.padding_share.ravel()
    ]
    crosses = left.collections[0].get_segments()
    assert {(int(y), int(x)) for (x, y), _ in crosses[::2]} == set(map(tuple, np.argwhere(found.no_gradient)))
    assert to_hex(left.collections[0].get_colors()[0]) == explain.style.LINES[1]


def test_the_picture_of_a_large_coverage_is_an_image_of_it():
    found = explain.coverage((40, 30), 5, 3)
    figure = explain.pictures.coverage(found)
    assert_equal(np.asarray(figure.axes[0].images[0].get_array()), found.outputs)
    assert len(figure.axes[0].texts) == 0


@pytest.mark.parametrize("photo", [None, np.full((20, 24), 200, np.uint8)])
def test_the_picture_of_a_field_nests_the_fields_of_its_layers(photo):
    field = explain.receptive_field([{"kernel_size": 3}, {"kernel_size": (3, 5), "stride": 2}], (20, 24))
    left, right = explain.pictures.receptive_field(field, 2, 3, photo).axes
    assert [(p.get_height(), p.get_width()) for p in left.patches] == [(3, 3), (5, 7)]
    rows, columns = field.cells(2, 3)
    assert left.patches[-1].get_bbox().extents.tolist() == [
        columns.start,
        rows.start,
        columns.stop,
        rows.stop,
    ]
    seen = np.asarray(right.images[0].get_array())
    assert seen.shape == (5, 7)
    assert len(left.images) == (photo is not None)
