"""Laws of curvature beside the gradient: what is estimated, when it is bought, and what is said where it cannot be."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import steepest
from steepest import direction, oracle, point
from steepest.core.draws import seed_of
from steepest.landscape import Loss
from tests.laws.common import tensor

#: torch.func, and linear_operator inside curvlinops, use what torch calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")


class Net(nn.Sequential):
    """Six inputs, three classes, in float64."""

    def __init__(self, *middle: nn.Module) -> None:
        super().__init__(nn.Linear(6, 4), nn.Tanh(), *middle, nn.Linear(4, 3))
        random = torch.Generator().manual_seed(0)
        self.double()
        for p in self.parameters():
            p.data = torch.randn(p.shape, generator=random, dtype=torch.float64) * 0.5


def data(rows: int = 20) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn(rows, 6, generator=random, dtype=torch.float64), torch.randint(3, (rows,), generator=random)


def flat_loss(
    model: nn.Module, x: Tensor, y: Tensor
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]:
    """Outputs and loss as functions of all weights in one vector, and that vector."""
    names, shapes = zip(*[(n, p.shape) for n, p in model.named_parameters()], strict=True)

    def outputs(w: Tensor) -> Tensor:
        parts = [q.view(shape) for q, shape in zip(w.split([shape.numel() for shape in shapes]), shapes, strict=True)]
        return torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x,))

    return outputs, lambda w: F.cross_entropy(outputs(w), y), nn.utils.parameters_to_vector(model.parameters()).detach()


def hessian(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss's second derivatives, as a matrix."""
    _, loss, w = flat_loss(model, x, y)
    return torch.func.hessian(loss)(w)


def gauss_newton(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The mean over rows of Jᵀ (diag(p) - p pᵀ) J, as a matrix."""
    outputs, _, w = flat_loss(model, x, y)
    J, p = torch.func.jacrev(outputs)(w), outputs(w).softmax(1)
    return torch.einsum("rkw,rkl,rlv->wv", J, torch.diag_embed(p) - p[:, :, None] * p[:, None], J) / len(x)


def dense(kind: str, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The matrix as curvlinops has it (bash .ci/oracles)."""
    curvlinops = pytest.importorskip("curvlinops")
    A = getattr(curvlinops, kind)(
        model, nn.CrossEntropyLoss(), list(model.parameters()), [(x, y)], check_deterministic=False
    )
    product: Tensor = A @ torch.eye(A.shape[1], dtype=torch.float64)
    return product


def probe(opt: steepest.Optimizer) -> Tensor:
    """What the oracle keeps, as one vector."""
    return torch.cat([opt.state[p]["probe"].flatten() for g in opt.param_groups for p in g["params"]])


def still(params: Any, by: oracle.Oracle, **options: Any) -> steepest.Optimizer:
    """A direction that takes the curvature, and no move."""
    return steepest.Optimizer(params, lr=0.0, direction=direction.Sophia(), oracle=by, **options)


@pytest.mark.parametrize(("kind", "ours"), [("HessianLinearOperator", "hessian"), ("GGNLinearOperator", "ggn"),
                                            ("EFLinearOperator", "fisher")])  # fmt: skip
def test_products_are_those_of_curvlinops(kind: str, ours: str) -> None:
    model, (x, y) = Net(), data()
    if ours == "fisher":
        f = Loss(model, lambda: F.cross_entropy(model(x), y, reduction="none"), head=lambda losses: losses.mean())
    else:
        f = Loss(model, lambda: model(x), head=lambda z: F.cross_entropy(z, y))
    A, v = getattr(f, ours)(), torch.linspace(-1, 1, f.size, dtype=torch.float64)
    assert torch.allclose(A(v), dense(kind, model, x, y) @ v, rtol=1e-9, atol=1e-12)
    assert f.counters.hvps == 1


def test_signs_estimate_the_diagonal() -> None:
    """z ⊙ Hz for the z of this step, its mean over samples, and a group that maximizes."""
    model, (x, y) = Net(), data()
    H = hessian(model, x, y)
    params = list(model.parameters())
    groups = [{"params": params[:2]}, {"params": params[2:], "maximize": True}]
    opt = still(groups, oracle.Hutchinson(samples=3, first=2, seed=7))
    for t, samples in ((1, 2), (2, 3)):
        opt.step(lambda: F.cross_entropy(model(x), y))
        want = torch.zeros(len(H), dtype=torch.float64)
        for j in range(samples):
            random = torch.Generator().manual_seed(seed_of(7, t, j))
            z = torch.cat([(torch.randint(0, 2, p.shape, generator=random) * 2 - 1).flatten() for p in params]).double()
            want += z * (H @ z) / samples
        want[28:] *= -1
        assert torch.allclose(probe(opt), want, rtol=1e-9, atol=1e-12)
    counted = opt.counters
    assert (counted.forwards, counted.backwards, counted.hvps, counted.gradient_equivalents) == (2, 2, 5, 26)


def test_drawn_labels_estimate_the_gauss_newton_diagonal() -> None:
    """Over many draws; the wrong B, or the true labels, would be far away."""
    model, (x, y) = Net(), data()
    want = gauss_newton(model, x, y).diagonal()
    opt = still(model.parameters(), oracle.GaussNewtonBartlett())
    found = torch.zeros_like(want)
    for _ in range(1500):
        opt.step(lambda: F.cross_entropy(model(x), opt.oracle.labels(model(x), y)))  # type: ignore[attr-defined]
        found += probe(opt) / 1500
    assert torch.allclose(found, want, rtol=0.2, atol=0.03 * float(want.max()))
    true = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).square() * len(x)
    assert not torch.allclose(true, want, rtol=0.2, atol=0.03 * float(want.max()))


