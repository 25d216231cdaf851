"""One loop for every solver: steps, measurements, limits, callbacks, progress, and a state to go on from."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from steepest.solve.problem import Counts, Problem, Tree
from steepest.solve.result import Result, Status
from steepest.solve.solver import Solver, any_solver

EVERY = 1.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Snapshot:
    """What a callback sees.

    Args:
        steps: how many were taken.
        x: the point, in the form of x0.
        numbers: what was measured there.
        counts: evaluations so far.
        state: for ``solve(state=...)``, as in the result.
    """

    steps: int
    x: Tree
    numbers: dict[str, float]
    counts: dict[str, int]
    state: dict[str, Any]


@torch.no_grad()
def solve(problem: Problem, solver: Solver[Any, Any], *, max_steps: int = 1000, until: Mapping[str, float] | None = None,
          budget: Mapping[str, int] | None = None, seconds: float | None = None, state: dict[str, Any] | None = None,
          callback: Callable[[Snapshot], object] | None = None, every: int = 1,
          progress: bool | Callable[[str], object] = False) -> Result:  # fmt: skip
    """Run a solver on a problem until it is solved or a limit is met.

    Args:
        problem: what to solve.
        solver: by which method.
        max_steps: steps of this call, at most; default 1000.
        until: the run is solved when every measured number named here is at most its value.
        budget: evaluations of this call by name (``njev``, ``nsample``, …); no step begins at or above one of them.
        seconds: of wall time; no step begins after them.
        state: of an earlier result, to go on from; 25 and then 35 steps are 60 steps, to the last bit.
        callback: is given a :class:`Snapshot` at each measurement; one that returns True stops the run.
        every: steps between two measurements, default 1; the first and the last point are always measured.
        progress: True writes a line to stderr about once a second; a function is given the lines instead.

    Returns:
        The result. Where a step leaves the finite numbers, its x is the last point that was finite.

    Raises:
        TypeError: the solver is for other problems, or an argument is of the wrong type.
        ValueError: a limit that is negative or names nothing that exists, a state of another solver or problem.

    Example:
        >>> from steepest.solve import LBFGS, Smooth
        >>> problem = Smooth(lambda x: (x - 3).square().sum(), torch.zeros(2))
        >>> result = solve(problem, LBFGS(), until={"residual": 1e-6})
        >>> result.success, result.x
        (True, tensor([3., 3.]))
    """
    solver = any_solver(solver)
    _check(problem, solver, max_steps, until, budget, seconds, every)
    until, budget = dict(until or {}), dict(budget or {})
    clock, said = time.monotonic(), -math.inf
    run = _Run(problem, solver, state)
    first = run.steps
    say = progress if callable(progress) else _stderr if progress else None
    end: Status | None = None
    message = ""
    while end is None:
        taken = run.steps - first
        over = _limit(taken, max_steps, run.here(), budget, time.monotonic() - clock, seconds)
        if taken % every == 0 or over:
            end, message = run.measure(until)
            if callback is not None and callback(run.snapshot()) is True and end is None:
                end, message = Status.STOPPED, Status.STOPPED.value
            if end is None and over:
                end, message = Status.BUDGET, over
            if say and (end or time.monotonic() - said > EVERY):
                said = time.monotonic()
                say(run.line(first + max_steps, said - clock))
        if end is None:
            end, message = run.step(until)
    if say:
        say(f"{end.name.lower()}: {message}")
    return Result(end is Status.SOLVED, message, run.steps, run.history, run.counts(), problem.tree(run.state.x.clone()),
                  end, run.saved(), run.measured.as_dict(), run.at)  # fmt: skip


class _Run:
    """What changes during a call of solve."""

    def __init__(self, problem: Problem, solver: Solver[Any, Any], state: dict[str, Any] | None) -> None:
        self.problem, self.solver = problem, solver
        self.before, self.begun = Counts(), Counts(**problem.counts.as_dict())
        self.steps, self.history, self.at, self.measured = 0, {}, [], Counts()  # type: ignore[var-annotated]
        if state is None:
            self.state = solver.init(problem)
        else:
            self.state = _loaded(state, problem, solver)
            self.steps, self.before = state["steps"], Counts(**state["counts"])

    def here(self) -> dict[str, int]:
        """Evaluations of this call."""
        begun = self.begun.as_dict()
        return {name: n - begun[name] for name, n in self.problem.counts.as_dict().items()}

    def counts(self) -> dict[str, int]:
        """Evaluations of the whole run."""
        before = self.before.as_dict()
        return {name: n + before[name] for name, n in self.here().items()}

    def saved(self) -> dict[str, Any]:
        values = {field.name: getattr(self.state, field.name) for field in fields(self.state)}
        return {"solver": type(self.solver).__name__, "steps": self.steps, "counts": self.counts(), "values": values}

    def snapshot(self) -> Snapshot:
        numbers = {name: values[-1] for name, values in self.history.items()}
        return Snapshot(self.steps, self.problem.tree(self.state.x.clone()), numbers, self.counts(), self.saved())

    def numbers(self, state: Any) -> dict[str, float]:
        """What the solver measures, with the cost counted apart."""
        kept, self.problem.counts = self.problem.counts, self.measured
        try:
            return {name: float(value) for name, value in self.solver.measure(self.problem, state).items()}
        finally:
            self.problem.counts = kept

    def measure(self, until: dict[str, float]) -> tuple[Status | None, str]:
        """Enter the numbers into the history; whether they end the run, and why."""
        numbers = self.numbers(self.state)
        for name, value in numbers.items():
            self.history.setdefault(name, []).append(value)
        self.at.append(self.steps)
        if unknown := sorted(set(until) - set(numbers)):
            raise ValueError(f"until names {unknown}, but {type(self.solver).__name__} measures {sorted(numbers)}")
        for name, value in numbers.items():
            if math.isnan(value):
                return Status.NONFINITE, f"{name} is nan at step {self.steps}"
        if until and all(numbers[name] <= most for name, most in until.items()):
            return Status.SOLVED, ", ".join(f"{name} is at most {most:g}" for name, most in until.items())
        end = self.solver.status(numbers)
        return end, end.value if end else ""

    def step(self, until: dict[str, float]) -> tuple[Status | None, str]:
        """One iteration; one that leaves the finite numbers is not taken."""
        new = self.solver.step(self.problem, self.state)
        if not bool(torch.isfinite(new.x).all()):
            if self.at[-1] != self.steps:
                self.measure(until)
            return Status.NONFINITE, f"step {self.steps + 1} led to an x that is not finite; x is the last finite point"
        self.state, self.steps = new, self.steps + 1
        return None, ""

    def line(self, most: int, seconds: float) -> str:
        numbers = "  ".join(f"{name} {values[-1]:.4g}" for name, values in self.history.items())
        used = "  ".join(f"{name} {n}" for name, n in self.counts().items() if n)
        return f"step {self.steps}/{most}  {numbers}  {used}  {seconds:.1f} s"


def _limit(steps: int, max_steps: int, used: dict[str, int], budget: dict[str, int], passed: float,
          seconds: float | None) -> str:  # fmt: skip
    """Which limit is met, in words."""
    if steps >= max_steps:
        return f"{max_steps} steps"
    for name, most in budget.items():
        if used[name] >= most:
            return f"{used[name]} {name} of {most}"
    return f"{seconds:g} seconds" if seconds is not None and passed >= seconds else ""


def _check(
    problem: Any, solver: Solver[Any, Any], max_steps: int, until: Any, budget: Any, seconds: Any, every: int
) -> None:
    name = type(solver).__name__
    if not isinstance(problem, solver.problem_type):
        raise TypeError(f"{name} solves a {solver.problem_type.__name__} problem, got {type(problem).__name__}")
    for what, value, least in (("max_steps", max_steps, 0), ("every", every, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{what} must be an integer of at least {least}, got {value!r}")
    for what, limits in (("until", until), ("budget", budget)):
        if limits is not None and not isinstance(limits, Mapping):
            raise TypeError(f'{what} must map names to numbers, as in {{"{what}": 1}}, got {limits!r:.40}')
        for key, value in (limits or {}).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
                raise ValueError(f"{what}[{key!r}] must be a number, got {value!r}")
    known = Counts().as_dict()
    if unknown := sorted(set(budget or {}) - set(known)):
        raise ValueError(f"budget names {unknown}, but evaluations are counted as {sorted(known)}")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0):
        raise ValueError(f"seconds must be a number of at least 0, got {seconds!r}")


def _loaded(state: Any, problem: Problem, solver: Solver[Any, Any]) -> Any:
    """The solver's state from what a result holds."""
    name = type(solver).__name__
    if not isinstance(state, dict) or set(state) != {"solver", "steps", "counts", "values"}:
        raise ValueError(f"state must be the state of an earlier result, got {state!r:.60}")
    if state["solver"] != name:
        raise ValueError(f"the state is one of {state['solver']} and cannot be continued by {name}")
    cls, values = solver.state_type, state["values"]
    if not is_dataclass(cls) or {field.name for field in fields(cls)} != set(values):
        raise ValueError(f"the state holds {sorted(values)}, which is not what this version of {name} keeps")
    x, start = values["x"], problem.start
    if not isinstance(x, Tensor) or x.shape != start.shape or x.dtype != start.dtype:
        raise ValueError(f"the state holds an x of {x.numel()} numbers in {x.dtype}, the problem one of {start.numel()} in "
                         f"{start.dtype}")  # fmt: skip
    return cls(**values)


def _stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
