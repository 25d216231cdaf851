"""Small convolutional networks: scikit-learn's digits, and Fashion-MNIST where this machine has it.

Fashion-MNIST is never downloaded. It is looked for in `STEEPEST_DATA` (a folder with the four IDX files, gzipped or
not), in the place of the Debian package `dataset-fashion-mnist`, and in torchvision's usual `data/FashionMNIST/raw`.
"""

from __future__ import annotations

import gzip
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
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

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
PLACES = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("data/FashionMNIST/raw"),
    Path.home() / "data" / "FashionMNIST" / "raw",
)


@lru_cache(maxsize=1)
def digits() -> tuple[Batch, Batch]:
    """Images (rows, 1, 8, 8), ink from 0 to 1 less 0.3, and the digits that they show."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) / 16 - 0.3
    return split((images, torch.tensor(y)), held_out=len(y) // 4)


def digits_conv(seed: int) -> Problem:
    """Two convolutions with batch normalisation on 8x8 digits."""
    train, held = digits()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip
    return Problem(model, cross_entropy, minibatches(train, 64, seed), classification(held))


def digits_autoencoder(seed: int) -> Problem:
    """Digits through a neck of eight numbers and back."""
    (x, _), (x_held, _) = digits()
    model = nn.Sequential(
        nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 32), nn.Tanh(), nn.Linear(32, 8),
        nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 128), nn.Tanh(), nn.Linear(128, 64),
    )  # fmt: skip
    train, held = x.flatten(1), x_held.flatten(1)
    return Problem(model, squared_error, minibatches((train, train), 64, seed), regression((held, held)))


def _halves() -> tuple[Batch, Batch, Batch]:
    """Digits 0 to 4 to learn from first; then 200 images of 5 to 9, called 0 to 4, and those held out."""
    (x, y), (x_held, y_held) = digits()
    low, high, held = y < 5, y >= 5, y_held >= 5
    return (x[low], y[low]), (x[high][:200], y[high][:200] - 5), (x_held[held], y_held[held] - 5)


@lru_cache(maxsize=1)
def _pretrained() -> dict[str, Tensor]:
    """Weights that classify the digits 0 to 4: 300 steps of AdamW from a seed of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(2024)
        model, batch = _finetuned(), minibatches(_halves()[0], 64, 2024)
        opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for k in range(300):
            opt.zero_grad()
            cross_entropy(model, batch(k)).backward()
            opt.step()
        return model.state_dict()


def _finetuned() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 5),
    )  # fmt: skip


def digits_finetune(seed: int) -> Problem:
    """A network that knows the digits 0 to 4 learns 5 to 9 from 200 images; all weights move, the head is new."""
    model, (_, few, held) = _finetuned(), _halves()
    fresh = {k: v for k, v in model.state_dict().items() if k.startswith("7.")}
    model.load_state_dict(_pretrained() | fresh)
    return Problem(model, cross_entropy, minibatches(few, 32, seed), classification(held))


def _idx(path: Path) -> Tensor:
    """Reads an IDX file of bytes: two zeros, the type, the rank, the sizes, the values."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rank = raw[3]
    shape = np.frombuffer(raw, ">i4", rank, offset=4).astype(np.int64)
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def _fashion_files() -> list[Path] | None:
    own = os.environ.get("STEEPEST_DATA")
    roots = [Path(own), Path(own) / "FashionMNIST" / "raw", Path(own) / "fashion-mnist"] if own else []
    for root in (*roots, *PLACES):
        found = [next((p for p in (root / name, root / f"{name}.gz") if p.is_file()), None) for name in IDX]
        if None not in found:
            return [p for p in found if p is not None]
    return None


def _no_fashion() -> str | None:
    if _fashion_files():
        return None
    return ("its data are not on this machine: install the Debian package dataset-fashion-mnist, "
            "or set STEEPEST_DATA to a folder with the four IDX files")  # fmt: skip


@lru_cache(maxsize=1)
def _fashion() -> tuple[Batch, Batch]:
    files = _fashion_files()
    assert files is not None, _no_fashion()
    x, y, x_held, y_held = (_idx(path) for path in files)

    def scaled(images: Tensor) -> Tensor:
        return images.unsqueeze(1).float() / 255 - 0.3

    return (scaled(x), y.long()), (scaled(x_held[:2000]), y_held[:2000].long())  # 2,000 are enough and quick


def fashion_mnist(seed: int) -> Problem:
    """Two convolutions on 28x28 images of clothes."""
    train, held = _fashion()
    model = nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 25, 10),
    )  # fmt: skip
    return Problem(model, cross_entropy, minibatches(train, 64, seed), classification(held))


IMAGES = (
    Workload("digits-conv", "2-layer convolutional network with batch norm, scikit-learn digits", digits_conv,
             300 * STEP),
    Workload("digits-autoencoder", "deep autoencoder with a neck of 8, scikit-learn digits", digits_autoencoder,
             400 * STEP),
    Workload("digits-finetune", "a network pretrained on the digits 0-4, fine-tuned to 5-9 with 200 images",
             digits_finetune, 200 * STEP),
    Workload("fashion-mnist", "2-layer convolutional network, Fashion-MNIST (where installed)", fashion_mnist,
             600 * STEP, reason_to_skip=_no_fashion),
)  # fmt: skip
