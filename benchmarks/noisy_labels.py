"""Flat minima on Fashion-MNIST with wrong labels: accuracy and sharpness of SGD and of points that ask nearby, paired.

Each method trains the same small convolutional network from the same weights on the same batches; a fraction of the
training labels is replaced by a wrong one. The radius is chosen for each method and each noise level on a validation
split with a seed of its own, the learning rate for SGD alone. Every finished run is a line of a file, so a run that was
killed goes on where it stopped.

    python benchmarks/noisy_labels.py [--jobs 2] [--runs FILE] [--out docs/results/noisy-labels.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from study import done_before, interval, key, wave
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.bench.workloads.images import _fashion_files, _idx, _no_fashion
from steepest.landscape import Loss, sam_sharpness, top_eigenvalues

TRAIN, VALID, TEST, BATCH, EPOCHS = 3_000, 3_000, 10_000, 128, 20
CURVE, PROBE = 2_000, 1_000  # test images by epoch, and training images for sharpness
NOISE, SEEDS, TUNING_SEED = (0.0, 0.2, 0.4), (0, 1, 2, 3, 4), 100
RATES = (0.02, 0.05, 0.1, 0.2)
Make = Callable[[Any, float, float], torch.optim.Optimizer]
#: how a method is made from (parameters, lr, radius), and the radii to choose from
METHODS: dict[str, tuple[Make, tuple[float, ...]]] = {
    "SGD": (lambda p, lr, r: steepest.SGD(p, lr=lr, momentum=0.9, weight_decay=5e-4), (0.0,)),
    "SGD, twice the epochs": (lambda p, lr, r: steepest.SGD(p, lr=lr, momentum=0.9, weight_decay=5e-4), (0.0,)),
    "SAM": (lambda p, lr, r: steepest.SAM(p, lr=lr, rho=r, momentum=0.9, weight_decay=5e-4), (0.02, 0.05, 0.1)),
    "GAM": (lambda p, lr, r: steepest.GAM(p, lr=lr, rho=r, momentum=0.9, weight_decay=5e-4), (0.02, 0.05, 0.1)),
    "VaSSO": (lambda p, lr, r: steepest.VaSSO(p, lr=lr, rho=r, momentum=0.9, weight_decay=5e-4), (0.02, 0.05, 0.1)),
    "InfoSAM": (lambda p, lr, r: steepest.InfoSAM(p, lr=lr, rho=r, momentum=0.9, weight_decay=5e-4), (0.02, 0.05, 0.1)),
}  # fmt: skip


@cache
def images() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and test images and labels."""
    files = _fashion_files()
    if files is None:
        raise SystemExit(f"Fashion-MNIST: {_no_fashion()}")
    x, y, tx, ty = (_idx(path) for path in files)
    return x.unsqueeze(1).float() / 255 - 0.3, y.long(), tx.unsqueeze(1).float() / 255 - 0.3, ty.long()


def corrupted(y: Tensor, noise: float, seed: int) -> Tensor:
    """Labels of which a fraction was moved to one of the nine wrong classes."""
    g = torch.Generator().manual_seed(seed)
    wrong = torch.rand(len(y), generator=g) < noise
    return torch.where(wrong, (y + torch.randint(1, 10, (len(y),), generator=g)) % 10, y)


