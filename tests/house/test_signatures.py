"""Public names have signatures that an IDE can show: arguments with their types and defaults, and a first line of prose."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_origin

import pytest

import steepest

ROOMS = (
    steepest, steepest.point, steepest.oracle, steepest.channel, steepest.chart, steepest.direction, steepest.stepsize,
    steepest.geometry, steepest.schedule, steepest.solve, steepest.nn, steepest.landscape, steepest.losses,
    steepest.weighting,
)  # fmt: skip


def public() -> Iterator[tuple[str, Any]]:
    """Classes and functions of every public room."""
    for room in ROOMS:
        for name in getattr(room, "__all__", ()):
            value = getattr(room, name)
            if not get_origin(value) and (inspect.isclass(value) or inspect.isfunction(value)):  # no alias
                yield f"{room.__name__}.{name}", value


NAMES = dict(public())


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_typed_and_said(name: str) -> None:
    """Every argument has an annotation, no signature is ``(*args, **kwargs)``, and the docstring begins with a sentence."""
    value = NAMES[name]
    made = (BaseException, Enum, tuple, dict)  # by Python itself: raised, chosen from, or with typed fields
    if inspect.isclass(value) and (issubclass(value, made) or getattr(value, "_is_protocol", False)):
        return
    arguments = [p for p in inspect.signature(value).parameters.values() if p.name != "self"]
    bare = [p.name for p in arguments if p.annotation is inspect.Parameter.empty]
    assert not bare, f"{name} does not say the types of {bare}"
    assert [p.name for p in arguments] != ["args", "kwargs"], f"{name} says nothing about its arguments"
    doc = (inspect.getdoc(value) or "").strip()
    assert doc, f"{name} has no docstring"
    assert not doc.startswith(f"{value.__name__}("), f"{name} has the docstring that dataclass makes"