def test_labels_are_drawn_once_in_so_many_steps_and_counted() -> None:
    """B leaves out those that are ignored, which stay; micro-batches with a backward of their own add up."""
    model, (x, y) = Net(), data()
    y[:4] = -100
    asked: list[Tensor] = []
    by = oracle.GaussNewtonBartlett(every=3, sample=lambda z, generator: z.argmax(-1))
    opt = still(model.parameters(), by)

    def closure() -> Tensor:
        opt.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for rows in (slice(0, 10), slice(10, 20)):
            z = model(x[rows])
            labels = by.labels(z, y[rows])
            asked.append(labels)
            loss = F.cross_entropy(z, labels, reduction="sum") / 16
            loss.backward()
            total += loss.detach()
        return total

    for _ in range(4):
        opt.step(closure)
    truth = [torch.equal(a, b) for a, b in zip(asked, [y[:10], y[10:]] * 6, strict=True)]
    assert truth == [True, True, False, False, True, True, True, True, True, True, False, False]
    assert torch.equal(asked[2][:4], y[:4])
    assert (opt.counters.forwards, opt.counters.backwards, opt.counters.hvps) == (6, 6, 0)
    best = model(x).argmax(-1)
    g = torch.autograd.grad(F.cross_entropy(model(x)[4:], best[4:]), list(model.parameters()))
    assert torch.allclose(probe(opt), torch.cat([gi.flatten() for gi in g]).square() * 16, rtol=1e-10)
    true = torch.autograd.grad(F.cross_entropy(model(x)[4:], y[4:]), list(model.parameters()))
    for p, gi in zip(model.parameters(), true, strict=True):  # what is left in p.grad is the loss's own
        assert p.grad is not None and torch.allclose(p.grad, gi, rtol=1e-10)


def test_labels_that_nobody_asked_for_are_missed() -> None:
    model, (x, y) = Net(), data()
    opt = steepest.SophiaG(model.parameters())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match=r"opt\.oracle\.labels"):
        opt.step(lambda: F.cross_entropy(model(x), y))
    with pytest.raises(RuntimeError, match="classes into the last dimension"):
        opt.step(lambda: F.cross_entropy(model(x), opt.labels(model(x).T, y)))
    assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
    assert not opt.state


class Once(torch.autograd.Function):
    """A backward that cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * g


@pytest.mark.parametrize(("loss", "says"), [
    (lambda p: torch.cdist(p, p + 1, p=3).sum(), "cdist_backward"),
    (lambda p: Once.apply(p).sum(), "backward of Once is marked once_differentiable"),
])  # fmt: skip
def test_what_cannot_be_differentiated_twice_is_named(loss: Callable[[Tensor], Tensor], says: str) -> None:
    p = nn.Parameter(torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    before, opt = p.detach().clone(), steepest.SophiaH([p])
    with pytest.raises(RuntimeError, match=f"cannot be differentiated twice.*{says}"):
        opt.step(lambda: loss(p))
    assert torch.equal(p.detach(), before) and not opt.state and p.grad is None


def test_attention_is_differentiated_twice() -> None:
    """Where the fused kernel cannot, it is written out for that step."""
    q = nn.Parameter(torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0)))
    opt = still([q], oracle.Hutchinson())
    opt.step(lambda: F.scaled_dot_product_attention(q, q, q).square().sum())
    assert bool(probe(opt).any())


def test_curvature_is_bought_once_a_step() -> None:
    """However often a point asks; and every k-th step, also where a step was left out."""
    model, (x, y) = Net(), data()
    opt = steepest.SophiaH(model.parameters(), lr=1e-2, every=3, point=point.SAM(rho=0.05), nonfinite="skip")
    bought = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a step was skipped
        for t in range(8):
            opt.step(lambda t=t: F.cross_entropy(model(x), y) * (torch.nan if t == 3 else 1.0))  # type: ignore[misc]
            bought.append(opt.counters.hvps)
    assert bought == [1, 1, 1, 2, 3, 3, 3, 4]  # the fourth is left out and asked for again


def test_a_bad_estimate_is_not_taken() -> None:
    """The other tensor's is, and the last good one stays; with "raise" nothing has changed."""
    p, q = nn.Parameter(tensor([1.0, 2.0])), nn.Parameter(tensor([3.0]))

    def closure(bad: bool = False) -> Tensor:  # the second derivative of x^1.5 is infinite at 0
        zero = (p - p.detach()).abs() if bad else p - p.detach() + 1
        return (p * p).sum() + (q * q * q).sum() + zero.pow(1.5).sum()

    opt = steepest.SophiaH([p, q], lr=0.0, every=1)
    opt.step(closure)
    kept = opt.state[p]["H"].clone(), opt.state[p]["probe"].clone()
    with pytest.warns(UserWarning, match="estimate of the curvature was not taken"):
        opt.step(lambda: closure(True))
    assert torch.equal(opt.state[p]["H"], kept[0]) and torch.equal(opt.state[p]["probe"], kept[1])
    assert opt.state[q]["H"].item() == pytest.approx(18 * (1 - 0.99**2))
    assert opt.counters.skipped == 1
    strict = steepest.SophiaH([p, q], nonfinite="raise")
    with pytest.raises(RuntimeError, match="estimate of the curvature is NaN or infinite"):
        strict.step(lambda: closure(True))


