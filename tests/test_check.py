"""The checker: each mutant is named rightly, nothing right is called wrong, and no function can upset it."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from mutants import Edit, all_mutants, all_right, mutant

import convkit
from convkit import checker
from convkit.checker.calling import Observation
from convkit.checker.conduct import CONDUCT
from convkit.checker.diagnosis import diagnose
from convkit.checker.lessons import example_of
from convkit.checker.model import NUMBERS
from convkit.checker.operations import OPERATIONS, all_rules, operation
from convkit.checker.record import Record, agree
from convkit.checker.text import example_lines, plain

DOCS = Path(__file__).parent.parent / "docs"
sys.path.append(str(DOCS / "_ext"))

MUTANTS = list(all_mutants())
ALL_WRONGS = [(like, i) for like in OPERATIONS for i in range(len(operation(like).wrongs))]


def wrong_id(case):
    like, i = case
    return f"{like}-{operation(like).wrongs[i][0].name}-{i}"


# --- mutants -------------------------------------------------------------------------------


@pytest.mark.parametrize("one", MUTANTS, ids=str)
def test_a_mutant_is_named_rightly(one):
    report = convkit.check(one.function, one.like, **one.options)
    assert set(report.broken) == set(one.rules)
    assert all(name in str(report) for name in one.rules)


TWO = [
    ("conv2d", "stride_ignored", "channels_not_summed"),
    ("conv2d", "groups_interleaved", "dilation_swapped"),
    ("im2col", "last_window_lost", "stride_ignored"),
    ("im2col", "taps_reversed", "stride_and_dilation_exchanged"),
    ("avg_pool2d", "stride_defaults_to_one", "sum_not_mean"),
    ("batch_norm", "eps_outside_the_root", "weight_missing"),
    ("batch_norm", "unbiased_variance", "mean_not_subtracted"),
    ("conv2d_backward", "grad_x_kernel_turned", "grad_b_averaged"),
    ("batch_norm_backward", "weight_forgotten", "parameters_swapped"),
]


@pytest.mark.parametrize(("like", "one", "other"), TWO)
def test_two_faults_in_one_function_are_both_named(like, one, other):
    edits = {edit.breaks: edit for edit in import_module(f"mutants.{like}").EDITS}
    both = mutant(like, edits[one], edits[other])
    assert set(convkit.check(both.function, like).broken) == {one, other}


def test_there_are_mutants_of_every_operation_and_every_rule():
    assert {one.like for one in MUTANTS} == set(OPERATIONS)
    assert len(MUTANTS) >= 40
    told = {name for one in MUTANTS for name in one.rules}
    every = {name for like in OPERATIONS for name in all_rules()[like]}
    assert len(every) >= 30
    assert told >= every, sorted(every - told)


@pytest.mark.parametrize(("like", "function", "options"), list(all_right()))
def test_what_is_right_breaks_no_rule(like, function, options):
    report = convkit.check(function, like, **options)
    assert report, str(report)
    assert report.broken == ()
    assert report.counterexample is None
    assert report.held


@pytest.mark.parametrize("like", OPERATIONS)
def test_our_own_functions_are_right(like):
    report = convkit.check(getattr(convkit, like))
    assert report, str(report)
    assert report.operation == like


def test_an_edit_that_does_not_fit_its_source_is_an_error():
    with pytest.raises(ValueError, match="stands in the source 0 times"):
        mutant("conv2d", Edit("kernel_flipped", "not there", ""))


# --- rules ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL_WRONGS, ids=wrong_id)
def test_results_of_a_broken_rule_are_put_down_to_it(case):
    """What a rule foretells of every case is explained by that rule and no other."""
    like, i = case
    of = operation(like)
    rule, wrong = of.wrongs[i]
    record = Record(of)
    for j in range(len(of.cases)):
        foretold = of.predicted(j, wrong)
        if foretold is NUMBERS:  # whichever they are
            record.observations.append(Observation(result={k: a + 1 for k, a in of.truths[j].items()}))
        elif foretold is None or foretold == {}:
            record.observations.append(Observation(raised="ValueError", error=ValueError()))
        else:
            record.observations.append(Observation(result=dict(foretold)))
    assert [finding.rule.name for finding in diagnose(record)] == [rule.name]


@pytest.mark.parametrize("like", OPERATIONS)
def test_rules_differ_by_much_more_than_the_tolerance(like):
    of = operation(like)
    for rule, wrong in of.wrongs:
        foretold = [(case, of.truths[i], of.predicted(i, wrong)) for i, case in enumerate(of.cases)]
        assert any(
            not result or any(not agree(a, truth[n], 10 * case.tolerance) for n, a in result.items())
            for case, truth, result in foretold
        ), rule.name


def test_the_texts_of_rules_are_sentences():
    for of in all_rules().values():
        for name, rule in of.items():
            assert name == rule.name
            assert rule.says.endswith(".")
            assert rule.why.endswith(".")
            assert rule.instead[0].islower(), rule.instead
            assert not rule.instead.endswith(".")


@pytest.mark.parametrize("like", OPERATIONS)
def test_cases_come_in_rising_size(like):
    if operation(like).examine is None:
        cells = [case.cells for case in operation(like).cases]
        assert cells == sorted(cells)
        assert cells[0] <= 12


def test_rules_of_one_operation_and_of_all():
    names = [rule.name for rule in checker.rules("conv2d")]
    assert len(names) == len(set(names))
    assert set(names) < {rule.name for rule in checker.rules()}
    assert {rule.name for rule in CONDUCT} < {rule.name for rule in checker.rules()}


@pytest.mark.parametrize("name", [rule.name for rule in checker.rules()])
def test_every_rule_can_be_explained(name):
    text = checker.explain(name)
    assert text.startswith(name)
    assert "Why it matters" in text


def test_an_unknown_rule_brings_suggestions():
    with pytest.raises(ValueError, match="did you mean kernel_flipped"):
        checker.explain("kernel_fliped")


def test_an_example_tells_its_rule_from_those_before_it():
    """A kernel of one row looks the same turned round and mirrored, one channel summed and not summed."""
    mirrored = _example("conv2d", "kernel_mirrored")
    assert mirrored.got.tolist() != _example("conv2d", "kernel_flipped").got.tolist()
    assert mirrored.arguments["w"].shape == (1, 1, 2, 2)
    assert _example("conv2d", "channels_not_summed").arguments["x"].shape == (1, 2, 1, 1)
    assert _example("conv2d_backward", "overlaps_overwritten").arguments["x"].shape == (1, 1, 1, 3)
    assert "..." not in plain(example_lines(_example("im2col", "columns_reshaped")))


def _example(like, name):
    return example_of(operation(like), all_rules()[like][name])


# --- the page of rules ---------------------------------------------------------------------


def test_every_rule_has_one_place_on_the_page(capsys):
    import rule_pages

    for like in OPERATIONS:
        rule_pages.rules_of(like)
    rule_pages.conduct()
    anchors = re.findall(r"^\((.+)\)=$", capsys.readouterr().out, re.M)
    assert sorted(anchors) == sorted(rule.anchor for rule in checker.rules())
    page = (DOCS / "check" / "rules.md").read_text()
    assert re.findall(r'rules_of\("(.+)"\)', page) == list(OPERATIONS)
