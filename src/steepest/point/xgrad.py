"""XGrad: evaluate where the last direction would lead once more, and walk from x."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import real
from steepest.core.part import NewState, Point, Scalars, State
from steepest.core.step import Run, moves
from steepest.point.games import refuse_added
from steepest.point.perturbed import recall, restoring, walk, with_groups


class XGrad(Point):
    r"""The gradient is that of predicted weights, which the direction of the step before says.

    .. math:: q = x - \gamma s\, d_{t-1},\quad x^+ = R_x(-\gamma D(g(q))),\quad d_0 = 0

    with γ the ``lr`` of this step.  For SGD with momentum d is the buffer, for Adam :math:`\hat m/(\sqrt{\hat v}+\epsilon)`
    with the last step's own bias correction; decoupled decay is not predicted.  One forward and one backward a step; the loss
    that is returned is the one at q.  With s = 1, a constant ``lr`` and no decay it is :class:`steepest.point.Reflected`.

    Args:
        ahead: s, steps to predict, default 1 (paper).

    Raises:
        RuntimeError: in a step, if the closure adds to gradients that are there.

    Source: Guan et al. 2023, arXiv:2305.18240, Algorithm 1, with d as the authors' code has it.

    Note: a step size that is found is not in the prediction, only ``lr`` is.
    """

    ahead: float = real("[0, inf)", default=1.0)
    state = {"d_last": State()}
    needs = frozenset({"closure"})
    bends = True
    cite = ("guan2023xgrad",)

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The direction as it is, remembered."""
        return d, {"d_last": d}

    def ask(self, run: Run) -> Evidence:
        """Loss and gradient at the predicted weights."""
        with restoring(run):
            by = [-run.h("lr", group) * run.h("ahead", group) for _, group in with_groups(run)]
            last = [recall(run, p, "d_last").to(p.dtype) if moves(p) else None for p in run.params]
            walk(run, by, last)
            there = run.evaluate()
        refuse_added(run, "at the predicted weights")
        return there
