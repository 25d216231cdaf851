"""The site: `sphinx-build -W docs site`, run by .ci/check.

Pages are Markdown, docstrings are what they are in the source. No script, style or font is fetched from elsewhere:
formulas become MathML, which browsers draw themselves.
"""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

project = "steepest"
html_title = "steepest"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["style.css"]
html_css_files = ["style.css"]

myst_heading_anchors = 3  # links to headings are checked
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the Args sections say more, and shorter
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
add_module_names = False
pygments_style = "friendly"


def inline(translator: Any, node: nodes.math) -> None:
    """A formula in the line."""
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def block(translator: Any, node: nodes.math_block) -> None:
    """A formula of its own."""
    translator.body.append(convert(node.astext(), display="block"))
    raise nodes.SkipNode


def bars(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """|x| in a docstring is an absolute value and not a substitution."""
    lines[:] = [re.sub(r"(?<![\\`])\|(\w+)\|", r"\|\1\|", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", bars)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))


html_math_renderer = "mathml"