def network() -> nn.Module:
    """Two convolutions and two linear layers, 110 thousand weights; no normalisation, so that sharpness has a scale."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(32 * 36, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """The fraction that is classified right."""
    with torch.no_grad():
        right = [(model(a).argmax(1) == b).float().sum() for a, b in zip(x.split(2000), y.split(2000), strict=True)]
    return float(sum(right)) / len(y)


def train(name: str, noise: float, lr: float, radius: float, seed: int, tuning: bool) -> dict[str, Any]:
    """One run: accuracy on what was held out, and where it ended."""
    torch.set_num_threads(1)
    x, y, tx, ty = images()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    mine, held = order[:TRAIN], order[TRAIN : TRAIN + VALID]
    hx, hy = (x[held], y[held]) if tuning else (tx[:TEST], ty[:TEST])
    x, clean = x[mine], y[mine]
    labels = corrupted(clean, noise, seed)
    torch.manual_seed(seed)
    model = network()
    opt = METHODS[name][0](model.parameters(), lr, radius)
    epochs = EPOCHS * (2 if "twice" in name else 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs * (TRAIN // BATCH))
    shuffle = torch.Generator().manual_seed(seed + 1)
    curve, start = [], time.process_time()
    for _ in range(epochs):
        for rows in torch.randperm(TRAIN, generator=shuffle)[: TRAIN // BATCH * BATCH].split(BATCH):
            opt.step(lambda rows=rows: F.cross_entropy(model(x[rows]), labels[rows]))  # type: ignore[misc]
            schedule.step()
        curve.append(accuracy(model, hx[:CURVE], hy[:CURVE]))
    end = {"test": accuracy(model, hx, hy), "curve": curve, "seconds": time.process_time() - start}
    if not tuning:
        probe = slice(0, PROBE)
        loss = Loss(model, lambda: F.cross_entropy(model(x[probe]), labels[probe]))
        end["train_loss"] = loss.value()
        end["clean_train"] = accuracy(model, x, clean)
        end["lambda_max"] = top_eigenvalues(loss, k=1, tol=0.01, most=30).values[0]
        end["sam_sharpness"] = sam_sharpness(loss, rho=0.05).value
    return end


def summary(done: dict[str, Any], chosen: dict[tuple[str, float], tuple[float, float]]) -> Iterator[dict[str, Any]]:
    """One row for each method and noise."""
    for noise in NOISE:
        base = [done[key("SGD", noise, *chosen["SGD", noise], s, False)] for s in SEEDS]
        for name in METHODS:
            lr, radius = chosen[name, noise]
            ends = [done[key(name, noise, lr, radius, s, False)] for s in SEEDS]
            row: dict[str, Any] = {"noise": noise, "method": name, "lr": lr, "radius": radius}
            for what in ("test", "train_loss", "clean_train", "lambda_max", "sam_sharpness", "seconds"):
                row[what] = statistics.mean(e[what] for e in ends)
            row["best_epoch"] = statistics.mean(
                max(e["curve"]) for e in ends
            )  # by the test set: a bound for stopping early
            row["paired"], row["paired_half"] = interval(
                [e["test"] - b["test"] for e, b in zip(ends, base, strict=True)]
            )
            row["tests"] = [e["test"] for e in ends]
            yield row


def main() -> None:
    """Choose, run, sum up."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--runs", type=Path, default=Path("noisy-labels.jsonl"))
    options.add_argument("--out", type=Path, default=Path("docs/results/noisy-labels.json"))
    given = options.parse_args()
    done = done_before(given.runs)

    def tried(name: str, noise: float, lr: float, radius: float) -> float:
        found: float = done[key(name, noise, lr, radius, TUNING_SEED, True)]["test"]
        return found

    rates = [("SGD", noise, lr, 0.0, TUNING_SEED, True) for noise in NOISE for lr in RATES]
    wave(train, rates, done, given.runs, given.jobs)
    lr_of = {noise: max(RATES, key=lambda lr, n=noise: tried("SGD", n, lr, 0.0)) for noise in NOISE}  # type: ignore[misc]
    radii = [(name, noise, lr_of[noise], r, TUNING_SEED, True)
             for name, (_, grid) in METHODS.items() for noise in NOISE for r in grid if len(grid) > 1]  # fmt: skip
    wave(train, radii, done, given.runs, given.jobs)
    chosen = {}
    for name, (_, grid) in METHODS.items():
        for n in NOISE:
            best = max(grid, key=lambda r, m=name, n=n: tried(m, n, lr_of[n], r)) if len(grid) > 1 else 0.0  # type: ignore[misc]
            chosen[name, n] = (lr_of[n], best)
    finals = [(name, n, *chosen[name, n], s, False) for name in METHODS for n in NOISE for s in SEEDS]
    wave(train, finals, done, given.runs, given.jobs)
    rows = list(summary(done, chosen))
    result = {
        "rows": rows,
        "settings": {"train": TRAIN, "valid": VALID, "test": TEST, "batch": BATCH, "epochs": EPOCHS, "seeds": SEEDS,
                     "schedule": "cosine", "momentum": 0.9, "weight_decay": 5e-4},
        "command": "python benchmarks/noisy_labels.py",
        "torch": torch.__version__,
    }  # fmt: skip
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(f"{row['noise']:.1f} {row['method']:22s} {row['test']:.4f} ({row['paired']:+.4f} ± {row['paired_half']:.4f})"
              f" λ {row['lambda_max']:8.2f}  sharpness {row['sam_sharpness']:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
