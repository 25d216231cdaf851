"""Laws of line searches: what a search may not do to itself, to the weights and to its memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import stepsize as S
from tests.laws.common import few, matrices

SEARCHES: dict[str, Callable[[], S.LineSearch]] = {
    "PoNoS": S.PoNoS,
    "PoNoS, long steps": lambda: S.PoNoS(delta=0.9),
    "SLS": S.SLS,
    "SLS, halving": lambda: S.SLS(shrink=0.5),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
def test_a_step_that_rounds_away_teaches_nothing(make: Callable[[], S.LineSearch], dtype: torch.dtype) -> None:
    """One loss that is higher everywhere but at x: no step is right, and the next ones are as long as ever."""

    def run(trapped: bool) -> tuple[list[float], Tensor]:
        x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=dtype))
        opt = steepest.Optimizer([x], step_size=make(), lift="eager")
        lengths = []
        for t in range(6):
            start = x.detach().clone()

            def closure(t: int = t, start: Tensor = start) -> Tensor:
                left = bool((x != start).any())
                return torch.sqrt(1 + x * x).sum() + 50 + 100.0 * (trapped and t == 2 and left)

            opt.step(closure)
            lengths.append(float((x.detach() - start).norm() / start.norm()))
        return lengths, x.detach()

    (trapped, _), (free, _) = run(True), run(False)
    assert trapped[2] == 0.0
    assert min(trapped[:2] + trapped[3:]) > 0.01 * min(free)


@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
def test_the_number_of_backtracks_is_told(make: Callable[[], S.LineSearch]) -> None:
    """One forward for the loss, one for the step that is accepted, and one for each that was not."""
    x = nn.Parameter(torch.tensor([3.0, -1.0, 2.0]))
    opt, told = steepest.Optimizer([x], step_size=make(), lift="eager"), 0.0
    scales = torch.tensor([[9.0, 1.0, 0.1], [0.3, 5.0, 2.0]])
    for t in range(12):
        opt.step(lambda t=t: (scales[t % 2] * x * x).sum())  # type: ignore[misc]
        told += opt.param_groups[0]["shortened"]
    assert told > 0
    assert opt.counters.forwards == 2 * 12 + told


@few
@given(seed=st.integers(0, 50), c=st.sampled_from([0.1, 0.5, 0.9]))
def test_ponos_backtracks_once_a_step_at_most_on_the_long_run(seed: int, c: float) -> None:
    """l̄ ← max(l̄ + l - 1, 0): the sum of all l is the number of steps, plus l̄, less the steps at which l̄ was 0."""
    a = matrices(8, 5, seed)
    x, backtracks, idle = nn.Parameter(torch.ones(5, dtype=torch.float64)), 0.0, 0
    opt = steepest.Optimizer([x], step_size=S.PoNoS(c=c), lift="eager")
    for t in range(30):
        before = opt.param_groups[0]["backtracks"]
        opt.step(lambda t=t: (a[t % 8] @ x).square() + 0.1)  # type: ignore[misc]
        backtracks += opt.param_groups[0]["shortened"]
        idle += before == 0 and opt.param_groups[0]["shortened"] == 0
    assert backtracks == 30 - idle + opt.param_groups[0]["backtracks"]
