"""The commands explain, coverage, field, dialects and xlsx: what they print, and how they refuse."""

import json
import sys

import numpy as np
import pytest
from geometries import integers

from convkit import explain
from convkit.cli import main


def said(capsys, *arguments):
    assert main(list(arguments)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def refused(capsys, *arguments):
    """Return the one line on standard error of a command that ends with exit code 2."""
    try:
        code = main(list(arguments))
    except SystemExit as end:  # argparse itself
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    last = err.splitlines()[-1]
    assert "error: " in last
    return last


# --- explain -------------------------------------------------------------------------------


def test_explain_prints_the_ledger(capsys):
    x, w = "1 2 3; 4 5 6; 7 8 9", "1 0; 0 -1"
    out = said(
        capsys, "explain", "conv2d", "-x", x, "-w", w, "-b", "10", "--at", "1,0", "--padding", "1,0,0,2"
    )
    planes = np.arange(1.0, 10).reshape(1, 3, 3), np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
    ledger = explain.conv2d(*planes, np.array([10.0]), padding=((1, 0), (0, 2)))[0, 1, 0]
    assert out == f"{ledger}\n"


def test_explain_counts_where_nothing_is_given(capsys):
    told = json.loads(said(capsys, "explain", "conv2d", "--size", "4x6", "--kernel", "2", "--format", "json"))
    assert told["value"] == 0 * 1 + 1 * 2 + 6 * 3 + 7 * 4


@pytest.mark.parametrize(
    ("arguments", "op", "value"),
    [
        (["avg_pool2d", "--padding", "1", "--count-real"], "avg_pool2d", 0.0),
        (["avg_pool2d", "--kernel", "3", "--ceil", "--at", "1,1", "--divisor", "2"], "avg_pool2d", 42.0),
        (["max_pool2d", "--dilation", "2", "--stride", "1"], "max_pool2d", 12.0),
        (["pad", "--mode", "reflect"], "pad", 6.0),
        (["pad", "-x", "1 2 3", "--padding", "2,0", "--mode", "circular"], "pad", 2.0),
        (["batch_norm", "-x", "0; 2", "--eps", "0", "--weight", "3", "--bias", "1"], "batch_norm", -2.0),
        (["batch_norm", "-x", "5", "--mean", "1", "--var", "4", "--eps", "0"], "batch_norm", 2.0),
        (["dropout", "-x", "3 5", "-p", "0.2", "--seed", "1", "--at", "1"], "dropout", 6.25),
        (["conv2d", "--flip", "--kernel", "1x2", "--at", "2"], "conv2d", 7.0),
        (
            ["conv2d", "--algorithm", "matrix", "--stride", "2", "--dilation", "2", "--mode", "zeros"],
            "conv2d",
            732.0,
        ),
    ],
)
def test_explain_every_operation(arguments, op, value, capsys):
    told = json.loads(said(capsys, "explain", *arguments, "--format", "json"))
    assert told["op"] == op
    assert told["value"] == value


def test_explain_reads_files(tmp_path, capsys):
    x, w = integers(3, 4, 4).astype(np.float32), integers(2, 3, 2, 2, seed=1).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    files = "-x", str(tmp_path / "x.npy"), "-w", str(tmp_path / "w.npy")
    told = json.loads(said(capsys, "explain", "conv2d", *files, "--at", "1,2,0", "--format", "json"))
    assert told["value"] == explain.conv2d(x, w)[1, 2, 0].value
    (tmp_path / "x.csv").write_text("1,2\n3,4\n")
    told = said(capsys, "explain", "max_pool2d", "-x", str(tmp_path / "x.csv"), "--format", "json")
    assert json.loads(told)["value"] == 4.0


def test_explain_in_other_forms(capsys):
    ledger = explain.pad(np.arange(25.0).reshape(1, 5, 5), (1, 1, 1, 1))[0, 0, 0]
    assert said(capsys, "explain", "pad", "--format", "latex") == ledger.to_latex() + "\n"
    assert said(capsys, "explain", "pad", "--format", "html") == ledger.to_html() + "\n"


def test_explain_leaves_rows_out(capsys):
    assert "... 7 more ..." in said(capsys, "explain", "conv2d", "--rows", "2")


def test_a_terminal_gets_colours_and_whole_lines(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = said(capsys, "explain", "conv2d", "--rows", "2")
    assert "\x1b[" in out
    assert "..." in out
    assert "…" not in out  # nothing was cut off


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["explain", "conv2d", "--at", "0,9"], "conv2d's output has shape (1, 3, 3), got index (0, 0, 9)"),
        (["explain", "conv2d", "--at", "0,0,0,0"], "one number an axis is needed"),
        (["explain", "conv2d", "--at", "a"], "must be whole numbers with commas between"),
        (["explain", "conv2d", "--kernel", "9"], "the window does not fit"),
        (["explain", "conv2d", "--kernel", "0"], "--kernel must be at least 1, got (0, 0)"),
        (["explain", "conv2d", "--size", "0"], "only the batch may be empty"),
        (["explain", "conv2d", "--padding", "some"], "top, bottom, left, right"),
        (["explain", "conv2d", "--mode", "mirror", "--padding", "1"], "padding_mode must be one of"),
        (["explain", "conv2d", "--groups", "0"], "groups must be at least 1"),
        (["explain", "conv2d", "--rows", "0"], "--rows must be at least 1, got 0"),
        (["explain", "conv2d", "-x", "1 2; 3"], "must be a file of numbers, or rows of them"),
        (["explain", "conv2d", "-x", "no.npy"], "cannot read no.npy: No such file or directory"),
        (["explain", "avg_pool2d", "--padding", "2"], "padding must be at most half the window"),
        (["explain", "batch_norm", "-x", "1"], "more than 1 value per mean and variance is needed"),
        (["explain", "batch_norm", "--mean", "1"], "evaluation needs running_var"),
        (["explain", "dropout", "-p", "2"], "p must be in [0, 1]"),
        (["explain", "softmax"], "invalid choice: 'softmax'"),
        (["explain"], "OPERATION"),
        (["coverage", "3", "5"], "the window does not fit"),
        (["coverage", "3", "3x3x3"], "must be one whole number or two, such as 3 or 3x4, got '3x3x3'"),
        (["field", "3s0"], "stride must be at least 1"),
        (["field", "3q2"], "must be a window such as 3, 7s2p3 or 3x5d2, got '3q2'"),
        (["field", "3", "--size", "8", "--at", "6,0"], "oh must be below 6"),
        (["field", "3", "--size", "8", "--at", "6"], "--at must be a row and a column of the output"),
        (["dialects", "8", "3", "--stride", "0"], "stride must be at least 1"),
        (["xlsx", "--size", "0"], "--size must be at least 1"),
        (["xlsx", "numbers.csv"], "FILE must end in .xlsx, got numbers.csv"),
        (["xlsx", "no/such/folder/a.xlsx"], "cannot write no/such/folder/a.xlsx: No such file or directory"),
    ],
)
def test_what_is_refused_in_one_line(arguments, error, capsys):
    assert error in refused(capsys, *arguments)


