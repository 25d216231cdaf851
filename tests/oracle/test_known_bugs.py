"""Wrong updates that other implementations are known for, one test each, named after the bug.

A test shows the right numbers and, where the wrong ones are not absurd, that it would notice them.
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import oracle, point, stepsize
from tests.oracle.problems import Linear, Net, Quadratic, follow, gap, join


def train(make: Any, steps: int = 8, set_to_none: bool = True, **options: Any) -> Tensor:
    """The net's weights after some steps in the plain style: backward, step, zero_grad."""
    net = Net()
    params = [nn.Parameter(torch.from_numpy(s.copy())) for s in net.start]
    opt = make(params, **options)
    for t in range(1, steps + 1):
        net.torch_loss(params, t).backward()
        opt.step()
        opt.zero_grad(set_to_none=set_to_none)
    return torch.cat([p.detach().reshape(-1) for p in params])


def walk(make: Any, gradients: list[Any], start: Any = (0.0,), lr: float | None = 1.0, **options: Any) -> Any:
    """The points reached from ``start`` with prescribed gradients."""
    return [x.tolist() for x in follow(make, Linear(start, *gradients), [lr] * len(gradients), **options).x]


# ---- MARS ------------------------------------------------------------------------------------------------------------


def test_mars_previous_gradient_is_an_alias() -> None:
    # keeping p.grad itself makes g - g_old zero once gradients are zeroed in place: MARS becomes AdamW
    plain = train(steepest.AdamW, lr=0.03, betas=(0.95, 0.99), weight_decay=0.0)
    for set_to_none in (True, False):
        mars = train(steepest.MARS, set_to_none=set_to_none, lr=0.03, gamma=0.5, clip=False)
        assert torch.equal(mars, train(steepest.MARS, lr=0.03, gamma=0.5, clip=False))
        assert not torch.allclose(mars, plain, atol=1e-3)


def test_mars_swaps_gamma_and_beta() -> None:
    # γβ₁/(1-β₁) = 4.5 here; with the two exchanged it would be βγ/(1-γ) = 0.9
    moved = walk(steepest.MARS, [[1.0], [2.0]], betas=(0.9, 0.0), eps=1e9, gamma=0.5, clip=False, lr=1e9)
    m = 0.9 * 0.1 * 1.0 + 0.1 * (2.0 + 4.5 * (2.0 - 1.0))
    assert moved[1][0] - moved[0][0] == pytest.approx(-m / (1 - 0.9**2), rel=1e-7)


def test_mars_boosts_the_first_gradient() -> None:
    # starting from g_old = 0 multiplies the first gradient by 1 + γβ₁/(1-β₁) = 1.475
    (moved,) = walk(steepest.MARS, [[0.5]], eps=0.5, clip=False)
    assert moved == [-0.5 / (0.5 + 0.5)]


def test_mars_clips_all_tensors_together() -> None:
    # the norm is the tensor's own: a long neighbour does not shorten it
    trail = follow(steepest.MARS, Quadratic([1, 1], [0.5], [1e6]), [1.0], eps=0.5)
    assert trail.x[0][0] == 0.5 - 0.5 / (0.5 + 0.5)


# ---- ADOPT -----------------------------------------------------------------------------------------------------------

GROWING = [[1.0], [1e3], [1e6], [1e9]]  # so steep that u is clipped at every step


def test_adopt_moves_at_the_first_step() -> None:
    # the first gradient only fills v
    assert walk(steepest.ADOPT, [[3.0], [0.0]]) == [[0.0], [0.0]]
    assert walk(steepest.ADOPT, [[3.0], [3.0]])[1] == pytest.approx([-0.1], rel=1e-15)


def test_adopt_clip_exponent_and_offset() -> None:
    # the k-th real step clips at k^¼: 1, 2^¼, 3^¼; others have k^⅓ or (k+1)^¼
    moved = walk(steepest.ADOPT, GROWING, betas=(0.0, 0.9))
    assert [-b[0] + a[0] for a, b in pairwise(moved)] == pytest.approx([1, 2**0.25, 3**0.25])


def test_adopt_corrects_bias() -> None:
    # there is no bias correction: constant gradients give 1 - β₁ᵏ of a full step
    moved = walk(steepest.ADOPT, [[2.0]] * 4, betas=(0.5, 0.9))
    assert [-b[0] + a[0] for a, b in pairwise(moved)] == pytest.approx([0.5, 0.75, 0.875])


# ---- Cautious, AdaBelief, Adam, decay --------------------------------------------------------------------------------


