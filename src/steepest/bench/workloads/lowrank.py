"""A low-rank matrix from half of its entries: a photograph, completed.

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
)
