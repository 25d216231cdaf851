"""What a solver is: a frozen dataclass of numbers, and a state that holds everything that changes."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar, get_args, get_origin

import torch
from torch import Tensor

from steepest.core.part import check_number
from steepest.solve.problem import Problem
from steepest.solve.result import Status

P = TypeVar("P", bound=Problem)
S = TypeVar("S")


class Solver(Generic[P, S]):
    """Base of all solvers: ``class Mine(Solver[Smooth, MyState])``, a frozen dataclass of hyper-parameters.

    ``MyState`` is a dataclass of flat tensors and numbers; one field is ``x``. All that changes stands there, so that a
    run goes on from a saved state to the last bit. Random numbers come from :func:`generator` of a field.

    Attributes:
        ranges: the interval of each number, such as ``{"lr": "(0, inf)"}``; None is let through. Fields annotated ``int``
            must be integers.
    """

    ranges: ClassVar[dict[str, str]] = {}
    problem_type: ClassVar[type] = Problem
    state_type: ClassVar[type]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in getattr(cls, "__orig_bases__", ()):
            if isinstance(origin := get_origin(base), type) and issubclass(origin, Solver):
                for given in get_args(base):  # a base in between may have fixed one of them
                    if isinstance(given, type):
                        setattr(cls, "problem_type" if issubclass(given, Problem) else "state_type", given)

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every solver is a dataclass
            value = getattr(self, field.name)
            if field.name in self.ranges and value is not None:
                check_number(type(self).__name__, field.name, value, self.ranges[field.name])
                if field.type in ("int", "int | None", int) and not isinstance(value, int):
                    raise TypeError(f"{type(self).__name__}: {field.name} must be an integer, got {value!r}")

    def init(self, problem: P) -> S:
        """The state at ``problem.start``."""
        raise NotImplementedError

    def step(self, problem: P, state: S) -> S:
        """The state after one iteration; ``state`` itself stays as it is."""
        raise NotImplementedError

    def measure(self, problem: P, state: S) -> dict[str, float]:
        """Numbers for the history, stopping and progress; what they cost is counted apart."""
        raise NotImplementedError

    def status(self, numbers: dict[str, float]) -> Status | None:
        """An end that shows in the measured numbers; None: go on."""
        return None


def seeded(seed: int) -> Tensor:
    """The state of a new random generator, to stand in a solver's state."""
    return torch.Generator().manual_seed(seed).get_state()


def generator(state: Tensor) -> torch.Generator:
    """A generator that goes on from a state; after drawing, ``get_state()`` is the next one.

    >>> a = generator(seeded(0))
    >>> first = torch.rand(1, generator=a)
    >>> torch.equal(torch.rand(1, generator=generator(seeded(0))), first)
    True
    """
    random = torch.Generator()
    random.set_state(state)
    return random


def any_solver(solver: Any) -> Solver[Any, Any]:
    """The solver, or a sentence that says what was given instead."""
    if isinstance(solver, type):
        raise TypeError(f"give solve() a solver, not the class {solver.__name__}: make it with {solver.__name__}()")
    if not isinstance(solver, Solver):
        raise TypeError(f"give solve() an object derived from steepest.solve.Solver, got {solver!r:.60}")
    return solver
