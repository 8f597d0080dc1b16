"""What the prose says is so: its code runs, its links lead somewhere, and no public name is missing."""

import doctest
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import convkit
from convkit import cli

sys.path += [str(Path(__file__).parent.parent / "docs" / name) for name in ("_ext", "")]

import readme_ladder
from offline import outside_requests
from page_code import PIECES, PageCode, run_page

ROOT = Path(__file__).parent.parent
PAGES = sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)
TOPS = "convkit", "tests", "examples", "benchmarks", "docs"
PROSE = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")), *PAGES]
WITH_CODE = [p for p in PAGES if "{run}" in p.read_text()]


def name(path):
    return str(path.relative_to(ROOT))


def is_hidden(piece):
    return piece["expression"] or ":hide:" in piece["options"]


# --- the code in the pages -----------------------------------------------------------------


@pytest.mark.parametrize("path", WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(path):
    """The same code that Sphinx runs, with its assertions."""
    for text in run_page(path):
        assert text


@pytest.mark.parametrize("path", [p for p in WITH_CODE if p.parent.name == "arithmetic"], ids=name)
def test_a_reader_can_paste_the_code_that_a_chapter_shows(path):
    page = PageCode(str(path))
    shown = [p["code"] for p in PIECES.finditer(path.read_text()) if not is_hidden(p)]
    assert shown
    for code in shown:
        page.run(code)


def test_a_false_assertion_in_a_page_is_an_error(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("Two:\n\n```{run}\nx = 1\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as caught:
        list(run_page(path))
    assert caught.traceback[-1].lineno + 1 == 5, "the error points into the page"


def test_what_a_piece_prints_stands_above_its_last_value_as_html():
    executed = pytest.importorskip("executed", reason="Sphinx is not installed")
    env = SimpleNamespace(temp_data={}, docname="page", doc2path=str)
    code = [
        "class Bold:",
        "    def _repr_html_(self):",
        "        return '<b>value</b>'",
        "print('said')",
        "Bold()",
    ]
    piece = SimpleNamespace(content=code, content_offset=0, lineno=1, options={"hide": None}, env=env)
    shown = executed.Run.run(piece)
    assert [node.astext() for node in shown] == ["said", "<b>value</b>"]


def test_a_page_shares_its_names_from_top_to_bottom(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```{run}\n:hide:\nx = 1200\n```\n\nIt is {value}`x + 34`, or {value}`x / 7`.\n")
    assert list(run_page(path)) == ["1,234", "171"]


def test_the_readme_s_ten_lines():
    text = (ROOT / "README.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.S)
    examples = doctest.DocTestParser().get_doctest(lines, {}, "README.md", "README.md", 0)
    assert len(examples.examples) == 10
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(examples).failed == 0


def test_the_readme_s_ladder_is_the_one_that_was_measured():
    assert readme_ladder.PLACE.findall((ROOT / "README.md").read_text()) == [readme_ladder.table()], (
        "run python docs/readme_ladder.py"
    )


def test_the_readme_names_the_file_that_the_tour_writes():
    assert cli.DEFAULT_OUTPUT in (ROOT / "README.md").read_text()


# --- what the prose points at --------------------------------------------------------------


@pytest.mark.parametrize("path", PROSE, ids=name)
def test_links_to_files_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)
    for target in re.findall(r"(?:\]\(|<img src=\")([^)#\s\"]+)", text):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PROSE, ids=name)
def test_commands_exist(path):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    for target in re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", path.read_text(), re.M):
        assert "".join(target) in targets


def test_the_commands_of_the_course_are_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "course.md").read_text(), re.S | re.M)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) > 10
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "convkit"
        assert cli._parser().parse_args(arguments).run


def test_the_map_of_the_house_is_the_house():
    """Each file and folder that the map names is there, and it leaves out no part of the package."""
    (tree,) = re.findall(r"```\n(convkit/\n.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    named = set(re.findall(r"(\w+\.py|\w+(?=/))", tree))
    there = {p.name for top in TOPS for p in (ROOT / top).rglob("*")}
    assert named <= there | set(TOPS)
    package = {
        p.name for p in (ROOT / "convkit").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert package <= named


def test_each_word_is_at_home_where_the_list_of_words_says():
    text = (ROOT / "docs" / "words.md").read_text()
    words = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", text, re.M)
    assert len(words) == text.count("\n| ") - text.count("| at home in |"), "a line of another shape"
    for word, place in words:
        home = " ".join((ROOT / place).read_text().lower().replace("-", " ").split())
        assert word.partition(",")[0].lower().replace("-", " ") in home, (word, place)


def test_every_public_name_is_in_the_reference():
    text = "".join(p.read_text() for p in (ROOT / "docs" / "reference").glob("*.rst"))
    described = set(re.findall(r"auto(?:function|class|exception|module):: (?:convkit\.)?(\w+)$", text, re.M))
    assert set(convkit.__all__) <= described


# --- pages that need no network ------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<script src="//cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="https://cdn.example/a.css">',
        '<link rel="preload" as="font" href="https://cdn.example/a.woff2">',
        '<img alt="" src="http://cdn.example/a.png">',
        '<iframe src="https://example.org"></iframe>',
        '<p style="background: url(https://cdn.example/a.png)">',
        '<style>@import "https://cdn.example/a.css";</style>',
    ],
)
def test_a_request_to_another_machine_is_seen(html):
    assert outside_requests(html)


@pytest.mark.parametrize(
    "html",
    [
        '<a href="https://example.org">a link</a>',
        '<link rel="canonical" href="https://example.org">',
        '<script src="_static/a.js"></script><img alt="" src="data:image/png;base64,AA//BB">',
        "<p>https://example.org</p>",
    ],
)
def test_what_is_no_request_is_let_alone(html):
    assert outside_requests(html) == []
