"""Optimizers as solvers: the same numbers as a loop by hand, whatever comes between two steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest import solve as S
from tests.solve.laws import same, through_a_file

METHODS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "Adam": lambda p: steepest.Adam(p, lr=0.05),
    "Adam in 8 bits": lambda p: steepest.Adam(p, lr=0.05, codec="int8"),
    "SAM": lambda p: steepest.SAM(p, lr=0.05, rho=0.1),
    "DoG": lambda p: steepest.Optimizer(p, step_size=steepest.stepsize.DoG()),
    "two points": lambda p: steepest.Optimizer(p, lr=0.01, oracle=steepest.oracle.TwoPoint()),
    "momentum of torch": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "L-BFGS of torch": lambda p: torch.optim.LBFGS(p, max_iter=4),
}
DATA = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def loss(x: Any) -> Tensor:
    out: Tensor = torch.tanh(DATA @ x["W"]) @ x["v"] - DATA[:, 0]
    return out.square().mean()


def start() -> dict[str, Tensor]:
    return {"W": torch.linspace(-1, 1, 6, dtype=torch.float64).view(3, 2), "v": torch.ones(2, dtype=torch.float64)}


@pytest.mark.parametrize("name", METHODS)
def test_it_is_the_loop_by_hand(name: str) -> None:
    """To the bit, through one call or five, and with runs from elsewhere in between."""
    params = {name: torch.nn.Parameter(value) for name, value in start().items()}
    opt = METHODS[name]([params["W"], params["v"]])
    for _ in range(20):
        if isinstance(opt, steepest.Optimizer):
            opt.step(lambda: loss(params))
        else:

            def closure() -> Tensor:
                opt.zero_grad()
                value = loss(params)
                value.backward()
                return value

            opt.step(closure)  # type: ignore[arg-type]
    solver, problem = S.Optimizer(METHODS[name]), S.Smooth(loss, start())
    whole = S.solve(problem, solver, max_steps=20, every=20)
    assert all(torch.equal(whole.x[n], p.detach()) for n, p in params.items())
    pieces = S.solve(S.Smooth(loss, start()), solver, max_steps=4)
    for _ in range(4):
        S.solve(problem, solver, max_steps=3)  # another run on the same problem
        pieces = S.solve(problem, solver, max_steps=4, state=through_a_file(pieces.state))
    assert same(pieces.state, whole.state)


def test_counts_are_those_of_the_method() -> None:
    used = {
        name: S.solve(S.Smooth(loss, start()), S.Optimizer(make), max_steps=5).counts for name, make in METHODS.items()
    }
    assert (used["Adam"]["nfev"], used["Adam"]["njev"]) == (5, 5)
    assert (used["SAM"]["nfev"], used["SAM"]["njev"]) == (10, 10)
    assert (used["two points"]["nfev"], used["two points"]["njev"]) == (10, 0)
    assert used["L-BFGS of torch"]["njev"] >= 10
    rows = S.FiniteSum(lambda x, i: (DATA[i] @ x - DATA[i, 0]).square(), torch.zeros(3, dtype=torch.float64), 12)
    result = S.solve(rows, S.Optimizer(METHODS["SAM"], batch=4, seed=1), max_steps=5, every=5)
    assert (result.counts["nsample"], result.counts["nfev"], result.counts["njev"]) == (40, 0, 0)
    other = S.solve(rows, S.Optimizer(METHODS["SAM"], batch=4, seed=2), max_steps=5, every=5)
    assert not torch.equal(result.x, other.x)


def test_methods_for_matrices_see_matrices() -> None:
    seen: list[torch.Size] = []

    def make(params: Any) -> torch.optim.Optimizer:
        seen.extend(p.shape for group in params for p in group["params"])
        return torch.optim.SGD(params, lr=0.1)

    S.solve(S.Smooth(loss, start()), S.Optimizer(make), max_steps=1)
    assert seen[:2] == [(3, 2), (2,)]


def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 1)).double()


@pytest.mark.parametrize("rule", ["constant", "adagrad"])
def test_target_surrogates_are_sso(rule: str) -> None:
    """To the bit, on batches, with dropout from the state's generator and the statistics of norms; the model stays."""
    batches = [(DATA[:6], DATA[:6, :1]), (DATA[6:], DATA[6:, :1])]
    net, given = model(), model()
    sso = S.SSO(net, F.mse_loss, eta=0.5, m=4, rule=rule)
    problem, solver = S.Targets(given, F.mse_loss, batches), S.TargetSurrogate(eta=0.5, m=4, rule=rule, seed=3)
    begun = S.solve(problem, solver, max_steps=5)
    ended = S.solve(S.Targets(given, F.mse_loss, batches), solver, max_steps=4, state=through_a_file(begun.state))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        known = sso.run(batches, 9)
    assert same(ended.x, {name: p.detach() for name, p in net.named_parameters()})
    assert begun.history["loss"][1:] + ended.history["loss"][1:] == known.history["loss"]
    assert same(ended.state["values"]["kept"]["buffers"], dict(net.named_buffers()))
    assert (ended.counts["njev"], ended.counts["ninner"]) == (known.counts["expensive"], known.counts["forwards"])
    assert all(
        torch.equal(a, b) for a, b in zip(given.state_dict().values(), model().state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("base", ["gd", "adam", "l-bfgs"])
def test_subspace_search_is_the_optimizer(base: str) -> None:
    """To the bit where it is resumed, too, which the optimizer is not."""
    X = torch.randn(30, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def small() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 1)).double()

    net = small()
    opt = S.SubspaceOptimizer(net, X, X[:, :1], F.mse_loss, base=base, refresh=6)
    known = opt.run(15)
    solver, problem = S.SubspaceSearch(base, refresh=6), S.Network(small(), X, X[:, :1], F.mse_loss)
    begun = S.solve(problem, solver, max_steps=4)
    ended = S.solve(problem, solver, max_steps=11, state=through_a_file(begun.state))
    assert same(ended.x, {name: p.detach() for name, p in net.named_parameters()})
    assert begun.history["loss"][1:] + ended.history["loss"][1:] == known.history["loss"][:-1]
    assert ended.counts["nfev"] + ended.counts["njev"] == known.counts["products"] - (15 % 6 == 0)
    with pytest.raises(ValueError, match="not friendly"):
        S.Network(nn.Conv1d(1, 1, 1), X, X, F.mse_loss)
    with pytest.raises(ValueError, match="mode must be one of"):
        S.SubspaceSearch(mode="sphere")
    with pytest.raises(ValueError, match="rule must be one of"):
        S.TargetSurrogate(rule="sphere")


def test_a_step_that_raises_leaves_nothing_half_moved() -> None:
    """The next run on the same problem is as if there had been none."""
    broken = False

    def fragile(x: Any) -> Tensor:
        if broken:
            raise KeyboardInterrupt
        return loss(x)

    problem, solver = S.Smooth(fragile, start()), S.Optimizer(METHODS["SAM"])
    begun = S.solve(problem, solver, max_steps=3)
    broken = True
    with pytest.raises(KeyboardInterrupt):
        solver.step(problem, problem.running.state)
    broken = False
    ended = S.solve(problem, solver, max_steps=3, state=begun.state)
    assert same(ended.state, S.solve(S.Smooth(loss, start()), solver, max_steps=6).state)


def test_what_it_does_not_solve_is_said() -> None:
    flat = torch.ones(2)
    with pytest.raises(TypeError, match="a Smooth or a Saddle problem, got Composite"):
        S.solve(S.Composite(torch.sum, torch.sum, lambda x, step: x, flat), S.Optimizer(METHODS["Adam"]))
    with pytest.raises(TypeError, match="leave out project="):
        S.solve(S.Saddle(lambda x, y: (x * y).sum(), flat, flat, lambda z: z), S.Optimizer(METHODS["Adam"]))
    with pytest.raises(TypeError, match="batch=4 draws samples of a FiniteSum, got Smooth"):
        S.solve(S.Smooth(torch.sum, flat), S.Optimizer(METHODS["Adam"], batch=4))
    with pytest.raises(TypeError, match="make must return an optimizer, got int"):
        S.solve(S.Smooth(torch.sum, flat), S.Optimizer(lambda p: 3))  # type: ignore[arg-type, return-value]
