"""``convkit check``: what it prints, and its exit codes."""

import json
import subprocess
import sys

import pytest

from convkit.cli import main

FUNCTIONS = """
import numpy as np
import neighbour
from convkit import conv2d as right

print("this file prints while it is read")

def turned(x, w):
    return right(x, w, flip=True)

def conv2d(x, w, stride=1):
    return right(x, w, stride=stride)

def stepping(a, k, step=1):
    return right(a, k, stride=1)

def unending(x, w):
    while True:
        pass

class Layer:
    @staticmethod
    def forward(x, w):
        return right(x, w)

number = 3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "neighbour.py").write_text("")
    path = tmp_path / "homework.py"
    path.write_text(FUNCTIONS)
    return str(path)


def error_of(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convkit: error: ")
    assert err.count("\n") == 1
    return err


def test_a_right_function_is_exit_code_0(file, capsys):
    assert main(["check", f"{file}:conv2d"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("conv2d: conv2d is right")
    assert err == ""


def test_a_broken_rule_is_exit_code_1(file, capsys):
    assert main(["check", f"{file}:turned", "--like", "conv2d"]) == 1
    out, err = capsys.readouterr()
    assert "turned breaks a rule: kernel_flipped" in out
    assert "\x1b" not in out
    assert err == ""


def test_a_method_is_found(file):
    assert main(["check", f"{file}:Layer.forward", "--like", "conv2d"]) == 0


def test_names_of_arguments(file, capsys):
    names = "x=a, w=k, stride=step"
    assert main(["check", f"{file}:stepping", "--like", "conv2d", "--names", names]) == 1
    assert "stride_ignored" in capsys.readouterr().out


def test_a_report_as_json(file, capsys):
    assert main(["check", f"{file}:turned", "--like", "conv2d", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    (broken,) = report["broken"]
    assert broken["rule"] == "kernel_flipped"
    assert broken["expected"] == [[[[21]]]]
    assert broken["got"] == [[[[12]]]]
    assert broken["link"] == "check/rules.html#kernel-flipped"
    assert report["holds"] is False


def test_time_runs_out(file, capsys):
    assert main(["check", f"{file}:unending", "--like", "conv2d", "--seconds", "0.1"]) == 1
    assert "too_slow" in capsys.readouterr().out


def test_the_list_of_rules(capsys):
    assert main(["check", "--rules"]) == 0
    everything = capsys.readouterr().out
    assert main(["check", "--rules", "--like", "pad"]) == 0
    of_pad = capsys.readouterr().out
    assert "rows_first" in of_pad
    assert "kernel_flipped" not in of_pad
    assert all(line in everything for line in of_pad.splitlines())


def test_the_list_of_rules_as_json(capsys):
    assert main(["check", "--rules", "--json"]) == 0
    assert "rows_first" in json.loads(capsys.readouterr().out)["pad"]


def test_a_rule_is_explained(capsys):
    assert main(["check", "--explain", "edge_repeated"]) == 0
    out = capsys.readouterr().out
    assert "How y[0, 0, 0, 0] comes about" in out
    assert "mirrored from" in out


def test_a_file_that_is_not_text_is_said_to_be_so(tmp_path, capsys):
    path = tmp_path / "binary.py"
    path.write_bytes(b"\x00\xff")
    assert main(["check", f"{path}:f", "--like", "conv2d"]) == 2
    err = capsys.readouterr().err
    assert "cannot be run" in err
    assert "None" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a function to check"),
        (["{file}:conv2d", "--rules"], "give a function to check"),
        (["{file}"], "does not say FILE.py:FUNCTION"),
        (["nowhere.py:conv2d"], "there is no file nowhere.py"),
        (["{file}:nothing", "--like", "conv2d"], "has no nothing; it has"),
        (["{file}:number", "--like", "conv2d"], "is not a function but int"),
        (["{file}:turned"], "say which operation turned is like"),
        (["{file}:turned", "--like", "conv4d"], "like must be one of"),
        (["{file}:turned", "--like", "conv2d", "--names", "padding"], "OURS=YOURS"),
        (["{file}:turned", "--like", "conv2d", "--names", "padding=p"], "padding is called 'p'"),
        (["{file}:turned", "--like", "conv2d", "--layout", "HWC"], "layout must be"),
        (["{file}:turned", "--like", "conv2d", "--seconds", "-1"], "seconds must be"),
        (["{file}:turned", "--like", "conv2d", "--seconds", "nan"], "seconds must be"),
        (["--explain", "no_such_rule"], "there is no rule 'no_such_rule'"),
        (["--rules", "--like", "conv4d"], "like must be one of"),
    ],
)
def test_bad_usage_is_exit_code_2(arguments, message, file, capsys):
    assert main(["check", *(a.replace("{file}", file) for a in arguments)]) == 2
    assert message in error_of(capsys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "line 1: invalid syntax"),
        ("\nimport no_such_module\n", "line 2: ModuleNotFoundError"),
        ("import sys\nsys.exit(5)\n", "line 2: SystemExit: 5"),
        ("x = 1 / 0\n", "line 1: ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_run_is_exit_code_2(text, message, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert main(["check", f"{path}:f", "--like", "conv2d"]) == 2
    assert message in error_of(capsys)


def test_a_file_that_is_not_python(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    assert main(["check", f"{path}:f", "--like", "conv2d"]) == 2
    assert "must end in .py" in error_of(capsys)


def test_as_a_process(file):
    command = [sys.executable, "-m", "convkit", "check", f"{file}:turned", "--like", "conv2d"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "kernel_flipped" in done.stdout


def test_a_function_that_is_still_being_compiled_does_not_change_the_exit_code(tmp_path):
    """The compiler is C code in a thread that cannot be ended; it must not outlive Python's own end."""
    pytest.importorskip("numba")
    loops = """
import numba, numpy as np

@numba.njit
def inner(x, w):
    y = np.zeros((x.shape[0], w.shape[0], x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1))
    for n, o, i, j in np.ndindex(*y.shape):
        y[n, o, i, j] = np.sum(x[n, :, i : i + w.shape[2], j : j + w.shape[3]] * w[o])
    return y

def conv2d(x, w):
    return inner(x, w)
"""
    (tmp_path / "compiled.py").write_text(loops)
    command = [
        sys.executable,
        "-m",
        "convkit",
        "check",
        f"{tmp_path / 'compiled.py'}:conv2d",
        "--seconds",
        "0.5",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr  # the compiler, interrupted, may have said something there
    assert "too_slow" in done.stdout
