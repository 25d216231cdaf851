"""A photograph from half of its pixels: completed as a low-rank matrix, or fitted as a function of coordinates.

The unknown is a product of two thin matrices; the loss is not convex, its valley is flat along rescalings of the two
factors, and the singular values of a photograph fall fast, so the conditioning is bad. The image comes inside
scikit-learn.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, minibatches, regression, split, squared_error

RANK = 8


@lru_cache(maxsize=1)
def _entries() -> tuple[Batch, Batch]:
    from sklearn.datasets import load_sample_image

    image = torch.tensor(load_sample_image("china.jpg"), dtype=torch.float32).mean(-1)
    image = nn.functional.avg_pool2d(image[None, None], 4)[0, 0]
    image = (image - image.mean()) / image.std()
    i, j = torch.meshgrid(torch.arange(image.shape[0]), torch.arange(image.shape[1]), indexing="ij")
    seen, hidden = split((i.flatten(), j.flatten(), image.flatten()), held_out=image.numel() // 2)
    return seen, hidden


class Waves(nn.Module):
    """A network of coordinates: sines of fixed random frequencies, then three linear layers."""

    frequencies: Tensor

    def __init__(self, waves: int = 64, width: int = 64) -> None:
        super().__init__()
        random = torch.randn(2, waves, generator=torch.Generator().manual_seed(2024))
        self.register_buffer("frequencies", 8 * random)
        self.net = nn.Sequential(
            nn.Linear(2 * waves, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, i: Tensor, j: Tensor) -> Tensor:
        """The image at (i, j)."""
        angle = torch.stack([i, j], 1).float() / 100 @ self.frequencies
        out: Tensor = self.net(torch.cat([angle.sin(), angle.cos()], 1)).squeeze(1)
        return out


def photo_coordinates(seed: int) -> Problem:
    """The same entries, by a network from coordinates to brightness."""
    seen, hidden = _entries()
    return Problem(Waves(), squared_error, minibatches(seen, 256, seed), regression(hidden))


class Factors(nn.Module):
    """X = U Vᵀ, read at single entries."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.U, self.V = (nn.Parameter(torch.randn(n, RANK) * 0.1) for n in (rows, columns))

    def forward(self, i: Tensor, j: Tensor) -> Tensor:
        """The entries (i, j) of the product."""
        return (self.U[i] * self.V[j]).sum(-1)


def photo_completion(seed: int) -> Problem:
    """Half of a photograph's entries are shown, the other half is guessed."""
    seen, hidden = _entries()
    rows, columns = (int(seen[k].max()) + 1 for k in (0, 1))
    return Problem(Factors(rows, columns), squared_error, minibatches(seen, 1024, seed), regression(hidden))


LOW_RANK = (
    Workload("photo-completion", "matrix completion by two rank-8 factors, a photograph", photo_completion, 600 * STEP),
    Workload(
        "photo-coordinates", "regression from coordinates to brightness, a photograph", photo_coordinates, 400 * STEP
    ),
)
