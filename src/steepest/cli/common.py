"""What every command needs: a reader of numbers, one sentence on the error stream, and a look at what is installed."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import typer

from steepest.cli.extra import EXTRA, GET_EXTRA


def number(kind: type, low: float, high: float, example: str) -> Callable[[str], Any]:
    """A reader of numbers that says what it saw and what it wants.

    By hand, for the messages of typer's own ranges leave out the value, and its ranges of floats let NaN through.
    """
    name = "whole number" if kind is int else "number"

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise typer.BadParameter(f"got {text!r}; give a {name} from {low:g} to {high:g}, for example {example}")
        return value

    return read


def one_sentence(text: str) -> None:
    """Write what could not be done, and what to do, on the error stream."""
    sys.stderr.write(f"steepest: {' '.join(text.split())}\n")


def need_extra() -> None:
    """Says what to install before anything is begun that would find it missing in the middle."""
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        one_sentence(GET_EXTRA.format(missing=", ".join(missing)))
        raise typer.Exit(2)
