"""The common shape of sharpness-aware points: evaluate at x + e, where e is made of the gradient at x and of memory.

Such a point is one small map.  It gives the perturbation and what its radius measures; evaluating twice, restoring x
to the bit, the norm over all tensors and machines, and memory in any codec are done here, once.  Memory is written after
the move and only if there was one, so a closure that raises or a step that is left out leaves no trace.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import real
from steepest.core.part import NewState, Point, Scalars
from steepest.core.step import Run
from steepest.engine import codec, shard
from steepest.engine.layout import flat, like_storage

Parts = list[Tensor | None]  # one local tensor a parameter, None where it has no gradient


@contextmanager
def restoring(run: Run) -> Iterator[list[Tensor]]:
    """A block in which the weights may change; x is restored at its end, to the bit, whatever happened."""
    x = run.save()
    try:
        yield x
    finally:
        run.restore(x)


def wide(t: Tensor) -> Tensor:
    """t in the precision in which maps compute: float64 if it is float64, float32 otherwise."""
    return t if t.dtype is torch.float64 else t.float()


def with_groups(run: Run) -> list[tuple[Tensor, dict[str, Any]]]:
    """All parameters, each with its group."""
    return [(p, group) for group in run.opt.param_groups for p in group["params"]]


def gradients_of(run: Run, evidence: Evidence) -> Parts:
    """Gradients to be kept while others are evaluated; ``run.grads`` makes new tensors, so their memory is not reused."""
    return [wide(g) if g is not None and p.requires_grad else None
            for p, g in zip(run.params, run.grads(evidence), strict=True)]  # fmt: skip


def combine(*terms: tuple[list[float], Parts]) -> Parts:
    """Σ c g, with a c for each parameter; None where any gradient is missing. One new tensor, however many terms."""
    out: Parts = []
    for row in zip(*(zip(c, g, strict=True) for c, g in terms), strict=True):
        total: Tensor | None = None
        if all(g is not None for _, g in row):
            for c, g in row:
                total = c * g if total is None else total.add_(g, alpha=c)
        out.append(total)
    return out


def walk(run: Run, c: list[float], v: Parts) -> None:
    """Add c v to the weights, with a c for each parameter; no tensor in between, which would take as long as a gradient."""
    for p, ci, vi in zip(run.params, c, v, strict=True):
        if vi is not None:
            shard.local(p).add_(vi, alpha=ci)


def with_gradient(run: Run, last: Evidence, loss: Any, g: Parts) -> Evidence:
    """Evidence with this gradient in the place of the last one that was evaluated."""
    signed = combine(([-1.0 if group["maximize"] else 1.0 for _, group in with_groups(run)], g))
    if last.gradient is not None:
        return Evidence(loss, lambda i, _: signed[i])  # type: ignore[arg-type, return-value]
    for p, gi in zip(run.params, signed, strict=True):
        if gi is not None and p.grad is not None:
            p.grad = shard.like(gi.to(p.grad.dtype), p)  # a new tensor: what backward delivered may be in use elsewhere
    return Evidence(loss)


def recall(run: Run, p: Tensor, name: str) -> Tensor:
    """What is kept for p under this name, as numbers shaped like p's local part; the initial value before p's first step."""
    x, entry = wide(shard.local(p)), run.opt.state.get(p, {})
    if name not in entry:
        return x.clone() if run.opt.state_specs[name].start == "x" else torch.zeros_like(x)
    stored = tuple(shard.local(entry[k]) for k in (name, name + codec.SCALE) if k in entry)
    if len(stored) == 1:
        return stored[0].to(x)
    numbers = torch.empty_like(stored[0], dtype=x.dtype)
    kind = codec.kind(run.opt.state_specs[name], run.opt.codec, x.dtype)
    flat(numbers).copy_(codec.decode(kind, (flat(stored[0]), stored[1]), x.dtype))
    return numbers.to(x)


def remember(run: Run, p: Tensor, name: str, value: Tensor) -> None:
    """Keep numbers for p under this name, rounded as the codec says; after p's move, when its state is there."""
    entry, place = run.opt.state[p], list(run.opt.specs(p)).index(name)
    kind = codec.kind(run.opt.state_specs[name], run.opt.codec, wide(shard.local(p)).dtype)
    stored = tuple(shard.local(entry[k]) for k in (name, name + codec.SCALE) if k in entry)
    room = (flat(stored[0]), *stored[1:])
    seed = entry["step"] * 1024 + place  # as the kernels count, so that no two states share their random bits
    codec.encode(kind, flat(like_storage(value, stored[0])), room, shard.offset(p), run.opt.sorter.salt(p), seed)


class Perturbed(Point):
    r"""Evaluate the gradient at a point nearby, and apply it here.

    .. math:: q(x) = x + \rho\, \frac{u}{\lVert n\rVert},\quad \text{the norm over all parameters}

    A subclass says what u and n are.  Two forwards and two backwards a step.  Each group has its own ρ; the gradient of
    a group that maximizes is negated, so that each group has its own worst case.  Where n is zero there is no
    perturbation, and where it is not finite the step goes on with the gradient at x, for the engine to check.
    """

    rho: float = real("[0, inf)", default=0.05)
    needs = frozenset({"closure"})

    def lean(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, Tensor, NewState]:
        """u, n and the new state of one parameter, as a pure map; ``h.t`` is 1 at the parameter's first step."""
        raise NotImplementedError

    def shared(self, run: Run, group: dict[str, Any], g: Parts) -> dict[str, float]:
        """Numbers that need all gradients at once, for ``lean`` to find in the h of this group."""
        return {}

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient at the perturbed point."""
        here = run.evaluate()
        u, n, new = self._leant(run, gradients_of(run, here))
        norm = math.sqrt(run.dot(n, n))
        if not math.isfinite(norm):
            return here
        run.noted = new
        rho = [run.h("rho", group) for _, group in with_groups(run)]
        if norm == 0.0 or not any(rho):
            return here
        with restoring(run):
            walk(run, [r / norm for r in rho], u)
            del u, n  # as much memory as a gradient, before the next one is made
            there = run.evaluate()
        run.observed["rise"] = here.loss, there.loss
        return Evidence(here.loss, there.gradient)

    def _leant(self, run: Run, g: Parts) -> tuple[Parts, Parts, list[NewState]]:
        u, n, new = [*g], [*g], [NewState() for _ in g]
        numbers = {id(k): self.shared(run, k, g) for k in run.opt.param_groups}
        for i, (p, group) in enumerate(with_groups(run)):
            gi = g[i]
            if gi is None:
                continue
            s = SimpleNamespace(**{name: recall(run, p, name) for name in self.state})
            h = SimpleNamespace(**{name: run.h(name, group) for name in self.hyper}, **numbers[id(group)])
            h.t = run.opt.state.get(p, {}).get("step", 0) + 1
            u[i], n[i], new[i] = self.lean(wide(gi), wide(shard.local(p)), s, h)
        return u, n, new

    def keep(self, run: Run) -> None:
        """Store the new state, now that the step is done."""
        for p, new in zip(run.params, run.noted or [{}] * len(run.params), strict=True):
            for name, value in new.items():
                if name in run.opt.state.get(p, {}):  # it has moved: the second evaluation may leave a gradient out
                    remember(run, p, name, value)
