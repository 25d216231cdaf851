"""BibTeX of what was assembled."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from importlib import resources


@functools.cache
def bibliography() -> dict[str, str]:
    """All entries of references.bib by key."""
    text = resources.files("steepest").joinpath("references.bib").read_text(encoding="utf-8")
    entries = re.split(r"^(?=@)", text, flags=re.MULTILINE)
    return {e.split("{", 1)[1].split(",", 1)[0].strip(): e.strip() for e in entries if e.startswith("@")}


def citation(keys: Iterable[str]) -> str:
    """The entries for ``keys``, each once, in order.

    Raises:
        KeyError: a key that references.bib lacks.
    """
    return "\n\n".join(bibliography()[key] for key in dict.fromkeys(keys))
