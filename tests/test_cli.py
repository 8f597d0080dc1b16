"""The command: what it prints where, its exit codes, and that nothing half-written is left."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convkit
from convkit import cli, tour
from convkit.cli import main

QUICK = ["--seconds", "0.001"]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def stub(monkeypatch):
    """Replace the making of the page, which test_tour.py tests, by something instant."""

    def make_tour(image=None, *, seconds, progress):
        progress("image", 0, 1)
        progress("page", 1, 1)
        it = tour.read_photo(image)
        return tour.Tour("<!DOCTYPE html>×", it, ())

    monkeypatch.setattr(tour, "make_tour", make_tour)


def one_error_line(capsys):
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("convkit: error: ")
    assert err.count("\n") == 1
    return err


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "convkit", *arguments], capture_output=True, text=True, check=False, **options
    )


# --- warmup --------------------------------------------------------------------------------


def test_warmup_compiles_ahead_and_says_where(tmp_path):
    def warmup(*arguments):
        cache = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        return run("warmup", "--only", "pad", *arguments, env=cache)

    first = warmup()
    assert first.returncode == 0, first.stderr
    done, kept = first.stdout.splitlines()
    assert done.startswith("2 kernels were compiled in ")
    assert done.endswith(" s, 0 were found on disk")
    assert kept.startswith(f"kept in {tmp_path}")
    second = json.loads(warmup("--json").stdout)
    assert (second["compiled"], second["found"]) == (0, 2)
    assert second["folders"] == [kept.removeprefix("kept in ")]


def test_warmup_deletes_what_other_sources_left(tmp_path):
    """Files of other sources of the same kernel go; what is current, or anybody else's, stays."""

    def warmup(*arguments):
        cache = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
        done = run("warmup", "--only", "channel_mean", "--json", *arguments, env=cache)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (folder,) = map(Path, warmup()["folders"])
    kept = {f.name for f in folder.iterdir()}
    old = {re.sub("_[0-9a-f]{12}-", "_0123456789ab-", name) for name in kept}
    others = {
        "pooling.mine-3.py311.nbi",
        "channels.mine_serial_0123456789ab-3.py311.1.nbc",
        "channels.channel_mean.py",
    }
    for name in old | others:
        (folder / name).write_bytes(b"old")
    assert old
    assert warmup("--clean")["deleted"] == len(old)
    assert {f.name for f in folder.iterdir()} == kept | others
    again = warmup("--clean")
    assert (again["compiled"], again["deleted"]) == (0, 0)


def test_warmup_knows_its_operations(capsys):
    assert main(["warmup", "--only", "padding"]) == 2
    assert one_error_line(capsys).endswith("got 'padding'\n")


def test_warmup_without_a_compiler(capsys, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert main(["warmup"]) == 2
    assert "nothing would be compiled" in one_error_line(capsys)


# --- version and info ----------------------------------------------------------------------


def test_version_of_the_module():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"convkit {convkit.__version__}\n", "")


def test_version_imports_nothing_heavy():
    code = (
        "import sys; from convkit.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('matplotlib', 'numba', 'scipy', 'PIL', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert out.split()[:2] == ["convkit", convkit.__version__]
    assert "reference: available" in out
    assert "conv2d" in out


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["convkit"] == convkit.__version__
    assert "direct" in found["operations"]["conv2d"]["reference"]
    assert found["backends"]["reference"] == "available"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["tour", "--seconds", "-1"], ["tour", "a", "b"]])
