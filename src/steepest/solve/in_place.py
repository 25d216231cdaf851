"""Solvers that work in place: an optimizer, a model with its buffers. To the driver they are as pure as the others.

An optimizer moves parameters that it holds, and keeps moments beside them. A step from a state would have to make all that
anew, so it is kept with the problem, together with the one state that it stands at; a step from another state loads that first.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from steepest.core.optimizer import Optimizer as Ours
from steepest.solve.problem import FiniteSum, Problem, Smooth
from steepest.solve.saddle.problem import Saddle
from steepest.solve.solver import Solver, generator, seeded

P = TypeVar("P", bound=Problem)


@dataclass
class InPlaceState:
    """Point, the loss where the last step began (inf before it), steps, a generator's state, and ``state_dict``s."""

    x: Tensor
    loss: float
    t: int
    random: Tensor
    kept: dict[str, Any]


@dataclass
class Running:
    """What is changed in place.

    Args:
        params: the tensors of x0, in their order.
        owners: by name, what else changes and has a ``state_dict``.
        step: one step; given its number and a generator, it returns the loss where it began.
        solver: whose it is.
        state: the state that it stands at, if any.
    """

    params: Sequence[Tensor]
    owners: dict[str, Any]
    step: Callable[[int, torch.Generator], float]
    solver: Any = None
    state: InPlaceState | None = None

    def load(self, problem: Problem, state: InPlaceState) -> None:
        """Stand at this state, with copies of all that it holds."""
        for p, leaf in zip(self.params, problem.leaves(state.x), strict=True):
            p.detach().copy_(leaf)
        for name, owner in self.owners.items():
            owner.load_state_dict(copy.deepcopy(state.kept[name]))

    def save(self, problem: Problem, loss: float, t: int, random: Tensor) -> InPlaceState:
        """The state that it stands at, as copies."""
        x = torch.cat([p.detach().reshape(-1) for p in self.params])
        kept = {name: copy.deepcopy(owner.state_dict()) for name, owner in self.owners.items()}
        self.state = InPlaceState(x, loss, t, random, kept)
        return self.state


class InPlace(Solver[P, InPlaceState]):
    """Base of solvers that work in place; a subclass says what by ``begin``."""

    seed: int = 0

    def begin(self, problem: P) -> Running:
        """The moving things at the start of the problem; called again whenever a run begins or resumes."""
        raise NotImplementedError

    def init(self, problem: P) -> InPlaceState:
        """The start."""
        return self.begin(problem).save(problem, math.inf, 0, seeded(self.seed))

    def step(self, problem: P, state: InPlaceState) -> InPlaceState:
        """One step in place, from wherever the state is; one that is refused for NaN leads to a point of NaN."""
        running: Running | None = problem.running
        problem.running = None  # a step that raises leaves nothing half-moved behind
        if running is None or running.solver != self or running.state is not state:
            running = self.begin(problem)
            running.load(problem, state)
        random = generator(state.random)
        try:
            loss = running.step(state.t, random)
        except NotFiniteError:
            return InPlaceState(state.x * math.nan, math.nan, state.t, state.random, state.kept)
        new = running.save(problem, loss, state.t + 1, random.get_state())
        running.solver, problem.running = self, running
        return new

    def measure(self, problem: P, state: InPlaceState) -> dict[str, float]:
        """From the state alone."""
        return {"loss": state.loss}


class Buffers:
    """A model's buffers, such as the statistics of norms, as something with a ``state_dict``."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Tensor]:
        """All of them by name."""
        return dict(self.model.named_buffers())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy them in."""
        for name, buffer in self.model.named_buffers():
            buffer.copy_(state[name])


class NotFiniteError(RuntimeError):
    """A loss or gradient is not finite, and nothing was changed."""


@dataclass(frozen=True)
class Optimizer(InPlace[Problem]):
    r"""A training method as a solver: any optimizer of this library or of torch.

    Parameters have the shapes of x0, so that methods for matrices see matrices. On a :class:`~steepest.solve.Saddle` problem
    without a set, the parameters of y are a group with ``maximize=True``. On a :class:`~steepest.solve.FiniteSum`,
    ``batch`` samples are drawn with replacement in each step; the method may evaluate them as often as it likes.

    Args:
        make: given parameters (or groups of them), returns the optimizer.
        batch: samples a step; default None, all of them.
        seed: of the samples, default 0.

    Measures ``objective`` f(x) (not of a saddle problem) and ``residual`` ‖∇f(x)‖ (‖F(z)‖), evaluated for it: take ``every=``
    large where that matters.

    Raises:
        TypeError: in a run, the problem has a penalty or a set, or ``batch`` is given and the problem is no finite sum.

    Note: a ``state`` holds copies of parameters and moments, so that a step costs one copy of them more than in training.
    Random numbers that the method draws from torch's global generator are not part of it; methods of this library draw none.

    Example:
        >>> import steepest
        >>> from steepest.solve import solve
        >>> problem = Smooth(lambda x: (x - 3).square().sum(), torch.zeros(2))
        >>> solve(problem, Optimizer(lambda params: steepest.Adam(params, lr=0.1)), max_steps=200).x
        tensor([3., 3.])
    """

    make: Callable[[Any], torch.optim.Optimizer]
    batch: int | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"batch": "[1, inf)", "seed": "[0, inf)"}

    def begin(self, problem: Problem) -> Running:
        """Parameters, and the optimizer that holds them."""
        if not isinstance(problem, (Smooth, Saddle)):
            raise TypeError(f"Optimizer solves a Smooth or a Saddle problem, got {type(problem).__name__}")
        if self.batch is not None and not isinstance(problem, FiniteSum):
            raise TypeError(f"batch={self.batch} draws samples of a FiniteSum, got {type(problem).__name__}")
        params: list[Tensor] = [torch.nn.Parameter(leaf.clone()) for leaf in problem.leaves(problem.start)]
        opt = self.make(problem.groups(params))
        if not isinstance(opt, torch.optim.Optimizer):
            raise TypeError(f"make must return an optimizer, got {type(opt).__name__}")
        counters = opt.counters if isinstance(opt, Ours) else None

        def step(t: int, random: torch.Generator) -> float:
            drawn = None
            if self.batch is not None and isinstance(problem, FiniteSum):
                drawn = torch.randint(problem.n, (self.batch,), generator=random).to(problem.start.device)
            losses: list[float] = []

            def closure() -> Tensor:
                loss = problem.loss(problem.joined(params), drawn)
                losses.append(float(loss.detach()))
                if counters is None:
                    opt.zero_grad()
                    loss.backward()
                    problem.counts.njev += drawn is None
                return loss

            before = counters.as_dict() if counters else {}
            with torch.enable_grad(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "the loss, a gradient or an update is NaN")  # the status says it
                opt.step(closure)  # type: ignore[arg-type]
            if counters:
                problem.counts.njev += counters.backwards - before["backwards"] if drawn is None else 0
                problem.counts.nhev += counters.hvps - before["hvps"] if drawn is None else 0
                if counters.skipped > before["skipped"]:
                    raise NotFiniteError("the optimizer has left out a step")
            return losses[0]

        return Running(params, {"optimizer": opt}, step)

    def measure(self, problem: Any, state: InPlaceState) -> dict[str, float]:
        """Over all samples."""
        if isinstance(problem, Saddle):
            return {"residual": float(problem.operator(state.x).norm())}
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
