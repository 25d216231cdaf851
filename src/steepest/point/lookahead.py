"""Lookahead: k fast steps forward, one step back."""

from __future__ import annotations

from steepest.core.fields import real, whole
from steepest.core.part import Point, State
from steepest.core.step import Run


class Lookahead(Point):
    r"""Every k steps the slow weights go a part of the way to the fast ones, and the fast ones start again from there.

    .. math:: s \leftarrow s + \alpha (x - s),\quad x \leftarrow s \qquad (t \equiv 0 \bmod k)

    Args:
        alpha: weight of the fast weights, default 0.5 (paper's usual; the authors' code has 0.8).
        k: steps between synchronisations, default 5 (paper).

    The direction keeps its state at a synchronisation (the paper's default).

    Source: Zhang et al. 2019, arXiv:1907.08610, Algorithm 1.
    """

    alpha: float = real("[0, 1]", default=0.5)
    k: int = whole("[1, inf)", default=5)
    state = {"slow": State("x", exact=True)}
    cite = ("zhang2019lookahead",)

    def keep(self, run: Run) -> None:
        """Synchronise after every k-th step."""
        for group in run.opt.param_groups:
            for p in group["params"]:
                state = run.opt.state.get(p, {})
                if "slow" in state and state["step"] % self.k == 0:
                    slow = state["slow"]
                    slow.lerp_(p.detach().to(slow.dtype), group["alpha"])
                    p.detach().copy_(slow)
