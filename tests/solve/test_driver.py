"""The driver and the problems: ends, limits, progress, files, counts, and what is refused."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from steepest import solve as S


def square(x: Tensor) -> Tensor:
    return (x - 3).square().sum() / 2


def test_how_it_ends() -> None:
    solved = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.5), until={"objective": 1e-3})
    assert (solved.success, solved.solved, solved.status) == (True, True, S.Status.SOLVED)
    assert solved.message == solved.reason == "objective is at most 0.001"
    assert solved.history["objective"][-1] <= 1e-3 < solved.history["objective"][-2]
    assert solved.at == list(range(solved.steps + 1))
    steps = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.5), max_steps=3)
    assert (steps.status, steps.message, steps.steps) == (S.Status.BUDGET, "3 steps", 3)
    calls = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.5), budget={"njev": 5})
    assert (calls.status, calls.message, calls.counts["njev"]) == (S.Status.BUDGET, "5 njev of 5", 5)
    stalled = S.solve(S.Smooth(square, torch.full((2,), 3.0)), S.LBFGS())
    assert (stalled.status, stalled.steps) == (S.Status.STALLED, 1)
    both = S.solve(
        S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.5), until={"objective": 1e9, "residual": 0.1}
    )
    assert both.history["residual"][-1] <= 0.1 < both.history["residual"][-2]
    assert "objective" in str(both)
    assert str(both).startswith("solved after ")


def test_seconds_are_kept() -> None:
    def slow(x: Tensor) -> Tensor:
        time.sleep(0.02)
        return square(x)

    result = S.solve(S.Smooth(slow, torch.zeros(2)), S.GradientDescent(lr=1e-3), seconds=0.1)
    assert result.status is S.Status.BUDGET
    assert result.message == "0.1 seconds"
    assert 0 < result.steps < 10


def test_limits_are_of_a_call_and_counts_of_a_run() -> None:
    problem, solver = S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.1)
    first = S.solve(problem, solver, max_steps=4)
    second = S.solve(problem, solver, budget={"njev": 6}, state=first.state)
    assert (second.steps, second.counts["njev"]) == (10, 11)
    assert second.at == list(range(4, 11))
    assert second.history["objective"][0] == first.history["objective"][-1]


def test_nan_keeps_the_last_finite_point() -> None:
    result = S.solve(S.Smooth(lambda x: x.sum().sqrt(), torch.full((1,), 0.3)), S.GradientDescent(lr=0.5), max_steps=9)
    assert result.status is S.Status.NONFINITE
    assert bool(torch.isfinite(result.x).all())
    nan = S.solve(S.Smooth(lambda x: x.sum() * math.nan, torch.ones(1)), S.LBFGS())
    assert (nan.status, nan.steps, nan.message) == (S.Status.NONFINITE, 0, "objective is nan at step 0")
    diverges = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=1e3), every=7)
    assert diverges.status is S.Status.NONFINITE
    assert "last finite" in diverges.message
    assert diverges.at[-1] == diverges.steps
    assert torch.isfinite(diverges.x).all()


def test_progress_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    problem = S.Smooth(square, torch.zeros(2))
    S.solve(problem, S.GradientDescent(lr=0.5), max_steps=50, progress=lines.append)
    assert lines[0].startswith("step 0/50  objective 9")
    assert lines[-2].startswith("step 50/50")
    assert lines[-1] == "budget: 50 steps"
    assert len(lines) < 10  # about one a second
    assert capsys.readouterr() == ("", "")
    S.solve(problem, S.GradientDescent(lr=0.5), max_steps=2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "budget: 2 steps"


def test_a_callback_may_raise_and_save(tmp_path: Path) -> None:
    """What it saved goes on in another process, to the bit."""

    def save(now: S.Snapshot) -> None:
        if now.steps == 3:
            torch.save(now.state, tmp_path / "state")
            raise KeyboardInterrupt

    problem = S.Smooth(square, torch.zeros(2))
    with pytest.raises(KeyboardInterrupt):
        S.solve(problem, S.GradientDescent(), callback=save)
    code = """if True:
        import sys, torch
        from steepest import solve as S
        state = torch.load(sys.argv[1], weights_only=True)
        problem = S.Smooth(lambda x: (x - 3).square().sum() / 2, torch.zeros(2))
        print(S.solve(problem, S.GradientDescent(), max_steps=2, state=state).x.tolist())"""
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == str(
        S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(), max_steps=5).x.tolist()
    )


def test_a_result_is_no_view_of_its_state() -> None:
    result = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.5), max_steps=3)
    kept = copy.deepcopy(result.state)
    result.x.zero_()
    assert torch.equal(result.state["values"]["x"], kept["values"]["x"])


def test_plot() -> None:
    result = S.solve(S.Smooth(square, torch.zeros(2)), S.GradientDescent(lr=0.1), max_steps=30, every=10)
    (axes,) = result.plot().axes
    assert [line.get_label() for line in axes.lines] == list(result.history)
    assert list(axes.lines[0].get_xdata()) == [0, 10, 20, 30]
    assert axes.get_yscale() == "log"


def test_counts_are_calls() -> None:
    calls = 0

    def f(x: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return (x["a"] ** 4).sum() + x["b"].sum()

    x0 = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor(1.0, requires_grad=True)}
    problem = S.Smooth(f, x0)
    value, g = problem.value_and_grad(problem.start)
    product = problem.hvp(problem.start)
    Hv, again = product(torch.tensor([1.0, 1.0, 1.0])), product(torch.tensor([0.0, 1.0, 0.0]))
    assert (value, g.tolist(), Hv.tolist(), again.tolist()) == (18.0, [4, 32, 1], [12, 48, 0], [0, 48, 0])
    assert problem.value(problem.start) == 18
    assert (calls, problem.counts) == (3, S.Counts(nfev=2, njev=2, nhev=2))
    assert x0["b"].grad is None
    assert torch.equal(problem.flat(problem.x0), problem.start)
    linear = S.Smooth(lambda x: x.sum(), torch.ones(2))
    assert linear.hvp(linear.start)(torch.ones(2)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("x0", "words"),
    [
        (torch.ones(2, dtype=torch.long), "floating-point tensors only, got torch.int64"),
        ([1.0, 2.0], "floating-point tensors only, got 1.0"),
        (torch.ones(2, dtype=torch.complex64), "complex64"),
        ([torch.ones(1), torch.ones(1).double()], "one dtype and device"),
        ([], "at least one number"),
        (torch.zeros(0), "at least one number"),
        (torch.tensor([1.0, math.inf]), "not finite"),
    ],
    ids=str,
)
def test_starts_that_are_refused(x0: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        S.Smooth(square, x0)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x, "f must return one number as a tensor, got a tensor of shape"),
        (lambda x: 3.0, "got 3.0"),
        (lambda x: torch.tensor(x.detach().tolist()).sum(), "does not depend on x through torch operations"),
    ],
)
def test_functions_that_are_refused(f: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        S.solve(S.Smooth(f, torch.ones(2)), S.GradientDescent())


def test_other_refusals() -> None:
    with pytest.raises(TypeError, match="f must be a function"):
        S.Smooth(3, torch.ones(2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="number of samples"):
        S.FiniteSum(lambda x, i: x[i], torch.ones(2), 0)
    with pytest.raises(TypeError, match="each of the 2 indices"):
        S.solve(S.FiniteSum(lambda x, i: x.sum(), torch.ones(2), 2), S.SVRG(lr=0.1))
    with pytest.raises(ValueError, match="shapes of x0"):
        S.solve(S.Composite(square, square, lambda x, step: x[:1], torch.ones(2)), S.FISTA())
    with pytest.raises(TypeError, match="period must be an integer"):
        S.SVRG(lr=0.1, period=2.5)  # type: ignore[arg-type]
    state = S.solve(S.Smooth(square, torch.zeros(2)), S.LBFGS(), max_steps=2).state
    with pytest.raises(ValueError, match=r"x of 2 numbers in torch\.float32, the problem one of 3"):
        S.solve(S.Smooth(square, torch.zeros(3)), S.LBFGS(), state=state)
    with pytest.raises(TypeError, match="until must map names to numbers"):
        S.solve(S.Smooth(square, torch.zeros(3)), S.LBFGS(), until=1e-3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="vector of 2 numbers"):
        S.Margins(torch.ones(3, 2), torch.ones(3), torch.zeros(3))
