"""Stochastic model building: where the plain step fails, a quadratic model of each tensor's loss gives the step."""

from __future__ import annotations

import math

import torch

from steepest.core.evaluate import Evidence
from steepest.core.fields import real
from steepest.core.part import Point, State
from steepest.core.step import Run
from steepest.engine import shard
from steepest.point.perturbed import Parts, combine, recall, remember, restoring, with_groups


def products(run: Run, b: Parts, g: Parts, y: Parts) -> list[list[float]]:
    """‖g‖², ‖y‖², ⟨y, g⟩, ⟨g, b⟩ and ⟨y, b⟩ of each tensor, over all its shards; zeros where a gradient is missing."""
    rows = torch.zeros(len(g), 5, dtype=torch.float64)
    for k, three in enumerate(zip(b, g, y, strict=True)):
        if all(v is not None for v in three):
            bk, gk, yk = (v.double() for v in three if v is not None)
            terms = (gk * gk, yk * yk, yk * gk, gk * bk, yk * bk)
            rows[k] = torch.stack([term.sum() for term in terms]).cpu()
    reduce = shard.reducer(run.params)
    if reduce is not None:
        reduce(rows)
    found: list[list[float]] = rows.tolist()
    return found


def coefficients(lr: float, sums: list[float], kappa: float) -> tuple[float, float, float]:
    """Of the model's step in b, g and y, for s = -lr g; zero where g is zero."""
    gg, yy, yg, gb, yb = sums
    if lr * gg == 0.0:
        return 0.0, 0.0, 0.0
    ss, sb, ys = lr * lr * gg, -lr * gb, -lr * yg
    sigma = 0.5 * (math.sqrt(ss) * (math.sqrt(yy) + math.sqrt(gg) / kappa) - ys)
    theta = (ys + 2 * sigma) ** 2 - ss * yy
    cb = -ss / (2 * sigma)
    cs = cb / theta * (-(ys + 2 * sigma) * yb + yy * sb)
    cy = cb / theta * (-(ys + 2 * sigma) * sb + ss * yb)
    return cb, -lr * cs, cy


class SMB(Point):
    r"""Stochastic model building.

    The plain step s = -ηg is tried on the same mini-batch.  If f(x + s) > f(x) - c η‖g‖², the gradient there is evaluated,
    too, and each tensor takes the step of a model of its own,

    .. math:: -\lVert s\rVert^2 \bigl(2\sigma I + s y^\top + y s^\top\bigr)^{-1} g,\quad y = g(x+s) - g(x),\quad
              \sigma = \tfrac12\Bigl(\lVert s\rVert\bigl(\lVert y\rVert + \tfrac{1}{\kappa}\lVert g\rVert\bigr)
              - \langle s, y\rangle\Bigr)

    a combination of g and y, which is shorter and rotated.  Two forwards and a backward where the plain step is accepted, a
    backward more where it is not, and the forward that goes with it.  η is the ``lr``.

    Args:
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, how far the model is trusted, default 0.99 (authors' code).

    Source: Birbil, Martin, Onay & Öztoprak 2021, arXiv:2111.07058, Algorithm 1 with equations (4) and (5); one tensor is a
    parameter group of the paper.

    Note: a tensor whose gradient is zero stays; in the authors' code it becomes NaN.  The sufficient decrease is checked
    once, for all groups together.
    """

    c: float = real("(0, 1)", default=0.1)
    kappa: float = real("(0, 1)", default=0.99)
    needs = frozenset({"closure"})
    cite = ("birbil2024bolstering",)

    def ask(self, run: Run) -> Evidence:
        """The gradient here where the plain step is accepted; otherwise what makes the driver take the model's step."""
        here = run.evaluate()
        g = run.grads(here)
        with restoring(run):
            if self.decreases(run, here, g):
                return here
            there = run.grads(run.evaluate())
        return self.model_step(run, here, g, g, there)

    def decreases(self, run: Run, here: Evidence, g: Parts) -> bool:
        """Whether the plain step decreases the loss enough, or cannot be judged; if not, the weights are left at its end."""
        sign, steps = run.opt.loss_sign(), self.plain(run, g)
        fall = -run.dot(g, steps)
        if run.left_out or here.loss is None or fall <= 0:
            return True
        bound = sign * shard.mean_over_ranks(float(here.loss)) - run.h("c") * fall
        if not math.isfinite(bound):
            return True
        run.shift(steps)
        return sign * run.loss() <= bound

    @staticmethod
    def plain(run: Run, g: Parts) -> Parts:
        """The steps -ηg."""
        return [None if gi is None else gi * -float(group["lr"])
                for gi, (_, group) in zip(g, with_groups(run), strict=True)]  # fmt: skip

    @staticmethod
    def model_step(run: Run, here: Evidence, b: Parts, g: Parts, there: Parts) -> Evidence:
        """What makes the driver take the model's steps for b; the model is made of the gradients g here and there."""
        y = combine(([1.0] * len(g), there), ([-1.0] * len(g), g))
        sign, kappa = run.opt.loss_sign(), run.h("kappa")
        for (p, group), bk, gk, yk, sums in zip(with_groups(run), b, g, y, products(run, b, g, y), strict=True):
            lr = float(group["lr"])
            if p.grad is not None and bk is not None and gk is not None and yk is not None and lr > 0:
                cb, cg, cy = coefficients(lr, sums, kappa)
                p.grad = p.grad.clone()  # what backward delivered is not written
                shard.local(p.grad).copy_((bk * cb + gk * cg + yk * cy) * (-sign / lr))  # the driver moves by -lr of it
        return Evidence(here.loss)


