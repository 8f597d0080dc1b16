"""Shape arithmetic against counting: windows are laid out one by one, and what fits is counted."""

import weakref

import numpy as np
import pytest
from brute_force import NUMPY_MODES, windows
from comparator import assert_equal
from geometries import quick
from hypothesis import assume, given
from hypothesis import strategies as st

from convkit import geometry

small, pads = st.integers(1, 4), st.integers(0, 5)


# --- output sizes --------------------------------------------------------------------------


@quick
@given(st.integers(1, 12), small, small, small, pads, pads)
def test_rule_1_convolution_sizes_count_the_windows_that_fit(n, k, s, d, p0, p1):
    starts = range(-p0, n + p1, s)
    fitting = [i for i in starts if i + d * (k - 1) < n + p1]
    if fitting:
        assert geometry.conv_output_size(n, k, s, d, p0, p1) == len(fitting)
    else:
        with pytest.raises(
            ValueError, match=rf"input {n} \+ padding {p0} \+ {p1} = .* spans {d * (k - 1) + 1}"
        ):
            geometry.conv_output_size(n, k, s, d, p0, p1)


@pytest.mark.parametrize(
    ("n", "k", "s", "d", "p", "o"),
    [
        (28, 3, 1, 1, 0, 26),
        (28, 3, 1, 1, 1, 28),
        (224, 7, 2, 1, 3, 112),
        (7, 3, 2, 1, 0, 3),
        (7, 3, 1, 3, 0, 1),
    ],
)
def test_rule_1_by_hand(n, k, s, d, p, o):
    assert geometry.conv_output_size(n, k, s, d, p, p) == o


@quick
@given(st.integers(1, 12), small, small, small, pads, pads, st.integers(0, 3))
def test_rule_6_a_transposed_size_is_one_that_convolves_back(n, k, s, d, p0, p1, extra):
    assume(extra < max(s, d) and s * (n - 1) + d * (k - 1) + 1 + extra > p0 + p1)
    o = geometry.conv_transpose_output_size(n, k, s, d, p0, p1, extra)
    sizes = [
        m
        for m in range(1, 80)
        if m + p0 + p1 > d * (k - 1) and geometry.conv_output_size(m, k, s, d, p0, p1) == n
    ]
    assert (o in sizes) == (extra < s)  # beyond the stride (with a dilation) it has one output more
    assert o == s * (n - 1) + d * (k - 1) + 1 + extra - p0 - p1


@pytest.mark.parametrize("extra", [2, 3, -1])
def test_rule_6_output_padding_stays_below_stride_or_dilation(extra):
    with pytest.raises(ValueError, match=f"smaller than stride 2 or dilation 1, got {extra}"):
        geometry.conv_transpose_output_size(4, 3, s=2, extra=extra)
    assert geometry.conv_transpose_output_size(4, 3, s=1, d=3, extra=2) == 3 + 7 + 2


