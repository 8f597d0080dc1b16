"""The experiments: they learn what they say they learn, and write their pictures."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """Let the scripts import one another, as they do when they are run."""
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    for name in "training", "digits", "batchnorm":
        sys.modules.pop(name, None)


def test_digits_are_learned_and_explained(tmp_path, capsys):
    import digits

    assert digits.main(["--out", str(tmp_path)]) >= 0.98
    assert {p.name for p in tmp_path.iterdir()} == {"digits-loss.png", "digits-heatmaps.png"}
    assert "held-out digits: " in capsys.readouterr().out


def test_a_heatmap_that_does_not_explain_its_score_is_refused(monkeypatch):
    import digits

    net = digits.network(np.random.default_rng(0))
    x = np.random.default_rng(1).standard_normal((3, 1, 8, 8)).astype(np.float32)
    cams, scores = digits.class_activation_maps(net, x)
    assert cams.shape == (3, 10, 8, 8)
    assert scores.shape == (3, 10)
    net[9].register_forward_hook(lambda layer, inputs, y: 2 * y)  # the pooling no longer averages
    with pytest.raises(AssertionError, match="does not average to its score"):
        digits.class_activation_maps(net, x)


def test_normalised_networks_bear_rates_that_plain_ones_do_not(tmp_path):
    import batchnorm
    import training

    data = training.digits()
    plain, normalised = batchnorm.race(data, (0.1, 1.0), 4, 0).values()
    assert batchnorm.bumps(normalised[0]) < batchnorm.bumps(plain[0])
    assert not plain[1][-20:].mean() < 2  # about log 10, the loss of a guess, or lost altogether
    assert normalised[1][-20:].mean() < 0.3
    batchnorm.draw_race({False: plain, True: normalised}, (0.1, 1.0)).savefig(tmp_path / "rates.png")


def test_gamma_and_beta_are_the_spread_and_the_mean_of_the_outputs():
    import batchnorm
    import training

    data = training.digits()
    outputs = {name: net.train()(data.x) for name, net in batchnorm.heads(0).items()}
    given = outputs["gamma and beta given"]
    assert abs(given.mean() - 3) < 1e-4
    assert abs(given.std() - 4 / 12**0.5) < 1e-3  # eps takes its share of the variance
    assert abs(outputs["plain"].mean() - 3) > 1


def test_batchnorm_experiment_as_it_is_run(tmp_path, capsys):
    import batchnorm

    batchnorm.main(["--epochs", "1", "--out", str(tmp_path)])
    assert {p.name for p in tmp_path.iterdir()} == {"batchnorm-rates.png", "batchnorm-ratings.png"}
    assert "gamma and beta given" in capsys.readouterr().out


@pytest.mark.parametrize("script", ["digits", "batchnorm"])
def test_bad_epochs(script, capsys):
    with pytest.raises(SystemExit):
        __import__(script).main(["--epochs", "0"])
    assert "--epochs must be at least 1, got 0" in capsys.readouterr().err
