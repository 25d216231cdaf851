"""Typed fields: every part shows what it is made with, and declarations as dicts mean what they always meant."""

from __future__ import annotations

import copy
import inspect
import pickle
from types import SimpleNamespace
from typing import Any, Literal, get_args, get_type_hints

import pytest
import torch
from torch import Tensor

import steepest
from steepest import channel, chart, direction, geometry, oracle, point, stepsize
from steepest.core.fields import argument, flag, part, real, whole, word
from steepest.core.part import Around, Direction, NewState, Part, Point, Scalars, StepSize
from steepest.optim import methods

SEAMS = (direction, stepsize, geometry, point, oracle, chart, channel)
PARTS = [getattr(seam, name) for seam in SEAMS for name in seam.__all__]


class Rotated(Direction):
    """Declares everything there is."""

    around: Direction = part(Direction, alias="inner", default_factory=Direction)
    tag: str | None = argument(default=None)
    angle: float = real("[0, 1)", default=0.25)
    every: int = whole("[1, inf)", default=2)
    kind: Literal["left", "right"] = word(default="left")
    strict: bool = flag(default=False, kw_only=True)


class Tilted(Rotated):
    """Another default, written as a plain value, and one number more."""

    angle: float = 0.5
    tilt: float = real("[0, inf)", default=1.0)


class Old(Direction):
    """As parts were declared before there were fields."""

    hyper = {"b": (0.9, "[0, 1)"), "c": (1.0, "[0, inf)")}
    structure = {"deep": (True, None), "how": ("sum", ("sum", "mean")), "n": (3, "[1, inf)")}
    deep: bool

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        return g * h.c, {}


class OldAround(Around):
    """With a constructor of its own, as wrappers were."""

    hyper = {"gain": (1.0, "[0, inf)")}

    def __init__(self, inner: Direction, **given: Any) -> None:
        super().__init__(inner, **given)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        d, new = self.apply_inner(g, x, s, h)
        return d * h.gain, new


def shown(cls: Any) -> list[tuple[str, Any]]:
    return [(p.name, p.default) for p in inspect.signature(cls).parameters.values()]


