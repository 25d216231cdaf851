"""What every solver owes its user, one function a law; a law is given a row of the table."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
import random
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from steepest import solve as S
from tests.solve.table import FLAT, TREE, Row

DTYPES = (torch.float32, torch.float64)


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, tensors by dtype, too."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and set(a) == set(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def plain(value: Any) -> bool:
    """Whether it is made of tensors, numbers and words alone."""
    if isinstance(value, (dict, list, tuple)):
        return all(map(plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, (Tensor, bool, int, float, str))


def resumes_to_the_bit(row: Row) -> None:
    """25 and 35 steps are 60, from a file and with a new problem; so are 3 and 57."""
    for first in (3, 25):
        whole = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=60)
        begun = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=first)
        ended = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=60 - first,
                        state=through_a_file(begun.state))  # fmt: skip
        assert same(ended.x, whole.x)
        assert same(ended.state, whole.state)
        assert (ended.steps, ended.counts, ended.status) == (whole.steps, whole.counts, whole.status)
        for name, values in whole.history.items():
            assert same(dict(enumerate(begun.history[name][:-1] + ended.history[name])), dict(enumerate(values)))


def counts_never_fall(row: Row) -> None:
    """Each step evaluates something, and says so; the problem's own counts agree."""
    seen: list[dict[str, int]] = []
    problem = row.problem(torch.float64, FLAT)
    result = row.run(problem, row.make(), max_steps=20, callback=lambda now: seen.append(now.counts))
    for before, after in itertools.pairwise([*seen, result.counts]):
        assert all(before[name] <= after[name] for name in before)
    for before, after in itertools.pairwise(seen):
        assert sum(before.values()) < sum(after.values())
    assert problem.counts.as_dict() == result.counts


def measuring_changes_nothing(row: Row) -> None:
    """Neither the point nor the counts depend on how often numbers are taken."""
    often = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=15)
    seldom = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=15, every=100)
    assert same(often.state, seldom.state)
    assert often.counts == seldom.counts
    assert seldom.at == [0, 15]


def a_callback_stops(row: Row) -> None:
    """At the point that it saw."""
    seen: list[S.Snapshot] = []

    def callback(now: S.Snapshot) -> bool:
        seen.append(now)
        return now.steps == 2

    result = row.run(row.problem(torch.float64, FLAT), row.make(), callback=callback)
    assert (result.status, result.steps, result.success) == (S.Status.STOPPED, 2, False)
    assert [now.steps for now in seen] == [0, 1, 2]
    assert same(result.state, seen[-1].state)
    assert seen[-1].numbers == {name: values[-1] for name, values in result.history.items()}


def a_budget_is_kept(row: Row) -> None:
    """No step begins at or above it."""
    free = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=8)
    name = max(free.counts, key=lambda name: free.counts[name])
    most = free.counts[name] - 1
    result = row.run(row.problem(torch.float64, FLAT), row.make(), budget={name: most}, max_steps=8)
    assert result.status is S.Status.BUDGET
    assert most <= result.counts[name] <= free.counts[name]
    last = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=result.steps - 1)
    assert last.counts[name] < most


def nothing_is_global(row: Row) -> None:
    """No random state, thread, dtype or mode of gradients is changed, and nothing of the user's."""

    def world() -> list[Any]:
        return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate(), torch.get_num_threads(),  # noqa: NPY002
                torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled()]  # fmt: skip

    problem = row.problem(torch.float64, FLAT)
    before, start = world(), problem.start.clone()
    row.run(problem, row.make(), max_steps=10)
    assert world() == before
    assert torch.equal(problem.start, start)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        other = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=10)
    assert same(other.state, row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=10).state)


def nan_ends_with_a_status(row: Row) -> None:
    """And with the last point that was finite."""
    solver, problem = row.bad()
    solver = row.make() if type(row.make()) is not type(solver) else solver
    result = row.run(problem, solver, max_steps=200)
    assert result.status in (S.Status.NONFINITE, S.Status.STALLED), result.status
    assert not result.success
    assert result.steps < 100
    assert bool(torch.isfinite(result.state["values"]["x"]).all())
    assert "\n" not in result.message
    assert result.message


