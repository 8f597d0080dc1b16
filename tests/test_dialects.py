"""Dialects: each system's call, run by the system where it is installed, gives our kernel's numbers."""

import json

import numpy as np
import pytest
from comparator import assert_close, assert_equal
from geometries import geometries, integers, quick
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

import convkit
from convkit import explain
from convkit.explain.systems import CONVENTIONS, same_paddings

GEOMETRIES = {
    "valid": {"size": (6, 7), "kernel_size": (3, 2)},
    "one each side": {"size": 7, "kernel_size": 3, "padding": 1, "stride": 2},
    "same": {"size": (8, 9), "kernel_size": (3, 4), "padding": "same", "stride": (2, 3)},
    "uneven": {"size": (7, 8), "kernel_size": (3, 2), "padding": ((2, 0), (1, 3)), "stride": (1, 2)},
    "dilated": {"size": (9, 9), "kernel_size": (3, 2), "padding": 2, "dilation": (2, 3)},
    **{
        mode: {
            "size": (7, 6),
            "kernel_size": 3,
            "padding": ((2, 1), (1, 3)),
            "stride": 2,
            "padding_mode": mode,
        }
        for mode in ("reflect", "replicate", "circular", "symmetric")
    },
}


@pytest.fixture(params=GEOMETRIES)
def case(request):
    """A geometry, its dialects, and an image, a kernel and a bias with our output, one channel each."""
    options = GEOMETRIES[request.param]
    found = explain.dialects(**options)
    g = found.geometry
    x, w = integers(*g.size), integers(*g.kernel_size, seed=1)
    window = g.stride, g.padding, g.dilation
    y = convkit.conv2d(x[None], w[None, None], np.array([5.0]), *window, padding_mode=g.padding_mode)[0]
    return found, x, w, y


def said(statement):
    """Return the statement's call, or skip where the system has none."""
    if statement.call is None:
        assert statement.note
        pytest.skip(f"{statement.system}: {statement.note}")
    return statement.call


# --- the calls, run ------------------------------------------------------------------------


def test_scipy_says_the_same(case):
    found, x, w, y = case
    names = {"np": np, "signal": signal, "x": x, "w": w, "b": 5.0}
    assert_equal(eval(said(found["SciPy"]), names), y)


def test_opencv_says_the_same(case):
    cv2 = pytest.importorskip("cv2")
    found, x, w, y = case
    assert_equal(eval(said(found["OpenCV"]), {"np": np, "cv2": cv2, "x": x, "w": w, "b": 5.0}), y)


def test_torch_says_the_same(case):
    torch = pytest.importorskip("torch")
    found, x, w, y = case
    names = {"F": torch.nn.functional, "x": torch.tensor(x)[None, None], "w": torch.tensor(w)[None, None]}
    got = eval(said(found["PyTorch"]), names | {"b": torch.tensor([5.0], dtype=torch.float64)})
    assert_equal(got[0, 0].numpy(), y)


def test_tensorflow_says_the_same(case):
    tf = pytest.importorskip("tensorflow")
    found, x, w, y = case
    names = {"tf": tf, "x": tf.constant(x[None, :, :, None]), "w": tf.constant(w[:, :, None, None]), "b": 5.0}
    assert_equal(eval(said(found["TensorFlow"]), names)[0, :, :, 0].numpy(), y)


def test_onnx_says_the_same(case):
    onnx = pytest.importorskip("onnx")
    found, x, w, y = case
    call, nodes = said(found["ONNX"]), []

    def make(kind):
        def node(*inputs, **attributes):
            inputs = [constant(v) if isinstance(v, list) else v for v in inputs]
            nodes.append(onnx.helper.make_node(kind, inputs, [f"out{len(nodes)}"], **attributes))
            return f"out{len(nodes) - 1}"

        return node

    def constant(values):
        tensor = onnx.numpy_helper.from_array(np.array(values, np.int64), "pads")
        nodes.append(onnx.helper.make_node("Constant", [], ["pads"], value=tensor))
        return "pads"

    result = eval(call, {"Conv": make("Conv"), "Pad": make("Pad"), "X": "X", "W": "W", "B": "B"})
    of = onnx.helper.make_tensor_value_info
    inputs = [of(name, onnx.TensorProto.DOUBLE, None) for name in "XWB"]
    graph = onnx.helper.make_graph(nodes, "g", inputs, [of(result, onnx.TensorProto.DOUBLE, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)])
    from onnx.reference import ReferenceEvaluator

    feed = {"X": x[None, None], "W": w[None, None], "B": np.array([5.0])}
    assert_equal(ReferenceEvaluator(model).run(None, feed)[0][0, 0], y)


