"""Laws of leaving out spikes: what the definition says, no units, nothing is left out for long, nothing is remembered twice."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest.oracle import Oracle, SkipSpikes, TwoPoint
from tests.laws.common import few

norms = st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0, 40.0, 1e3]), min_size=1, max_size=30)


def decisions(spikes: SkipSpikes, lengths: list[float], **options: float) -> list[bool]:
    """Whether each step moved x, for gradients of these lengths, a hundredth of which goes to each of two groups."""
    x, y = (nn.Parameter(torch.tensor([0.6], dtype=torch.float64)) for _ in range(2))
    opt = steepest.Optimizer([{"params": [x]}, {"params": [y]}], lr=1e-6, oracle=spikes)
    moved = []
    for length in lengths:
        before = x.item()
        opt.step(lambda length=length: length * (0.6 * x + 0.8 * y).sum())  # type: ignore[misc]
        moved.append(x.item() != before)
    assert opt.counters.skipped == sum(1 for m, n in zip(moved, lengths, strict=True) if not m and n)
    assert opt.counters.steps == len(lengths)
    return moved


@few
@given(lengths=norms, factor=st.sampled_from([1.2, 10.0]), window=st.integers(1, 6), listen=st.integers(1, 6))
def test_it_does_what_it_says(lengths: list[float], factor: float, window: int, listen: int) -> None:
    """The definition, with a list of all that was heard; a gradient of zero moves nothing and is not heard."""
    listen = min(listen, window)
    heard: list[float] = []
    right = []
    for length in lengths:
        heard += [length] * (length > 0)
        usual = statistics.median_low(heard[-window:]) if heard else 0.0
        first_was_it = listen == 1 and window > 1 and len(heard) == 2 and length > 0 and heard[0] > factor * length
        fine = len(heard[-window:]) >= listen and length <= factor * usual * (1 + 1e-12) and not first_was_it
        right.append(length > 0 and fine)
    assert decisions(SkipSpikes(factor=factor, window=window, listen=listen), lengths) == right


@few
@given(lengths=norms, power=st.integers(-20, 20))
def test_the_unit_of_the_loss_does_not_matter(lengths: list[float], power: int) -> None:
    assert decisions(SkipSpikes(), [n * 2.0**power for n in lengths]) == decisions(SkipSpikes(), lengths)


@few
@given(lengths=norms, window=st.integers(1, 9))
def test_nothing_is_left_out_for_long(lengths: list[float], window: int) -> None:
    """Whatever came before, of equal gradients at most half a window and one are left out."""
    moved = decisions(SkipSpikes(window=window, listen=1), [*lengths, *[77.0] * (window // 2 + 2)])
    assert moved[-1]


def regression(**options: object) -> Tensor:
    """Where a small run ends."""
    a, x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), nn.Parameter(torch.ones(3))
    opt = steepest.Optimizer([x], lr=0.05, **options)  # type: ignore[arg-type]
    for t in range(12):
        opt.step(lambda t=t: (a[t % 4 :: 4] @ x).square().mean() * (1e3 if t == 7 and options.get("steep") else 1.0))  # type: ignore[misc]
    return x.detach()


@pytest.mark.parametrize("source", [None, TwoPoint()], ids=["backpropagation", "two points"])
def test_a_guard_that_never_acts_is_none(source: TwoPoint | None) -> None:
    """To the bit."""
    plain = regression(oracle=source)
    assert torch.equal(regression(oracle=SkipSpikes(source or Oracle(), factor=1e30, listen=1)), plain)
    assert not torch.equal(plain, torch.ones(3))


def test_zeroth_order_has_spikes_too() -> None:
    """An estimate that is far longer than usual is left out; nothing is differentiated."""
    x = nn.Parameter(torch.ones(4))
    opt = steepest.Optimizer([x], lr=1e-3, oracle=SkipSpikes(TwoPoint(), factor=100.0, listen=1))
    for t in range(8):
        before = x.detach().clone()
        opt.step(lambda t=t: x.square().sum() * (1e6 if t == 5 else 1.0))  # type: ignore[misc]
        assert torch.allclose(x.detach(), before, rtol=0, atol=1e-6) == (t == 5)
    assert (opt.counters.skipped, opt.counters.backwards) == (1, 0)


def test_what_is_not_finite_is_the_engines() -> None:
    """It is neither judged nor remembered."""
    x = nn.Parameter(torch.ones(2))
    opt = steepest.SGD([x], lr=0.1, oracle=SkipSpikes(listen=1), nonfinite="skip")
    opt.step(lambda: x.sum())
    with pytest.warns(UserWarning, match="not finite|NaN"):
        opt.step(lambda: x.sum() * math.nan)
    opt.step(lambda: x.sum())
    assert opt.param_groups[0]["norms"] == (math.sqrt(2),) * 2


def fits(
    name: str, steep: bool = False, start: Tensor | None = None, begin: int = 0, resume: bool = False
) -> list[Tensor]:
    """The points of a fit of two groups over batches from ``begin`` to 11, the first a thousand times too steep or not."""
    a = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start = torch.ones(4, dtype=torch.float64) if start is None else start
    x, b = nn.Parameter(start[:3].clone()), nn.Parameter(start[3:].clone())

    def make() -> steepest.Optimizer:
        found: steepest.Optimizer = getattr(steepest, name)([{"params": [x]}, {"params": [b]}])
        return found

    opt, points = make(), []
    for t in range(begin, 12):
        scale = 1e3 if steep and t == 0 else 1.0
        opt.step(lambda t=t, scale=scale: scale * ((a[t % 6] @ x + b - 1).square() + 1).mean())  # type: ignore[misc]
        points.append(torch.cat([x.detach(), b.detach()]))
        if resume:
            saved, opt = opt.state_dict(), make()
            opt.load_state_dict(saved)
    return points


@pytest.mark.parametrize("resume", [False, True], ids=["at once", "resumed at every step"])
@pytest.mark.parametrize(
    "name",
    [
        "Auto",
        "DoG",
        "LDoG",
        "AdaGradNorm",
        "UDoG",
        "ADoG",
        "DAdaptAdam",
        "TDoG",
        "DAdaptSGD",
        "DAdaptDual",
        "DAdaptAdaGrad",
        "SMBi",
        "PoNoSPrec",
        "BoxBacktracking",
        "EllipsoidBacktracking",
    ],
)
def test_a_first_batch_that_was_a_spike_is_forgotten(name: str, resume: bool) -> None:
    """From the third batch on it is, to the bit, the run that begins there; without the rule it is not."""
    misled, honest = fits(name, steep=True, resume=resume), fits(name, resume=resume)
    assert torch.equal(misled[0], misled[1]), "the second batch says so, and is left out"
    anew = fits(name, start=misled[1], begin=2)
    assert all(map(torch.equal, misled[2:], anew))
    assert not torch.equal(anew[-1], misled[1])
    assert not all(map(torch.equal, honest[2:], fits(name, start=honest[1], begin=2))), "else nothing is forgotten"


def test_it_begins_anew_once() -> None:
    """A gradient that falls two hundredfold in every step is a method that arrives."""
    x = nn.Parameter(torch.ones(2))
    opt = steepest.DoG([x])
    for t in range(6):
        opt.step(lambda t=t: x.sum() * 0.005**t)  # type: ignore[misc]
    assert (opt.counters.skipped, opt.param_groups[0]["t"]) == (1, 4)


def test_restart_keeps_what_was_chosen_and_forgets_what_was_learnt() -> None:
    """Rates of a scheduler stay; state, clocks and memories are those of the start."""
    x = nn.Parameter(torch.ones(2))
    opt = steepest.Auto([x])
    fresh = {k: v for k, v in opt.param_groups[0].items() if k != "params"}
    for _ in range(7):
        opt.step(lambda: x.square().sum())
    opt.param_groups[0]["lr"] = 0.5
    at = x.detach().clone()
    opt.restart()
    assert {k: v for k, v in opt.param_groups[0].items() if k != "params"} == fresh | {"lr": 0.5}
    assert not opt.state
    assert torch.equal(x.detach(), at)
    assert opt.counters.steps == 7
    with opt.averaged(), pytest.raises(RuntimeError, match="restart"):
        opt.restart()


def test_values_are_checked() -> None:
    with pytest.raises(ValueError, match="listen=5 norms do not fit into window=4"):
        SkipSpikes(window=4, listen=5)
    with pytest.raises(ValueError, match="factor must lie in"):
        SkipSpikes(factor=1.0)
    with pytest.raises(TypeError, match="goes around an oracle"):
        SkipSpikes(steepest.point.SAM())  # type: ignore[arg-type]
