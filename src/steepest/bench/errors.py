"""Errors of a request that cannot be carried out: one sentence with the value seen and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A request that cannot be carried out; its text is one sentence for the person who made it."""


def unknown(kind: str, name: str, known: Iterable[str], more: str) -> UsageError:
    """The sentence for a name that does not exist, with the nearest one that does.

    Args:
        kind: what was looked for, for example "method".
        name: the name that was given.
        known: the names that exist.
        more: where to find them all.
    """
    known = list(known)
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[near[0]]!r}? " if near else ""
    return UsageError(f"unknown {kind} {name!r}: {hint}{more}")


def first_line(error: BaseException) -> str:
    """An exception as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