def test_bad_usage(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err.splitlines()[-1]


# --- tour: what it writes ------------------------------------------------------------------


def test_tour_prints_the_path_alone(stub, picture, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["tour", str(picture), "-o", str(page)]) == 0
    assert capsys.readouterr() == (f"{page}\n", "")
    assert page.read_text(encoding="utf-8") == "<!DOCTYPE html>×"


def test_default_name_is_in_the_current_folder(stub, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tour", str(picture)]) == 0
    assert capsys.readouterr().out == "convkit-tour.html\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["convkit-tour.html", "picture.png"]


def test_older_page_is_replaced_and_keeps_its_permissions(stub, picture, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("old")
    page.chmod(0o640)
    assert main(["tour", str(picture), "-o", str(page)]) == 0
    assert page.read_text(encoding="utf-8") != "old"
    assert page.stat().st_mode & 0o777 == 0o640


def test_link_is_followed(stub, picture, tmp_path):
    page, link = tmp_path / "page.html", tmp_path / "link.html"
    page.write_text("old")
    link.symlink_to(page)
    assert main(["tour", str(picture), "-o", str(link)]) == 0
    assert link.is_symlink()
    assert page.read_text(encoding="utf-8") != "old"


def test_dash_writes_the_page_to_standard_output(stub, picture, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["tour", str(picture), "-o", "-"]) == 0
    assert raw.getvalue().decode("utf-8") == "<!DOCTYPE html>×"


def test_standard_output_that_takes_a_part_at_a_time_gets_all(stub, picture, monkeypatch):
    class Slow(io.BytesIO):
        def write(self, data):
            return super().write(bytes(data[:5]))

    raw = Slow()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    assert main(["tour", str(picture), "-o", "-"]) == 0
    assert raw.getvalue().decode("utf-8") == "<!DOCTYPE html>×"


def test_json_summary(picture, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["tour", str(picture), "-o", str(page), "--json", *QUICK]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["file"] == str(page)
    assert summary["bytes"] == page.stat().st_size
    assert summary["image"]["width"] == 9
    assert len(summary["sections"]) == 11
    assert summary["checks"] == sum(len(s["checks"]) for s in summary["sections"]) > 40
    for section in summary["sections"]:
        for check in section["checks"]:
            assert check["difference"] <= check["bound"]
            assert "<" not in check["statement"]


def test_open(stub, picture, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    page = tmp_path / "a page.html"
    assert main(["tour", str(picture), "-o", str(page), "--open"]) == 0
    assert opened == [page.as_uri()]


def test_open_without_a_browser_says_so_and_succeeds(stub, picture, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html"), "--open"]) == 0
    assert "no browser" in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal_only(stub, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html")]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert "page" in err


# --- tour: what goes wrong -----------------------------------------------------------------


def test_missing_image(tmp_path, capsys):
    assert main(["tour", str(tmp_path / "no.png"), "-o", str(tmp_path / "page.html")]) == 2
    assert "no.png: No such file or directory" in one_error_line(capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"\xff\xd8\xff\xe0\0\x10JFIF"]
)
def test_broken_image(content, tmp_path, capsys):
    image = tmp_path / "broken.png"
    image.write_bytes(content)
    assert main(["tour", str(image), "-o", str(tmp_path / "page.html")]) == 2
    assert "broken.png" in one_error_line(capsys)
    assert list(tmp_path.iterdir()) == [image]


def test_truncated_image(picture, tmp_path, capsys):
    picture.write_bytes(picture.read_bytes()[:-40])
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html")]) == 2
    one_error_line(capsys)


def test_image_that_is_a_folder(tmp_path, capsys):
    assert main(["tour", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 2
    assert "directory" in one_error_line(capsys)


@pytest.mark.parametrize("factor", [1.5, 3])  # Pillow warns beyond its limit and refuses beyond twice that
def test_decompression_bomb(factor, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(12 * 9 / factor))
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html")]) == 2
    assert "decompression bomb" in one_error_line(capsys)


def test_error_is_one_line_whatever_the_name_holds(tmp_path, capsys):
    assert main(["tour", "a\nb\x1b[31m.png", "-o", str(tmp_path / "page.html")]) == 2
    assert "\x1b" not in one_error_line(capsys)


@pytest.mark.parametrize(
    ("output", "reason"), [("", "is a directory"), ("no/such/page.html", "folder does not exist")]
)
def test_impossible_output_is_refused_before_the_work(output, reason, picture, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tour, "make_tour", None)  # calling it would fail
    assert main(["tour", str(picture), "-o", str(tmp_path / output)]) == 2
    assert reason in one_error_line(capsys)


def test_image_is_not_overwritten_by_its_own_page(picture, capsys):
    before = picture.read_bytes()
    assert main(["tour", str(picture), "-o", str(picture)]) == 2
    assert "it is the image itself" in one_error_line(capsys)
    assert picture.read_bytes() == before


def test_dash_excludes_a_summary(picture, capsys):
    assert main(["tour", str(picture), "-o", "-", "--json"]) == 2
    one_error_line(capsys)


def test_full_disk_leaves_the_old_page(stub, picture, tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main(["tour", str(picture), "-o", str(page)]) == 2
    assert "No space left" in one_error_line(capsys)
    assert page.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", "picture.png"]


def test_false_statement_is_exit_code_1(picture, tmp_path, capsys, monkeypatch):
    def make_tour(*_, **__):
        raise tour.StatementFailed("1 = 2: differs by 1, allowed 0")

    monkeypatch.setattr(tour, "make_tour", make_tour)
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html")]) == 1
    assert "1 = 2" in one_error_line(capsys)
    assert list(tmp_path.iterdir()) == [picture]


def test_interrupt_while_writing(stub, picture, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    assert main(["tour", str(picture), "-o", str(tmp_path / "page.html")]) == 130
    assert capsys.readouterr().err == "convkit: interrupted\n"
    assert list(tmp_path.iterdir()) == [picture]


def test_interrupt_of_a_process(tmp_path):
    code = (
        "import signal, sys, convkit.tour; from convkit.cli import main; "
        # A job in a shell's background, as these tests may be, starts its children deaf to it.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "tour", "-o", str(tmp_path / "page.html")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)  # the page takes seconds: it is being made
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "convkit: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_reader_that_leaves():
    command = f"{sys.executable} -m convkit info | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141)  # 0 where everything was written before `true` ended
    assert done.stderr == ""


def test_closed_pipe_is_141_without_a_traceback(monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        assert cli.main(["info"]) == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("arguments", "what"), [([""], "IMAGE"), (["-o", ""], "-o"), (["-o="], "-o")])
def test_an_empty_name_is_no_file(arguments, what, capsys):
    assert main(["tour", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"convkit: error: {what} is an empty name: leave it away for the default, or name a file\n"
