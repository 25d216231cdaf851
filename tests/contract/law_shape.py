"""Laws of shape and type: a tensor's dimensions, strides and precision change nothing but rounding."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from tests.contract.case import Case
from tests.contract.law import (
    different,
    finite,
    frozen,
    law,
    one_gradient,
    same,
    states,
    through_file,
    tolerance,
)
from tests.contract.world import Bowl, World, ask, walk

SHAPES: dict[str, tuple[int, ...]] = {
    "scalar": (), "one": (1,), "two": (2,), "three": (3,), "prime": (13,), "block": (257,), "empty": (0,),
    "empty_matrix": (0, 3), "matrix_of_empty": (3, 0), "wide": (5, 7), "tall": (7, 5), "square": (4, 4), "row": (1, 7),
    "column": (7, 1), "3d": (2, 3, 5), "4d": (2, 3, 2, 2), "5d": (2, 1, 3, 2, 2),
}  # fmt: skip


def _tensor(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(math.prod(shape), generator=torch.Generator().manual_seed(5)).view(shape)


def _roll(case: Case, x: Tensor, steps: int = 5) -> Tensor:
    """The tensor after some steps in a bowl that does not know its shape."""
    flat = Bowl(torch.empty(x.numel()))
    p = nn.Parameter(x)
    bowl = Bowl(p)
    bowl.a, bowl.b = flat.a.view(x.shape), flat.b.view(5, *x.shape)
    opt = case([p])
    for t in range(steps):
        ask(case, opt, partial(bowl.loss, t))
    assert p.shape == x.shape
    assert finite([p.detach(), *states(opt)])
    return p.detach()


@law(*SHAPES)
def shape_is_only_a_view(case: Case, shape: str) -> None:
    """Every shape works, and goes where its elements in a row would go."""
    x = _tensor(SHAPES[shape])
    end = _roll(case, x.clone())
    assert not x.numel() or different([x], [end])
    if not case.row.shaped:
        same(end.reshape(-1), _roll(case, x.reshape(-1).clone()), loose=tolerance(case, "shape_is_only_a_view"))


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "gaps": lambda x: torch.full((*x.shape[:-1], 2 * x.shape[-1]), 9.0, dtype=x.dtype)[..., ::2].copy_(x),
    "offset": lambda x: torch.full((x.numel() + 3,), 9.0, dtype=x.dtype)[3:].view(x.shape).copy_(x),
}


def _example(layout: str) -> Tensor:
    return _tensor((2, 3, 2, 2) if layout == "channels_last" else (5, 7))


@law(*LAYOUTS)
def strides_change_nothing(case: Case, layout: str) -> None:
    """A parameter spread differently in memory goes the same way, and what lies in its gaps stays."""
    x = _example(layout)
    spread = LAYOUTS[layout](x)
    assert layout == "offset" or not spread.is_contiguous()
    around = torch.as_strided(spread, (spread.untyped_storage().nbytes() // 4,), (1,), 0)
    unused = torch.ones_like(around, dtype=torch.bool)
    torch.as_strided(unused, spread.shape, spread.stride(), spread.storage_offset()).fill_(False)
    end = _roll(case, spread)
    assert end.stride() == spread.stride()
    assert bool((around[unused] == 9.0).all())
    same(end, _roll(case, x.clone()), loose=tolerance(case, "strides_change_nothing"))


GRADIENTS = {**LAYOUTS, "expanded": lambda x: x.flatten()[0].expand(x.shape)}


@law(*GRADIENTS, concerns=one_gradient)
def strides_of_the_gradient_change_nothing(case: Case, layout: str) -> None:
    """A gradient laid out otherwise than its parameter is the same gradient."""
    ends = []
    for spread in (False, True):
        p = nn.Parameter(_example(layout))
        opt = case([p])
        for t in range(4):
            g = GRADIENTS[layout](_example(layout) + t)
            p.grad = g if spread else g.contiguous()
            opt.step()
        ends.append(p.detach())
    same(*ends)


@law()
def bfloat16_weights_have_full_state(case: Case) -> None:
    """State of bfloat16 weights is float32, survives a file as such, and the weights move."""
    world = World(dtype=torch.bfloat16)
    before = world.weights()
    opt = case(world.params())
    walk(case, world, opt, 4)
    assert different(before, world.weights())
    assert all(p.dtype is torch.bfloat16 for p in world.params())
    assert all(s.dtype is torch.float32 for s in states(opt) if s.is_floating_point())
    again = World(dtype=torch.bfloat16)
    again.load(world.weights())
    other = case(again.params())
    other.load_state_dict(through_file(opt.state_dict()))
    same(frozen(other), frozen(opt))
    walk(case, world, opt, range(4, 8))
    walk(case, again, other, range(4, 8))
    assert finite(world.weights())
    same(again.weights(), world.weights())
    same(frozen(other), frozen(opt))


@law("bfloat16", "float16", concerns=one_gradient)
def short_weights_are_rounded_once(case: Case, kind: str) -> None:
    """A first step of 16-bit weights is the step of float32 weights, rounded at its end."""
    short, ends = getattr(torch, kind), []
    for dtype in (short, torch.float32):
        p = nn.Parameter(_tensor((257,)).to(short).to(dtype))
        opt = case([p])
        p.grad = (_tensor((257,)).flip(0) * 0.7).to(short).to(dtype)
        opt.step()
        ends.append(p.detach().to(short))
    same(*ends)


@law(concerns=lambda case: one_gradient(case) and not case.row.whole)
def types_may_be_mixed(case: Case) -> None:
    """Weights of different precision in one group go as they would alone."""
    ends = []
    for together in (True, False):
        full, short = nn.Parameter(_tensor((7,))), nn.Parameter(_tensor((5,)).bfloat16())
        opts = [case([full, short])] if together else [case([full]), case([short])]
        for t in range(4):
            full.grad, short.grad = _tensor((7,)) * (t + 1), _tensor((5,)).bfloat16() * (2 - t)
            for opt in opts:
                opt.step()
        ends.append([full.detach(), short.detach()])
    same(*ends)


@law()
def double_weights_are_computed_in_double(case: Case) -> None:
    """State of float64 weights is float64."""
    world = World(dtype=torch.float64)
    opt = case(world.params())
    walk(case, world, opt, 3)
    assert finite(world.weights())
    assert all(s.dtype is torch.float64 for s in states(opt) if s.is_floating_point())


@law("complex64", "float8_e4m3fn")
def types_that_cannot_descend_are_refused(case: Case, dtype: str) -> None:
    """One sentence names the type, and an optimizer that has groups already keeps them; frozen weights are let be."""
    bad = nn.Parameter(torch.zeros(3).to(getattr(torch, dtype)), requires_grad=False)
    world = World()
    opt = case([*world.params(), bad])
    walk(case, world, opt, 1)
    assert bad not in opt.state
    bad.requires_grad_(True)
    opt = case(world.params())
    for attempt in (lambda: case([bad]), lambda: opt.add_param_group({"params": [bad]})):
        try:
            attempt()
        except TypeError as error:
            assert dtype in str(error)
            assert "\n" not in str(error)
        else:
            raise AssertionError(f"{dtype} parameters were taken")
    assert len(opt.param_groups) == 1
    walk(case, world, opt, 1)


@law(concerns=lambda case: case.backwards > 0)
def sparse_gradients_are_refused(case: Case) -> None:
    """One sentence says what to do, and nothing has moved."""
    table = nn.Embedding(5, 3, sparse=True)
    before = table.weight.detach().clone()
    opt = case(table.parameters())
    kept = frozen(opt)
    try:
        ask(case, opt, lambda: table(torch.tensor([1, 3])).square().sum())
    except RuntimeError as error:
        assert "sparse=False" in str(error)
        assert "\n" not in str(error)
    else:
        raise AssertionError("sparse gradients were taken")
    same(table.weight.detach(), before)
    same(frozen(opt), kept)
