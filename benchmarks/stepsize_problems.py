"""The problems of stepsizes.py: logistic regressions, and small convolutional networks on Fashion-MNIST.

Nothing is downloaded.  `STEEPEST_DATA` is a folder with `mushrooms.train.libsvm` and `mushrooms.test.libsvm`; Fashion-MNIST
is found as in the benchmark; the letters are of the Debian package r-cran-mlbench and need `pip install rdata`; digits
come with scikit-learn.  A problem whose data are not there is left out, and the result says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steepest.bench.workloads.images import _fashion_files, _idx, _no_fashion

LETTERS = Path("mlbench/data/LetterRecognition.rda")
LIBRARIES = (Path("/usr/lib/R/site-library"), Path("/usr/lib/R/library"))
VALID = 5_000  # images that only choose learning rates
Rows = tuple[Tensor, Tensor]


class Missing(RuntimeError):
    """The data are not on this machine."""


@dataclass(frozen=True)
class Problem:
    """What is trained: rows to fit, rows to test on, rows to choose by."""

    train: Rows
    test: Rows
    valid: Rows | None  # none: learning rates are chosen by the training loss alone
    model: Callable[[], nn.Module]
    epochs: int
    batch: int
    convex: bool
    normalised: bool = False  # by batch normalisation

    @property
    def steps(self) -> int:
        """Steps an epoch; rows that do not fill a batch wait for the next one."""
        return len(self.train[0]) // self.batch


def linear(width: int, classes: int, bias: bool = True) -> Callable[[], nn.Module]:
    """A linear model from zero."""

    def build() -> nn.Module:
        model = nn.Linear(width, classes, bias)
        for p in model.parameters():
            nn.init.zeros_(p)
        return model

    return build


def lenet() -> nn.Module:
    """Two convolutions and two linear layers, 63 thousand weights, no normalisation."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 25, 120), nn.ReLU(), nn.Linear(120, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Two normalised convolutions around a shortcut."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        stride = 1 if width == out else 2
        self.one, self.two = (
            nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.Conv2d(out, out, 3, 1, 1, bias=False),
        )  # fmt: skip
        self.norms = nn.ModuleList([nn.BatchNorm2d(out), nn.BatchNorm2d(out)])
        self.short = nn.Identity() if width == out else nn.Conv2d(width, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(rows, width, h, w) to (rows, out, h', w')."""
        inner = self.norms[1](self.two(F.relu(self.norms[0](self.one(x)))))
        return F.relu(inner + self.short(x))


def resnet() -> nn.Module:
    """A stem and three residual blocks with batch normalisation: 8, 16 and 32 channels, 20 thousand weights."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Block(8, 8), Block(8, 16), Block(16, 32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def perceptron() -> nn.Module:
    """Hidden layers of 512 and 256: the net that the authors of PoNoS train on MNIST."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def _libsvm(name: str, width: int) -> Rows:
    folder = os.environ.get("STEEPEST_DATA")
    path = Path(folder or ".") / name
    if not folder or not path.is_file():
        raise Missing(f"no {name}: set STEEPEST_DATA to the folder that holds it, got {folder!r}")
    lines = [line.split() for line in path.read_text().splitlines()]
    x, y = torch.zeros(len(lines), width), torch.tensor([int(float(line[0])) for line in lines])
    for row, line in enumerate(lines):
        for pair in line[1:]:
            at, value = pair.split(":")
            x[row, int(at) - 1] = float(value)
    return x, (y > 0).long()


def mushrooms() -> Problem:
    """Is it edible?  Separable by a plane."""
    train, test = _libsvm("mushrooms.train.libsvm", 126), _libsvm("mushrooms.test.libsvm", 126)
    return Problem(train, test, None, linear(126, 2), epochs=35, batch=100, convex=True)


def mushrooms_rbf() -> Problem:
    """The same under a Gaussian kernel of width 1/2 around the training rows, as in the papers."""
    (x, y), (u, v) = _libsvm("mushrooms.train.libsvm", 126), _libsvm("mushrooms.test.libsvm", 126)

    def gram(rows: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(rows, x).square() / (2 * 0.5**2))

    return Problem((gram(x), y), (gram(u), v), None, linear(len(x), 2, bias=False), epochs=35, batch=100, convex=True)


def digits() -> Problem:
    """Ten digits of 8x8 pixels by a linear model; separable."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(data.data, dtype=torch.float32)[order] / 16, torch.tensor(data.target)[order]
    return Problem((x[:1200], y[:1200]), (x[1200:], y[1200:]), None, linear(64, 10), epochs=35, batch=100, convex=True)


def letters() -> Problem:
    """26 letters from 16 standardised features by a linear model: no plane fits them, so there is no interpolation."""
    own = os.environ.get("STEEPEST_DATA")
    roots = ([Path(own)] if own else []) + list(LIBRARIES)
    file = next((root / p for root in roots for p in (LETTERS, Path(LETTERS.name)) if (root / p).is_file()), None)
    try:
        import rdata  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        rdata = None
    if file is None or rdata is None:
        raise Missing("no letters: install the Debian package r-cran-mlbench and `pip install rdata`")
    (frame,) = rdata.read_rda(file).values()
    kinds = sorted(set(frame.iloc[:, 0]))
    y = torch.tensor([kinds.index(k) for k in frame.iloc[:, 0]])
    x = torch.tensor(frame.iloc[:, 1:].to_numpy(), dtype=torch.float32)
    x = (x - x.mean(0)) / x.std(0)
    return Problem(
        (x[:6000], y[:6000]), (x[16000:], y[16000:]), None, linear(16, 26), epochs=35, batch=100, convex=True
    )


@lru_cache(maxsize=1)
def _images() -> tuple[Rows, Rows]:
    files = _fashion_files()
    if files is None:
        raise Missing(f"Fashion-MNIST: {_no_fashion()}")
    x, y, tx, ty = (_idx(path) for path in files)
    return (x.unsqueeze(1).float() / 255 - 0.3, y.long()), (tx.unsqueeze(1).float() / 255 - 0.3, ty.long())


def fashion(model: Callable[[], nn.Module], rows: int, epochs: int) -> Callable[[], Problem]:
    """Fashion-MNIST: the first rows to train, the last 5,000 to choose by, the test set to report."""

    def build() -> Problem:
        (x, y), test = _images()
        valid = (x[-VALID:], y[-VALID:]) if rows + VALID <= len(x) else None
        return Problem((x[:rows], y[:rows]), test, valid, model, epochs, 128, convex=False, normalised=model is resnet)

    return build


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "mushrooms": mushrooms,
    "mushrooms, kernel": mushrooms_rbf,
    "digits": digits,
    "letters": letters,
    "LeNet": fashion(lenet, 6000, 30),
    "ResNet": fashion(resnet, 4000, 10),
    "LeNet, 200 epochs": fashion(lenet, 6000, 200),
    "LeNet, all images": fashion(lenet, 60_000, 5),
    "ResNet, 20,000 images": fashion(resnet, 20_000, 5),
    "perceptron, all images": fashion(perceptron, 60_000, 200),
}
