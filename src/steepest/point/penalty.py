"""A penalty on the norm of the gradient, whose gradient is a difference of two gradients: an ascent and a descent.

Or it is backpropagated twice, which is exact and costs more.
"""

from __future__ import annotations

import math
from typing import Literal

from steepest.core.evaluate import Evidence
from steepest.core.fields import real, word
from steepest.core.part import Point
from steepest.core.step import Run
from steepest.engine import shard
from steepest.point.perturbed import combine, gradients_of, restoring, walk, with_gradient, with_groups

SIDES = {"forward": (1.0,), "backward": (-1.0,), "centred": (1.0, -1.0)}


class GradientPenalty(Point):
    r"""Gradient regularization by finite differences (F-GR, B-GR and C-GR) or by backpropagating twice (DB).

    .. math::
        g + \gamma\, \Delta,\quad \Delta_F = \frac{g(x + \epsilon g) - g}{\epsilon},\quad
        \Delta_B = \frac{g - g(x - \epsilon g)}{\epsilon},\quad
        \Delta_C = \frac{g(x + \epsilon g) - g(x - \epsilon g)}{2\epsilon},\quad
        \Delta_{DB} = \nabla^2 f(x)\, g

    Each Δ of a difference goes to the gradient of ‖g‖²/2 for ε → 0, so the loss that is descended is L + γ‖g‖²/2.  Two
    gradients a step, three if centred, one and a Hessian-vector product if exact.  With γ = ε the forward one is SAM
    without normalisation.  Flooding, which descends \|L - b\|, takes a step of length η up and one down around the level
    b: together that is -η²Δ_F with ε = η, the penalty alone.

    Args:
        strength: γ, default 0.05 (ours).
        ascent: ε, how far along the gradient the second gradient is evaluated, default 0.05 (ours).
        side: ``"forward"``, ``"backward"``, ``"centred"``, or ``"exact"``, which ignores ε, needs a closure that
            only returns the loss.

    Source: Karakida et al. 2023, arXiv:2210.02720, as quoted by third parties; the rest by expansion.
    """

    strength: float = real("[0, inf)", default=0.05)
    ascent: float = real("(0, inf)", default=0.05)
    side: Literal["forward", "backward", "centred", "exact"] = word(default="forward")
    needs = frozenset({"closure"})
    cite = ("karakida2023gradient",)

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient of the penalised loss here."""
        if self.side == "exact":
            return self._exactly(run)
        here = run.evaluate()
        g = gradients_of(run, here)
        gamma, eps = ([run.h(name, group) for _, group in with_groups(run)] for name in ("strength", "ascent"))
        if not 0.0 < run.dot(g, g) < math.inf or not any(gamma):
            return here
        others = []
        with restoring(run) as x:
            for sign in SIDES[self.side]:
                run.restore(x)
                walk(run, [sign * e for e in eps], g)
                last = run.evaluate()
                others.append(gradients_of(run, last))
        first, *rest = {"forward": [*others, g], "backward": [g, *others], "centred": others}[self.side]
        c = [s / (e * len(others)) for s, e in zip(gamma, eps, strict=True)]
        return with_gradient(run, last, here.loss, combine(([1.0] * len(g), g), (c, first), ([-a for a in c], rest[0])))

    def _exactly(self, run: Run) -> Evidence:
        """g + γ H g; a group that maximizes has the sign of both turned round."""
        gamma = [run.h("strength", group) for _, group in with_groups(run)]
        if not any(gamma):
            return run.evaluate()
        sign = [-1.0 if group["maximize"] else 1.0 for _, group in with_groups(run)]
        here, product = run.twice(lambda g, hessian: hessian(combine((sign, g))))
        product = [None if h is None else shard.part_of(h, p) for h, p in zip(product, run.params, strict=True)]
        return with_gradient(run, here, here.loss, combine(([1.0] * len(sign), gradients_of(run, here)),
                                                   ([c * s for c, s in zip(gamma, sign, strict=True)], product)))  # fmt: skip
