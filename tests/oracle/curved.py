"""What methods with second derivatives are run on: a problem whose Hessian is dense and known, and what is shared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import steepest
from steepest.core.draws import seed_of
from steepest.core.step import Run
from steepest.engine import shard
from tests.oracle.problems import Problem, Vector, join

Drawn = Callable[[int, int], Vector]  # the random signs of step t, sample j


class Coupled(Problem):
    """½ xᵀAx + ¼ Σ x⁴ with a full A, over a kernel, a matrix and a vector; curved both ways."""

    start = [
        np.linspace(-1, 1, 12).reshape(2, 2, 3),
        np.linspace(0.5, -0.7, 8).reshape(2, 4),
        np.array([0.3, -0.9, 1.1]),
    ]

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        B = random.standard_normal((23, 23))
        self.A = np.asarray((B + B.T) / 8 + np.diag(np.linspace(-0.2, 2.0, 23)))

    def loss(self, x: Vector, t: int) -> float:
        return float(x @ self.A @ x / 2 + (x**4).sum() / 4)

    def grad(self, x: Vector, t: int) -> Vector:
        return np.asarray(self.A @ x + x**3)

    def hessian(self, x: Vector) -> Vector:
        return np.asarray(self.A + np.diag(3 * x**2))

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        x = torch.cat([q.reshape(-1) for q in p])
        return x @ torch.from_numpy(self.A) @ x / 2 + (x**4).sum() / 4


COUPLED = Coupled()


def bekas(f: Coupled, x: Vector, t: int, z: Drawn, samples: int = 1) -> Vector:
    """The mean of z ⊙ Hz."""
    return np.mean([z(t, j) * (f.hessian(x) @ z(t, j)) for j in range(samples)], axis=0)


def drawn(seed: int, t: int, j: int) -> Vector:
    """The signs of one step and sample, tensor by tensor."""
    random = torch.Generator().manual_seed(seed_of(seed, t, j))
    return join([torch.randint(0, 2, p.shape, generator=random) * 2 - 1 for p in COUPLED.start])


class OwnLabels(steepest.oracle.GaussNewtonBartlett):
    """The closures of the tables ask for no labels: these are the loss's own, fourteen over all processes."""

    @contextlib.contextmanager
    def _drawing(self, run: Run) -> Iterator[Any]:
        with super()._drawing(run) as draw:
            draw.count = 14 // shard.processes()
            yield draw


_BEFORE = "the closure calls backward itself, and second derivatives need the loss before that: the error says so"
_TWICE = [
    *(f"{name}-{style}" for name in ("randomness_moves_on_as_after_one_question", "dropout_is_replayed_and_norms_count_once")
      for style in ("own_backward", "micro_batches")),
    *(f"a_closure_may_call_backward_itself-{style}" for style in ("none", "zero", "model", "hand", "data")),
    *(f"a_closure_may_scale_and_clip-{style}" for style in ("scaled", "clipped")),
    "a_closure_adds_to_what_is_there", "the_loss_comes_back-one_buffer", "every_question_is_counted-own_backward",
    "set_to_none_is_set_to_zero", "micro_batches_add_up",
]  # fmt: skip
#: they backpropagate twice, so the closure must leave the first time to them
TWICE = dict.fromkeys(_TWICE, _BEFORE) | {
    "gradients_are_only_read": "gradients come from autograd.grad, which runs no hooks"
}
#: where the signs go on with the count of the group
PHASE = dict.fromkeys(
    ("state_may_be_forgotten-cleared", "state_may_be_forgotten-assigned"),
    "random signs are drawn by the count of the group, which goes on",
)
