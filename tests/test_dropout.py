"""Dropout: what it keeps, how often, and that everything draws the same mask."""

import math

import numpy as np
import pytest
from comparator import assert_bits, assert_close, assert_equal
from every_backend import on_every_backend
from geometries import inner, integers, reals

import convkit
from convkit import dispatch

pytestmark = on_every_backend("dropout", "dropout_mask", "dropout_given")

FORMS = {
    "elements": (convkit.dropout, convkit.dropout_backward, (2, 3, 4, 5)),
    "maps": (convkit.dropout2d, convkit.dropout2d_backward, (2, 3, 1, 1)),
    "rows": (convkit.dropout_rows, convkit.dropout_rows_backward, (2, 1, 1, 1)),
}
every_form = pytest.mark.parametrize(("forward", "backward", "mask_shape"), FORMS.values(), ids=FORMS)
BACKENDS = [b for b in convkit.backends()["dropout"] if b != "cuda" and not dispatch.why_not(b)]
X = reals(2, 3, 4, 5)


@every_form
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_rules_22_and_24_whole_units_are_kept_and_scaled_or_zero(forward, backward, mask_shape, p):
    y, mask = forward(X, p, seed=4, return_mask=True)
    assert mask.shape == mask_shape
    assert mask.dtype == np.bool_
    scale = 1 / (1 - p) if p < 1 else 0.0
    assert_equal(y, np.where(mask, X * scale, 0.0))
    assert_equal(forward(X, p, seed=4), y)


def test_rule_24_a_row_of_an_embedding_table_goes_as_one():
    """And a batch of rows is not taken for an image: the layout is the function's, not the shape's."""
    table = np.ones((50, 8))
    sums = convkit.dropout_rows(table, 0.5, seed=1).sum(axis=1)
    assert set(sums) == {0.0, 16.0}
    per_element = convkit.dropout(table, 0.5, seed=1).sum(axis=1)
    assert len(set(per_element)) > 2
    image = convkit.dropout2d(np.ones((50, 2, 4)), 0.5, seed=1).sum(axis=(1, 2))
    assert set(image) == {0.0, 16.0}


@every_form
def test_rule_22_evaluation_is_the_identity(forward, backward, mask_shape):
    y, mask = forward(X, 0.7, training=False, return_mask=True)
    assert_bits(y, X)
    assert y is not X
    assert mask.all()
    assert_bits(backward(X, 0.7, training=False), X)
    assert_bits(forward(X, 0.0), X)


