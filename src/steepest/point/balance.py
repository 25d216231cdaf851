"""BAR: keep the two factors of a product equally long, as SAM does on the way, at the price of two norms.

A loss of x yᵀ does not change when x is doubled and y halved.  Gradient flow conserves the difference of their squared
norms for ever, SAM drives it to zero.  What SAM does to it by a second gradient is done here by hand.

It looks like weight decay with a sign for each tensor.  The sign needs both halves of a pair, so it is found on the host,
where points are evaluated; it is then read by a map behind the direction, where it meets the true step size.  So it goes with
every direction, step size, geometry and codec, and a step that is left out leaves it out, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import argument, real, whole, word
from steepest.core.part import NewState, Point, Scalars, State
from steepest.core.step import Run
from steepest.engine import shard

Pairs = Iterable[Sequence[Any]]  # of two parameters, or of their places among all parameters


class BAR(Point):
    r"""Balancedness-aware regularization: the factor with the smaller gradient shrinks, the other one grows.

    .. math:: x^+ = (1 + \sigma\alpha_t\eta)\, x - \eta d_x,\quad y^+ = (1 - \sigma\alpha_t\eta)\, y - \eta d_y,\quad
        \sigma = \begin{cases} +1 & \lVert g_x\rVert \ge \lVert g_y\rVert \\ -1 & \text{else}\end{cases}

    ``variant="proportional"`` has a rate in the place of a sign, so that B = (‖x‖² - ‖y‖²)/2 changes as fast as under SAM
    of radius α, :math:`\dot B = \alpha(\lVert g_x\rVert^2 - \lVert g_y\rVert^2)/\lVert g\rVert`:

    .. math:: \sigma = \frac{\lVert g_x\rVert^2 - \lVert g_y\rVert^2}
        {\lVert g\rVert\, (\lVert x\rVert^2 + \lVert y\rVert^2)},\quad
        \lVert g\rVert^2 = \lVert g_x\rVert^2 + \lVert g_y\rVert^2

    One gradient a step.  A pair of which a half has no gradient, or one that is not finite, is left alone.

    Args:
        pairs: of parameters (x, y), or of their places among all parameters; ``steepest.nn.pairs(model)`` finds those of
            low-rank adapters.
        alpha: α₀, default 0.5 (the one value in all of the paper's searches for classification; they go from 0.05 to 2).
        variant: ``"n"`` compares gradients as above (nBAR, Algorithm 2, for x yᵀ), ``"o"`` shrinks the longer factor
            (oBAR, Algorithm 3, for xᵀy), ``"proportional"`` follows SAM's rate (ours, from theorem 2; α is then a radius
            in units of x, and the rate vanishes with the gradient: with a sign alone |B| can grow on data without noise).
        schedule: of α_t: ``"constant"``, ``"linear"`` or ``"cosine"``, both down to zero (paper: linear or cosine).
        steps: until α_t is zero; needed by schedules that fall.

    Source: Li, Zhang & He 2024, arXiv:2410.14802, Algorithms 2 and 3; read in full. The authors' repository is empty.

    Note: the paper's σ is +1 where both gradients are zero (an expert that no token reached); here the pair is left alone. The
    paper rescales before the optimizer's update, so that decoupled decay multiplies α_t, too: a term of order η².
    """

    pairs: Pairs | None = argument(default=None)
    alpha: float = real("[0, inf)", default=0.5)
    variant: Literal["n", "o", "proportional"] = word(default="n")
    schedule: Literal["constant", "linear", "cosine"] = word(default="constant")
    steps: int = whole("[0, inf)", default=0)
    state = {"side": State(exact=True)}  # σ, -σ or 0, in every element
    bends = True
    cite = ("li2024bar",)

    def __post_init__(self) -> None:
        if self.schedule != "constant" and not self.steps:
            raise ValueError(f"BAR: schedule={self.schedule!r} needs steps, the number after which alpha is zero")
        self.pairs = None if self.pairs is None else [tuple(pair) for pair in self.pairs]
        self.places: list[tuple[int, int]] | None = None

    def settle(self, params: list[Tensor]) -> None:
        """Turn pairs of parameters into pairs of places, which survive copies, pickles and sharding."""
        self.places, self.pairs = places(self.pairs or [], params), []

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """α_t."""
        done = min(1.0, (t - 1) / self.steps) if self.steps else 0.0
        falls = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
        return {"alpha_t": h.alpha * falls[self.schedule]}

    def ask(self, run: Run) -> Evidence:
        """Loss and gradient here, and the side of each parameter."""
        here = run.evaluate()
        if self.places is None:
            if self.pairs is None:
                raise RuntimeError("BAR has nothing to balance: give pairs=steepest.nn.pairs(model)")
            self.settle(run.params)
        if run.acceptable(here):
            take_sides(run, here, self.places or [], self.variant)
        return here

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """d - σ α_t x; with a step size that is inside d already, with that step size."""
        return d - x * (s.side * (h.alpha_t * h.w)), {}


def places(pairs: Iterable[Sequence[Any]], params: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Where each pair stands among the parameters.

    Raises:
        ValueError: what is no pair, not among the parameters, or in two pairs.
    """
    where: dict[int, int] = {id(p): i for i, p in enumerate(params)}
    found: list[tuple[int, int]] = []
    for pair in pairs:
        at: list[Any] = [where.get(id(half)) if isinstance(half, Tensor) else half for half in pair]
        if len(at) != 2 or not all(type(i) is int and 0 <= i < len(params) for i in at) or at[0] == at[1]:
            given = ", ".join(f"a tensor of {tuple(h.shape)}" if isinstance(h, Tensor) else repr(h) for h in pair)
            raise ValueError(f"BAR: a pair is two of the optimizer's {len(params)} parameters, or their places, got "
                             f"({given}): take the pairs from the model whose parameters the optimizer has")  # fmt: skip
        found.append((at[0], at[1]))
    if len(set(sum(found, ()))) < 2 * len(found):
        raise ValueError("BAR: a parameter is in two pairs: leave one of them out")
    return found


