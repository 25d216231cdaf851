"""Eight bits of optimizer state train as well as thirty-two, because they are rounded at random and without bias.

AdamW on the byte-level transformer, same learning rate, same batches, with states in float32, bfloat16 and 8 bits. Then
the reason: after two thousand gradients of unit noise the second moment must be one, which is seen from outside by the
length of a step. The control rounds the same 8-bit numbers (three bits of mantissa) to nearest: a moving average that
moves by less than half a rounding step then stands still, and with β₂ = 0.999 it moves by a thousandth.
"""

from __future__ import annotations

import statistics
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import Run, settings, train, tuned
from steepest.claims.lab.tasks import Fit, cosine, fit


class ToNearest(steepest.direction.Adam):
    """Adam whose moments are rounded to the nearest number with three bits of mantissa after each step."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Adam's map; only what is stored is rounded."""
        d, new = super().__call__(g, x, s, h)
        return d, {name: nearest(value) for name, value in new.items()}


def nearest(x: Tensor) -> Tensor:
    """Round to three bits of mantissa.

    >>> nearest(torch.tensor([1.0, 1.05, 1.07, -3.1])).tolist()
    [1.0, 1.0, 1.125, -3.0]
    """
    return ((x.contiguous().view(torch.int32) + (1 << 19)) & ~((1 << 20) - 1)).view(torch.float32)


@cache
def rounded(lr: float, seed: int, fast: bool) -> list[float]:
    """Held-out losses of AdamW with states rounded to nearest."""
    task, steps, every = settings(fast)
    curve: list[float] = []

    def make(params: Any) -> steepest.Optimizer:
        decay = steepest.geometry.Decay(weight_decay=0.01)
        return steepest.Optimizer(params, lr=lr, direction=ToNearest(), geometry=decay, lift="eager")

    def look(k: int, run: Fit) -> None:
        if k % every == 0:
            curve.append(min(task.cost(run.model, task.test), 1e3))

    fit(task, make, seed, steps, look, decay=cosine)
    return curve + [1e3] * (steps // every - len(curve))


def moment(fast: bool, control: bool, codec: str) -> float:
    """The mean second moment after unit noise (1 is right), from the length of a step on the gradient 1 (β₁ = 0)."""
    x = torch.nn.Parameter(torch.zeros(4096))
    rule = ToNearest if control and codec == "int8" else steepest.direction.Adam
    options: Any = {"lift": "eager"} if control and codec == "int8" else {"codec": codec}
    opt = steepest.Optimizer([x], lr=1.0, direction=rule(beta1=0.0), **options)
    generator = torch.Generator().manual_seed(0)
    steps = 1_000 if fast else 2_000
    for _ in range(steps):
        x.grad = torch.randn(4096, generator=generator)
        opt.step()
    before = x.detach().clone()
    x.grad = torch.ones(4096)
    opt.step()
    corrected = (before - x.detach()) ** -2.0 * (1 - 0.999 ** (steps + 1))
    return float(((corrected - 0.001) / 0.999).mean()) / (1 - 0.999**steps)


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses above float32's, paired by seed, and bytes of state."""
    seeds = 1 if fast else 3
    full = tuned("AdamW", fast, seeds)
    lr = full[0].lr
    small = {
        codec: [train("AdamW", lr, s, fast, (("codec", codec),)) for s in range(seeds)]
        for codec in ("bfloat16", "int8")
    }
    curves: dict[str, list[list[float]]] = {codec: [r.curve for r in runs] for codec, runs in small.items()}
    if control:
        curves["int8"] = [rounded(lr, s, fast) for s in range(seeds)]
    above = {
        c: statistics.mean(a[-1] - b.curve[-1] for a, b in zip(rows, full, strict=True)) for c, rows in curves.items()
    }
    numbers = {"above_int8": above["int8"], "above_bfloat16": above["bfloat16"], "float32": _last(full),
               "bytes_int8": small["int8"][0].state / full[0].state,
               "bytes_bfloat16": small["bfloat16"][0].state / full[0].state}  # fmt: skip
    numbers |= {f"moment_{codec}": abs(moment(fast, control, codec) - 1) for codec in ("int8", "bfloat16")}
    shown: Any = {"int8": curves["int8"], "bfloat16": curves["bfloat16"], "float32": [r.curve for r in full]}
    drawn = {label: (full[0].times, rows) for label, rows in shown.items()}
    return Measured(numbers, [Lines("held-out loss", "steps", "nats a byte", drawn)])


def _last(runs: list[Run]) -> float:
    return statistics.mean(r.curve[-1] for r in runs)


CLAIMS = (
    Claim(
        name="eight-bit-states",
        sentence="Optimizer states in 8 bits keep the performance of 32 bits at a fraction of the memory, with the same "
        "hyper-parameters.",
        source=Source("dettmers2022eightbit", "abstract; our format and rounding are not the paper's"),
        methods=("AdamW",),
        bounds=(
            Bound("above_int8", "≤", 0.02, "nats a byte above float32 with 8-bit states, mean over seeds"),
            Bound("above_bfloat16", "≤", 0.02, "the same with bfloat16 states"),
            Bound("moment_int8", "≤", 0.05, "relative error of the mean second moment under unit noise, 8 bits"),
            Bound("moment_bfloat16", "≤", 0.05, "the same in bfloat16"),
            Bound("bytes_int8", "≤", 0.3, "bytes of state relative to float32, 8 bits"),
        ),
        experiment=experiment,
        control="the same 8-bit numbers rounded to nearest",
        seeds=3,
        minutes=2.0,
        untested="The paper's dynamic data type; large models and long runs.",
        note="This is a claim about the engine: every method has these storage formats. In so short a run rounding to nearest "
        "does not hurt the loss either; what fails there is the second moment.",
    ),
)