@quick
@given(st.integers(1, 14), small, small, st.integers(0, 2), small, st.booleans())
def test_rule_2_pooling_sizes_count_windows(n, k, s, p, d, ceil_mode):
    assume(p <= k // 2 and n + 2 * p > d * (k - 1))
    counted = len(list(windows(n, k, s, p, d, ceil_mode)))
    assert geometry.pool_output_size(n, k, s, p, d, ceil_mode) == counted


def test_rule_2_the_last_window_starts_inside_the_input_or_its_left_padding():
    assert geometry.pool_output_size(5, 2, 2, ceil_mode=True) == 3
    assert geometry.pool_output_size(4, 3, 2, 1, ceil_mode=True) == 3
    assert (
        geometry.pool_output_size(3, 2, 3, 1, ceil_mode=True) == 2
    )  # a third would start at 5, past the end
    assert geometry.pool_output_size(2, 3, 2, ceil_mode=True) == 1  # the only window hangs over


def test_rule_3_pooling_padding_is_at_most_half_the_window():
    assert geometry.pool_output_size(4, 3, 1, 1) == 4
    for k, p, d in [(3, 2, 1), (1, 1, 1), (3, 2, 5)]:
        with pytest.raises(ValueError, match=f"at most half the window, got padding {p} for window {k}"):
            geometry.pool_output_size(9, k, 1, p, d)


# --- same padding --------------------------------------------------------------------------


def test_rule_4_same_padding_by_hand():
    assert geometry.same_padding(28, 3) == (1, 1)
    assert geometry.same_padding(28, 4) == (1, 2)  # the odd cell goes after
    assert geometry.same_padding(28, 3, d=2) == (2, 2)
    assert geometry.same_padding(224, 7, s=2) == (2, 3)
    assert geometry.same_padding(9, 1, s=4) == (0, 0)


@quick
@given(st.integers(1, 40), small, small, small)
def test_rule_4_same_padding_is_the_least_that_gives_ceil_n_over_s(n, k, s, d):
    before, after = geometry.same_padding(n, k, s, d)
    o = -(-n // s)
    assert geometry.conv_output_size(n, k, s, d, before, after) == o
    assert 0 <= after - before <= 1
    total = before + after
    if total and n + total - 1 > d * (k - 1):
        assert geometry.conv_output_size(n, k, s, d, 0, total - 1) < o
    if s == 1:
        assert total == d * (k - 1)


# --- index tables --------------------------------------------------------------------------


@quick
@given(st.integers(1, 7), st.integers(0, 20), st.integers(0, 20), st.sampled_from(geometry.PADDING_MODES))
def test_rules_9_and_10_tables_are_numpy_s_padding(n, p0, p1, mode):
    assume(n > 1 or mode != "reflect")
    options = {"constant_values": -1} if mode == "zeros" else {}
    want = np.pad(np.arange(n), (p0, p1), NUMPY_MODES[mode], **options)
    assert_equal(geometry.index_table(n, p0, p1, mode), want)


@quick
@given(st.integers(2, 7), st.integers(0, 20))
def test_rule_9_reflect_bounces_by_its_formula(n, p):
    want = [min(i % (2 * (n - 1)), 2 * (n - 1) - i % (2 * (n - 1))) for i in range(-p, n + p)]
    assert geometry.index_table(n, p, p, "reflect").tolist() == want


def test_rule_9_a_single_cell_has_no_reflection():
    assert geometry.index_table(1, 0, 0, "reflect").tolist() == [0]
    with pytest.raises(ValueError, match="reflect padding needs at least 2 cells"):
        geometry.index_table(1, 0, 1, "reflect")


def test_rule_8_negative_padding_crops_with_zeros_alone():
    assert geometry.index_table(5, -2, 1).tolist() == [2, 3, 4, -1]
    with pytest.raises(ValueError, match=r"negative padding \(-1, 0\) crops"):
        geometry.index_table(5, -1, 0, "circular")
    with pytest.raises(ValueError, match=r"\(-3, -2\) leaves nothing of 5 cells"):
        geometry.index_table(5, -3, -2)


@pytest.mark.parametrize(
    "table",
    [geometry.index_table(4, 1, 1), geometry.pool_windows(4, 2, 2), geometry.max_pool_windows(4, 2, 2)],
)
def test_rule_29_tables_are_intp_and_cannot_be_spoiled(table):
    assert table.dtype == np.intp
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 0


# --- pooling windows -----------------------------------------------------------------------


@quick
@given(st.integers(1, 14), small, small, st.integers(0, 2), st.booleans(), st.booleans())
def test_rule_13_average_windows_hold_the_cells_that_are_counted(n, k, s, p, ceil_mode, count_include_pad):
    assume(p <= k // 2 and n + 2 * p >= k)
    low, high = (-p, n + p) if count_include_pad else (0, n)
    want = [
        (max(w[0], 0), min(w[-1] + 1, n), sum(low <= i < high for i in w))
        for w in windows(n, k, s, p, 1, ceil_mode)
    ]
    assert list(map(tuple, geometry.pool_windows(n, k, s, p, ceil_mode, count_include_pad))) == want


@quick
@given(st.integers(1, 14), small, small, st.integers(0, 2), small, st.booleans())
def test_rule_12_max_windows_hold_the_real_cells_alone(n, k, s, p, d, ceil_mode):
    assume(p <= k // 2 and n + 2 * p > d * (k - 1))
    want = [[i for i in w if 0 <= i < n] for w in windows(n, k, s, p, d, ceil_mode)]
    if all(want):
        table = geometry.max_pool_windows(n, k, s, p, d, ceil_mode)
        assert [list(range(*w)) for w in table] == want
    else:
        with pytest.raises(ValueError, match=f"window {want.index([])} would hold padding alone"):
            geometry.max_pool_windows(n, k, s, p, d, ceil_mode)


@quick
@given(st.integers(1, 30), st.integers(1, 40))
def test_adaptive_windows_cover_every_cell_evenly(n, o):
    table = geometry.adaptive_windows(n, o)
    assert table.shape == (o, 3)
    assert {i for a, b, _ in table for i in range(a, b)} == set(range(n))
    for i, (start, stop, divisor) in enumerate(table.tolist()):
        assert start <= i * n / o < start + 1
        assert stop - 1 < (i + 1) * n / o <= stop
        assert divisor == stop - start


# --- receptive fields ----------------------------------------------------------------------


@quick
@given(st.lists(st.tuples(small, small, st.integers(0, 2), small), max_size=3), st.integers(12, 30))
def test_receptive_fields_are_what_outputs_depend_on(layers, n):
    """Follow every output back to the cells it was made of, and compare."""
    cells = [{i} for i in range(n)]  # what each cell of the layer sees of the input; padding by its place
    field = geometry.Field(outputs=n)
    described = []
    for k, s, p, d in layers:
        assume(len(cells) + 2 * p > d * (k - 1))
        first, jump = min(cells[0]), field.jump
        width = max(cells[0]) - first + 1
        line = [set(range(first + jump * i, first + jump * i + width)) for i in range(-p, len(cells) + p)]
        o = geometry.conv_output_size(len(cells), k, s, d, p, p)
        cells = [set().union(*(line[i * s + j * d] for j in range(k))) for i in range(o)]
        described.append({"kernel_size": k, "stride": s, "padding": p, "dilation": d})
        field = geometry.receptive_field(described, n)[-1]
        assert field.outputs == o
        for i in range(o):
            assert (min(cells[i]), max(cells[i])) == (field.cells(i)[0], field.cells(i)[-1])


def test_receptive_field_of_a_known_network():
    """The stem of ResNet: 7x7 of stride 2, max pooling 3x3 of stride 2, two 3x3."""
    stem = [
        {"kernel_size": 7, "stride": 2, "padding": 3},
        {"kernel_size": 3, "stride": 2, "padding": 1},
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 1},
    ]
    fields = geometry.receptive_field(stem, 224)
    assert [f.outputs for f in fields] == [224, 112, 56, 56, 56]
    assert [f.size for f in fields] == [1, 7, 11, 19, 27]
    assert [f.jump for f in fields] == [1, 2, 4, 4, 4]
    assert [f.start for f in fields] == [0, -3, -5, -9, -13]


# --- what is refused, and what is remembered -------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda bad: geometry.conv_output_size(bad, 3),
        lambda bad: geometry.conv_output_size(8, bad),
        lambda bad: geometry.conv_output_size(8, 3, s=bad),
        lambda bad: geometry.conv_output_size(8, 3, d=bad),
        lambda bad: geometry.conv_transpose_output_size(8, 3, s=bad),
        lambda bad: geometry.pool_output_size(8, 3, bad),
        lambda bad: geometry.same_padding(8, 3, bad),
        lambda bad: geometry.index_table(bad, 1, 1, "circular"),
        lambda bad: geometry.adaptive_windows(8, bad),
        lambda bad: geometry.receptive_field([{"kernel_size": bad}]),
    ],
)
def test_sizes_below_one_are_refused_before_any_division(call):
    for bad in (0, -1):
        with pytest.raises(ValueError, match=f"must be at least 1, got {bad}"):
            call(bad)
    for bad in (1.0, True, "1", None):
        with pytest.raises(TypeError, match=r"must be an int"):
            call(bad)


@pytest.mark.parametrize("layer", [{"kernel": 3}, {}, {"kernel_size": 3, "pad": 1}, 3])
def test_a_layer_that_is_misspelt(layer):
    with pytest.raises(ValueError, match="layer 1 must have kernel_size and may have stride"):
        geometry.receptive_field([{"kernel_size": 3}, layer])


def test_small_tables_are_remembered_and_large_ones_are_not():
    assert geometry.index_table(5, 1, 1) is geometry.index_table(5, 1, 1)
    large = 10**5
    assert geometry.index_table(large, 1, 1) is not geometry.index_table(large, 1, 1)


def test_what_is_remembered_does_not_grow_without_bound():
    class Plan:
        pass

    @geometry.remembered
    def make(i):
        return Plan()

    plans = [weakref.ref(make(i)) for i in range(3000)]
    assert make(2999) is plans[2999]()
    assert sum(plan() is not None for plan in plans) <= 1024


def test_a_shape_that_cannot_be():
    assert geometry.check_allocation((3, 0, 2**40), 8) == (3, 0, 2**40)
    with pytest.raises(ValueError, match="overflows 64 bits"):
        geometry.check_allocation((2**31, 2**31), 4)
    with pytest.raises(MemoryError, match=r"output of shape \(1099511627776,\) needs 4096.0 GiB"):
        geometry.check_allocation((2**40,), 4)
