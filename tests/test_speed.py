"""The page of targets: it judges rightly, it reads every result, and what is missed says why."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "docs" / "_ext"))

import speed_tables
from speed_tables import Figure, Target

FAST = {"case": "op on A", "ratio": 4.0, "share": 0.8, "peer_us": 8.0, "convkit_us": 2.0}
SLOW = {"case": "op on B", "ratio": 0.25, "share": 0.2, "peer_us": 2.0, "convkit_us": 8.0}


def figure(mean, worst=None, **options):
    return Figure(Target("group", "what", ["file"], mean, worst, **options), 1, [FAST, SLOW])


@pytest.mark.parametrize(
    ("of", "missed_mean", "missed_worst"),
    [
        (figure(1.0), False, False),  # the mean of 4 and 1/4
        (figure(1.01), True, False),
        (figure(1.0, 0.25), False, False),
        (figure(1.0, 0.26), False, True),
        (figure(0.41, measure="share"), True, False),  # the mean of 0.8 and 0.2 is 0.4
        (figure(0.4, measure="share"), False, False),
    ],
)
def test_a_target_is_missed_below_it_and_met_at_it(of, missed_mean, missed_worst):
    assert (of.missed_mean, of.missed_worst) == (missed_mean, missed_worst)
    assert of.missed == (missed_mean or missed_worst)
    assert of.worst is SLOW


def test_a_cause_has_the_numbers_of_its_rows():
    of = figure(2.0, cause="{share} and {peer_share}, at most {bound}, {extra} more")
    assert of.numbers() == {
        "share": "40%",
        "peer_share": "40%",
        "bound": "2.50",
        "worst_share": "20%",
        "worst_peer_share": "80%",
        "extra": "6.0",
    }
    assert speed_tables.cause(of.target, [of]) == "*what:* 40% and 40%, at most 2.50, 6.0 more"
    named = figure(2.0, cause_rows="op on A").numbers()
    assert (named["peer_share"], named["others"]) == ("20%", "0.25")


@pytest.mark.parametrize("processor", speed_tables.PROCESSORS)
@pytest.mark.parametrize("target", speed_tables.targets(), ids=lambda target: target.what)
def test_what_is_missed_says_why(target, processor):
    """A result that is committed and falls short needs a sentence in targets.toml."""
    found = speed_tables.figures(target, processor)
    assert found or speed_tables.figures(target, "zen5"), "no result of it has been committed"
    if any(one.missed for one in found):
        assert target.cause
        assert target.what in speed_tables.cause(target, found)


def test_every_processor_has_a_section():
    folders = {path.name for path in speed_tables.RESULTS.iterdir()}
    page = (Path(speed_tables.__file__).parents[1] / "speed.md").read_text()
    assert folders == set(speed_tables.PROCESSORS)
    assert all(f"## On {name}\n" in page for name in speed_tables.PROCESSORS.values())


@pytest.mark.parametrize("processor", speed_tables.PROCESSORS)
def test_every_comparison_that_is_kept_is_on_the_page(processor, capsys):
    speed_tables.against_targets(processor)
    speed_tables.without_target(processor)
    page = capsys.readouterr().out
    read = {name for target in speed_tables.targets() for name in target.results}
    for path in (speed_tables.RESULTS / processor).glob("*.json"):
        if "geometric_mean" in json.loads(path.read_text()):
            assert path.stem in read or path.stem in page, path.name