def pytrees_equal_flat_tensors(row: Row) -> None:
    """To the bit, and the solution has the user's form."""
    flat = row.run(row.problem(torch.float64, FLAT), row.make(), max_steps=20)
    tree = row.run(row.problem(torch.float64, TREE if row.trees else FLAT), row.make(), max_steps=20)
    values = [result.state["values"] for result in (flat, tree)]
    assert values[0].keys() == values[1].keys()
    assert all(same(v, values[1][name]) for name, v in values[0].items() if not isinstance(v, dict))  # by parameter
    assert flat.history == tree.history
    x0 = row.problem(torch.float64, TREE if row.trees else FLAT).x0
    assert torch.utils._pytree.tree_structure(tree.x) == torch.utils._pytree.tree_structure(x0)


def types_are_kept(row: Row) -> None:
    """float32 stays float32 in all that is floating, and both reach the goal."""
    for dtype in DTYPES:
        result = row.run(row.problem(dtype, FLAT), row.make(), max_steps=row.steps, until=row.goal)
        assert result.success, str(result)
        tensors = [v for v in result.state["values"].values() if isinstance(v, Tensor) and v.is_floating_point()]
        assert {v.dtype for v in tensors} == {dtype}


def a_step_is_pure(row: Row) -> None:
    """The state that it is given stays, and gives the same again."""
    problem, solver = row.problem(torch.float64, FLAT), row.make()
    with torch.no_grad():
        state = solver.step(problem, solver.init(problem))
        kept = copy.deepcopy(state)
        first, second = solver.step(problem, state), solver.step(problem, state)
        solver.measure(problem, state)
    assert same(vars(state), vars(kept))
    assert same(vars(first), vars(second))
    assert not same(first.x, state.x)


def a_solver_is_numbers(row: Row) -> None:
    """A frozen dataclass that compares, hashes and pickles; its state a dataclass of tensors and numbers."""
    solver: Any = row.make()
    assert is_dataclass(type(solver))
    assert type(solver).__dataclass_params__.frozen
    assert pickle.loads(pickle.dumps(solver)) == solver == row.make()
    assert hash(solver) == hash(row.make())
    state = solver.init(row.problem(torch.float64, FLAT))
    assert type(state) is solver.state_type
    assert plain(vars(state))
    assert state.x.dim() == 1


def bad_input_is_one_sentence(row: Row) -> None:
    """Of a wrong problem, limit, state or number; and nothing was evaluated."""
    problem, solver = row.problem(torch.float64, FLAT), row.make()
    good = row.run(problem, solver, max_steps=2).state
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: row.run(S.Problem(torch.ones(2)), solver), type(solver).__name__),
        (lambda: row.run(problem, type(solver)), "class"),
        (lambda: row.run(problem, solver, max_steps=-1), "max_steps"),
        (lambda: row.run(problem, solver, every=0), "every"),
        (lambda: row.run(problem, solver, until={"beauty": 1.0}), "beauty"),
        (lambda: row.run(problem, solver, budget={"calls": 1}), "calls"),
        (lambda: row.run(problem, solver, seconds=math.nan), "seconds"),
        (lambda: row.run(problem, solver, state={"x": 1}), "state"),
        (lambda: row.run(problem, solver, state={**good, "solver": "Other"}), "Other"),
        (lambda: row.run(problem, solver, state={**good, "values": {}}), "version"),
    ]
    numbers = [field.name for field in fields(solver) if field.type in ("float", "int", "float | None", "int | None")]
    wrong += [(lambda name=name: replace(solver, **{name: math.nan}), name) for name in numbers]  # type: ignore[misc]
    wrong += [(lambda name=name: replace(solver, **{name: -1}), name) for name in numbers]  # type: ignore[misc]
    for call, word in wrong:
        try:
            call()
        except (TypeError, ValueError) as error:
            assert word in str(error)
            assert "\n" not in str(error)
        else:
            raise AssertionError(f"nothing was said about {word}")


LAWS: dict[str, Callable[[Row], None]] = {
    law.__name__: law
    for law in (
        resumes_to_the_bit, counts_never_fall, measuring_changes_nothing, a_callback_stops, a_budget_is_kept,
        nothing_is_global, nan_ends_with_a_status, pytrees_equal_flat_tensors, types_are_kept, a_step_is_pure,
        a_solver_is_numbers, bad_input_is_one_sentence,
    )
}  # fmt: skip