def test_onednn_counts_dilation_from_zero_and_pads_with_zeros_alone(case):
    found, *_ = case
    statement = found["oneDNN"]
    if found.geometry.padding_mode != "zeros":
        assert statement.call is None
        return
    assert statement.options["dilates"] == [d - 1 for d in found.geometry.dilation]
    pairs = zip(statement.options["padding_l"], statement.options["padding_r"], strict=True)
    assert tuple(pairs) == found.padding


# --- "same" --------------------------------------------------------------------------------

plain = st.tuples(*(st.tuples(st.integers(1, high), st.integers(1, high)) for high in (9, 5, 3, 2)))


@settings(quick, max_examples=60)
@given(plain)
def test_what_same_means_to_scipy_and_to_onnx(drawn):
    n, k, s, d = drawn
    found = explain.dialects(n, k, s, "same", d)
    x, w = integers(*n), integers(*k, seed=1)

    def padded_by(padding):
        return convkit.conv2d(x[None], w[None, None], None, s, padding, d)[0]

    spaced = np.zeros(found.geometry.spans)
    spaced[:: d[0], :: d[1]] = w
    second, remark = found.same["SciPy ndimage.correlate [::s]"]
    assert '"reflect"' in remark
    every = ndimage.correlate(x, spaced, mode="constant")
    assert_equal(every[:: s[0], :: s[1]], padded_by(second))
    first, _ = found.same['SciPy signal.correlate2d "same" [::s]']
    every = signal.correlate2d(x, spaced, mode="same")
    assert_equal(every[:: s[0], :: s[1]], padded_by(first))
    upper, lower = (found.same[way][0] for way in ('Keras "same", ONNX SAME_UPPER', "ONNX SAME_LOWER"))
    assert upper == found.padding
    assert lower == tuple((after, before) for before, after in upper)
    assert (
        padded_by(lower).shape
        == padded_by(upper).shape
        == tuple(-(-a // b) for a, b in zip(n, s, strict=True))
    )
    assert found.same['PyTorch padding="same"'][0] == (None if max(s) > 1 else upper)


def test_what_same_means_to_onnx_itself():
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    x, w = integers(8, 9), integers(3, 4, seed=1)
    for way, name in (('Keras "same", ONNX SAME_UPPER', "SAME_UPPER"), ("ONNX SAME_LOWER", "SAME_LOWER")):
        padding, _ = explain.dialects((8, 9), (3, 4), 2).same[way]
        node = onnx.helper.make_node("Conv", ["X", "W"], ["Y"], auto_pad=name, strides=[2, 2])
        of = onnx.helper.make_tensor_value_info
        values = [of(v, onnx.TensorProto.DOUBLE, None) for v in "XWY"]
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:2], values[2:]))
        got = ReferenceEvaluator(model).run(None, {"X": x[None, None], "W": w[None, None]})[0]
        assert_equal(got, convkit.conv2d(x[None, None], w[None, None], None, 2, padding))


def test_what_opencv_does_when_left_alone():
    cv2 = pytest.importorskip("cv2")
    x, w = integers(6, 7), integers(4, 3, seed=1)
    padding, remark = explain.dialects((6, 7), (4, 3)).same["OpenCV filter2D [::s]"]
    assert "REFLECT_101" in remark
    ours = convkit.conv2d(x[None], w[None, None], None, 1, padding, padding_mode="reflect")[0]
    assert_equal(cv2.filter2D(x, -1, w), ours)


# --- clashes -------------------------------------------------------------------------------


def test_equal_shapes_hide_different_values():
    """224 pixels, 7 taps, stride 2: (2, 3) and (3, 3) both make 112 outputs."""
    clash = explain.dialects(224, 7, 2, "same").clashes[0]
    assert clash.request == '"same"'
    assert clash.readings[0].startswith("3 (")
    assert clash.readings[1].startswith("(2, 3) (Keras")
    assert clash.shape == (112, 112)
    assert clash.differing == 112 * 112


def test_where_all_agree_nothing_is_said():
    found = explain.dialects(9, 1)
    assert found.clashes == ()
    assert "None, with this geometry." in str(found)


@settings(quick, max_examples=40)
@given(geometries(2))
def test_every_clash_is_real_and_none_is_missing(drawn):
    geometry, mode = drawn
    options = {name: geometry.options[name] for name in ("stride", "padding", "dilation")}
    found = explain.dialects(geometry.x[-2:], geometry.w[-2:], **options, padding_mode=mode)
    paddings = {p for p, _ in same_paddings(found.geometry).values() if p is not None}
    image, ones = np.ones((1, *found.geometry.size)), np.ones((1, 1, *found.geometry.kernel_size))
    window = found.geometry.stride, found.geometry.dilation
    shapes = {p: convkit.conv2d(image, ones, None, window[0], p, window[1]).shape[1:] for p in paddings}
    for clash in found.clashes:
        assert 0 < clash.differing <= np.prod(clash.shape)
    possible = sum(shapes[a] == shapes[b] for a in paddings for b in paddings if a < b)
    assert sum(clash.request == '"same"' for clash in found.clashes) <= possible
    assert any(clash.request == '"reflect"' for clash in found.clashes) <= (mode in ("reflect", "symmetric"))


