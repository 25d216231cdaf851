"""The table of named methods: what each costs, where it comes from, and which hyper-parameters are worth tuning.

A method enters the table by the decorator above its class; the rest is read off its parts.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch

from steepest.core.optimizer import Optimizer
from steepest.core.part import Part, Point

__all__ = ["Method", "create", "methods"]

#: a search range: ("log" | "linear", low, high)
Range = tuple[str, float, float]
LR: Mapping[str, Range] = {"lr": ("log", 1e-5, 1.0)}

C = TypeVar("C", bound=type[Optimizer])


@dataclass(frozen=True)
class Method:
    """One named method.

    Args:
        name: as it is imported from ``steepest``.
        make: the class; ``make(params, **hyper)`` has the paper's defaults.
        area: the family.
        summary: one line.
        state_bytes: bytes of optimizer state per float32 parameter; of a matrix of 1024 x 1024, where that depends on the
            shape.
        forwards: forward passes a step (the fewest, for a line search).
        backwards: backward passes a step.
        closure: whether it needs ``step(closure)``.
        cite: keys of references.bib.
        reads_lr: whether ``lr`` "is the step" or "multiplies" one that the method finds, and is then left at 1.
        space: hyper-parameters worth tuning, with their ranges.
    """

    name: str
    make: type[Optimizer]
    area: str
    summary: str
    state_bytes: float
    forwards: int
    backwards: int
    closure: bool
    cite: tuple[str, ...]
    claims: tuple[str, ...] = ()
    reads_lr: str = "is the step"
    space: Mapping[str, Range] = field(default_factory=dict)


class Methods(dict[str, Method]):
    """The table, by name; called with a pattern it lists names.

    >>> import steepest
    >>> steepest.methods("*dog"), steepest.methods("AdamW") == [steepest.methods["AdamW"].name]
    (['ADoG', 'DoG', 'LDoG', 'TDoG', 'UDoG'], True)
    """

    def __call__(self, pattern: str = "*") -> list[str]:
        """Names that match a pattern, in order; capitals, hyphens and underscores do not count."""
        return sorted((n for n in self if fnmatchcase(_bare(n), _bare(pattern))), key=str.lower)


methods = Methods()


def _bare(name: str) -> str:
    return "".join(c for c in name.lower() if c not in "-_ ")


def create(name: str, model_or_params: Any, **options: Any) -> Optimizer:
    """A named method, for configurations: ``create("adamw", model, lr=1e-3)``.

    Args:
        name: of the method; capitals, hyphens and underscores do not count.
        model_or_params: a module, whose parameters are taken, or what the method's class takes.
        options: of the method.

    Raises:
        TypeError: the name is no word, or an option that the method does not have.
        ValueError: there is no such method; close ones are named.

    Example:
        >>> type(create("d-adapt_adam", torch.nn.Linear(2, 1))).__name__
        'DAdaptAdam'
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a method must be a word, got {name!r}")
    known = {_bare(other): other for other in methods}
    if _bare(name) not in known:
        near = [known[word] for word in difflib.get_close_matches(_bare(name), known, 3, 0.7)]
        meant = f", did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"there is no method {name!r}{meant} (steepest.methods('*') lists all names)")
    given = model_or_params.parameters() if isinstance(model_or_params, torch.nn.Module) else model_or_params
    return methods[known[_bare(name)]].make(given, **options)


#: directions of torch's methods, for the line to write where another point is wanted around them
_DIRECTIONS = {"SGD": "Momentum", "Adam": "Adam", "AdamW": "Adam", "NAdam": "NAdam", "Adagrad": "AdaGrad"}


def _base(given: list[Any]) -> str | None:
    """The name of an optimizer where there should be none: other libraries' SAM is called ``SAM(params, SGD, lr=0.1)``."""
    kinds = [v if isinstance(v, type) else type(v) for v in given]
    return next((kind.__name__ for kind in kinds if issubclass(kind, torch.optim.Optimizer)), None)


def _bytes(parts: list[Part], shape: tuple[int, ...] = (1024, 1024)) -> float:
    """What float32 state takes for each element of a parameter of this shape."""
    shapes = (spec.of(shape) for part in parts for spec in part.state.values())
    return round(4.0 * sum(math.prod(own) for own in shapes if own is not None) / math.prod(shape), 3)


def _line(opt: Optimizer, base: str, given: Mapping[str, Any]) -> str:
    """The line that makes the method's point with the direction of another optimizer."""
    said = [f"lr={given.get('lr', '...')}"]
    if base == "SGD" and "momentum" in opt.defaults:
        said += [f"{name}={given[name]!r}" for name in ("momentum", "rho", "weight_decay") if name in given]
        return f"steepest.{type(opt).__name__}(params, {', '.join(said)})"
    seam, part = ("step_size", opt.step_size) if type(opt.point) is Point else ("point", opt.point)
    inside = f"rho={given['rho']!r}" if "rho" in given and "rho" in opt.defaults else ""
    said.append(f"direction=steepest.direction.{_DIRECTIONS.get(base, base)}()")
    if base == "AdamW":
        said.append(f"geometry=steepest.geometry.Decay(weight_decay={given.get('weight_decay', 0.01)!r})")
    said.append(f"{seam}=steepest.{seam.replace('_', '')}.{type(part).__name__}({inside})")
    return f"steepest.Optimizer(params, {', '.join(said)})"


def method(
    area: str, forwards: int = 1, backwards: int = 1, state_bytes: float | None = None,
    space: Mapping[str, Range] | None = None, claims: tuple[str, ...] = (),
) -> Callable[[C], C]:  # fmt: skip
    """Enter a class into the table.

    Args:
        area: the family.
        forwards: forward passes a step.
        backwards: backward passes a step.
        state_bytes: per float32 parameter; default: four bytes for each element of the states that the parts declare.
        space: hyper-parameters worth tuning; default: the learning rate.
        claims: names of the claims that test the method.
    """

    def enter(make: C) -> C:
        made = make.__init__

        @functools.wraps(made)
        def init(self: Optimizer, *args: Any, **given: Any) -> None:
            if (base := _base([*args[1:2], given.get("base_optimizer")])) is not None:
                raise TypeError(
                    f"{make.__name__} goes around no other optimizer, got {base}: write {_line(opt, base, given)}"
                )
            try:
                made(self, *args, **given)
            except TypeError as error:
                if "multiple values for keyword argument" not in str(error):
                    raise
                seam = str(error).split("'")[1]
                raise TypeError(f"{make.__name__} has a {seam} of its own, got {given.get(seam)!r}: assemble "
                                f"steepest.Optimizer({seam}=..., ...) instead") from None  # fmt: skip

        make.__init__ = init  # type: ignore[method-assign]
        opt = make([torch.nn.Parameter(torch.zeros(1))])
        parts = list(opt.parts())
        methods[make.__name__] = Method(
            name=make.__name__,
            make=make,
            area=area,
            summary=(make.__doc__ or "").strip().splitlines()[0].rstrip("."),
            state_bytes=_bytes(parts) if state_bytes is None else state_bytes,
            forwards=forwards,
            backwards=backwards,
            closure=any("closure" in part.needs for part in parts),
            cite=tuple(dict.fromkeys(key for part in parts for key in part.cite)),
            claims=claims,
            reads_lr=opt.step_size.reads_lr,
            space=dict(LR if space is None else space),
        )
        return make

    return enter
