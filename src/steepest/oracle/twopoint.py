"""Two-point zeroth order: a gradient estimate from losses alone, without memory for gradients.

The random direction is never stored: each tensor's part is drawn again from a seed whenever it is needed, first to move
the weights, then, tensor by tensor, as the gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.draws import normal, seed_of
from steepest.core.evaluate import Evidence
from steepest.core.fields import flag, real, whole
from steepest.core.part import Oracle
from steepest.core.step import Run


class TwoPoint(Oracle):
    r"""Simultaneous perturbation with Gaussian directions.

    .. math:: \hat g = \frac1n \sum_{j=1}^n \frac{f(x + \lambda z_j) - f(x - \lambda z_j)}{2\lambda}\, z_j,\quad
              z_j \sim N(0, I)

    Two forwards for each direction, no backward.  The loss returned is the mean over the points evaluated.

    Args:
        radius: λ in units of x, default 1e-3 (MeZO, full fine-tuning).
        directions: n, default 1.
        seed: of all directions; with the step number it fixes z, the same on every process.
        exact: keep a copy of the weights and put it back, to the bit; default True.  False moves the weights in place
            three times, which needs no memory and leaves a rounding error of a few units in the last place.

    Source: Spall 1992; Malladi et al. 2023, arXiv:2305.17333, Algorithm 1 (in place).
    """

    radius: float = real("(0, inf)", default=1e-3)
    directions: int = whole("[1, inf)", default=1)
    seed: int = whole("[0, inf)", default=0)
    exact: bool = flag(default=True)
    needs = frozenset({"closure"})
    cite = ("spall1992multivariate", "malladi2023mezo")

    def evaluate(self, run: Run) -> Evidence:
        """Losses on both sides of x, and a way to draw the estimate tensor by tensor."""
        radius, slopes, losses = run.h("radius"), [], []
        first = run.draws
        run.draws += self.directions
        x, away = (run.save() if self.exact else None), (0, 0.0)
        seeds = [seed_of(self.seed, run.t, first + j) for j in range(self.directions)]
        try:
            for seed in seeds:
                self._shift(run, seed, radius)
                away = (seed, radius)
                above = run.loss()
                self._shift(run, seed, -2 * radius)
                away = (seed, -radius)
                below = run.loss()
                self._shift(run, seed, radius)
                away = (seed, 0.0)
                slopes.append((above - below) / (2 * radius))
                losses += [above, below]
        finally:
            if x is not None:
                run.restore(x)
            elif away[1]:  # the closure raised
                self._shift(run, away[0], -away[1])

        def gradient(index: int, p: Tensor) -> Tensor:
            parts = [slope * normal(seed, index, p) for slope, seed in zip(slopes, seeds, strict=True)]
            return torch.stack(parts).mean(0) if len(parts) > 1 else parts[0]

        return Evidence(torch.tensor(sum(losses) / len(losses), dtype=torch.float64), gradient)

    @staticmethod
    def _shift(run: Run, seed: int, by: float) -> None:
        run.shift(by * normal(seed, i, p) if p.requires_grad else None for i, p in enumerate(run.params))
