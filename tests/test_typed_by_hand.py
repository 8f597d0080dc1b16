"""Numbers typed by hand: what `explain` takes that kernels, which cast nothing in silence, refuse."""

import numpy as np
import pytest

from convkit import explain
from convkit.explain import pictures

X = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
W = [[[[1, 0], [0, -1]]]]
V = [[1, 2], [3, 5], [6, 7]]

CALLS = {
    "conv2d": lambda of: explain.conv2d(of(X), of(W), of([3])),
    "conv1d": lambda of: explain.conv1d(of([[1, 2, 4]]), of([[[1, 10]]])),
    "conv_transpose2d": lambda of: explain.conv_transpose2d(of(X), of(W)),
    "conv_transpose1d": lambda of: explain.conv_transpose1d(of([[1, 2]]), of([[[1, 10]]])),
    "avg_pool2d": lambda of: explain.avg_pool2d(of(X), 2),
    "max_pool2d": lambda of: explain.max_pool2d(of(X), 2),
    "pad": lambda of: explain.pad(of([1, 2, 3]), (1, 1)),
    "dropout": lambda of: explain.dropout(of([1, 2, 3]), seed=1),
    "batch_norm": lambda of: explain.batch_norm(of(V), of([0, 0]), of([1, 1]), of([2, 2])),
}


def tuples(a):
    return tuple(map(tuples, a)) if isinstance(a, list) else a


@pytest.mark.parametrize("kind", [list, tuples, np.array, lambda a: np.array(a, np.int16)])
@pytest.mark.parametrize("name", CALLS)
def test_lists_and_whole_numbers_are_taken_as_floats(name, kind):
    found, wanted = CALLS[name](kind), CALLS[name](lambda a: np.array(a, np.float64))
    assert found.y.dtype == np.float64
    np.testing.assert_array_equal(found.y, wanted.y)
    at = (0,) * found.y.ndim
    assert str(found[at]) == str(wanted[at])


def test_whole_numbers_beside_float32_become_float32():
    assert explain.conv2d(np.array(X, np.float32), W).y.dtype == np.float32


def test_the_spreadsheet_takes_them_too(tmp_path):
    sheet = explain.to_xlsx(tmp_path / "a.xlsx", X, W, [1])
    assert sheet.path.exists()


def test_pictures_take_them_too():
    assert len(pictures.padded([[1, 2], [3, 4]], 1).texts) > 4
    assert len(pictures.numbers([[1, -2]]).texts) == 2
    assert len(pictures.before_after(V).axes) == 2


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([[1, 2], [3]], ValueError, "x must have rows of one length"),
        ([["a", "b"]], TypeError, "x must hold numbers, got .*'a'"),
        ([[1j]], TypeError, "x must hold numbers"),
        ("text", TypeError, "x must be an array of float32 or float64, got str"),
        (np.ma.masked_array([[1, 2]], [[True, False]]), TypeError, "got MaskedArray"),
        (np.ones((1, 2), np.float16), TypeError, "float16; nothing is cast in silence"),
    ],
)
def test_what_is_no_numbers_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        explain.pad(x, (1, 1))


def test_a_batch_norm_without_statistics_says_what_to_do():
    with pytest.raises(ValueError, match="pass training=True"):
        explain.batch_norm(np.array(V, float))


def test_one_product_is_one():
    ledger = explain.conv2d([[[[3]]]], [[[[2]]]])[0, 0, 0, 0]
    assert ledger.lines[0].how == "1 product"
    assert explain.conv2d(X, W)[0, 0, 0, 0].lines[0].how == "4 products"
    assert explain.conv_transpose2d([[[[3]]]], [[[[2]]]])[0, 0, 0, 0].lines[0].how == "1 product"
