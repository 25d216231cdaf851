"""Maps of whole tensors: given one by one in their own shape, or those of equal shape at once; and who asks for it is named."""

from __future__ import annotations

import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest.core.part import Direction, NewState, Scalars, State
from steepest.core.rule import total
from steepest.engine import stacked
from steepest.engine.trace import Unprintable

SHAPES = [(4, 3), (3, 4), (4, 3), (), (5,), (4, 3), (2, 3, 2, 2), (5,), (0, 3), (1, 1)]


class Whole(Direction):
    """Each row less its mean, and the sum of all: both need the shape."""

    state: ClassVar = {"m": State()}
    pointwise = False
    seen: ClassVar[list[tuple[int, ...]]] = []

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        self.seen.append(tuple(g.shape))
        m = s.m * 0.5 + g
        d = m - m.mean(-1, keepdim=True) if g.dim() and g.numel() else m
        return d + total(g) * 0.1, {"m": m}


class Many(Whole):
    """The same, many at once."""

    batched = True
    seen: ClassVar[list[tuple[int, ...]]] = []

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        self.seen.append(tuple(g.shape))
        m = s.m * 0.5 + g
        d = m - m.mean(-1, keepdim=True) if g.dim() > 1 and g.numel() else m
        return d + total(g) * 0.1, {"m": m}


def run(direction: Direction, shapes: list[tuple[int, ...]] = SHAPES, steps: int = 3, **options: Any) -> list[Tensor]:
    """Weights, then state, after some steps with gradients that are always the same."""
    random = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(s, generator=random)) for s in shapes]
    opt = steepest.Optimizer(params, lr=0.1, direction=direction, **options)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=random)
        opt.step()
    return [*(p.detach() for p in params), *(opt.state[p]["m"] for p in params if p.numel())]


def close(a: list[Tensor], b: list[Tensor], rtol: float = 1e-6) -> bool:
    return all(torch.allclose(u.double(), v.double(), rtol=rtol, atol=rtol) for u, v in zip(a, b, strict=True))


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_many_at_once_go_as_one_by_one(codec: Any) -> None:
    """Under every codec: same weights, same stored bytes."""
    one, many = run(Whole(), codec=codec), run(Many(), codec=codec)
    assert close(one, many, rtol=1e-6 if codec == "float32" else 0.05)
    assert [u.dtype for u in one] == [v.dtype for v in many]


def test_a_map_sees_stacks_or_tensors() -> None:
    """``batched`` gives b x shape, also where b is 1; without it each tensor comes in its own shape."""
    Whole.seen.clear()
    Many.seen.clear()
    run(Whole(), steps=1)
    run(Many(), steps=1)
    assert sorted(Whole.seen) == sorted(SHAPES)
    assert sorted(Many.seen) == sorted([(3, 4, 3), (1, 3, 4), (1,), (2, 5), (1, 2, 3, 2, 2), (1, 0, 3), (1, 1, 1)])


def test_stacks_are_not_too_large() -> None:
    """Copies are made of a stack, so it has so many elements at most, or one tensor."""
    with patch.dict(stacked.STACK, cpu=24):
        Many.seen.clear()
        few = run(Many(), steps=1)
        assert (2, 4, 3) in Many.seen and (1, 4, 3) in Many.seen and (1, 2, 3, 2, 2) in Many.seen
    assert all(torch.equal(u, v) for u, v in zip(few, run(Many(), steps=1), strict=True))


@pytest.mark.parametrize(
    "around", [lambda d: D.Cautious(d), lambda d: D.Mars(d), lambda d: D.Coupled(d, weight_decay=0.1)]
)
def test_sums_of_parts_around_are_per_tensor(around: Any) -> None:
    """Elementwise parts around it take ``total`` over each tensor, as they do one by one."""

    class WithBeta(Whole):
        beta1: float = steepest.core.fields.real("[0, 1)", default=0.9)

    class ManyWithBeta(Many):
        beta1: float = steepest.core.fields.real("[0, 1)", default=0.9)

    assert close(run(around(WithBeta())), run(around(ManyWithBeta())))
    assert around(ManyWithBeta()).batched
    assert not around(WithBeta()).batched
    assert not around(WithBeta()).pointwise


@pytest.mark.parametrize("step_size", [steepest.stepsize.DoG, steepest.stepsize.AdaGradNorm])
def test_step_sizes_get_their_sums(step_size: Any) -> None:
    assert close(run(Whole(), step_size=step_size()), run(Many(), step_size=step_size()))


class Gram(Direction):
    """Keeps GGᵀ of matrices, and one number of every tensor."""

    state: ClassVar = {
        "m": State(shape=lambda s: (s[0], s[0]) if len(s) == 2 else None),
        "n": State(shape=lambda s: ()),
    }
    pointwise = False

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        n = s.n + total(g * g).reshape(s.n.shape).to(s.n.dtype)
        d = g / (1 + n.view((*n.shape, *[1] * (g.dim() - n.dim()))))
        if not hasattr(s, "m"):
            return d, {"n": n}
        m = s.m + g @ g.mT
        return m @ d, {"m": m, "n": n}