def test_what_is_missing_is_said() -> None:
    p = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"Sophia.*needs curvature"):
        steepest.Optimizer([p], direction=direction.Sophia())
    with pytest.raises(ValueError, match="other coordinates"):
        steepest.SophiaH([p], chart=steepest.chart.LowRank(rank=1))
    (p * p).sum().backward()
    with pytest.raises(RuntimeError, match=r"call step\(closure\)"):
        steepest.AdaHessian([p]).step()


def test_micro_batches_are_one_loss() -> None:
    """The sum of their losses is what a closure returns, and dropout is that of the gradient."""
    whole, parts, (x, y) = Net(nn.Dropout(0.5)), Net(nn.Dropout(0.5)), data()
    masks: list[Tensor] = []
    whole[2].register_forward_hook(lambda module, args, out: masks.append(out != 0))
    ours, theirs = (steepest.AdaHessian(m.parameters(), lr=0.01) for m in (whole.eval(), parts.eval()))
    for _ in range(3):
        ours.step(lambda: F.cross_entropy(whole(x), y))
        theirs.step(lambda: sum(F.cross_entropy(parts(x[r]), y[r]) / 2 for r in (slice(10), slice(10, 20))))
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("make", [
    lambda: direction.Cautious(direction.Sophia()), lambda: direction.Coupled(direction.AdaHessian(), weight_decay=0.1),
    lambda: direction.Cautious(direction.AdaHessian()), lambda: direction.DiagonalHessian(floor=1e-3),
])  # fmt: skip
@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_curvature_goes_with_other_parts(make: Callable[[], direction.Direction], codec: Any) -> None:
    """Caution, coupled decay, SAM, spikes: the loss falls, and other signs are another way, so the curvature is used."""
    ends = []
    for seed in (0, 1):
        model, (x, y) = Net(), data(200)
        model.float()
        by = oracle.SkipSpikes(oracle.Hutchinson(every=2, seed=seed))
        opt = steepest.Optimizer(model.parameters(), 0.01, direction=make(), oracle=by, point=point.SAM(rho=0.01),
                                 codec=codec)  # fmt: skip
        losses = [float(opt.step(lambda: F.cross_entropy(model(x.float()), y))) for _ in range(30)]
        assert losses[-1] < losses[0]
        assert opt.counters.hvps == 16  # two steps are left out at first, one of which would have bought another
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert not torch.equal(*ends)


def test_edges_collapse() -> None:
    """AdaHessian without a Hessian power is momentum; INNAprop with α = β = 1 is AdamW without momentum, decay included."""

    def run(make: Callable[..., steepest.Optimizer]) -> Tensor:
        model, (x, y) = Net(), data()
        opt = make(model.parameters())
        for _ in range(20):
            opt.step(lambda: F.cross_entropy(model(x), y))
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    a = run(lambda p: steepest.INNAprop(p, lr=0.01, alpha=1.0, damping=1.0, weight_decay=0.1))
    b = run(lambda p: steepest.AdamW(p, lr=0.01, betas=(0.0, 0.999), weight_decay=0.1))
    assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)
    a = run(lambda p: steepest.AdaHessian(p, lr=0.1, power=0.0, eps=0.0))
    lazy = run(lambda p: steepest.Optimizer(p, 0.1, direction=Averaged()))
    assert torch.allclose(a, lazy, rtol=1e-12)


class Averaged(direction.Direction):
    """The mean of past gradients, corrected."""

    state = {"m": steepest.core.part.State()}

    def scalars(self, t: int, h: Any) -> dict[str, float]:
        return {"c": 1 / (1 - 0.9**t)}

    def __call__(self, g: Tensor, x: Tensor, s: Any, h: Any) -> tuple[Tensor, dict[str, Tensor]]:
        m = s.m * 0.9 + g * 0.1
        return m * h.c, {"m": m}
