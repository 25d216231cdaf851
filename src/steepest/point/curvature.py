"""Ask for a little of the curvature beside the gradient: one Hessian-vector product along random signs.

What comes back estimates the diagonal of the Hessian, coordinate by coordinate.  It is left in the state for a direction
to average: a point asks, and does not decide what is made of the answer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import whole
from steepest.core.part import Point, State
from steepest.core.step import Run
from steepest.point.perturbed import prepared


class Hutchinson(Point):
    r"""Bekas's estimate of the Hessian's diagonal, for ``direction.DiagonalHessian``.

    .. math:: b = z \odot \nabla^2 f(x)\, z,\quad z_i = \pm 1

    whose mean is diag H, and which is exact where H is diagonal.  One forward, one backward and one Hessian-vector
    product a step.  A group that maximizes has b negated.

    Args:
        seed: of the signs, default 0; with the step number it fixes z.

    Raises:
        RuntimeError: at the first step, if the closure calls backward itself, if there is a ``GradScaler``, or if there
            are several processes.

    Source: Bekas, Kokiopoulou & Saad 2007; Hutchinson 1989.
    """

    seed: int = whole("[0, inf)", default=0)
    state = {"probe": State(exact=True)}  # b, in units of f/x²
    needs = frozenset({"closure"})
    gives = frozenset({"probe of the Hessian"})
    cite = ("bekas2007estimator",)

    def ask(self, run: Run) -> Evidence:
        """Loss and gradient here, and b in the state."""
        signs: list[Tensor | None] = []

        def along(g: list[Tensor | None]) -> list[Tensor | None]:
            random = torch.Generator().manual_seed((self.seed << 32) + run.t)
            signs.extend(None if gi is None else _signs(gi, random) for gi in g)
            return signs

        here, product = run.curvature(along)
        if run.acceptable(here):
            held = prepared(run, "probe", [i for i, h in enumerate(product) if h is not None])
            for i, (entry, ascends) in held.items():
                z, h = signs[i], product[i]
                assert z is not None
                assert h is not None
                entry.copy_(-z * h if ascends else z * h)
        return here


def _signs(like: Tensor, random: torch.Generator) -> Tensor:
    """Plus or minus one, the same on every device."""
    return (torch.randint(0, 2, like.shape, generator=random) * 2 - 1).to(like)
