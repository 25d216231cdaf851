"""What does asking nearby cost?  Time of a step relative to plain training, all methods in turn in one process.

    python benchmarks/flatness.py [--rounds N] [--out docs/results/flatness-cost.json]

Three models on one thread: *compute*, a convolutional network that works long for each of its weights; *memory*, a
perceptron with so many weights for so few rows that passes over the weights are what takes time; *adapters*, a frozen
transformer with low-rank adapters.  In each round every method takes one step, in an order of its own; numbers are
medians over rounds of ratios within a round, once of seconds on the wall and once of seconds of the processor, which
other programs on the machine disturb less.  Of BAR the part of SAM's overhead that is left is what its paper speaks of;
of FSAM the weights are counted that the second question finds moved.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest

Step = Callable[[], Any]
WARM = 3  # steps before the clock starts


def over_sgd() -> dict[str, Callable[[Any], torch.optim.Optimizer]]:
    """Methods over SGD with momentum, at the radius they have by default."""
    names = ("SAM", "ASAM", "VaSSO", "FSAM", "FGR", "GAM")
    made = {name: getattr(steepest, name) for name in names}
    return {"plain": lambda p: steepest.SGD(p, lr=0.01, momentum=0.9)} | {
        name: lambda p, make=make: make(p, lr=0.01, momentum=0.9)  # type: ignore[misc]
        for name, make in made.items()
    }


def convolutions() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """28 thousand weights, 64 images of 28 x 28: 1,500 multiplications a weight and image."""
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip
    x, y = torch.randn(64, 1, 28, 28), torch.randint(10, (64,))
    return model, lambda m: F.cross_entropy(m(x), y)


def perceptron() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """4.2 million weights, 16 rows."""
    model = nn.Sequential(nn.Linear(512, 2048), nn.ReLU(), nn.Linear(2048, 1536), nn.ReLU(), nn.Linear(1536, 10))
    x, y = torch.randn(16, 512), torch.randint(10, (16,))
    return model, lambda m: F.cross_entropy(m(x), y)


def transformer() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """Two frozen layers of width 384 with adapters of rank 8 on their perceptrons, 8 texts of 32 tokens."""
    layer = nn.TransformerEncoderLayer(384, 12, 1536, dropout=0.0, batch_first=True)
    model = steepest.nn.add_lora(nn.TransformerEncoder(layer, 2), rank=8, targets=["linear1", "linear2"])
    x = torch.randn(8, 32, 384)
    return model, lambda m: m(x).square().mean()


def steps(make: Any, methods: dict[str, Any]) -> tuple[dict[str, Step], dict[str, torch.optim.Optimizer], int]:
    """A step of each method, each on a model of its own, its optimizer, and the number of trained weights."""
    found, opts, weights = {}, {}, 0
    for name, method in methods.items():
        torch.manual_seed(0)
        model, loss = make()
        params = [p for p in model.parameters() if p.requires_grad]
        opt = method(model) if make is transformer else method(params)
        found[name] = lambda opt=opt, model=model, loss=loss: opt.step(lambda: loss(model))
        opts[name], weights = opt, sum(p.numel() for p in params)
    return found, opts, weights


def adapters() -> dict[str, Callable[[nn.Module], torch.optim.Optimizer]]:
    """AdamW, SAM over it, nBAR and oBAR, for a model."""

    def trained(model: nn.Module) -> list[Tensor]:
        return [p for p in model.parameters() if p.requires_grad]

    def bar(variant: str) -> Callable[[nn.Module], torch.optim.Optimizer]:
        return lambda m: steepest.BAR(trained(m), pairs=steepest.nn.pairs(m), variant=variant)

    return {
        "plain": lambda m: steepest.AdamW(trained(m), lr=5e-4, weight_decay=0.0),
        "SAM": lambda m: steepest.Optimizer(trained(m), 5e-4, direction=steepest.direction.Adam(), point=steepest.point.SAM()),
        "nBAR": bar("n"),
        "oBAR": bar("o"),
    }  # fmt: skip


def race(found: dict[str, Step], rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds on the wall and of the processor of each step in each round."""
    for step in found.values():
        for _ in range(WARM):
            step()
    wall: dict[str, list[float]] = {name: [] for name in found}
    cpu: dict[str, list[float]] = {name: [] for name in found}
    order = list(found)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            start, worked = time.perf_counter(), time.process_time()
            found[name]()
            cpu[name].append(time.process_time() - worked)
            wall[name].append(time.perf_counter() - start)
    return wall, cpu


def ratio(a: list[float], b: list[float]) -> float:
    """Median of ratios within rounds."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def moved() -> dict[str, float]:
    """The part of the weights that the second question of SAM and of FSAM finds elsewhere than the first."""
    parts = {}
    for name in ("SAM", "FSAM"):
        torch.manual_seed(0)
        model, loss = convolutions()
        opt = over_sgd()[name](model.parameters())
        seen: list[Tensor] = []

        def ask(model: nn.Module = model, loss: Any = loss, seen: list[Tensor] = seen) -> Tensor:
            seen.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
            answer: Tensor = loss(model)
            return answer

        opt.step(ask)
        opt.step(ask)
        parts[name] = float((seen[-1] != seen[-2]).float().mean())
    return parts


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("docs/results/flatness-cost.json"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    rows: dict[str, Any] = {}
    for where, make, methods in (("compute", convolutions, over_sgd()), ("memory", perceptron, over_sgd()),
                                 ("adapters", transformer, adapters())):  # fmt: skip
        found, opts, weights = steps(make, methods)
        wall, cpu = race(found, asked.rounds)
        for name, opt in opts.items():
            took: Any = opt
            rows[f"{where}/{name}"] = {
                "cpu_ms": statistics.median(cpu[name]) * 1e3,
                "wall": ratio(wall[name], wall["plain"]),
                "cpu": ratio(cpu[name], cpu["plain"]),
                "cpu_over_sam": ratio(cpu[name], cpu["SAM"]),
                "gradients": took.counters.backwards / took.counters.steps,
                "weights": weights,
            }
            print(f"{where:9s} {name:6s} {rows[f'{where}/{name}']}", flush=True)
    more = rows["adapters/SAM"]["cpu"] - 1
    left = {name: (rows[f"adapters/{name}"]["cpu"] - 1) / more for name in ("nBAR", "oBAR")}
    result = {
        "rows": rows,
        "overhead_left": left,
        "moved": moved(),
        "rounds": asked.rounds,
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
                    "torch": torch.__version__, "python": platform.python_version()},
        "command": f"python benchmarks/flatness.py --rounds {asked.rounds}",
    }  # fmt: skip
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "rows"}, indent=1))


if __name__ == "__main__":
    main()
