"""The spreadsheet: LibreOffice computes its formulas anew and comes to the kernels' numbers."""

import csv
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from comparator import assert_close, assert_equal
from geometries import integers, reals

import convkit
from convkit import explain

pytest.importorskip("xlsxwriter")
from xlsxwriter.utility import xl_cell_to_rowcol

needs_libreoffice = pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")

RECOMPUTE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop></item></oor:items>"""
CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false"  # commas, UTF-8, all digits


def recomputed(path, folder):
    """Return the sheet's cells after LibreOffice has computed every formula anew."""
    settings = folder / "office" / "user" / "registrymodifications.xcu"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(RECOMPUTE)
    profile = f"-env:UserInstallation={(folder / 'office').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", CSV, "--outdir", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    with open(folder / f"{path.stem}.csv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def plane(rows, where):
    """Return the numbers of a range such as B5:D7."""
    (top, left), (bottom, right) = (xl_cell_to_rowcol(end) for end in where.split(":"))
    return np.array([[float(cell) for cell in row[left : right + 1]] for row in rows[top : bottom + 1]])


def stored(path):
    """Return the sheet's XML."""
    with zipfile.ZipFile(path) as book:
        return book.read("xl/worksheets/sheet1.xml").decode()


def with_cells(path, changed, target):
    """Copy a spreadsheet with other numbers in some cells, and with no formula's value kept."""
    xml = stored(path)
    xml = re.sub(r"(</f>)<v>[^<]*</v>", r"\1<v>-999</v>", xml)
    for cell, value in changed.items():
        xml, count = re.subn(rf'(<c r="{cell}"[^>]*>)<v>[^<]*</v>', rf"\g<1><v>{value!r}</v>", xml)
        assert count == 1
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, xml if name == "xl/worksheets/sheet1.xml" else old.read(name))
    return target


CASES = {
    "plain": ((1, 1, 5, 6), (1, 1, 3, 3), {}),
    "everything": (
        (2, 4, 5, 6),
        (4, 2, 2, 3),
        {"stride": (2, 1), "padding": ((1, 2), (0, 2)), "groups": 2, "padding_mode": "reflect"},
    ),
    "dilated": ((1, 2, 7, 7), (2, 2, 3, 2), {"dilation": (2, 3), "padding": 3, "padding_mode": "circular"}),
    "turned": ((1, 2, 4, 4), (3, 2, 2, 2), {"flip": True, "padding": "same", "padding_mode": "symmetric"}),
    "repeated": ((1, 1, 3, 3), (1, 1, 3, 3), {"padding": 4, "padding_mode": "replicate", "stride": 3}),
}


@needs_libreoffice
@pytest.mark.parametrize("name", CASES)
def test_formulas_follow_a_changed_pixel_to_the_kernel_s_new_output(name, tmp_path):
    x_shape, w_shape, options = CASES[name]
    x, w, b = integers(*x_shape), integers(*w_shape, seed=1), integers(w_shape[0], seed=2)
    gamma, beta = reals(w_shape[0], seed=3), reals(w_shape[0], seed=4)
    written = explain.to_xlsx(tmp_path / "a.xlsx", x, w, b, **options, weight=gamma, bias=beta)

    x[0, 0, 1, 2] = 11.0
    row, column = xl_cell_to_rowcol(written.ranges["input"][0, 0].partition(":")[0])
    pixel = f"{_letters(column + 2)}{row + 2}"
    rows = recomputed(with_cells(written.path, {pixel: 11.0}, tmp_path / "b.xlsx"), tmp_path)

    y = convkit.conv2d(x, w, b, **options)
    z = convkit.batch_norm(y, None, None, gamma, beta, True)
    for n, c in np.ndindex(x.shape[:2]):
        assert_equal(plane(rows, written.ranges["input"][n, c]), x[n, c])
    for n, oc in np.ndindex(y.shape[:2]):
        assert_equal(plane(rows, written.ranges["output"][n, oc]), y[n, oc])
        # 15 digits are written; sums of a few dozen squares, a root and a quotient round some 100 times
        assert_close(
            plane(rows, written.ranges["batch_norm"][n, oc]), z[n, oc], 1e-13 * (1 + np.abs(z[n, oc]))
        )


