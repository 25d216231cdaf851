"""One contract over every solver by a table, and for each law somebody who breaks it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from steepest import solve as S
from tests.collect import named
from tests.solve import table
from tests.solve.laws import LAWS
from tests.solve.table import Row, adam

#: of the solvers that have no file in tests/papers, and of those that have
TABLE: dict[str, Row] = {**table.TABLE, **named("SOLVERS")}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("law", LAWS)
def test_contract(law: str, name: str) -> None:
    LAWS[law](TABLE[name])


def test_every_solver_has_a_row() -> None:
    public = {
        thing for name in S.__all__ if isinstance(thing := getattr(S, name), type) and issubclass(thing, S.Solver)
    }
    assert public - {S.Solver, S.AskTell} == {type(row.make()) for row in TABLE.values()}


# ---- who breaks which law ------------------------------------------------------------------------------------------------


@dataclass
class State:
    x: Tensor


@dataclass
class Hidden(State):
    random: Any


@dataclass(frozen=True)
class Honest(S.Solver[S.Smooth, State]):
    """Gradient descent as short as it can be."""

    lr: float = 0.5
    ranges = {"lr": "(0, inf)"}

    def init(self, problem: S.Smooth) -> State:
        return State(problem.start)

    def step(self, problem: S.Smooth, state: State) -> State:
        return State(state.x - self.lr * problem.value_and_grad(state.x)[1])

    def measure(self, problem: S.Smooth, state: State) -> dict[str, float]:
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}


class Remembers(Honest):
    """Has a momentum outside of its state."""

    def step(self, problem: S.Smooth, state: State) -> State:
        m = getattr(self, "m", torch.zeros_like(state.x)) * 0.5 + problem.value_and_grad(state.x)[1]
        object.__setattr__(self, "m", m)
        return State(state.x - self.lr * m)


class Forgives(Honest):
    """Counts anew in each step."""

    def step(self, problem: S.Smooth, state: State) -> State:
        problem.counts = S.Counts()
        return super().step(problem, state)


class MovesInMeasure(Honest):
    def measure(self, problem: S.Smooth, state: State) -> dict[str, float]:
        state.x = state.x - 1e-6
        return super().measure(problem, state)


class DrawsGlobally(Honest):
    def step(self, problem: S.Smooth, state: State) -> State:
        return State(super().step(problem, state).x + 1e-9 * torch.rand(()))


class ShufflesGlobally(Honest):
    def step(self, problem: S.Smooth, state: State) -> State:
        random.random()
        return super().step(problem, state)


class HidesNaN(Honest):
    def step(self, problem: S.Smooth, state: State) -> State:
        return State(super().step(problem, state).x.nan_to_num())

    def measure(self, problem: S.Smooth, state: State) -> dict[str, float]:
        return {"objective": 0.0, "residual": 1.0}


class FirstLeaf(Honest):
    """Moves the first tensor only."""

    def step(self, problem: S.Smooth, state: State) -> State:
        x = super().step(problem, state).x
        count = torch.utils._pytree.tree_leaves(problem.tree(x))[0].numel()
        return State(torch.cat([x[:count], state.x[count:]]))


class Widens(Honest):
    def step(self, problem: S.Smooth, state: State) -> State:
        return State(super().step(problem, state).x.double())


class InPlace(Honest):
    def step(self, problem: S.Smooth, state: State) -> State:
        return State(state.x.sub_(super().step(problem, state).x * 1e-3))


class HoldsAGenerator(Honest):
    def init(self, problem: S.Smooth) -> State:
        return Hidden(problem.start, torch.Generator())


class LosesMoments(S.Optimizer):
    """An optimizer of which the parameters alone are saved."""

    def begin(self, problem: Any) -> Any:
        running = super().begin(problem)
        running.owners = {}
        return running


class Unchecked(Honest):
    ranges = {}


def deaf(*args: Any, callback: Any = None, **more: Any) -> S.Result:
    """A driver that does not look at what the callback returns."""
    return S.solve(*args, callback=lambda now: (callback(now), None)[1], **more)


def spends(*args: Any, budget: Any = None, **more: Any) -> S.Result:
    return S.solve(*args, **more)


BROKEN: dict[str, list[Callable[[], Any]]] = {
    "resumes_to_the_bit": [Remembers, lambda: LosesMoments(adam)],
    "counts_never_fall": [Forgives],
    "measuring_changes_nothing": [MovesInMeasure],
    "a_callback_stops": [],
    "a_budget_is_kept": [],
    "nothing_is_global": [DrawsGlobally, ShufflesGlobally],
    "nan_ends_with_a_status": [HidesNaN],
    "pytrees_equal_flat_tensors": [FirstLeaf],
    "types_are_kept": [Widens],
    "a_step_is_pure": [InPlace],
    "a_solver_is_numbers": [HoldsAGenerator],
    "bad_input_is_one_sentence": [Unchecked],
}
DRIVERS: dict[str, Callable[..., S.Result]] = {"a_callback_stops": deaf, "a_budget_is_kept": spends}


def row(make: Callable[[], Any], run: Callable[..., S.Result] = S.solve) -> Row:
    fixed = TABLE["GradientDescent, fixed"]
    return replace(fixed, make=make, bad=lambda: (make(), fixed.bad()[1]), run=run)


@pytest.mark.parametrize("law", LAWS)
def test_who_keeps_the_laws_passes(law: str) -> None:
    LAWS[law](row(Honest))


@pytest.mark.parametrize("law", LAWS)
def test_the_contract_can_fail(law: str) -> None:
    """For every law there is a solver or a driver that breaks it, and the law finds it."""
    rows = [row(make) for make in BROKEN[law]] + ([row(Honest, DRIVERS[law])] if law in DRIVERS else [])
    assert rows
    for broken in rows:
        with torch.random.fork_rng(devices=[]), pytest.raises((AssertionError, ValueError)):
            LAWS[law](broken)
