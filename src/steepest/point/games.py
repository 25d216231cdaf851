"""Games: asking at x and walking from x spirals outward; ask a step ahead, or correct by the step before.

Players that maximize sit in parameter groups with ``maximize=True``; the closure returns the common payoff.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.part import NewState, Point, Scalars, State
from steepest.core.run import Run


class ExtraGradient(Point):
    r"""Ask at the point that an ordinary step would reach, and walk from x.

    .. math:: q = R_x(-\eta D(g(x))),\quad x^+ = R_x(-\eta D(g(q)))

    With the gradient as direction this is Korpelevich's method; with Adam it is ExtraAdam, whose moments are updated by
    both gradients and whose bias correction counts both.  Two forwards and two backwards a step.

    Source: Korpelevich 1976; Gidel et al. 2019, arXiv:1802.10551, Algorithm 4 (option 1).
    """

    needs = frozenset({"closure"})
    cite = ("korpelevich1976extragradient", "gidel2019variational")

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient a step ahead."""
        here = run.evaluate()
        x, undo = run.save(), run.snapshot()
        try:
            if not run.move(here):
                return here
            ahead = run.evaluate()
            if not run.acceptable(ahead):
                undo()
                return ahead
        except BaseException:
            undo()
            raise
        run.restore(x)
        return Evidence(here.loss, ahead.gradient)


class Optimistic(Point):
    r"""Extrapolate by the step before instead of asking twice.

    .. math:: x^+ = x - 2\eta\, d_t + \eta\, d_{t-1},\quad d_0 = 0

    It is extragradient that extrapolates from the past (Popov), written at the point where it asks, so it needs no
    second question and runs inside the kernel.  With Adam it is Optimistic Adam.

    Source: Popov 1980; Daskalakis et al. 2018, arXiv:1711.00141, Algorithm 1 (d with its own bias correction).

    Note: d₀ = 0 makes the first step twice as long, as in the papers.
    """

    bends = True
    state = {"d_prev": State()}
    cite = ("popov1980modification", "daskalakis2018training")

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        return 2.0 * d - s.d_prev, {"d_prev": d}