class SMBi(SMB):
    r"""Stochastic model building with an independent batch for the model.

    Where the plain step for the gradient b fails on its batch, x stays and b is deferred.  The next step, on the next batch
    with the gradient g there, takes

    .. math:: -\lVert s\rVert^2 \bigl(2\sigma I + s y^\top + y s^\top\bigr)^{-1} b,\quad s = -\eta g,\quad
              y = g(x+s) - g(x)

    with σ as in :class:`SMB`, so the matrix does not depend on b, and the mean of the step is the matrix times the mean of
    b; this is what the convergence theory of the paper is about.  Two forwards a step, and one backward, or two where a
    gradient was deferred.

    Args:
        c: sufficient decrease, default 0.1 (paper's experiments).
        kappa: the paper's η, default 0.99 (authors' code).

    Source: Birbil, Martin, Onay & Öztoprak 2021, arXiv:2111.07058, Algorithm 2; a model takes two iterations, each with its
    batch, as in the paper's experiments and the authors' code.

    Note: each step needs a batch of its own, as training gives it; with the same batch always it is SMB that pauses before
    each model.  The step is at most κη‖b‖ long, whatever the curvature at b's batch, so a gradient that explodes is
    deferred and not shortened as in SMB.
    """

    state = {"waiting": State(exact=True)}

    def ask(self, run: Run) -> Evidence:
        """As SMB's on the first batch, but a gradient that fails is deferred; the model's step on the next one."""
        here = run.evaluate()
        g, state = run.grads(here), run.opt.state
        b = [recall(run, p, "waiting") if p in state or gi is not None else None
             for p, gi in zip(run.params, g, strict=True)]  # fmt: skip
        late = run.dot(b, b) > 0
        if run.left_out or (late and not math.isfinite(run.dot(g, g))):
            return here
        if not late:
            with restoring(run):
                accepted = self.decreases(run, here, g)
            run.noted = None if accepted else g
            return here if accepted else Evidence(here.loss, moved=True)
        with restoring(run):
            run.shift(self.plain(run, g))
            there = run.grads(run.evaluate())
        run.noted = [torch.zeros_like(shard.local(p)) if p in state else None for p in run.params]
        return self.model_step(run, here, [*b], g, there)

    def keep(self, run: Run) -> None:
        """Store the deferred gradient, or clear the one that was used, now that the step is done."""
        for p, value in zip(run.params, run.noted or [None] * len(run.params), strict=True):
            if value is not None:
                run.opt.sorter.init_state(p)
                remember(run, p, "waiting", value)
