"""SAM: ask for the gradient where the loss is worst nearby, and apply it here."""

from __future__ import annotations

import math

from steepest.core.evaluate import Evidence
from steepest.core.part import Point
from steepest.core.run import Run


class SAM(Point):
    r"""Sharpness-aware minimization.

    .. math:: q(x) = x + \rho\, \frac{g}{\lVert g\rVert},\quad \text{the norm over all parameters}

    Costs two forwards and two backwards a step.  The perturbation is undone to the bit, also when the closure raises.

    Args:
        rho: radius ρ in units of x, default 0.05 (paper).

    Source: Foret et al. 2021, arXiv:2010.01412, Algorithm 1.

    Note: where the gradient is zero there is no perturbation; the authors' code gives NaN there.
    """

    hyper = {"rho": (0.05, "[0, inf)")}
    needs = frozenset({"closure"})
    cite = ("foret2021sam",)

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient at the perturbed point."""
        here = run.evaluate()
        g = run.grads(here)
        norm = math.sqrt(run.dot(g, g))
        if norm == 0.0 or not math.isfinite(norm) or run.h("rho") == 0.0:
            return here
        x = run.save()
        try:
            run.shift(None if gi is None else gi * (run.h("rho") / norm) for gi in g)
            there = run.evaluate()
        finally:
            run.restore(x)
        return Evidence(here.loss, there.gradient)
