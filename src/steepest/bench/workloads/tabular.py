"""Small tables that come inside scikit-learn: medicine, wine and handwritten digits.

They run in a second and differ in what makes them hard: the breast-cancer table unscaled has columns between 0.001 and
4000, so one learning rate cannot fit all coordinates; the same table standardised is easy; diabetes is noisy and small, wine
is smaller still.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import (
    STEP,
    Batch,
    Problem,
    Workload,
    classification,
    cross_entropy,
    minibatches,
    regression,
    split,
    squared_error,
)


@lru_cache(maxsize=4)
def table(name: str, standardised: bool) -> tuple[Batch, Batch]:
    """Returns (training, held-out) rows, three to one."""
    from sklearn import datasets

    x_raw, y_raw = getattr(datasets, f"load_{name}")(return_X_y=True)
    x, y = torch.tensor(x_raw, dtype=torch.float32), torch.tensor(y_raw)
    train, held = split((x, y), held_out=len(x) // 4)
    if standardised:  # by the training rows only
        mean, std = train[0].mean(0), train[0].std(0)
        train, held = ((train[0] - mean) / std, train[1]), ((held[0] - mean) / std, held[1])
    return train, held


def digits_mlp(seed: int) -> Problem:
    """Handwritten digits 8x8, two hidden layers."""
    train, held = table("digits", False)
    train, held = (train[0] / 16 - 0.3, train[1]), (held[0] / 16 - 0.3, held[1])  # 0..16 ink, 0.3 on average
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return Problem(model, cross_entropy, minibatches(train, 64, seed), classification(held))


def _logistic(standardised: bool, seed: int) -> Problem:
    train, held = table("breast_cancer", standardised)
    return Problem(nn.Linear(30, 2), cross_entropy, minibatches(train, 64, seed), classification(held))


def breast_cancer(seed: int) -> Problem:
    """Logistic regression on standardised features."""
    return _logistic(True, seed)


def breast_cancer_raw(seed: int) -> Problem:
    """Logistic regression on the features as they were measured."""
    return _logistic(False, seed)


def diabetes(seed: int) -> Problem:
    """Regression of the disease's progression by a small network."""
    train, held = table("diabetes", True)
    mean, std = train[1].mean(), train[1].std()

    def scaled(y: Tensor) -> Tensor:
        return ((y - mean) / std).float().unsqueeze(1)

    train, held = (train[0], scaled(train[1])), (held[0], scaled(held[1]))
    model = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))
    return Problem(model, squared_error, minibatches(train, 32, seed), regression(held))


def wine(seed: int) -> Problem:
    """Which of three growers a wine comes from, by a network with more weights than the table has numbers."""
    train, held = table("wine", True)
    model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return Problem(model, cross_entropy, minibatches(train, 16, seed), classification(held))


TABULAR = (
    Workload("digits-mlp", "3-layer network, scikit-learn digits (1,797 images 8x8)", digits_mlp, 400 * STEP),
    Workload("breast-cancer", "logistic regression, 569 x 30 standardised", breast_cancer, 400 * STEP),
    Workload(
        "breast-cancer-raw",
        "logistic regression, 569 x 30 unscaled: columns from 1e-3 to 4e3",
        breast_cancer_raw,
        400 * STEP,
    ),
    Workload("diabetes", "regression, 10-32-1 network, 442 patients: small and noisy", diabetes, 400 * STEP),
    Workload("wine", "3-layer network, 178 wines x 13 standardised: learnt by heart", wine, 300 * STEP),
)
