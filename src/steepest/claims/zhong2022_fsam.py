"""FSAM perturbs a part of the weights and is said to be better than SAM when a trained network meets little data.

A network learns the digits 0 to 4, gets a new last layer, and is then trained on a hundred images of all ten digits.
FSAM, with a half or a tenth of the weights perturbed, against SAM at the same radii. The control is a mask of ones,
which is SAM.
"""

from __future__ import annotations

import statistics
from functools import cache

import torch
from torch import Tensor, nn

import steepest
from steepest.claims.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.tasks import Task, digits, fit, sgd

SPARSE = (0.5, 0.9)
RHOS = (0.05, 0.1, 0.2)


@cache
def pretrained() -> dict[str, Tensor]:
    """Weights after the digits 0 to 4."""
    task = digits(64)
    x, y = task.train
    half = Task(task.model, (x[y < 5], y[y < 5]), task.test, task.loss, task.batch)
    return fit(half, sgd(0.1, momentum=0.9), 0, 10 * half.epoch).model.state_dict()


def little(seed: int) -> Task:
    """A hundred images, and a network that knows half of the digits."""
    task = digits(64, batch=20)
    rows = torch.randperm(len(task.train[0]), generator=torch.Generator().manual_seed(50 + seed))[:100]

    def model(seed: int) -> nn.Module:
        net = task.model(seed)
        net.load_state_dict({k: v for k, v in pretrained().items() if k.startswith("0.")}, strict=False)
        return net

    return Task(model, (task.train[0][rows], task.train[1][rows]), task.test, task.loss, task.batch)


@cache
def accuracy(seed: int, epochs: int, method: str, **hyper: float) -> float:
    """Held-out accuracy in per cent after the hundred images."""
    task, make = little(seed), getattr(steepest, method)
    given = hyper if method != "FSAM" else {"every": 10, **hyper}
    return 100 * task.accuracy(fit(task, lambda p: make(p, lr=0.05, momentum=0.9, **given), seed, epochs * 5).model)


def fine_tuning(fast: bool, control: bool) -> Measured:
    """Accuracy gained over SAM, both at their best."""
    seeds, epochs, rhos = (2, 20, RHOS[1:2]) if fast else (10, 40, RHOS)
    masks = (0.0,) if control else SPARSE
    sam = max(([accuracy(s, epochs, "SAM", rho=rho) for s in range(seeds)] for rho in rhos), key=statistics.mean)
    fsam = max(([accuracy(s, epochs, "FSAM", rho=rho, sparsity=part) for s in range(seeds)]
                for rho in rhos for part in masks), key=statistics.mean)  # fmt: skip
    plain = [accuracy(s, epochs, "SGD") for s in range(seeds)]
    mean = {"fsam": statistics.mean(fsam), "sam": statistics.mean(sam), "sgd": statistics.mean(plain)}
    columns = {"FSAM": fsam, "SAM": sam, "SGD": plain}
    panel = Dots("accuracy after a hundred images, one line a seed", "per cent", columns)
    return Measured({"gain": mean["fsam"] - mean["sam"], **mean}, [panel])


CLAIMS = (
    Claim(
        name="fsam-little-data",
        sentence="FSAM beats SAM when a trained network is tuned on little data.",
        source=Source("zhong2022fsam", "abstract"),
        methods=("FSAM",),
        rows=("001-167",),
        bounds=(Bound("gain", ">", 0.25, "percentage points of accuracy above SAM, both at the best of three radii and FSAM at "
                      "the better of two masks, mean of the seeds"),),
        experiment=fine_tuning,
        control="a mask of ones, which is SAM",
        seeds=10,
        minutes=1.0,
        untested="Language models, GLUE and SuperGLUE; a Fisher information averaged over samples.",
    ),
)  # fmt: skip
