"""``opt.metrics()``: numbers of the last step against what can be worked out by hand, and no trace when nobody calls it."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

import steepest
from tests.oracle.curved import OwnLabels


def vec(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values))


def half(*xs: Tensor) -> Any:
    """A closure whose gradient is x."""
    return lambda: sum((x * x).sum() for x in xs) / 2


@pytest.mark.parametrize("name", sorted(steepest.methods))
def test_every_method_has_plain_numbers(name: str) -> None:
    """Floats under words, before the first step and after some; the counters are the optimizer's."""
    x = vec(1.0, -2.0, 3.0)
    more: dict[str, Any] = {"pairs": ()} if name == "BAR" else {}
    more = {"estimate": OwnLabels()} if name == "SophiaG" else more
    opt = steepest.methods[name].make([x], **more)
    opt.track_norms = True
    for _ in range(3):
        found = opt.metrics()
        assert {type(v) for v in found.values()} == {float} and {type(k) for k in found} == {str}
        assert all(math.isfinite(v) for k, v in found.items() if k not in ("eta_prev", "update_to_weight")), found
        before = x.detach().clone()
        opt.step(half(x))
        found = opt.metrics()
        assert found["step_norm"] == pytest.approx(float((x.detach() - before).norm()), rel=1e-5)
        assert found["weight_norm"] == pytest.approx(float(before.norm()), rel=1e-6)
        assert "lr" in found or "lr/min" in found
    for key, value in opt.counters.as_dict().items():
        assert found[key] == value
    assert found["gradient_equivalents"] == opt.counters.gradient_equivalents > 0


def test_the_rate_is_the_one_that_moved() -> None:
    """Plain descent: the step is lr times the direction, in each group, under a scheduler too."""
    x, y = vec(3.0, 4.0), vec(1.0)
    opt = steepest.SGD([{"params": [x]}, {"params": [y], "lr": 0.25}], lr=0.5)
    assert (opt.metrics()["lr"], opt.metrics()["lr/1"]) == (0.5, 0.25)
    opt.step(half(x, y))
    opt.param_groups[0]["lr"] = 0.125
    x0 = x.detach().clone()
    opt.step(half(x, y))
    found = opt.metrics()
    assert (found["lr"], found["lr/1"]) == (0.125, 0.25)
    torch.testing.assert_close(x0 - x, 0.125 * x0)
    opt.param_groups[1]["lr"] = 0.125
    opt.step(half(x, y))
    assert "lr/1" not in opt.metrics()


def test_what_dog_measured() -> None:
    """The effective rate is r̄/√G, and the norm of the gradient was summed anyway."""
    x, y = vec(3.0, 4.0), vec(12.0)
    opt = steepest.DoG([{"params": [x]}, {"params": [y], "lr": 0.5}], reps_rel=0.1, G0=0.0)
    opt.step(half(x, y))
    found = opt.metrics()
    assert found["direction_norm"] == pytest.approx(13.0)
    assert (found["rbar"], found["G"]) == pytest.approx((1.4, 169.0))
    assert (found["lr"], found["lr/1"]) == pytest.approx((1.4 / 13, 0.7 / 13))
    each = steepest.LDoG([vec(3.0, 4.0), vec(12.0)], reps_rel=0.1, G0=0.0)
    each.step(half(*each.param_groups[0]["params"]))
    found = each.metrics()
    assert (found["lr/min"], found["lr/max"]) == pytest.approx((1.3 / 12, 0.6 / 5))
    assert (found["rbar/min"], found["rbar/max"]) == pytest.approx((0.6, 1.3))


def test_what_a_search_measured() -> None:
    """The accepted step, the slope and the trials that failed."""
    x = vec(3.0, 4.0)
    opt = steepest.SLS([x], eta_max=4.0, shrink=0.5, c=0.1)
    opt.step(half(x))  # 4 is too long, 2 too; 1 is exact
    found = opt.metrics()
    assert (found["lr"], found["shortened"], found["slope"], found["loss"]) == (1.0, 2.0, 25.0, 12.5)
    assert (found["forwards"], found["backwards"]) == (4.0, 1.0)


def test_sams_sharpness_is_the_rise_of_the_loss() -> None:
    """f(x + ρ g/‖g‖) - f(x)."""
    x = vec(3.0, 4.0)
    opt = steepest.SAM([x], lr=0.1, rho=0.5)
    opt.step(half(x))
    assert opt.metrics()["sharpness"] == pytest.approx((5.5**2 - 25) / 2)
    plain = steepest.Optimizer([x], lr=0.1)
    plain.step(half(x))
    assert "sharpness" not in plain.metrics()


def test_auto_says_in_words_what_its_numbers_are() -> None:
    x = vec(3.0, -2.0)
    opt = steepest.Auto([x])
    for _ in range(12):
        opt.step(half(x))
    found = opt.metrics()
    for name in ("found", "agree", "signal", "fade", "gradient_norm"):
        assert name in found
    assert f"{found['found']:.2g} of the root" in opt.explain()
    assert f"makes {0.06 * found['signal']:.2g} usual" in opt.explain()
    assert found["lr"] == pytest.approx(found["found"])


def test_a_skipped_step_is_counted_and_leaves_the_numbers_before() -> None:
    x = vec(3.0, 4.0)
    opt = steepest.SGD([x], lr=0.5, nonfinite="skip")
    opt.step(half(x))
    before = opt.metrics()
    x.grad = torch.full_like(x, math.nan)
    with pytest.warns(UserWarning, match="NaN"):
        opt.step()
    after = opt.metrics()
    assert (after["skipped"], after["steps"], after["lr"]) == (1.0, 2.0, before["lr"])


def test_norms_are_switched_on_and_off() -> None:
    """Frozen weights and those without a gradient do not count as moved."""
    x, frozen = vec(3.0, 4.0), torch.nn.Parameter(torch.ones(2), requires_grad=False)
    opt = steepest.SGD([x, frozen], lr=0.5)
    opt.step(half(x))
    assert "step_norm" not in opt.metrics()
    opt.track_norms = True
    opt.step(half(x))
    found = opt.metrics()
    names = ("weight_norm", "step_norm", "update_to_weight", "gradient_norm")
    assert [found[n] for n in names] == [2.5, 1.25, 0.5, 2.5]


def test_copies_and_checkpoints_know_nothing_of_it() -> None:
    """Kept numbers are neither saved nor copied, and keep no parameter alive."""
    x = vec(3.0, 4.0)
    opt = steepest.LDoG([x])
    keys = set(opt.state_dict()), set(opt.param_groups[0])
    opt.step(half(x))
    opt.metrics()
    assert (set(opt.state_dict()), set(opt.param_groups[0])) == keys
    for other in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert "direction_norm" not in other.metrics()
        assert other.metrics()["steps"] == 1.0
    gone = weakref.ref(x)
    opt.param_groups[0]["params"] = []
    opt.state.clear()
    opt.zero_grad()
    del x, opt, other
    gc.collect()
    assert gone() is None
