"""`benchmarks/gpu.py`, the script for a machine that has a GPU, in the simulator."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convkit import dispatch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu  # noqa: E402
from gpu_journal import Journal, means_of  # noqa: E402


def report_in(folder):
    return json.loads((folder / "gpu.json").read_text())


def test_all_is_checked_and_timed(tmp_path):
    command = [sys.executable, "-W", "ignore::RuntimeWarning", str(BENCHMARKS / "gpu.py")]
    done = subprocess.run(
        [*command, "--simulate", "--out", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = report_in(tmp_path)
    assert report["failures"] == report["left out"] == []
    lines = {f"{k.op} {k.algorithm}" for k in dispatch.KERNELS if k.backend == "cuda"}
    assert report["checks"].keys() == lines
    assert min(report["checks"].values()) >= 3
    timed = {f"{row['op']} {row['algorithm']}" for row in report["rows"]}
    assert timed == lines
    table = (tmp_path / "gpu.md").read_text()
    assert table.startswith("# convkit on Numba's simulator")
    assert all(f"| {row['case']} |" in table for row in report["rows"])


# One kernel ends its process, as an illegal address would, and one is wrong.
SABOTAGED = """
import os, sys
from pathlib import Path
import numpy as np
sys.argv.append("--simulate")
import gpu, gpu_run
from convkit._cuda import padding, unfold

if {fault!r} == "in checks":
    padding.pad2d = lambda *arguments: os._exit(9)
elif {fault!r} == "no room":
    sent = gpu_run.sent
    gpu_run.sent = lambda arrays: sent([a if np.shape(a) != (4, 8, 8) else np.empty(2**55) for a in arrays])
else:
    pad2d = padding.pad2d
    padding.pad2d = lambda y, *rest: os._exit(9) if y.shape == (4, 8, 8) else pad2d(y, *rest)  # as timed
