"""benchmarks/compare.py: correct before timed, by turns, each side with its own threads."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import convkit
from convkit import _ext

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))

import compare
from contenders import ConvCase, StreamCase
from sides import both_sides
from suites import Layer

pytestmark = pytest.mark.skipif(_ext.why_not() is not None, reason=str(_ext.why_not()))

TINY = Layer(2, 3, 8, 3)


def run(monkeypatch, *arguments):
    """Return what the command ends with, on one tiny layer and one tiny shape."""
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, arguments)])
    monkeypatch.setitem(compare.CONV_SUITES, "resnet50", [TINY])
    monkeypatch.setattr(compare, "STREAMING_SHAPES", [(2, 3, 8, 8)])
    threads = convkit.get_num_threads()
    try:
        return compare.main()
    finally:
        convkit.set_num_threads(threads)


@pytest.mark.parametrize("backward", [(), ("--backward",)])
def test_a_table_of_convolutions(backward, monkeypatch, tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert run(monkeypatch, "conv", "--peer", "cython", "--turns", 3, "--json", file, *backward) == 0
    figures = json.loads(file.read_text())
    (row,) = figures["rows"]
    assert (row["layer"], row["kernel"]) == ("3x3 2>3 @8", "cython direct")
    assert row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
    assert 0 < row["share"] < 1
    assert figures["geometric_mean"] == pytest.approx(row["ratio"])
    assert figures["machine"]["isa"] == convkit.show_config()["isa"]
    assert os.uname().nodename not in file.read_text()
    assert "geometric mean" in capsys.readouterr().out


def test_a_rung_against_another(monkeypatch, tmp_path):
    file = tmp_path / "figures.json"
    rungs = "--peer", "cython:register_tile", "--algorithm", "planes", "--backend", "cython"
    assert run(monkeypatch, "conv", *rungs, "--turns", 3, "--json", file) == 0
    (row,) = json.loads(file.read_text())["rows"]
    assert row["kernel"] == "cython planes"
    with pytest.raises(ValueError, match="sideways"):
        run(monkeypatch, "conv", "--peer", "cython:sideways", "--turns", 3)


@pytest.mark.parametrize("op", ["avg_pool2d 2/2", "batch_norm backward", "dropout mask", "col2im /2"])
def test_a_table_of_streaming_operations(op, monkeypatch, tmp_path):
    file = tmp_path / "figures.json"
    assert run(monkeypatch, "streaming", "--peer", "cython", "--only", op, "--json", file) == 0
    rows = json.loads(file.read_text())["rows"]
    assert f"{op} on (2, 3, 8, 8)" in [row["case"] for row in rows]
    assert all(row["gbs"] > 0 and row["share"] > 0 for row in rows)


def test_nothing_wrong_is_timed(monkeypatch, tmp_path, capsys):
    conv2d = convkit.conv2d

    def wrong(*args, **options):
        y = conv2d(*args, **options)
        if options.get("backend") != "reference":
            y[0, 0, 0, 0] += 1e-3
        return y

    monkeypatch.setattr(convkit, "conv2d", wrong)
    file = tmp_path / "figures.json"
    assert run(monkeypatch, "conv", "--peer", "cython", "--json", file) == 1
    assert "nothing is timed: convkit, 3x3 2>3 @8: error of" in capsys.readouterr().err
    assert not file.exists()


@pytest.mark.parametrize("case", [ConvCase(TINY), StreamCase("max_pool2d 3/2", (2, 3, 8, 8))])
def test_with_more_threads_each_side_is_a_process(case):
    with both_sides("cython", 2, {}, peer_threads=1) as (peer, ours):
        assert len({peer.process.pid, ours.process.pid, os.getpid()}) == 3
        for left, right in zip(peer.load(case), ours.load(case), strict=True):
            np.testing.assert_array_equal(left, right)
        assert peer.time(2) > 0
        assert ours.time(2) > 0
        assert (peer.which(), ours.which()[:7]) == ("cython", "cython ")
        with pytest.raises(KeyError, match="sideways"):
            ours.load(StreamCase("pad sideways", (1, 1, 4, 4)))
        assert len(ours.load(case)) == 1  # an error does not end the process
    assert not peer.process.is_alive()
    assert not ours.process.is_alive()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("streaming", "--peer-threads", 1), "--peer-threads is for conv"),
        (("conv", "--peer", "torhc:planes"), "'torhc:planes' is neither"),
        (("conv", "--peer", "channels_last"), "--peer channels_last is for streaming"),
        (("conv", "--cpu-time", "--threads", 2), "--cpu-time is for conv on one thread"),
        (("conv", "--cpu-time", "--peer-threads", 2), "--cpu-time is for conv on one thread"),
        (("conv", "--peer-threads", 0), "--peer-threads must be at least 1"),
    ],
)
def test_options_that_do_not_fit(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    assert message in capsys.readouterr().err
