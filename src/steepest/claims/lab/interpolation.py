"""Problems that can be solved to zero loss on every row, and the same problems with noise in the targets.

Interpolation is what Polyak steps and stochastic line searches build on. Taking it away is their control: with noisy
targets no point is best for every row, and a step that is right for one mini-batch is wrong for the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest.claims.lab.tasks import Task, network, zeros


def least_squares(seed: int, noise: float, rows: int = 500, columns: int = 50, batch: int = 10) -> Task:
    """Gaussian rows with column scales from 1 to 0.3; targets of a planted point, plus noise."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, generator=g) * torch.logspace(0, -0.5, columns)
    y = x @ torch.randn(columns, 1, generator=g) + noise * torch.randn(rows, 1, generator=g)
    return Task(zeros(network(columns, 1)), (x, y), (x, y), half_square, batch)


def half_square(prediction: Tensor, y: Tensor) -> Tensor:
    """Half the mean squared error."""
    return 0.5 * F.mse_loss(prediction, y)


def logistic(seed: int, flipped: float, rows: int = 1000, columns: int = 100, batch: int = 100) -> Task:
    """Two classes separated by a planted direction; a part of the labels flipped."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, columns, generator=g)
    y = (x @ torch.randn(columns, generator=g) > 0).long()
    wrong = torch.rand(rows, generator=g) < flipped
    y = torch.where(wrong, 1 - y, y)
    return Task(zeros(network(columns, 2)), (x, y), (x, y), F.cross_entropy, batch)