def _letters(column):
    from xlsxwriter.utility import xl_col_to_name

    return xl_col_to_name(column)


def test_stored_values_are_those_of_the_kernels(tmp_path):
    x, w = reals(1, 2, 4, 5, dtype="float32"), reals(2, 2, 2, 2, seed=1, dtype="float32")
    written = explain.to_xlsx(tmp_path / "a.xlsx", x, w, padding=1, padding_mode="reflect")
    values = dict(
        re.findall(r'<c r="([A-Z]+\d+)"[^>]*>(?:<f>[^<]*</f>)?<v>([^<]*)</v>', stored(written.path))
    )

    def kept(zone, key):
        (top, left), (bottom, right) = map(xl_cell_to_rowcol, written.ranges[zone][key].split(":"))
        return np.array(
            [
                [float(values[f"{_letters(q)}{r + 1}"]) for q in range(left, right + 1)]
                for r in range(top, bottom + 1)
            ]
        )

    def close(got, want):
        assert_close(got, want, 1e-15 * np.abs(want))  # 16 digits are written

    wide = x.astype(float), w.astype(float)
    y = convkit.conv2d(*wide, padding=1, padding_mode="reflect")
    z = convkit.batch_norm(y, None, None, training=True)
    for c in range(2):
        close(kept("input", (0, c)), wide[0][0, c])
        close(kept("padded", (0, c)), convkit.pad(wide[0], (1, 1, 1, 1), "reflect")[0, c])
        close(kept("output", (0, c)), y[0, c])
        close(kept("batch_norm", (0, c)), z[0, c])


def test_no_two_planes_overlap(tmp_path):
    written = explain.to_xlsx(
        tmp_path / "a.xlsx", integers(2, 4, 3, 3), integers(4, 2, 3, 3, seed=1), padding=2, groups=2
    )
    seen = set()
    for planes in written.ranges.values():
        for where in planes.values():
            (top, left), (bottom, right) = map(xl_cell_to_rowcol, where.split(":"))
            cells = {
                (r, c) for r in range(top - 1, bottom + 1) for c in range(left, right + 1)
            }  # and a caption
            assert not cells & seen
            seen |= cells


def test_one_output_has_no_batch_norm(tmp_path):
    written = explain.to_xlsx(tmp_path / "a.xlsx", np.ones((1, 2, 2)), np.ones((1, 1, 2, 2)))
    assert "batch_norm" not in written.ranges
    assert "VARP" not in stored(written.path)


@pytest.mark.parametrize(
    ("x", "w", "options", "error"),
    [
        (np.full((1, 2, 2), np.nan), np.ones((1, 1, 1, 1)), {}, "x must be finite"),
        (np.ones((1, 2, 2)), np.full((1, 1, 1, 1), np.inf), {}, "w must be finite"),
        (np.ones((1, 400, 400)), np.ones((1, 1, 1, 1)), {}, "the sheet would hold 480,000 formulas"),
        (np.ones((120, 9, 9)), np.ones((1, 120, 3, 3)), {"dilation": 2}, "an output needs a formula of"),
        (np.ones((1, 2, 2)), np.ones((1, 1, 3, 3)), {}, "the window does not fit"),
    ],
)
def test_what_is_no_spreadsheet_leaves_no_file(x, w, options, error, tmp_path):
    with pytest.raises(ValueError, match=error):
        explain.to_xlsx(tmp_path / "a.xlsx", x, w, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        explain.to_xlsx(tmp_path / "no" / "a.xlsx", np.ones((1, 2, 2)), np.ones((1, 1, 1, 1)))
