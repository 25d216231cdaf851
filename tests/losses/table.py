"""The table of the room of losses: how each is called, and calls that must be refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest import losses
from steepest.losses import checks

State = dict[str, Tensor]
EXAMPLES, CLASSES = 9, 4


@dataclass(frozen=True)
class Row:
    """One loss.

    Args:
        loss: ``(outputs, targets, state, **given) -> (loss, state)``.
        draw: n examples in a type from a generator: outputs, targets, and what is given by name.
        start: the state that a run begins with, in a type.
        bad: names or arguments that are replaced, and the error that is then raised.
    """

    loss: Callable[..., tuple[Tensor, State]]
    draw: Callable[[int, torch.dtype, torch.Generator], tuple[Tensor, Any, dict[str, Any]]]
    start: Callable[[torch.dtype], State] = lambda dtype: {}
    bad: list[tuple[dict[str, Any], str]] = field(default_factory=list)


def classes(n: int, dtype: torch.dtype, g: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Logits, labels, and which examples they are."""
    index = torch.randperm(EXAMPLES, generator=g)[:n]
    return (
        torch.randn(n, CLASSES, dtype=dtype, generator=g),
        torch.randint(CLASSES, (n,), generator=g),
        {"index": index},
    )


def pairs(n: int, dtype: torch.dtype, g: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Log-probabilities of two answers, under policy and reference."""
    first, second = (F.logsigmoid(3 * torch.randn(n, 2, dtype=dtype, generator=g)) * 9 for _ in range(2))
    return first, second, {}


def numbers(n: int, dtype: torch.dtype, g: torch.Generator) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Two vectors."""
    first, second = (torch.randn(n, dtype=dtype, generator=g) for _ in range(2))
    return first, second, {}


def flooded(outputs: Tensor, targets: Tensor, state: State, *, level: float = 0.7) -> tuple[Tensor, State]:
    """Flooding is done to a loss: here to the mean square error."""
    return losses.flood(checks.mean((outputs - targets).square()), level), state


def soft(outputs: Tensor, targets: Tensor, state: State, *, scale: float = 0.5) -> tuple[Tensor, State]:
    """So is the soft minimum, to squares."""
    return losses.soft_min((outputs - targets).square(), scale), state


ROWS = {
    "early_learning": Row(
        losses.early_learning, classes, lambda t: losses.early_learning_state(EXAMPLES, CLASSES, torch.zeros(0, dtype=t)),
        [({"outputs": torch.ones(3)}, r"outputs must be floating-point numbers of shape \(n, classes\), got torch.float32 of"),
         ({"targets": torch.ones(2, dtype=torch.long)}, r"targets must be integers of shape \(3,\)"),
         ({"targets": torch.full((3,), 7)}, r"targets must lie in \[0, 4\), got 7"),
         ({"index": torch.tensor([0, 1, -1])}, r"index must lie in \[0, 9\), got -1"),
         ({"state": {}}, r"state\['targets'\] must be floating-point numbers of shape \(n, 4\), got NoneType"),
         ({"weight": -1.0}, r"weight must lie in \[0, inf\), got -1"),
         ({"decay": "a"}, "decay must be a number"),
         ({"decay": 1.0}, r"decay must lie in \[0, 1\)")],
    ),
    "dr_dpo": Row(
        losses.dr_dpo, pairs,
        bad=[({"outputs": torch.ones(3, 3)}, r"outputs must be floating-point numbers of shape \(n, 2\)"),
             ({"targets": torch.ones(4, 2)}, "as many rows, got 3 and 4"),
             ({"beta": 0.0}, r"beta must lie in \(0, inf\)"),
             ({"scale": math.nan}, r"scale must lie in \(0, inf\]")],
    ),
    "flood": Row(flooded, numbers, bad=[({"level": math.nan}, "level must be finite")]),
    "soft_min": Row(soft, numbers, bad=[({"scale": 0.0}, r"scale must lie in \(0, inf\]"),
                                        ({"outputs": torch.ones(3, 3)}, r"losses must have shape \(n,\)")]),
}  # fmt: skip

#: what is in the room and is no loss
OTHERS = {"early_learning_state"}