unfold.im2col = lambda *arguments: None
lines = gpu_run.lines
gpu_run.lines = lambda op=None: (k for k in lines(op) if k.op in ("pad2d", "im2col", "dropout_mask"))
gpu_run.convolutions = gpu_run.ladder_layers = lambda simulate: ()
sys.exit(gpu.work(Path({out!r}), 7.0, True))
"""


def sabotaged(folder, monkeypatch, fault):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setenv("PYTHONPATH", str(BENCHMARKS))
    script = folder / "sabotaged.py"
    script.write_text(SABOTAGED.format(out=str(folder), fault=fault))
    assert gpu.supervise([sys.executable, str(script)], folder, minutes=7.0) == 1
    return report_in(folder)


@pytest.mark.parametrize("fault", ["in checks", "when timed"])
def test_failing_kernels_are_reported_and_passed_by(tmp_path, monkeypatch, fault):
    report = sabotaged(tmp_path, monkeypatch, fault)
    failures = "\n".join(f.splitlines()[0] for f in report["failures"])
    assert "ended its process: 9" in failures
    assert "check im2col direct" in failures
    assert {row["op"] for row in report["rows"]} == {"dropout_mask"}  # nothing wrong is timed
    assert report["checks"]["dropout_mask direct"] >= 3
    left_out = "\n".join(report["left out"])
    assert "im2col direct, which did not pass its checks" in left_out
    if fault == "in checks":
        assert failures.count("pad2d") == 1  # and is not tried again
        assert "checks of pad2d direct" in left_out
        assert "pad zeros pad2d direct, which did not pass its checks" in left_out
    else:
        assert failures.count("pad2d") == 3  # padding of three modes


def test_arrays_without_room_are_passed_by(tmp_path, monkeypatch):
    report = sabotaged(tmp_path, monkeypatch, "no room")
    (failure,) = (f for f in report["failures"] if f.startswith("streaming: pad zeros pad2d:"))
    assert "MemoryError" in failure
    assert "dropout_mask" in {row["op"] for row in report["rows"]}


def test_the_table_has_means_to_compare_with_targets():
    rows = [
        {"section": section, "case": case, "op": op, "algorithm": algorithm, "share of copy bandwidth": share}
        | ({"torch / convkit": ratio} if ratio else {})
        for section, case, op, algorithm, share, ratio in (
            ("streaming", "pad zeros", "pad2d", "direct", 0.5, 4.0),
            ("streaming", "layer norm", "normalize", "direct", 0.72, None),
            ("streaming", "layer norm", "normalize", "naive", 0.01, 0.1),
            ("ladder", "ladder 3x3", "conv2d", "direct", 0.1, 0.1),
            ("layers", "vgg16 first", "conv2d", "direct", 0.1, 1.0),
            ("layers", "vgg16 second", "conv2d", "direct", 0.1, 0.25),
        )
    ]
    assert means_of(rows) == [
        "- streaming operations, share of copy bandwidth: 0.60 over 2, least 0.50 (pad zeros pad2d)",
        "- streaming operations, PyTorch / convkit: 4.00 over 1, least 4.00 (pad zeros pad2d)",
        "- vgg16 conv2d, PyTorch / convkit: 0.50 over 2, least 0.25 (vgg16 second conv2d)",
    ]


def test_a_process_that_never_begins_is_the_last(tmp_path):
    assert gpu.supervise([sys.executable, "-c", "raise SystemExit(7)"], tmp_path, minutes=7.0) == 1
    assert report_in(tmp_path)["failures"] == ["the run: ended its process: 7"]


def test_what_an_earlier_process_began_is_not_blamed(tmp_path):
    dies_twice = (
        f"import os, sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from pathlib import Path; from gpu_journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path / 'gpu.jsonl')!r}))\n"
        "if not journal.failed:\n"
        "    journal.write(begin='check conv2d direct, first')\n"
        "    journal.write(begin='check conv2d direct: one')\n"
        "os._exit(9)"
    )
    assert gpu.supervise([sys.executable, "-c", dies_twice], tmp_path, minutes=7.0) == 1
    failures = report_in(tmp_path)["failures"]
    assert failures == ["check conv2d direct: one: ended its process: 9", "the run: ended its process: 9"]


def test_a_process_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "OVERTIME", 0)
    hang = (
        f"import sys, time; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from pathlib import Path; from gpu_journal import Journal\n"
        f"Journal(Path({str(tmp_path / 'gpu.jsonl')!r})).write(begin='check conv2d direct: one')\n"
        "time.sleep(600)"
    )
    assert gpu.supervise([sys.executable, "-c", hang], tmp_path, minutes=0.0) == 1
    assert report_in(tmp_path)["failures"] == ["check conv2d direct: one: it took too long and was ended"]


def test_a_kernel_that_hangs_is_passed_by(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PATIENCE", 2)
    hang_once = (
        f"import sys, time; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from pathlib import Path; from gpu_journal import Journal\n"
        f"journal = Journal(Path({str(tmp_path / 'gpu.jsonl')!r}))\n"
        "if not journal.failed:\n"
        "    journal.write(begin='check conv2d direct, first')\n"
        "    journal.write(begin='check conv2d direct: one')\n"
        "    time.sleep(600)\n"
        "journal.write(checked='pad2d direct', passed=3)"
    )
    assert gpu.supervise([sys.executable, "-c", hang_once], tmp_path, minutes=7.0) == 1
    report = report_in(tmp_path)
    assert report["failures"] == ["check conv2d direct: one: it took too long and was ended"]
    assert report["checks"] == {"pad2d direct": 3}
    assert Journal(tmp_path / "gpu.jsonl").is_fatal("conv2d direct")


def test_without_a_gpu_the_script_says_so(tmp_path):
    if not (reason := dispatch.why_not("cuda")):
        pytest.skip("there is one")
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (gpu.NO_GPU, f"cuda: {reason}")


def test_a_journal_is_read_while_it_is_written(tmp_path):
    journal = Journal(tmp_path / "gpu.jsonl", anew=True)
    journal.write(checked="pad2d direct", passed=3)
    with journal.path.open("a") as file:
        file.write('{"failed": "check pad2d dir')  # so far
    assert Journal(journal.path).may_be_timed("pad2d direct")
    with journal.path.open("a") as file:
        file.write('ect: one", "how": ""}\n')
    assert not Journal(journal.path).may_be_timed("pad2d direct")