def test_cautious_does_not_rescale() -> None:
    # two of four coordinates agree: each goes 4/(2+1) times as far
    options: dict[str, Any] = {"betas": (0.9, 0.9), "eps": 0.0}
    first, second = walk(steepest.CAdamW, [[1, 1, 1, 1], [1, 1, -0.1, -0.1]], [0, 0, 0, 0], **options)
    assert first == pytest.approx([-4 / 5] * 4)
    assert np.subtract(second, first) == pytest.approx([-4 / 3, -4 / 3, 0, 0])


def test_cautious_masks_with_m_times_m() -> None:
    # m·m > 0 masks nothing: a coordinate that turned round would go on
    first, second = walk(steepest.CAdamW, [[1.0, 1.0], [-0.1, 1.0]], [0.0, 0.0])
    assert second[0] == first[0]
    assert second[1] < first[1]


def test_cautious_feeds_the_mask_back() -> None:
    # the moments are the base method's, masked or not
    saved = [follow(make, Linear([0.0], [1.0], [-0.1], [0.3]), [0.1] * 3, weight_decay=0.0).states[-1][0]
             for make in (steepest.CAdamW, steepest.AdamW)]  # fmt: skip
    assert all((saved[0][name] == saved[1][name]).all() for name in ("m", "v"))


def test_adabelief_forgets_eps() -> None:
    # ε is added to s and stays: under a constant gradient ŝ tends to ε/(1-β₂), and d grows as the early (g - m)² fades
    x = [0.0, *(x[0] for x in walk(steepest.AdaBelief, [[1.0]] * 100))]
    assert [round(x[t - 1] - x[t], 2) for t in (1, 10, 100)] == [1.11, 1.64, 4.95]
    quick = [x[0] for x in walk(steepest.AdaBelief, [[1.0]] * 400, betas=(0.0, 0.9), eps=1e-4)]
    assert quick[-2] - quick[-1] == pytest.approx(1 / (math.sqrt(1e-4 / 0.1) + 1e-4), rel=1e-6)


def test_adam_eps_beside_the_uncorrected_root() -> None:
    # ε stands beside √v̂: for |g| = ε the first step is a half, not 1/(1 + 1/√(1-β₂)) = 0.03
    assert walk(steepest.Adam, [[1e-3]], eps=1e-3)[0] == pytest.approx([-0.5], rel=1e-12)


@pytest.mark.parametrize("name", ["AdamW", "AdaBelief", "ADOPT", "Lion", "CAdamW", "CLion", "MARS", "GaLore", "FRUGAL"])
def test_decay_goes_through_the_moments(name: str) -> None:
    # decoupled: without gradients x shrinks by 1 - ηλ and nothing else happens
    moved = walk(getattr(steepest, name), [[0.0, 0.0]] * 3, [2.0, -4.0], lr=0.5, weight_decay=0.2)
    assert np.array(moved) == pytest.approx(np.array([[2 * 0.9**t, -4 * 0.9**t] for t in (1, 2, 3)]), rel=1e-15)


def test_decay_does_not_go_through_the_moments() -> None:
    # coupled: Adam divides the decay by its own size, so both coordinates move by lr whatever λx is
    for make in (steepest.Adam, steepest.AMSGrad):
        (moved,) = walk(make, [[0.0, 0.0]], [2.0, -4.0], lr=0.5, weight_decay=0.2)
        assert moved == pytest.approx([1.5, -3.5], rel=1e-7)


def test_lion_momentum_is_updated_before_it_is_read() -> None:
    # c = β₁m + (1-β₁)g with the old m: here +0.05, with the new m it would be -0.0625
    moved = walk(steepest.Lion, [[2.0], [-0.4]], betas=(0.5, 0.75))
    assert moved == [[-1.0], [-2.0]]


# ---- points ----------------------------------------------------------------------------------------------------------


def test_lookahead_weighs_the_slow_side() -> None:
    # α is the weight of the fast weights: 0.8 keeps most of the way
    moved = walk(steepest.LookaheadAdamW, [[1.0]] * 2, lr=1.0, alpha=0.8, k=2, weight_decay=0.0)
    assert moved[1] == pytest.approx([-2 * 0.8], rel=1e-7)


