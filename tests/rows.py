"""What a paper's own file in tests/papers is made of: rows of the contract and of the oracle, and what they are run on.

``Setting`` says how a named method is run in small, for the contract; ``Row`` and ``Hand`` set it beside its paper's
equations, ``Pair`` beside torch's own class. ``tests/collect.py`` finds them by the name of the table they stand in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

import steepest
from steepest import direction as D
from steepest import oracle, stepsize
from steepest.optim.guarded import Guarded
from tests.oracle.equations import Path
from tests.oracle.problems import Game, Linear, Net, Problem, Trail, follow, gap, join, steps

# ---- the contract ----------------------------------------------------------------------------------------------------

SUM = "one step size from sums over all tensors"
LOSS = "one step size from the loss and sums over all tensors"
RADIUS = "the radius is a norm over all tensors"
PIECES = (1e-6, "float64 sums over pieces of another length")
SUMMED = (1e-5, "the loss is summed in another order, and the step is a multiple of the loss")
NEVER_FORGETS = "the sum of squared gradients never forgets, so steps are shorter ever after, as in the paper"
NEVER_FALLS = "the estimate of the distance never falls, so one huge gradient leaves steps too long, as in the paper"


@dataclass(frozen=True)
class Setting:
    """How a named method is run on a model of sixty weights, what is particular about it, and where it is an exception.

    An exception is run like everything else and must fail, so that one which is no longer needed is noticed.

    Args:
        small: arguments of the constructor.
        steps: enough of them to descend.
        whole: why parameters are not independent of each other, if they are not.
        shaped: why a tensor's shape matters beyond its elements, if it does.
        counts: how many moves one step counts.
        root: whether it takes a square root: torch's and the printed one differ in the last place.
        uses_loss: whether the step depends on the value of the loss.
        searches: whether it evaluates the loss at trial points, as often as it takes.
        state_bytes: of the optimizer that ``small`` makes, a float32 parameter, if other than the method's own.
        forwards: a step takes with ``small``, if other than the method's own number.
        backwards: the same.
        make: what to call instead of the class.
        exceptions: law, or law-variant -> why it does not hold.
        loose: law -> relative tolerance, and why results are not equal to the bit.
        worse: of a step size, accident or accident-step -> why it is worse off ever after (laws/test_stepsize_recovery.py).
        unguarded: the same without the guard that ours have and papers have not.
    """

    small: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 20
    whole: str = ""
    shaped: str = ""
    counts: int = 1
    root: bool = False
    uses_loss: bool = False
    searches: bool = False
    state_bytes: float | None = None
    forwards: int | None = None
    backwards: int | None = None
    make: Callable[..., steepest.Optimizer] | None = None
    exceptions: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    worse: Mapping[str, str] = field(default_factory=dict)
    unguarded: Mapping[str, str] = field(default_factory=dict)


# ---- the oracle ------------------------------------------------------------------------------------------------------

STEPS = 24
PAUSES = (1, 5, 6, 11)  # steps with a zero gradient, the first among them


@dataclass(frozen=True)
class Row:
    """A method, options, and the paper's equations with the same numbers.

    It runs on a small net of four tensors (or a game) under a learning rate that changes at every step, for more than
    twenty steps, with weight decay wherever the method has it.

    Args:
        make: our method, a name or an assembly.
        paper: the equations.
        hyper: our names of the options.
        terms: the paper's letters for the same.
        lr: the middle of the learning rates; 1 is a schedule's multiplier; None leaves the method's own.
        sees: the paper's side is told what was drawn.
        game: runs on a game instead of the net.
        on: runs on a problem made for it.
        returned: the paper's points are the ones the method returns (``with opt.averaged()``).
        elsewhere: why the loss that a step returns is not the one where the step began, if it is not.
        pauses: steps of a run in which nothing need move: the first.
    """

    make: str | Callable[..., Any]
    paper: Callable[..., Path]
    hyper: dict[str, Any] = field(default_factory=dict)
    terms: dict[str, Any] = field(default_factory=dict)
    lr: float | None = 0.1
    sees: bool = False
    game: bool = False
    on: Problem | None = None
    returned: bool = False
    elsewhere: str = ""
    pauses: int = 1

    @property
    def id(self) -> str:
        name = self.make if isinstance(self.make, str) else self.make.__name__.replace("_", " ").strip()
        return " ".join([name, *(f"{k}={v}" for k, v in self.hyper.items())])

    def problem(self, pauses: tuple[int, ...] = ()) -> Problem:
        return self.on or (Game() if self.game else Net(pauses))

    def gaps(self, pauses: tuple[int, ...] = (), count: int = STEPS, **engine: Any) -> Iterator[tuple[float, Trail]]:
        """The relative difference from the paper after each step, and our run so far."""
        problem = self.problem(pauses)
        make = getattr(steepest, self.make) if isinstance(self.make, str) else self.make
        if isinstance(make, type) and issubclass(make, (Guarded, steepest.Auto)):  # what papers do not have
            engine = {"oracle": oracle.Oracle(), **engine}
        factors = [1 + 0.5 * math.cos(t) for t in range(count)]
        ours = steps(make, problem, [self.lr and self.lr * c for c in factors], **self.hyper, **engine)
        trail = next(ours)
        seen = {"trail": trail} if self.sees else {}
        etas = [self.lr * c if self.lr else 1.0 for c in factors]
        paper = self.paper(problem, join(problem.start), etas, **seen, **self.terms)
        for _, x in zip(chain([trail], ours), paper, strict=True):
            yield gap([trail.answers[-1] if self.returned else trail.x[-1]], [x]), trail

    def worst(self, pauses: tuple[int, ...] = (), **engine: Any) -> float:
        """The largest difference of a run."""
        return max(miss for miss, _ in self.gaps(pauses, **engine))


class Hand(NamedTuple):
    """A method, its paper, the same options in both letters, and x after the first steps, worked out by hand."""

    id: str
    make: Callable[..., Any]
    hyper: dict[str, Any]
    paper: Callable[..., Path]
    terms: dict[str, Any]
    problem: Problem
    etas: Sequence[float]
    want: Sequence[Sequence[float]]


def by_hand(make: Callable[..., Any], hyper: dict[str, Any], paper: Callable[..., Path], terms: dict[str, Any],
            problem: Problem, etas: Iterable[float], want: Sequence[Sequence[float]], sees: bool = False,
            count: int = 8) -> Trail:  # fmt: skip
    """Ours and the paper's first steps are ``want``, and they stay together for the rest of the run."""
    etas = [*etas]
    etas += [etas[-1]] * (count - len(etas))
    trail = follow(make, problem, etas, lift="eager", **hyper)
    numbers = list(paper(problem, join(problem.start), etas, **({"trail": trail} if sees else {}), **terms))
    expected = [np.array(x, dtype=np.float64) for x in want]
    assert gap(trail.x[: len(want)], expected) < 1e-14
    assert gap(numbers[: len(want)], expected) < 1e-14
    assert gap(trail.x, numbers) < 1e-12
    return trail


