"""A little curvature beside the gradient: one Hessian-vector product along random signs.

It estimates the diagonal of the Hessian, coordinate by coordinate, and is left in the state for a direction to average: a
point evaluates, and does not decide how the result is used.
"""

from __future__ import annotations

import torch

from steepest.core.draws import signs
from steepest.core.evaluate import Evidence, Hessian, Parts
from steepest.core.fields import whole
from steepest.core.part import Point, State
from steepest.core.step import Run
from steepest.engine import shard


class Hutchinson(Point):
    r"""Bekas's estimate of the Hessian's diagonal, for ``direction.DiagonalHessian``.

    .. math:: b = z \odot \nabla^2 f(x)\, z,\quad z_i = \pm 1

    whose mean is diag H, and which is exact where H is diagonal.  One forward, one backward and one Hessian-vector
    product a step.  A group that maximizes has b negated.

    Args:
        seed: of the signs, default 0; with the step number it fixes z.

    Raises:
        RuntimeError: at the first step, if the closure calls backward itself, or its loss cannot be differentiated twice.

    Source: Bekas, Kokiopoulou & Saad 2007; Hutchinson 1989.
    """

    seed: int = whole("[0, inf)", default=0)
    state = {"probe": State(exact=True)}  # b, in units of f/x²
    needs = frozenset({"closure"})
    gives = frozenset({"probe of the Hessian"})
    cite = ("bekas2007estimator",)

    def ask(self, run: Run) -> Evidence:
        """Loss and gradient here, and b in the state."""

        def use(g: Parts, hessian: Hessian) -> Parts:
            random = torch.Generator().manual_seed((self.seed << 32) + run.t)
            z = [None if gi is None else signs(gi, random) for gi in g]
            return [None if a is None or b is None else a * b for a, b in zip(z, hessian(z), strict=True)]

        here, product = run.twice(use)
        if run.acceptable(here):
            held = run.prepared("probe", [i for i, b in enumerate(product) if b is not None])
            for i, (entry, ascends) in held.items():
                b = product[i]
                assert b is not None
                mine = shard.part_of(b, run.params[i])
                entry.copy_(-mine if ascends else mine)
        return here