@pytest.mark.parametrize("cls", PARTS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_part_shows_its_parameters(cls: type[Part]) -> None:
    """Names, defaults and types, no catch-all; given by name in this order, they make the part that is made by default."""
    parameters = inspect.signature(cls).parameters
    assert [*inspect.signature(cls.__init__).parameters] == ["self", *parameters]
    for p in parameters.values():
        assert p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        assert p.annotation not in (p.empty, Any)
    declared: dict[str, Any] = {**cls.hyper, **cls.structure}
    assert {n: p.default for n, p in parameters.items() if n in declared} == {n: v for n, (v, _) in declared.items()}
    for name, (_, allowed) in cls.structure.items():
        hint = parameters[name].annotation
        assert get_args(hint) == allowed if isinstance(allowed, tuple) else hint is (int if allowed else bool)
    assert all(parameters[name].annotation is float for name in cls.hyper)
    inner = {n: Direction() for n, p in parameters.items() if p.default is p.empty}
    made = cls(**inner, **{n: value for n, (value, _) in declared.items()})
    assert repr(made) == repr(cls(*inner.values()))
    assert all(getattr(made, n) == value for n, (value, _) in declared.items())


@pytest.mark.parametrize("cls", PARTS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_positions_are_those_of_type_checkers(cls: type[Part]) -> None:
    """As for a dataclass: bases first, an overridden field in its first place, those by name only at the end."""
    order: dict[str, bool] = {}
    for base in reversed(cls.__mro__):
        own = getattr(base, "fields", {})
        order |= {own_field.name: own_field.kw_only for own_field in own.values() if own_field.attribute in vars(base)}
    assert [*inspect.signature(cls).parameters] == sorted(order, key=lambda name: order[name])


@pytest.mark.parametrize("name", sorted(methods))
def test_options_of_methods_are_typed(name: str) -> None:
    """``**options`` names each seam that the method does not choose itself, and how it is run."""
    hints = get_type_hints(inspect.unwrap(methods[name].make.__init__))
    assert "Any" not in str(hints["options"])
    seams = set(get_type_hints(get_args(hints["options"])[0]))
    assert seams >= {"maximize", "codec", "lift", "nonfinite"}
    make: Any = methods[name].make
    for seam in ("direction", "step_size", "geometry", "point", "oracle", "chart", "channel"):
        if seam in seams:
            make([torch.nn.Parameter(torch.ones(1))], **{seam: None})
        else:
            with pytest.raises(TypeError, match=f"has a {seam} of its own"):
                make([torch.nn.Parameter(torch.ones(1))], **{seam: None})


def test_a_part_of_typed_fields() -> None:
    want = {"inner": None, "tag": None, "angle": 0.25, "every": 2, "kind": "left", "strict": False}
    assert shown(Rotated) == list(want.items())
    assert Rotated.hyper == {"angle": (0.25, "[0, 1)")}
    assert Rotated.structure == {"every": (2, "[1, inf)"), "kind": ("left", ("left", "right")), "strict": (False, None)}
    made = Rotated(direction.Adam(), "x", 0.125, kind="right")
    assert (made.tag, made.angle, made.every, made.kind, made.strict) == ("x", 0.125, 2, "right", False)
    assert [type(p) for p in made.walk()] == [Rotated, direction.Adam]
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert repr(other) == repr(made)
        assert other.angle == 0.125
    assert [type(p) for p in Rotated().walk()] == [Rotated]  # a default is not shown as a part that was given
    assert type(Rotated().around) is Direction


def test_fields_are_inherited() -> None:
    assert [n for n, _ in shown(Tilted)] == ["inner", "tag", "angle", "every", "kind", "tilt", "strict"]
    assert dict(shown(Tilted))["angle"] == Tilted().angle == Tilted.angle == 0.5
    assert Tilted.hyper == {"angle": (0.5, "[0, 1)"), "tilt": (1.0, "[0, inf)")}
    assert Rotated.hyper == {"angle": (0.25, "[0, 1)")}
    with pytest.raises(ValueError, match=r"Tilted: angle must lie in \[0, 1\), got 1.0"):
        Tilted(angle=1.0)


def test_dicts_still_declare() -> None:
    assert shown(Old) == [("b", 0.9), ("c", 1.0), ("deep", True), ("how", "sum"), ("n", 3)]
    make: Any = Old
    old = make(0.5, 2.0, False, n=4)
    assert (old.values, old.deep, old.how, old.n) == ({"b": 0.5, "c": 2.0}, False, "sum", 4)
    with pytest.raises(
        TypeError, match=r"Old has no parameter 'deeep', did you mean 'deep'\? \(it has: b, c, deep, how, n\)"
    ):
        make(deeep=True)
    with pytest.raises(TypeError, match="twice"):
        make(0.5, b=0.5)
    with pytest.raises(TypeError, match="at most 5"):
        make(1, 2, 3, 4, 5, 6)
    x = torch.nn.Parameter(torch.ones(2))
    steepest.Optimizer([x], lr=0.5, direction=OldAround(make(c=0.5), gain=2.0)).step(lambda: x.sum())
    assert x.tolist() == [0.5, 0.5]
    assert [n for n, _ in shown(OldAround)] == ["inner", "gain"]


def test_a_dict_replaces_what_is_inherited() -> None:
    class Fewer(direction.Adam):
        hyper = {"beta2": (0.5, "[0, 1)")}

    assert [n for n, _ in shown(Fewer)] == ["beta2", "bias_correction"]
    made: Any = Fewer()
    assert made.values == {"beta2": 0.5}
    assert not hasattr(made, "beta1")


def test_fields_that_cannot_be() -> None:
    with pytest.raises(TypeError, match="the field 'keep' hides"):

        class Hiding(Point):
            keep: float = real("[0, 1]", default=0.5)  # type: ignore[assignment]

    with pytest.raises(TypeError, match="norm has no words"):

        class Wordless(StepSize):
            norm: str = word(default="l2")
