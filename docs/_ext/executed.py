"""Sphinx runs the Python of a page while it reads the page, and shows what came out.

``{run}`` shows its code, what it printed, and its last value: a drawing (a Matplotlib Axes or Figure,
or a dict of captions and drawings, which stand side by side) becomes inline SVG in the page's own ink;
what knows itself as HTML (``_repr_html_``) is asked for that, and stands below what was printed. A false
assertion stops the build.

Options of ``{run}``: ``:hide:`` leaves the code out, ``:table:`` reads what was printed as
Markdown, ``:alt:`` describes a drawing to those who do not see it, ``:caption:`` stands below it.
``:reads:`` names files, from the root of the repository, whose change makes Sphinx run the page anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from page_code import PageCode
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole

from convkit.tour.encode import svg

ROOT = Path(__file__).parents[2]


def page_code(env: Any) -> PageCode:
    """Return the namespace of the page that is being read; Sphinx forgets it with the page."""
    return env.temp_data.setdefault("convkit page code", PageCode(str(env.doc2path(env.docname))))


class Run(SphinxDirective):
    """The fence ``{run}``."""

    has_content = True
    option_spec: ClassVar = {
        "hide": directives.flag,
        "table": directives.flag,
        "alt": directives.unchanged,
        "caption": directives.unchanged,
        "reads": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        code = "\n".join(self.content)
        for pattern in self.options.get("reads", "").split():
            for path in ROOT.glob(pattern):
                self.env.note_dependency(str(path))
        try:
            printed, value = page_code(self.env).run(code, self.content_offset + 1)
        except Exception as error:
            where = f"{self.env.doc2path(self.env.docname)}:{self.lineno}"
            raise ExtensionError(f"{where}: {type(error).__name__}: {error}", error) from error
        shown: list[nodes.Node] = []
        if "hide" not in self.options:
            shown.append(nodes.literal_block(code, code, language="python"))
        last: list[nodes.Node] = []
        if isinstance(value, Axes | Figure):
            last = [self.figure({"": value})]
        elif hasattr(value, "_repr_html_"):
            last = [nodes.raw("", value._repr_html_(), format="html")]
        elif isinstance(value, Mapping):
            last = [self.figure(value)]
        elif value is not None and "table" not in self.options:
            printed += f"{value!r}\n"
        if "table" in self.options:
            shown += self.parsed(printed)
        elif printed:
            shown.append(nodes.literal_block(printed, printed.rstrip(), language="none", classes=["output"]))
        return [*shown, *last]

    def figure(self, drawings: Mapping[str, Axes | Figure]) -> nodes.Node:
        figure = nodes.container(classes=["drawings", "several"] if len(drawings) > 1 else ["drawings"])
        for label, ax in drawings.items():
            alt = " ".join(filter(None, (self.options.get("alt", ""), label)))
            if not alt:
                raise ExtensionError(f"{self.env.docname}:{self.lineno}: a drawing needs :alt:")
            cell = nodes.container(classes=["drawing"])
            cell += nodes.raw("", svg(ax, alt), format="html")
            if label:
                cell += nodes.paragraph(label, label, classes=["label"])
            figure += cell
        if "caption" in self.options:
            caption = nodes.container(classes=["drawing-caption"])
            caption += self.parsed(self.options["caption"])
            figure += caption
        return figure

    def parsed(self, text: str) -> list[nodes.Node]:
        holder = nodes.container()
        lines = StringList(text.splitlines(), self.env.doc2path(self.env.docname))
        self.state.nested_parse(lines, self.content_offset, holder)
        return holder.children


class Value(SphinxRole):
    """The role ``{value}``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            text = page_code(self.env).text_of(self.text)
        except Exception as error:
            where = f"{self.env.doc2path(self.env.docname)}:{self.lineno}"
            raise ExtensionError(f"{where}: {self.text}: {type(error).__name__}: {error}", error) from error
        return [nodes.inline(text, text, classes=["value"])], []


def setup(app: Any) -> dict[str, bool]:
    app.add_directive("run", Run)
    app.add_role("value", Value())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