class Pair(NamedTuple):
    """Our class and torch's, and options that both understand."""

    ours: Callable[..., Any]
    torch: Callable[..., Any]
    options: dict[str, Any]
    only_torch: dict[str, Any] = {}

    @property
    def id(self) -> str:
        return " ".join([self.ours.__name__, *(f"{k}={v}" for k, v in self.options.items())])


# ---- numbers that rows of several papers share --------------------------------------------------------------------------

LOW = {"rank": 2, "every": 7, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}
LOW_TERMS = {"rank": 2, "every": 7, "b1": 0.8, "b2": 0.9, "eps": 1e-4, "lam": 0.1}
B = {"b1": 0.8, "b2": 0.9}
UPHILL = Linear([0.0], [1.0], [-0.1], [-0.1], [1.0], constant=8.0)  # m = 1, 0.8, 0.62: against the second and third
SQUARE = Linear(np.zeros((3, 3)), [[1, 2, -3], [0.5, 4, 1], [-2, 0.3, 1]], [[2, -1, 0.2], [1, 1, 3], [0.4, -2, 1]])
MOVE = {"momentum": 0.8, "weight_decay": 0.1}
TERMS = {"mu": 0.8, "lam": 0.1}
HALF = {"betas": (0.5, 0.5), "eps": 1.0}
HALF_TERMS = {"b1": 0.5, "b2": 0.5, "eps": 1.0}
MOST = {"betas": (0.5, 0.75), "eps": 1.0}
MOST_TERMS = {"b1": 0.5, "b2": 0.75, "eps": 1.0}
TWO = ([1.0, -2.0], [-1.0, -2.0])  # gradients with |g| constant: the corrected second moment is g², its root |g|


def searched(params: Any, by: stepsize.StepSize, **options: Any) -> steepest.Optimizer:
    """A step size along a momentum, which may point uphill."""
    return steepest.Optimizer(params, direction=D.Momentum(momentum=0.9), step_size=by, **options)
