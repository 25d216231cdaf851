"""Multidimensional backtracking: a line search for the step sizes of all coordinates at once.

Backtracking keeps an interval of step sizes and halves it when a trial fails. Here the interval is a set of vectors, and
a trial that fails says more than *too long*: the gradient at the trial point is a hypergradient, and convexity turns it
into a plane with all good step sizes on one side. The set is cut along that plane.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import LineSearch, Scalars, State
from steepest.core.step import Run
from steepest.engine import shard

__all__ = ["BoxBacktracking", "EllipsoidBacktracking"]

MOST = 100  # trials a step; the next step goes on with the set as it was left

Tensors = list[Tensor | None]  # one a parameter, None where it has no gradient


def each(f: Callable[..., Tensor], *lists: Tensors) -> Tensors:
    """f of the tensors in equal places."""
    return [None if any(t is None for t in row) else f(*row) for row in zip(*lists, strict=True)]


def plane(run: Run, g: Tensors, Pg: Tensors, fallen: float, fuzz: float) -> Tensors | None:
    """u ≥ 0 with ⟨u, p⟩ ≤ 1 for every good p, from the gradient at the trial; None where f is not convex."""
    after = each(Tensor.type_as, run.grads(run.evaluate()), g)
    room = fallen - run.dot(after, Pg)
    if not fuzz < room < math.inf:
        return None
    return each(lambda q, a: ((q / 2 - a) * q / room).clamp(min=0), g, after)


class Cutting(LineSearch):
    """What both sets share: trials, and the plane behind one that failed."""

    c0: float = real("(0, inf)", default=1e10)
    state = {"b": State(signed=False, exact=True)}
    cite = ("kunstner2023multidimensional",)
    plain = True

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖g‖²."""
        return {"gg": g * g}

    def search(self, run: Run, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The accepted step size along the direction; the set is cut in place, and put back if the closure raises."""
        grads, found = [p.grad for p in run.params], run.grads(run.evidence)
        b: Tensors = [None if g is None else shard.local(run.state(p)["b"])
                      for p, g in zip(run.params, found, strict=True)]  # fmt: skip
        before = each(torch.clone, b)
        try:
            return until_accepted(self, run, each(Tensor.type_as, found, b), b, sums["gg"], h.c0, loss)
        except BaseException:
            each(Tensor.copy_, b, before)
            raise
        finally:
            for p, grad in zip(run.params, grads, strict=True):
                p.grad = grad

    def widest(self, c0: float, d: int) -> float:
        """What b is at the start, for the set to hold all p ≤ c₀."""
        raise NotImplementedError

    def reach(self, run: Run, g: Tensors, b: Tensors, d: int, gg: float) -> float:
        """How far along the direction the candidate lies."""
        raise NotImplementedError

    def direction(self, g: Tensor, b: Tensor) -> Tensor:
        """The map of the direction part that belongs to this set."""
        raise NotImplementedError

    def cut(self, run: Run, ub: Tensors, b: Tensors, d: int) -> bool:
        """Shrink the set in place; False where rounding left no cut."""
        raise NotImplementedError


def until_accepted(how: Cutting, run: Run, g: Tensors, b: Tensors, gg: float, c0: float, loss: float) -> float:
    """Try and cut until f(x - P g) ≤ f(x) - ½ Σ p g², up to what f is known to."""
    d = sum(p.numel() for p, q in zip(run.params, b, strict=True) if q is not None)
    each(lambda q: q.masked_fill_(q == 0, how.widest(c0, d)), b)  # state begins as zero
    lrs = [run.h("lr", group) for group in run.opt.param_groups for _ in group["params"]]
    fuzz = torch.finfo(run.params[0].dtype).eps * abs(loss)
    for _ in range(MOST if gg > 0 else 0):
        eta = how.reach(run, g, b, d, gg)
        d_now = each(how.direction, g, b)
        Pg: Tensors = [None if q is None else lr * eta * q for lr, q in zip(lrs, d_now, strict=True)]
        there = run.trial(eta)
        if there <= loss - run.dot(Pg, g) / 2 + fuzz:
            return eta
        u = plane(run, g, Pg, loss - there, fuzz) if math.isfinite(there) else None
        if u is None or not how.cut(run, each(torch.mul, u, b), b, d):
            each(lambda q: q.div_(2), b)  # nothing is known but that this was too long
    return 0.0


class BoxBacktracking(Cutting):
    r"""Multidimensional backtracking with boxes.

    The set is {0 ≤ p ≤ b}, b = c₀ at first. The candidate is accepted if

    .. math:: f(x - P g) \le f(x) - \tfrac12 \langle g, P g\rangle,\quad p = b / 2d

    with d the number of coordinates. Otherwise, with g⁺ the gradient at the trial,

    .. math:: b \leftarrow \min(b, 1/u),\quad
              u = \max\Bigl(0, \frac{\tfrac12 g^2 - g^+ g}{f(x) - f(x - P g) - \langle g^+, P g\rangle}\Bigr)

    and the next candidate is tried from the same x. For a smooth convex f and the whole data in the closure, it converges
    as fast as the best diagonal preconditioner, up to a factor of 2d in the number of steps.

    A trial costs a forward, a failed one another forward and a backward. Needs the direction
    :class:`steepest.direction.BoxScaled`, as in :class:`steepest.BoxBacktracking`.

    Args:
        c0: a step size that no coordinate needs, default 1e10 (the authors' experiments).

    Source: Kunstner, Sanches Portella, Schmidt & Harvey 2023, arXiv:2306.02527; written from the authors' code, with the
    constants of the paper as quoted there and by third parties.

    Note: the authors' code starts from b = d c₀ and tries b/d, at which a cut need not shrink the box.  Ours, beyond both:
    where f is not convex there may be no cut, and then b is halved; a trial that rises by no more than the rounding of f
    passes, where the code stops; and after 100 trials the step ends where it began.
    """

    gives = frozenset({"box"})

    def widest(self, c0: float, d: int) -> float:
        """c₀."""
        return c0

    def reach(self, run: Run, g: Tensors, b: Tensors, d: int, gg: float) -> float:
        """1/2d, the step along b g."""
        return 0.5 / d

    def direction(self, g: Tensor, b: Tensor) -> Tensor:
        """B g."""
        return b * g

    def cut(self, run: Run, ub: Tensors, b: Tensors, d: int) -> bool:
        """Shrink the box in place; False where rounding left no cut."""
        if run.dot(ub, each(torch.ones_like, ub)) <= d:
            return False
        each(lambda r, q: q.div_(r.clamp(min=1)), ub, b)
        return True


class EllipsoidBacktracking(Cutting):
    r"""Multidimensional backtracking with ellipsoids.

    As :class:`BoxBacktracking`, with the set :math:`\{p \ge 0 : \sum_i p_i^2 / b_i^2 \le 1\}`, b = √d c₀ at first, the
    candidate that promises most,

    .. math:: p = \frac{1}{\sqrt{2d}}\, \frac{b^2 g^2}{\lVert b\, g^2\rVert}

    and the smallest ellipsoid of this kind around what the cut leaves,

    .. math:: \frac{1}{b^2} \leftarrow \frac{\lambda}{b^2} + (1-\lambda) u^2,\quad
              \lambda = \frac{\ell}{d}\,\frac{d-1}{\ell-1},\quad \ell = \lVert u\, b\rVert^2.

    As fast as the best diagonal preconditioner up to a factor of √(2d).  Needs the direction
    :class:`steepest.direction.EllipsoidScaled`, as in :class:`steepest.EllipsoidBacktracking`.

    Args:
        c0: a step size that no coordinate needs, default 1e10 (the authors' experiments).

    Source: Kunstner, Sanches Portella, Schmidt & Harvey 2023, arXiv:2306.02527; written from the authors' code, with the
    constants of the paper as quoted there and by third parties.

    Note: the state is b, where paper and code keep 1/b² and b².  The authors' code starts from b = d c₀.  The rest as for
    boxes.
    """

    gives = frozenset({"ellipsoid"})

    def widest(self, c0: float, d: int) -> float:
        """√d c₀: the corner of the box is on the ellipsoid."""
        return math.sqrt(d) * c0

    def reach(self, run: Run, g: Tensors, b: Tensors, d: int, gg: float) -> float:
        """1 / √(2d) ‖b g²‖, the step along (b g)² g; g² is taken relative to ‖g‖², for float32's range."""
        w = each(lambda q, s: s * (q * (q / gg)), g, b)
        norm = math.sqrt(run.dot(w, w)) * gg
        return math.sqrt(0.5 / d) / norm if norm > 0 else 0.0

    def direction(self, g: Tensor, b: Tensor) -> Tensor:
        """(b g)² g."""
        r = b * g
        return r * r * g

    def cut(self, run: Run, ub: Tensors, b: Tensors, d: int) -> bool:
        """The ellipsoid after the cut, in place; False where rounding left no cut."""
        ell = run.dot(ub, ub)
        if not d < ell < math.inf:
            return False
        lam = ell / d * (d - 1) / (ell - 1)
        each(lambda r, q: q.div_((lam + (1 - lam) * r * r).sqrt()), ub, b)
        return True