def test_files_that_hold_no_numbers(tmp_path, capsys):
    np.save(tmp_path / "words.npy", np.array(["a"]))
    assert "holds no numbers" in refused(capsys, "explain", "pad", "-x", str(tmp_path / "words.npy"))
    (tmp_path / "words.txt").write_text("a b\n")
    assert "must be a file of numbers" in refused(capsys, "explain", "pad", "-x", str(tmp_path / "words.txt"))


# --- coverage, field and dialects ----------------------------------------------------------


def test_coverage_prints_what_the_function_says(capsys):
    arguments = "8x9", "3", "--stride", "2", "--padding", "1", "--dilation", "1x2", "--mode", "reflect"
    found = explain.coverage((8, 9), 3, 2, 1, (1, 2), "reflect")
    assert said(capsys, "coverage", *arguments) == f"{found}\n"
    assert json.loads(said(capsys, "coverage", *arguments, "--json")) == found.to_dict()


def test_field_follows_layers(capsys):
    out = said(capsys, "field", "7s2p3", "3x1d2", "--size", "32", "--at", "0,1")
    layers = [
        {"kernel_size": 7, "stride": 2, "padding": 3},
        {"kernel_size": (3, 1), "dilation": 2},
    ]
    assert out.startswith(f"{explain.receptive_field(layers, 32)}\n")
    assert "output (0, 1) sees rows 0 to 11 and columns 0 to 5" in out


def test_dialects_print_what_the_function_says(capsys):
    found = explain.dialects(8, 3, 2, "same")
    assert said(capsys, "dialects", "8", "3", "--stride", "2", "--padding", "same") == f"{found}\n"
    told = json.loads(said(capsys, "dialects", "8", "3", "--stride", "2", "--padding", "same", "--json"))
    assert told == json.loads(json.dumps(found.to_dict()))


# --- xlsx ----------------------------------------------------------------------------------


def test_xlsx_writes_the_file_and_prints_its_name(tmp_path, capsys, monkeypatch):
    pytest.importorskip("xlsxwriter")
    monkeypatch.chdir(tmp_path)
    assert (
        said(capsys, "xlsx", "-x", "1 2 3; 4 5 6", "-w", "1 2", "--padding", "1", "--mode", "symmetric")
        == "convkit.xlsx\n"
    )
    assert said(capsys, "xlsx", "b.xlsx") == "b.xlsx\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.xlsx", "convkit.xlsx"]
    assert (tmp_path / "b.xlsx").read_bytes()[:2] == b"PK"