@every_form
def test_rule_22_p_1_gives_zeros_even_of_infinity(forward, backward, mask_shape):
    x = np.full(X.shape, np.inf)
    assert_bits(forward(x, 1.0), np.zeros(X.shape))
    assert_bits(backward(x, 1.0, seed=0), np.zeros(X.shape))
    assert_bits(backward(x, 1.0, mask=np.zeros(mask_shape, bool)), np.zeros(X.shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rule_33_a_dropped_nan_is_zero_and_a_kept_one_stays(value):
    y, mask = convkit.dropout(np.full(200, value), seed=0, return_mask=True)
    assert_equal(y, np.where(mask, value, 0.0))


@every_form
@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_rule_22_the_gradient_reuses_the_mask(forward, backward, mask_shape, p):
    """Powers of two scale exactly, so seed and mask give one result; and it is the adjoint."""
    x, grad_y = integers(*X.shape), integers(*X.shape, seed=1)
    y, mask = forward(x, p, seed=9, return_mask=True)
    by_seed, by_mask = backward(grad_y, p, seed=9), backward(grad_y, p, mask=mask)
    eps = np.finfo(np.float64).eps
    assert_close(by_seed, by_mask, eps * np.abs(by_mask))
    bound = 2 * eps * inner(np.abs(x), np.abs(by_mask)) if p == 0.25 else 0.0
    assert abs(inner(y, grad_y) - inner(x, by_mask)) <= bound


@every_form
def test_any_layout_of_a_mask_will_do(forward, backward, mask_shape):
    mask = np.random.default_rng(3).random(mask_shape) < 0.5
    want = backward(X, 0.5, mask=mask)
    assert_equal(want, np.where(mask, 2 * X, 0.0))
    turned = np.asfortranarray(np.repeat(mask, 2, axis=0))[::2]
    assert not turned.flags.c_contiguous or turned.size == 2
    assert_equal(backward(X, 0.5, mask=turned), want)
    mask.flags.writeable = False
    assert_equal(backward(X, 0.5, mask=mask), want)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_how_many_are_dropped(p):
    """Binomial: n*p on average; five standard deviations come up once in two million seeds."""
    n = 200_000
    kept = np.count_nonzero(convkit.dropout(np.ones(n), p, seed=2026))
    assert abs(kept - n * (1 - p)) < 5 * math.sqrt(n * p * (1 - p))
    pairs = convkit.dropout(np.ones(n), p, seed=7, return_mask=True).mask.reshape(-1, 2).all(axis=1)
    q = (1 - p) ** 2  # neighbours are independent
    assert abs(pairs.sum() - n / 2 * q) < 5 * math.sqrt(n / 2 * q * (1 - q))


def test_the_expectation_is_the_input():
    """A mean over 2000 masks: its deviation is that of one mask, sqrt(p / (1 - p)), over sqrt(2000)."""
    p, trials = 0.3, 2000
    mean = np.mean([convkit.dropout(np.ones(16), p, seed=s) for s in range(trials)], axis=0)
    assert_close(mean, np.ones(16), 5 * math.sqrt(p / (1 - p) / trials))


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**64 - 1])
def test_rule_23_every_backend_and_dtype_draws_the_same_mask(seed):
    masks = [
        convkit.dropout(np.ones(1000, dtype), 0.4, seed=seed, return_mask=True, backend=backend).mask
        for backend in BACKENDS
        for dtype in ("float32", "float64")
    ]
    for mask in masks[1:]:
        assert_equal(mask, masks[0])


def test_rule_23_the_mask_is_of_the_seed_and_the_place_alone():
    long = convkit.dropout(np.ones(1000), seed=3, return_mask=True).mask
    short = convkit.dropout(reals(10, 7), seed=3, return_mask=True).mask
    assert_equal(short.ravel(), long[:70])
    other = convkit.dropout(np.ones(1000), seed=4, return_mask=True).mask
    assert np.count_nonzero(other != long) > 400
    assert_equal(
        convkit.dropout(np.ones(1000), np.float32(0.5), seed=np.uint64(3), return_mask=True).mask, long
    )


def test_without_a_seed_every_call_differs():
    assert not np.array_equal(*(convkit.dropout(np.ones(1000), return_mask=True).mask for _ in range(2)))


def test_the_masks_of_two_rates_are_nested():
    """A unit that falls below a low threshold falls below a higher one."""
    rare, often = (convkit.dropout(np.ones(1000), p, seed=5, return_mask=True).mask for p in (0.2, 0.6))
    assert not np.any(often & ~rare)


@every_form
def test_rule_28_an_empty_batch(forward, backward, mask_shape):
    x = np.empty((0, 3, 4, 5))
    y, mask = forward(x, seed=0, return_mask=True)
    assert_equal(y, x)
    assert mask.shape == (0, *mask_shape[1:])
    assert_equal(backward(x, mask=mask), x)


def test_which_mask_must_be_said_once():
    for given in ({}, {"seed": 1, "mask": np.ones(3, bool)}):
        with pytest.raises(ValueError, match="one of seed and mask is needed"):
            convkit.dropout_backward(np.ones(3), **given)
    with pytest.raises(ValueError, match=r"mask must have shape \(3,\), got \(2,\)"):
        convkit.dropout_backward(np.ones(3), mask=np.ones(2, bool))
    for wrong in (np.ones(3), [True, False, True]):
        with pytest.raises(TypeError, match="mask must be an array of bool"):
            convkit.dropout_backward(np.ones(3), mask=wrong)


@pytest.mark.parametrize("p", [-0.1, 1.1, np.nan, np.inf])
def test_a_probability_is_in_0_to_1(p):
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got "):
        convkit.dropout(X, p)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_fits_64_bits(seed):
    with pytest.raises(ValueError, match=r"seed must be in \[0, 2\*\*64\)"):
        convkit.dropout(X, seed=seed)
