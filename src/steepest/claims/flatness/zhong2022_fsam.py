"""FSAM perturbs a part of the weights and is said to be better than SAM when a trained network meets little data.

A network learns the digits 0 to 4, gets a new last layer, and is then trained on a hundred images of all ten digits.
FSAM, with a half or a tenth of the weights perturbed, against SAM at the same radii. The control is a mask of ones,
which is SAM.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Measured, Source
from steepest.claims.lab.tasks import Task, digits, fit, sgd
from steepest.claims.lab.wronglabels import chosen, paired

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
    """Accuracy gained over SAM on new draws of the images, both with what was best on others."""
    choose, judge, epochs, rhos = (
        (range(1), range(1, 3), 20, RHOS[1:2]) if fast else (range(10), range(10, 50), 40, RHOS)
    )

    def run(method: str) -> Callable[..., float]:
        return lambda draw, **hyper: accuracy(draw, epochs, method, **hyper)

    masks = (0.0,) if control else SPARSE
    grid: list[dict[str, float]] = [{"rho": rho, "sparsity": part} for rho in rhos for part in masks]
    fsam = chosen(run("FSAM"), grid, choose, judge)
    sam = chosen(run("SAM"), [{"rho": rho} for rho in rhos], choose, judge)
    plain = [run("SGD")(draw) for draw in judge]
    (gain, error), (over, _) = paired(fsam, sam), paired(sam, plain)
    mean = {"fsam": statistics.mean(fsam), "sam": statistics.mean(sam), "sgd": statistics.mean(plain)}
    columns = {"FSAM": fsam, "SAM": sam, "SGD": plain}
    panel = Dots("accuracy after a hundred images, one line a draw of them", "per cent", columns)
    return Measured({"gain": gain, "error": error, "sam_gain": over, **mean}, [panel])


CLAIMS = (
    Claim(
        name="fsam-little-data",
        sentence="FSAM beats SAM when a trained network is tuned on little data.",
        source=Source("zhong2022fsam", "abstract"),
        methods=("FSAM",),
        rows=("001-167",),
        bounds=(Bound("gain", ">", 0.25, "percentage points of accuracy above SAM, both at the best of three radii and FSAM at "
                      "the better of two masks, mean of new draws of the images"),),
        regime=(
            Bound("sam_gain", "≥", 0.5, "the same of SAM above SGD: twice what is asked of FSAM above SAM"),
            Bound("error", "≤", 0.125, "standard error of the points above SAM"),
        ),
        experiment=fine_tuning,
        control="a mask of ones, which is SAM",
        seeds=50,
        minutes=1.5,
        untested="Language models, GLUE and SuperGLUE; a Fisher information averaged over samples.",
        note="Once judged on ten draws of the images, on which the radii were chosen, too: -0.01 points, not held, where SAM "
        "itself gains less over SGD than the regime asks for.",
    ),
)  # fmt: skip