def test_lookahead_loses_slow_weights_when_saved() -> None:
    # a checkpoint between synchronisations brings the slow weights along
    net = Net()
    options: dict[str, Any] = {"lr": 0.1, "alpha": 0.5, "k": 4}
    runs = []
    for stop in (0, 2):
        params = [nn.Parameter(torch.from_numpy(s.copy())) for s in net.start]
        opt = steepest.LookaheadAdamW(params, **options)
        for t in range(1, 9):
            if t == stop + 1 and stop:
                saved = copy.deepcopy(opt.state_dict())
                opt = steepest.LookaheadAdamW(params, **options)
                opt.load_state_dict(saved)
            opt.zero_grad()
            net.torch_loss(params, t).backward()
            opt.step()
        runs.append(join([p.detach().numpy() for p in params]))
    assert gap([runs[0]], [runs[1]]) == 0


def test_lookahead_touches_parameters_without_gradient() -> None:
    # no state is made for them, so that a checkpoint can be continued when they wake up
    x, y = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    opt = steepest.LookaheadAdamW([x, y], lr=0.1, k=1)
    opt.step(lambda: (x * x).sum())
    assert y not in opt.state
    other = steepest.LookaheadAdamW([x, y], lr=0.1, k=1)
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    other.step(lambda: (x * x).sum() + (y * y).sum())
    assert (y != 1).all()


def test_sam_zero_gradient_is_nan() -> None:
    # 0/0 in ρg/‖g‖: there is no worst direction, so the gradient is taken here
    trail = follow(steepest.SAM, Quadratic([1, 1], [0.0, 0.0]), [0.1] * 3)
    assert trail.x[-1].tolist() == [0, 0]
    assert gap(*[[follow(steepest.SAM, Net(pauses), [0.1] * 9).x[-1]] for pauses in ((), (4,))]) < math.inf


def test_sam_perturbs_each_tensor_by_rho() -> None:
    # the norm is taken over all tensors together: (3, 4) has length 5 though it lies in two of them
    trail = follow(steepest.SAM, Quadratic([1, 1], [3.0], [4.0]), [0.1], rho=0.5)
    assert trail.asked[0][1] == pytest.approx([3.3, 4.4], rel=1e-15)


def test_optimistic_previous_step_is_an_alias() -> None:
    # keeping p.grad itself makes -2g + g = -g: plain descent
    plain = train(steepest.SGD, lr=0.1)
    for set_to_none in (True, False):
        moved = train(steepest.OptimisticSGD, set_to_none=set_to_none, lr=0.1)
        assert torch.equal(moved, train(steepest.OptimisticSGD, lr=0.1))
        assert not torch.allclose(moved, plain, atol=1e-3)


def test_optimistic_adam_corrects_the_old_step_anew() -> None:
    # p₁ keeps its own correction, 1: with β₁ = 0.9 corrected anew it would be 0.1/(1 - 0.81) = 0.53
    moved = walk(steepest.OptimisticAdam, [[1.0], [1.0]], eps=1e-12)
    assert moved == [pytest.approx([-2.0]), pytest.approx([-3.0])]


def test_optimistic_gradient_goes_into_the_moments() -> None:
    # 2g - g₋ inside Adam is another method; optimism acts on the preconditioned step
    moved = walk(steepest.OptimisticAdam, [[1.0], [3.0]], betas=(0.0, 0.0), eps=0.0)
    assert moved == [[-2.0], [-3.0]]


def test_extra_adam_corrects_bias_by_whole_steps() -> None:
    # its counter counts half steps: four gradients have been averaged after two steps
    trail = follow(steepest.ExtraAdam, Linear([0.0], [1.0]), [1.0] * 2, eps=0.0)
    assert trail.x[1] == pytest.approx([-2.0], rel=1e-12)


# ---- step sizes ------------------------------------------------------------------------------------------------------


def test_sps_is_frozen_by_a_zero_gradient() -> None:
    # a zero step is not remembered as the last one, so growth starts from the last real step
    assert walk(steepest.SPS, [[0.0], [4.0], [0.0], [1.0]], growth=2.0) == [[0.0]] * 4  # the loss is zero here
    problem = Linear([0.0], [4.0], [0.0], [1.0], constant=8)
    trail = follow(steepest.SPS, problem, [1.0] * 3, growth=1.5)
    assert [float(x[0]) for x in trail.x] == [-4.0, -4.0, -5.5]


@pytest.mark.parametrize(("make", "trials"), [(steepest.SLS, 100), (steepest.PoNoS, 20)])
def test_searches_are_frozen_by_a_failed_one(make: Any, trials: int) -> None:
    # a loss that jumps up whatever the step is fails every trial once; the next step is as if nothing had happened
    x, calls = nn.Parameter(torch.tensor([3.0], dtype=torch.float64)), 0
    opt = make([x])

    def closure(broken: bool) -> Tensor:
        nonlocal calls
        calls += 1
        return (x * x).sum() / 2 + (100.0 if broken and calls > 1 else 0.0)

    opt.step(lambda: closure(True))
    assert x.item() == 3.0
    assert calls == 1 + trials
    before = opt.param_groups[0].get("backtracks", 0.0)
    opt.step(lambda: closure(False))
    assert before == 0.0
    assert x.item() < 2.9


