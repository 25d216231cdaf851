"""The site: `sphinx-build -W docs site`, run by .ci/check.

Pages are Markdown, docstrings are what they are in the source. No script, style or font is fetched from elsewhere:
formulas become MathML, which browsers draw themselves.
"""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from steepest import Optimizer, methods
from steepest.claims import CLAIMS, recorded
from steepest.claims.lab.base import short, stable
from steepest.core import part

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


class Methods(SphinxDirective):
    """The table of named methods, as the registry has it."""

    def run(self) -> list[nodes.Node]:
        """One row a method."""
        rows = ["* - method", "  - family", "  - bytes of state", "  - passes a step", "  - what it is"]
        for method in sorted(methods.values(), key=lambda method: (method.area, method.name)):
            cells = (method.area, f"{method.state_bytes:g}", f"{method.forwards} + {method.backwards}", method.summary)
            rows += [f"* - :class:`~{method.make.__module__}.{method.name}`", *(f"  - {cell}" for cell in cells)]
        table = ".. list-table::\n   :header-rows: 1\n\n" + "\n".join("   " + row for row in rows)
        return self.parse_text_to_nodes(table)


class Record(SphinxDirective):
    """The table of claims, with what the full profile gave when it was last run."""

    def run(self) -> list[nodes.Node]:
        """One row a claim."""
        rows, on_record = (
            ["* - claim", "  - what the paper says", "  - verdict", "  - measured"],
            recorded()["verdicts"],
        )
        for claim in CLAIMS.values():
            seen = on_record.get(claim.name, {"verdict": "not on record", "numbers": {}})
            numbers = stable(claim, seen["numbers"])
            measured = "; ".join(f"{bound.words}: {short(numbers[bound.number])}, wanted {bound.relation} {bound.limit:g}"
                                 for bound in claim.bounds if bound.number in numbers)  # fmt: skip
            cells = [re.sub(r"([*`|_\\])", r"\\\1", text) for text in (claim.sentence, seen["verdict"], measured)]
            rows += [f"* - ``{claim.name}``", *(f"  - {cell}" for cell in cells)]
        table = ".. list-table::\n   :header-rows: 1\n\n" + "\n".join("   " + row for row in rows)
        return self.parse_text_to_nodes(table)


def bars(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """|x| in a docstring is an absolute value and not a substitution."""
    lines[:] = [re.sub(r"(?<![\\`])\|(\w+)\|", r"\|\1\|", line) for line in lines]


def declared(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """The contract is shown once, at its seam; of a part or a method, only what it adds."""
    seams = (base for base in vars(part).values() if isinstance(base, type) and issubclass(base, part.Part))
    originals = [vars(base)[name] for base in (Optimizer, *seams) if name in vars(base)]
    overrides = bool(originals) and not any(original is thing for original in originals)
    return True if what == "class" and overrides else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_directive("methods", Methods)
    app.add_directive("record", Record)
    app.connect("autodoc-skip-member", declared)
    app.connect("autodoc-process-docstring", bars)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))


html_math_renderer = "mathml"
