"""Games: the gradient at x, applied at x, spirals outward; evaluate it a step ahead, or correct by the step before.

Players that maximize sit in parameter groups with ``maximize=True``; the closure returns the common payoff.
"""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.evaluate import Evidence
from steepest.core.fields import real, whole
from steepest.core.part import NewState, Point, Scalars, State
from steepest.core.step import Run, moves
from steepest.engine import shard
from steepest.point.perturbed import recall, remember, restoring, wide, with_groups


class ExtraGradient(Point):
    r"""Evaluate at the point that an ordinary step would reach, and walk from x.

    .. math:: q = x + a\,(R_x(-\eta D(g(x))) - x),\quad x^+ = R_x(-\eta D(g(q)))

    with a = 1 for one step size in both halves.  With the gradient as direction this is Korpelevich's method; with Adam it is
    ExtraAdam, whose moments are updated by both gradients and whose bias correction counts both.  Two forwards and two
    backwards a step.  Where F is negatively comonotone, ⟨F(x) - F(y), x - y⟩ ≥ -ρ‖F(x) - F(y)‖², a long first step and a
    short second one (a > 1) arrive where two equal ones diverge.

    Args:
        ahead: a, the first step in units of the second, default 1; above 1 that point may lie outside of a set that the
            geometry projects on.

    Source: Korpelevich 1976; Gidel et al. 2019, arXiv:1802.10551, Algorithm 4 (option 1); two step sizes as in Gorbunov,
    Taylor, Horváth & Gidel 2023, arXiv:2210.13831 (EG, γ₁ = aη and γ₂ = η).
    """

    ahead: float = real("(0, inf)", default=1.0)
    needs = frozenset({"closure"})
    cite = ("korpelevich1976extragradient", "gidel2019variational", "gorbunov2023convergence")

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient a step ahead."""
        here = run.evaluate()
        x, undo = run.save(), run.snapshot()
        try:
            if not run.move(here):
                return here
            stretch(run, x, [run.h("ahead", group) for _, group in with_groups(run)])
            ahead = run.evaluate()
            if not run.acceptable(ahead):
                undo()
                return ahead
        except BaseException:
            undo()
            raise
        run.restore(x)
        return Evidence(here.loss, ahead.gradient)


def stretch(run: Run, x: list[Tensor], by: list[float]) -> None:
    """From y to x + by (y - x), with a factor for each parameter."""
    for p, start, c in zip(run.params, x, by, strict=True):
        if c != 1.0:
            shard.local(p).lerp_(start, 1.0 - c)


class ProximalPoint(Point):
    r"""Walk along the gradient of where the walk ends, which is sought by a few rounds of a damped fixed point.

    .. math:: x^+ = R_x(-\eta D(g(y_K))),\quad y_0 = x,\quad y_{k+1} = (1-\beta)\, y_k + \beta\, R_x(-\eta D(g(y_k)))

    For K → ∞ it is the proximal point method, x⁺ = x - ηF(x⁺), wherever the rounds converge: undamped if ηF is a
    contraction, and for a β small enough if I + ηF is strongly monotone, as it is for η > 2ρ under negative
    comonotonicity.  K + 1 forwards and backwards a step; K = 1 and β = 1 is extragradient.

    Args:
        rounds: K, default 10 (ours).
        damping: β, default 1 (no damping).

    Source: Martinet 1970; Rockafellar 1976; Gorbunov, Taylor, Horváth & Gidel 2023, arXiv:2210.13831 (PP). The rounds are
    ours: the paper's step is implicit.
    """

    damping: float = real("(0, 1]", default=1.0)
    rounds: int = whole("[1, inf)", default=10)
    needs = frozenset({"closure"})
    cite = ("rockafellar1976monotone", "gorbunov2023convergence")

    def ask(self, run: Run) -> Evidence:
        """Loss here, gradient near where the step will end."""
        here = there = run.evaluate()
        x, beta = run.save(), [run.h("damping", group) for _, group in with_groups(run)]
        y = x
        for _ in range(self.rounds):
            undo = run.snapshot()  # moments see a gradient in the move that counts, and only there
            try:
                if not run.move(there):
                    return there
                stretch(run, y, beta)
                y = run.save()
            finally:
                undo()
            with restoring(run):
                run.restore(y)
                there = run.evaluate()
            if not run.acceptable(there):
                return there
        return Evidence(here.loss, there.gradient)


class Reflected(Point):
    r"""Evaluate where the last step would lead once more, and walk from x: one gradient, one projection.

    .. math:: q = 2x - x_{-},\quad x^+ = R_x(-\eta D(g(q)))

    One forward and one backward a step; the loss that is returned is the one at q.

    Raises:
        RuntimeError: in a step, if the closure adds to gradients that are there.

    Source: Malitsky 2015, projected reflected gradient; Hsieh, Iutzeler, Malick & Mertikopoulos 2019, arXiv:1908.08465 (RG).
    """

    state = {"x_prev": State("x", exact=True)}
    needs = frozenset({"closure"})
    cite = ("malitsky2015projected", "hsieh2019convergence")

    def ask(self, run: Run) -> Evidence:
        """Loss and gradient at the reflection."""
        with restoring(run) as x:
            for p, here in zip(run.params, x, strict=True):
                if moves(p):  # a frozen weight is not copied, and stays
                    shard.local(p).add_(here - recall(run, p, "x_prev").to(here.dtype))
            there = run.evaluate()
        refuse_added(run, "at the reflection")
        run.noted = x
        return there

    def keep(self, run: Run) -> None:
        """Where this step began."""
        for p, x in zip(run.params, run.noted, strict=True):
            if "x_prev" in run.opt.state.get(p, {}):
                remember(run, p, "x_prev", wide(x))


def refuse_added(run: Run, where: str) -> None:
    """Say so where gradients of other points are in the one that was evaluated.

    Raises:
        RuntimeError: the closure adds to gradients that are there.
    """
    if run.added:
        raise RuntimeError(f"the closure added to gradients of an earlier call, which are those at x and not {where}: let it "
                           "call opt.zero_grad() and go through all micro-batches")  # fmt: skip


class Optimistic(Point):
    r"""Extrapolate by the step before instead of evaluating twice.

    .. math:: x^+ = x - 2\eta\, d_t + \eta\, d_{t-1},\quad d_0 = 0

    It is extragradient that extrapolates from the past (Popov), written at the point where it evaluates, so it needs no
    second gradient and runs inside the kernel.  With Adam it is Optimistic Adam.

    Source: Popov 1980; Daskalakis et al. 2018, arXiv:1711.00141, Algorithm 1 (d with its own bias correction).

    Note: d₀ = 0 makes the first step twice as long, as in the papers.
    """

    bends = True
    state = {"d_prev": State()}
    cite = ("popov1980modification", "daskalakis2018training")

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        return 2.0 * d - s.d_prev, {"d_prev": d}
