"""Laws of the gradient: a step reads what is in ``p.grad``, whenever it is there, and keeps nothing of it by reference."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from tests.contract.case import Case
from tests.contract.law import different, finite, frozen, law, one_gradient, same, states, tolerance
from tests.contract.world import World, ask, in_parts, start, walk


@law()
def set_to_none_is_set_to_zero(case: Case) -> None:
    """The trajectory is the same whether gradients are dropped or zeroed in place before they are added up anew."""
    runs = []
    for none in (True, False):
        world, opt = start(case)
        for t in range(6):

            def closure(
                t: int = t, none: bool = none, world: World = world, opt: torch.optim.Optimizer = opt
            ) -> Tensor:
                opt.zero_grad(set_to_none=none)
                loss = world.loss(t)
                loss.backward()
                return loss

            if case.closure:
                opt.step(closure)
            else:
                closure()
                opt.step()
        runs.append(world.weights())
    same(*runs)


@law()
def gradients_are_only_read(case: Case) -> None:
    """No gradient that backward delivered is written by the step."""
    world, opt = start(case)
    seen: list[tuple[Tensor, Tensor]] = []

    def remember(p: Tensor) -> None:
        assert p.grad is not None
        seen.append((p.grad, p.grad.clone()))

    for p in world.params():
        p.register_post_accumulate_grad_hook(remember)
    for t in range(4):
        ask(case, opt, partial(world.loss, t))
        assert seen or not case.backwards
        for now, then in seen:
            same(now, then)
        seen.clear()


@law()
def without_a_gradient_nothing_moves(case: Case) -> None:
    """A parameter whose gradient is None keeps its bits and gets no state."""
    world = World()
    idle = nn.Parameter(torch.tensor([0.3, -0.2, 0.9]))
    opt = case([*world.params()[:2], idle, *world.params()[2:]])
    before = world.weights()
    walk(case, world, opt, 4)
    same(idle.detach(), torch.tensor([0.3, -0.2, 0.9]))
    assert not opt.state.get(idle)
    assert different(before, world.weights())


def _sometimes(case: Case, alone: bool) -> tuple[list[Tensor], int, int]:
    """A parameter with a gradient at steps 1, 3 and 4 only, beside others or alone with these steps."""
    world = World()
    idle = nn.Parameter(torch.tensor([0.3, -0.2, 0.9]))
    aim = torch.tensor([[0.1, 0.5, -0.4], [1.0, 0.2, 0.0]])
    opt = case([idle]) if alone else case([*world.params(), idle])
    seen = []
    for t in range(6):
        active = t in (1, 3, 4)

        def loss(t: int = t, active: bool = active) -> Tensor:
            own = (idle - aim[t % 2]).square().mean()
            if alone:
                return own
            return world.loss(t) + own if active else world.loss(t)

        before = idle.detach().clone()
        if active or not alone:
            ask(case, opt, loss)
        seen.append(idle.detach().clone())
        assert active or torch.equal(before, seen[-1])
    return seen, opt.state[idle]["step"], opt.state[world.params()[0]]["step"] if not alone else 0


@law()
def steps_are_counted_per_parameter(case: Case) -> None:
    """A parameter with a gradient in some steps only goes as if the others had not been."""
    beside, own, other = _sometimes(case, alone=False)
    assert (own, other) == (3 * case.row.counts, 6 * case.row.counts)
    if not case.row.whole:
        alone, _, _ = _sometimes(case, alone=True)
        same(beside, alone)


@law("first", "middle")
def zero_gradients_do_no_harm(case: Case, when: str) -> None:
    """All-zero gradients leave no NaN, and training goes on afterwards."""
    world, opt = start(case)
    if when == "middle":
        walk(case, world, opt, 3)
    ask(case, opt, lambda: world.loss(0) * 0.0)
    assert finite(world.weights())
    assert finite(states(opt))
    before, weights = world.overall(), world.weights()
    walk(case, world, opt, case.row.steps)
    assert finite(world.weights())
    assert finite(states(opt))
    assert different(weights, world.weights())
    assert world.overall() < before


@law()
def micro_batches_add_up(case: Case) -> None:
    """Four backward calls of a quarter of the loss are one of the whole, up to rounding in the sum."""
    runs = []
    for parts in (1, 4):
        world, opt = start(case)
        for t in range(4):

            def closure(
                t: int = t, parts: int = parts, world: World = world, opt: torch.optim.Optimizer = opt
            ) -> Tensor:
                return in_parts(world, opt, t, parts)

            if case.closure:
                opt.step(closure)
            else:
                closure()
                opt.step()
        runs.append(world.weights())
    same(*runs, loose=tolerance(case, "micro_batches_add_up"))


@law(concerns=one_gradient)
def a_step_before_any_backward_is_no_step(case: Case) -> None:
    """Without gradients nothing moves, and what follows is as if nothing had happened."""
    runs = []
    for early in (False, True):
        world, opt = start(case)
        if early:
            before = world.weights()
            opt.step()
            same(world.weights(), before)
            assert finite(states(opt))
        runs.append(walk(case, world, opt, 5))
    same(*runs)


@law(concerns=lambda case: case.closure)
def a_missing_closure_is_named(case: Case) -> None:
    """A method that asks the loss itself says so in one sentence, and nothing is lost."""
    world, opt = start(case)
    walk(case, world, opt, 2)
    before, kept = world.weights(), frozen(opt)
    try:
        opt.step()
    except RuntimeError as error:
        assert "step(closure)" in str(error)
        assert "\n" not in str(error)
    else:
        raise AssertionError("step() without a closure went through")
    same(world.weights(), before)
    same(frozen(opt), kept)
