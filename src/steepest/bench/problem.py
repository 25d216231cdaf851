"""The tasks of a benchmark: a workload builds, for a seed, one problem to train.

A *problem* is five things: a model, a loss of (model, batch), the k-th training batch as a function of k, an evaluation
that is never timed, and a budget. That the batches are a function of k and not an iterator is the whole trick: the same
seed gives every method the same batches (runs are paired), and a run that was stopped at step k goes on at step k
without replaying what came before.

A *workload* is the recipe: a name, a budget, a frozen target and the function `build(seed) -> Problem`. It may have a
reason to be skipped (data that this machine does not have), and then says it in words instead of failing.

Budgets are counted in gradient-equivalents: a forward pass is 1, a backward pass 2, a Hessian-vector product 4, so that
one plain training step costs 3 and one step of a method that takes two gradients costs 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steepest.bench.errors import UsageError

STEP = 3.0  # gradient-equivalents of one plain training step: one forward, one backward
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Problem:
    """One training problem, ready to run.

    Attributes:
        model: the module whose parameters are trained.
        loss: `loss(model, batch)`, a scalar tensor.
        batch: `batch(k)`, the k-th training batch, k = 0, 1, 2, …; the same k must give the same batch every time.
        evaluate: `evaluate(model)`, numbers by name, `"loss"` among them (held-out data, lower is better). The model is
            in evaluation mode and gradients are off.
        budget: gradient-equivalents a run may spend; 3 per plain training step.
        target: the held-out loss that counts as solved once a run has reached it and stays at or below it to its end. It
            has to lie below the loss before the first step. None (default): the median of what the reference method
            ends at within the same bench.
    """

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]
    batch: Callable[[int], Any]
    evaluate: Callable[[nn.Module], Mapping[str, float]]
    budget: float = 500 * STEP
    target: float | None = None


def refuse_met(workload: str, seed: int, target: float | None, start: float | None) -> None:
    """Refuses a target that nothing has to be done for.

    Raises:
        UsageError: the loss is at or below it before the first step.
    """
    if target is not None and start is not None and start <= target:
        raise UsageError(
            f"workload {workload!r}: target {target:g} is met before the first step (with seed {seed} the loss begins at "
            f"{start:.4g}); give a lower one, or target=None for what the reference method ends at"
        )


def always_there() -> str | None:
    """Returns no reason to skip."""
    return None


@dataclass(frozen=True)
class Workload:
    """A recipe for problems.

    Attributes:
        name: how the command line calls it.
        summary: one line: model, data, what makes it hard.
        build: `build(seed)`: the same initial weights and batches for a seed, whichever method is run.
        budget: gradient-equivalents of a run.
        target: frozen held-out loss, or None.
        reason_to_skip: None, or why this machine cannot run it.
        fingerprint: changes when the workload's definition does (a user's own file); part of the identity of a run.
    """

    name: str
    summary: str
    build: Callable[[int], Problem]
    budget: float
    target: float | None = None
    reason_to_skip: Callable[[], str | None] = always_there
    fingerprint: str = ""


def minibatches(data: Sequence[Tensor], size: int, seed: int) -> Callable[[int], Batch]:
    """Endless shuffled mini-batches as a function of the step, every row once an epoch.

    Args:
        data: tensors with the same number of rows.
        size: rows in a batch; the last, smaller batch of an epoch is left out.
        seed: with the epoch's number it decides the order.

    Returns:
        `batch(k)`: the rows of step k of every tensor.
    """
    rows = len(data[0])
    size = min(size, rows)
    per_epoch = rows // size
    kept: dict[int, Tensor] = {}  # the order of the current epoch only

    def batch(k: int) -> Batch:
        epoch, place = divmod(k, per_epoch)
        if epoch not in kept:
            kept.clear()
            kept[epoch] = torch.randperm(rows, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        chosen = kept[epoch][place * size : (place + 1) * size]
        return tuple(tensor[chosen] for tensor in data)

    return batch


def split(data: Sequence[Tensor], held_out: int) -> tuple[Batch, Batch]:
    """Splits rows into (training, held-out); the same split for every seed, for the target belongs to it."""
    order = torch.randperm(len(data[0]), generator=torch.Generator().manual_seed(2024))
    return tuple(t[order[held_out:]] for t in data), tuple(t[order[:held_out]] for t in data)


def classification(data: Batch, chunk: int = 2048) -> Callable[[nn.Module], dict[str, float]]:
    """Held-out cross-entropy and accuracy of a model that maps `data[:-1]` to logits of the classes `data[-1]`."""

    def evaluate(model: nn.Module) -> dict[str, float]:
        loss, right, count = 0.0, 0.0, 0
        for start in range(0, len(data[-1]), chunk):
            *x, y = (tensor[start : start + chunk] for tensor in data)
            logits = model(*x).flatten(0, -2)
            loss += nn.functional.cross_entropy(logits, y.flatten(), reduction="sum").item()
            right += (logits.argmax(-1) == y.flatten()).sum().item()
            count += y.numel()
        return {"loss": loss / count, "accuracy": right / count}

    return evaluate


def regression(data: Batch) -> Callable[[nn.Module], dict[str, float]]:
    """Held-out mean squared error of a model that maps `data[:-1]` to `data[-1]`."""

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"loss": nn.functional.mse_loss(model(*data[:-1]), data[-1]).item()}

    return evaluate


def cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy over all positions of the batch."""
    *x, y = batch
    return nn.functional.cross_entropy(model(*x).flatten(0, -2), y.flatten())


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error over the batch."""
    *x, y = batch
    return nn.functional.mse_loss(model(*x), y)