class Grams(Gram):
    """The same, many at once."""

    batched = True


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_state_of_another_shape_is_stacked_too(codec: Any) -> None:
    """Where a tensor has it; and one bad element holds back its whole tensor and none beside it."""
    ends, kept = [], []
    for direction in (Gram(), Grams()):
        random = torch.Generator().manual_seed(0)
        params = [nn.Parameter(torch.randn(s, generator=random)) for s in SHAPES]
        opt = steepest.Optimizer(params, lr=0.1, direction=direction, codec=codec)
        for t in range(3):
            for p in params:
                p.grad = torch.randn(p.shape, generator=random)
            before = [p.detach().clone() for p in params]
            if t == 1:
                params[2].grad[1, 1] = math.nan  # type: ignore[index]
                with pytest.warns(UserWarning, match="NaN"):
                    opt.step()
            else:
                opt.step()
            still = [k for k, (p, b) in enumerate(zip(params, before, strict=True)) if p.numel() and torch.equal(p, b)]
            assert still == ([2] if t == 1 else [])
        ends.append([p.detach() for p in params])
        kept.append([{n: v for n, v in opt.state[p].items() if isinstance(v, Tensor)} for p in params])
    assert [list(entry) for entry in kept[0]] == [list(entry) for entry in kept[1]]
    loose = 1e-5 if codec == "float32" else 0.05
    assert close(ends[0], ends[1], loose)
    if codec != "int8":
        assert all(close([*a.values()], [*b.values()], loose) for a, b in zip(*kept, strict=True))


def test_direction_and_geometry_may_both_take_stacks() -> None:
    """Muon on the simplex: rows stay on it."""
    x = nn.Parameter(torch.rand(3, 4))
    x.grad = torch.rand(3, 4)
    steepest.Optimizer([x], lr=0.1, direction=D.Muon(), geometry=steepest.geometry.Simplex()).step()
    assert torch.allclose(x.sum(1), torch.ones(3))


class WholeAround(D.Around):
    """Single tensors, around whatever it is."""

    pointwise = False


@pytest.mark.parametrize("parts", [{"direction": Whole(), "geometry": steepest.geometry.Simplex()},
                                   {"direction": WholeAround(D.Muon())}])  # fmt: skip
def test_stacks_and_single_tensors_do_not_go_together(parts: Any) -> None:
    """Refused when it is made, with both named and what to do."""
    with pytest.raises(
        ValueError, match=r"(Simplex|Muon)\(.*\) works on tensors of equal shape .* Whole.*\(.*\) on single"
    ):
        steepest.Optimizer([nn.Parameter(torch.rand(3, 4))], **parts)


@pytest.mark.parametrize("nonfinite", ["guard", "skip", "raise", "propagate"])
def test_a_bad_gradient_stays_with_its_tensor(nonfinite: Any) -> None:
    """One matrix of a stack has a NaN: it stays as it is, the others move."""
    random = torch.Generator().manual_seed(0)
    params = [nn.Parameter(torch.randn(4, 3, generator=random)) for _ in range(3)]
    before = [p.detach().clone() for p in params]
    opt = steepest.Muon(params, lr=0.1, nonfinite=nonfinite)
    for p in params:
        p.grad = torch.randn(4, 3, generator=random)
    params[1].grad[2, 1] = math.nan  # type: ignore[index]
    expected: dict[str, Any] = {"raise": pytest.raises(RuntimeError, match="NaN"), "propagate": nullcontext()}
    with expected.get(nonfinite, pytest.warns(UserWarning, match="NaN")):
        opt.step()
    moved = [not torch.equal(p.detach(), b) for p, b in zip(params, before, strict=True)]
    assert moved == {"guard": [True, False, True], "propagate": [True] * 3}.get(nonfinite, [False] * 3)
    if nonfinite == "guard":
        assert not opt.state[params[1]]["m"].any()


def test_the_part_that_asks_for_whole_tensors_is_named() -> None:
    """Not the parts around it; and the printed loop is refused before anything has moved."""
    x = nn.Parameter(torch.ones(3, 3))
    x.grad = torch.eye(3)
    direction = D.Cautious(D.Coupled(D.Muon()))
    opt = steepest.Optimizer([x], lr=0.1, direction=direction, lift="native")
    with pytest.raises(Unprintable, match=r"^Muon\(.*\) works on whole tensors, which the printed loop does not"):
        opt.step()
    assert torch.equal(x.detach(), torch.ones(3, 3))


@pytest.mark.slow
def test_torch_compile_leaves_the_same_weights() -> None:
    """Where it was asked for, one by one and at once."""
    for make in (Whole, Many, D.Muon):
        shapes: list[tuple[int, ...]] = [(4, 3), (4, 3), (3, 5)]
        assert close(run(make(), shapes, lift="inductor"), run(make(), shapes, lift="eager"), rtol=1e-5)
