"""How Sphinx builds these pages: ``make docs``, which treats every warning as an error."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

import convkit

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "convkit"
author = "the convkit authors"
copyright = author
version = release = version_of("convkit")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "executed",
    "offline",
]
exclude_patterns = ["_build"]
nitpicky = True

# Prose
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
smartquotes = False

# Reference: the docstrings say types in words, and signatures stay short enough to read
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
add_module_names = False
nitpick_ignore_regex = [("py:.*", r"(numpy|scipy|torch)\..*")]  # their pages are elsewhere
toc_object_entries_show_parents = "hide"

# Pages that need no network: see _ext/offline.py
mathjax_path = "tex-svg-full.js"

html_theme = "pydata_sphinx_theme"
html_title = f"convkit {version}"
html_static_path = ["_static"]
html_css_files = ["convkit.css"]
html_copy_source = False
html_show_sourcelink = False
# Where there are few pages, the list of them on the left is left out.
html_sidebars = {"*": [], "check/*": []}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system says
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def public_name(app, env, node, contnode):
    """Resolve a name that a docstring says as its own module knows it, where the API exports it."""
    name = node["reftarget"].rpartition(".")[2]
    if node.get("refdomain") == "py" and name in convkit.__all__:
        target = f"convkit.{name}"
        return env.get_domain("py").resolve_xref(
            env, node["refdoc"], app.builder, "obj", target, node, contnode
        )
    return None


def setup(app):
    app.connect("missing-reference", public_name)