def test_the_two_reflections_and_the_two_divisors_clash():
    found = explain.dialects(5, 3, padding=1, padding_mode="reflect")
    by_request = {clash.request: clash for clash in found.clashes}
    assert by_request['"reflect"'].differing == 25 - 9  # all outputs that see the border
    assert by_request["average pooling with padding 1"].differing == 16


# --- counts and conventions ----------------------------------------------------------------

X = np.array([[1.0], [2.0], [6.0]])


def ours(convention):
    """Return our running statistics after one batch, by a system's convention."""
    new = convention.momentum if convention.weighs == "the new batch" else 1 - convention.momentum
    mean, var = np.zeros(1), np.ones(1)
    y = convkit.batch_norm(X, mean, var, training=True, momentum=new, eps=convention.eps)
    if convention.running_variance == "biased":
        var = np.ones(1) * (1 - new) + new * X.var()
    return y, mean, var


def by_name(name):
    return next(c for c in CONVENTIONS if c.system == name)


def test_torch_s_conventions():
    torch = pytest.importorskip("torch")
    layer = torch.nn.BatchNorm1d(1, dtype=torch.float64)
    y = layer(torch.tensor(X)).detach().numpy()
    for got, want in zip((y, layer.running_mean, layer.running_var), ours(by_name("PyTorch")), strict=True):
        assert_close(np.asarray(got), want, 1e-14)  # a dozen roundings of numbers below 10
    pooled = torch.nn.AvgPool2d(3, 1, 1)(torch.ones(1, 1, 3, 3))
    assert float(pooled[0, 0, 0, 0]) == np.float32(4 / 9)


def test_keras_s_conventions():
    keras = pytest.importorskip("keras")
    layer = keras.layers.BatchNormalization(dtype="float64")
    y = np.asarray(layer(X, training=True))
    wanted = ours(by_name("Keras"))
    for got, want in zip((y, layer.moving_mean, layer.moving_variance), wanted, strict=True):
        assert_close(np.asarray(got, np.float64), want, 1e-6 * (1 + np.abs(want)))  # it keeps float32
    pooled = keras.layers.AveragePooling2D(3, 1, "same")(np.ones((1, 3, 3, 1), np.float32))
    assert float(pooled[0, 0, 0, 0]) == 1.0


def test_onnx_s_conventions():
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    def run(kind, inputs, outputs, feed, **attributes):
        of = onnx.helper.make_tensor_value_info
        node = onnx.helper.make_node(kind, inputs, outputs, **attributes)
        infos = [[of(v, onnx.TensorProto.DOUBLE, None) for v in names] for names in (inputs, outputs)]
        model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", *infos))
        return ReferenceEvaluator(model).run(None, feed)

    feed = {"x": X[:, :, None], "s": np.ones(1), "b": np.zeros(1), "m": np.zeros(1), "v": np.ones(1)}
    got = run("BatchNormalization", list("xsbmv"), ["y", "rm", "rv"], feed, training_mode=1)
    for one, want in zip(got, ours(by_name("ONNX")), strict=True):
        assert_close(one.reshape(want.shape), want, 1e-7)  # its eps and momentum are float32
    feed = {"x": np.ones((1, 1, 3, 3))}
    (pooled,) = run("AveragePool", ["x"], ["y"], feed, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    assert pooled[0, 0, 0, 0] == 1.0


# --- the page ------------------------------------------------------------------------------


def test_the_page_has_every_call_and_every_clash():
    found = explain.dialects(9, (3, 4), stride=2, padding=1)
    text = str(found)
    for statement in found.statements:
        assert statement.call in text
        assert statement.note in text
    for clash in found.clashes:
        assert str(clash).split("\n")[0] in text
    assert "dilation that means none" in text


def test_dialects_as_a_dict_are_json():
    told = json.loads(json.dumps(explain.dialects(8, 3, 2, "same").to_dict()))
    assert told["padding"] == [[0, 1], [0, 1]]
    assert len(told["statements"]) == 6
    assert told["same"]["ONNX SAME_LOWER"]["padding"] == [[1, 0], [1, 0]]


def test_two_systems_that_say_the_same():
    told = explain.dialects(9, 3)
    assert told["keras"] is told["TensorFlow"]


@pytest.mark.parametrize("name", ["", "Caffe", 3])
def test_systems_that_are_not_there(name):
    with pytest.raises(KeyError, match="system must be one of 'PyTorch', 'TensorFlow', 'Keras', 'ONNX'"):
        explain.dialects(5, 3)[name]
