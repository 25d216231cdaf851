"""Points of accelerated methods: evaluate at an average, and walk from elsewhere.

The step size decides how much the newest point weighs in the average (``share``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.part import Kept, Point, State
from steepest.core.step import Run, moves
from steepest.engine import shard


def share(run: Run) -> float:
    """The weight of the newest point, from the step size."""
    part: Any = run.opt.step_size
    return float(part.share(run.opt.param_groups[0]))


class UniXGrad(Point):
    r"""Extragradient at averages: both gradients are evaluated at averages of the points so far.

    .. math:: \hat z_t = \frac{\omega_t y_t + \sum_{k<t}\omega_k x_{k+1}}{\sum_{k\le t}\omega_k},\quad
              x_{t+1} = R_{y_t}(-\eta_x D(m(\hat z_t))),\quad
              \hat x_t = \frac{\sum_{k\le t}\omega_k x_{k+1}}{\sum_{k\le t}\omega_k},\quad
              y_{t+1} = R_{y_t}(-\eta_y D(g(\hat x_t)))

    The weights are x̂, which is also what is returned; y is kept.  Two forwards and two backwards a step.

    Source: Kavis, Levy, Bach & Cevher 2019, arXiv:1910.13857, in the form of Kreisler et al. 2024, arXiv:2404.00666,
    Algorithm 1.

    Note: the theory wants another batch for each evaluation.  A closure that calls ``next`` on its batches gives it two; one
    that always uses the same makes ‖g - m‖ blind to the noise, and steps too long for it.  The loss that ``step`` returns is
    the one at ẑ.
    """

    state = {"y": State("x", exact=True)}
    needs = frozenset({"closure", "weights of points"})
    cite = ("kavis2019unixgrad",)

    def ask(self, run: Run) -> Evidence:
        """Both evaluations and both moves; what had no gradient stays."""
        weight, undo, xhat, state = share(run), run.snapshot(), run.save(), run.opt.state
        known = {p: state[p]["step"] for p in filter(moves, run.params) if p in state}
        try:
            for p in known:
                y = shard.local(state[p]["y"])
                shard.local(p).copy_(shard.local(p).to(y.dtype).lerp(y, weight))
            here = run.evaluate()
            self.walk_from_y(run)
            if not run.move(here):
                undo()
                return here
            for p, mean in zip(run.params, xhat, strict=True):
                if p in state and state[p]["step"] != known.get(p, 0):
                    mean.lerp_(shard.local(p), weight)
            run.restore(xhat)
            there = run.evaluate()
            self.walk_from_y(run)
            if not run.move(there):
                undo()
                return there
            for p in filter(moves, run.params):
                if p in state:
                    shard.local(state[p]["y"]).copy_(shard.local(p))
            run.restore(xhat)
        except BaseException:
            undo()
            raise
        return Evidence(here.loss, moved=True)

    @staticmethod
    def walk_from_y(run: Run) -> None:
        """Put y into the weights."""
        for p in filter(moves, run.params):
            if p in run.opt.state:
                shard.local(p).copy_(shard.local(run.opt.state[p]["y"]))

    def answer(self, p: Tensor, state: dict[str, Any]) -> Tensor:
        """The weights."""
        return p


class AcceleGrad(Point):
    r"""Evaluate where a short step and a long one meet.

    .. math:: x_{t+1} = \tau_t z_t + (1 - \tau_t)\, y_t,\quad \tau_t = \frac{\alpha_t}{\sum_{k\le t}\alpha_k}

    with y after a step of η and z after one of αη, kept by the step size.  The weights are x, where the next gradient is
    evaluated, and x is what is returned.

    Source: Levy, Yurtsever & Cevher 2018, arXiv:1809.02864, in the form of Kreisler et al. 2024, arXiv:2404.00666,
    Algorithm 2.
    """

    keeps = ("met",)
    needs = frozenset({"coupled sequence"})
    gives = frozenset({"coupling"})
    cite = ("levy2018online",)

    def keep(self, run: Run) -> None:
        """From y to the next x, for what was moved."""
        weight = share(run)
        for p in run.params:
            state = run.opt.state.get(p, {})
            if "z" in state and state["step"] != state.get("met", 0):
                state["met"], z = state["step"], shard.local(state["z"])
                x = shard.local(p)
                x.copy_(x.to(z.dtype).lerp(z, weight))

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """The step at which y and z met last."""
        return {"met": Kept()}

    def answer(self, p: Tensor, state: dict[str, Any]) -> Tensor:
        """The weights."""
        return p