@torch.no_grad()
def take_sides(run: Run, here: Evidence, pairs: list[tuple[int, int]], variant: str) -> None:
    """Write into each parameter's state whether it grows, shrinks or is left alone."""
    params = run.params
    gradients: dict[int, Tensor] = {}
    for i in {i for pair in pairs for i in pair}:
        g = here.gradient(i, params[i]) if here.gradient is not None and params[i].requires_grad else params[i].grad
        if g is not None and not g.is_sparse:
            gradients[i] = shard.local(g)
    held = run.prepared("side", gradients)
    pairs = [(i, j) for i, j in pairs if i in gradients and j in gradients]
    steep = lengths(params, {i: gradients[i] for pair in pairs for i in pair})
    long = lengths(params, {i: shard.local(params[i]) for i in steep}) if variant != "n" else dict.fromkeys(steep, 1.0)
    sides = dict.fromkeys(gradients, 0.0)
    for i, j in pairs:
        sides[i] = side(variant, steep[i], steep[j], long[i], long[j])
        sides[j] = -sides[i]
    entries = [held[i][0] for i in sides]
    if entries:
        torch._foreach_zero_(entries)
        torch._foreach_add_(entries, list(sides.values()))


def side(variant: str, gx: float, gy: float, x: float, y: float) -> float:
    """σ from squared norms of gradients and factors; 0 where there is nothing to compare."""
    if not math.isfinite(gx + gy):
        return 0.0
    if variant == "o":
        return 1.0 if x < y else -1.0
    if variant == "n":
        return 0.0 if gx + gy == 0 else 1.0 if gx >= gy else -1.0
    scale = math.sqrt(gx + gy) * (x + y)
    return (gx - gy) / scale if 0 < scale < math.inf else 0.0


def lengths(params: list[Tensor], tensors: dict[int, Tensor]) -> dict[int, float]:
    """Squared norms, over all shards; one synchronization with the device."""
    if not tensors:
        return {}
    wide = [t if t.dtype is torch.float64 else t.float() for t in tensors.values()]
    norms = torch._foreach_norm(wide)
    sums = torch.stack([n.to(norms[0].device) for n in norms]).double().square().view(-1, 1)
    reduce = shard.reducer([params[i] for i in tensors])
    if reduce is not None:
        reduce(sums)
    return dict(zip(tensors, sums.view(-1).tolist(), strict=True))