def test_dog_adds_eps_at_every_step() -> None:
    # once: after n gradients of length 1, G = n + ε
    moved = walk(steepest.DoG, [[1.0]] * 2, reps_rel=1.0, G0=2.0)
    assert moved[1] == pytest.approx([-1 / math.sqrt(3) - 1 / math.sqrt(4)])


def test_dadapt_adam_divides_by_the_old_v() -> None:
    # g jumps from 1 to 100: with the old v the numerator is 100 times as large
    options = {"betas": (0.9, 0.99), "d0": 1.0, "oracle": steepest.oracle.Oracle()}
    group = follow(steepest.DAdaptAdam, Linear([0.0], [1.0], [100.0]), [1.0] * 2, **options).opt.param_groups[0]
    q = math.sqrt(0.99)
    root = math.sqrt(0.99 * 0.01 + 0.01 * 1e4)
    assert group["numerator"] == pytest.approx((1 - q) * 100 * (1 - q) / root, rel=1e-7)


def test_dadapt_sgd_divides_by_a_zero_first_gradient() -> None:
    # ‖g₀‖ is the first that is not zero
    moved = walk(steepest.DAdaptSGD, [[0.0, 0.0], [3.0, 4.0]], [0.0, 0.0], d0=0.5)
    assert moved == [[0, 0], [pytest.approx(-0.3), pytest.approx(-0.4)]]


def test_dadapt_adagrad_refuses_its_own_defaults() -> None:
    # eps=0 is the default and an error; here a coordinate without a gradient stays, and nothing is divided by zero
    moved = walk(steepest.DAdaptAdaGrad, [[0.0, 3.0], [0.0, 3.0]], [1.0, 1.0], d0=0.5)
    assert moved == [[1, pytest.approx(0.5)], [1, pytest.approx(1 - 1 / math.sqrt(2))]]


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_error_feedback_without_memory() -> None:
    # what was not sent is sent later: the small coordinate's gradients add up to a whole one
    moved = walk(steepest.CompressedSGD, [[1.0, 0.6]] * 3, [0.0, 0.0], keep=0.5)
    assert moved == [[-1.0, 0.0], [-1.0, pytest.approx(-1.2)], [-3.0, pytest.approx(-1.2)]]


def test_frugal_bias_correction_goes_on_after_a_reset() -> None:
    # moments and their clock start anew together: a first step has length 1 after every refresh
    trail = follow(steepest.FRUGAL, Linear(np.zeros((2, 3)), np.ones((2, 3))), [1.0] * 5, rank=1, every=2, eps=0.0)
    assert trail.x[-1] == pytest.approx(np.full(6, -5.0), rel=1e-12)


def test_mezo_restores_the_weights_only_roughly() -> None:
    # with a copy to the bit; in place, as the paper does it, to rounding
    for exact in (True, False):
        net = Net()
        params = [nn.Parameter(torch.from_numpy(s.copy())) for s in net.start]
        opt = steepest.Optimizer(params, lr=0.0, oracle=oracle.TwoPoint(radius=0.1, exact=exact))
        for t in range(20):
            opt.step(lambda t=t: net.torch_loss(params, t))  # type: ignore[misc]
        drift = np.abs(join([p.detach().numpy() for p in params]) - join(net.start)).max()
        assert drift == 0 if exact else 0 < drift < 1e-13


def test_points_leave_the_weights_where_they_asked() -> None:
    # a closure that raises half way must find x restored
    for where in (point.SAM(), point.ExtraGradient()):
        x = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        opt, calls = steepest.Optimizer([x], lr=0.1, point=where), [0]

        def closure(x: Tensor = x, calls: list[int] = calls) -> Tensor:
            calls[0] += 1
            if calls[0] == 2:
                raise ZeroDivisionError
            return (x * x).sum()

        with pytest.raises(ZeroDivisionError):
            opt.step(closure)
        assert x.tolist() == [1.0, 2.0]


def test_steps_need_a_loss_that_is_theirs() -> None:
    # Polyak's step without the loss is a guess; it is refused
    x = nn.Parameter(torch.ones(2))
    x.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="step\\(closure\\)"):
        steepest.Optimizer([x], step_size=stepsize.SPS()).step()
