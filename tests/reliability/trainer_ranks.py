"""A job for two processes: Hugging Face's Trainer under DDP, and a plain DDP loop beside it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tests.processes import leave
from tests.reliability.loops import STEPS, make
from tests.reliability.test_hugging_face import noisy_rows, trainer

WORLD, WINDOW = 2, 2
METHODS = ("AdamW", "SAM", "PoNoS", "ExtraAdam", "DAdaptAdam")


class Calm(nn.Module):
    """Dropout, no statistics: DDP sends those of the first process to the others at each forward."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(self.body(x), labels)}


def beside(name: str, rank: int, random: Tensor) -> list[Tensor]:
    """Weights of the loop that anybody would write: micro-batches of two rows in turn, exchanged once a window."""
    inner = Calm()
    model, data = DistributedDataParallel(inner), noisy_rows()
    opt = make(name, inner)
    micro = [torch.utils.data.default_collate(data[k : k + 2]) for k in range(0, len(data), 2)][rank::WORLD]
    torch.set_rng_state(random)
    for k in range(0, len(micro), WINDOW):

        def closure(k: int = k) -> Tensor:
            opt.zero_grad()
            losses = []
            for j in range(k, k + WINDOW):
                with contextlib.nullcontext() if j == k + WINDOW - 1 else model.no_sync():
                    losses.append(model(**micro[j])["loss"] / WINDOW)
                    if torch.is_grad_enabled():
                        losses[-1].backward()
            return losses[0].detach() + losses[1].detach()

        closure.may_skip_backward = True  # type: ignore[attr-defined]
        opt.step(closure)
    return [p.detach() for p in inner.parameters()]


def job(rank: int, folder: str) -> None:
    """What each process runs: all methods, and a file that says which were equal."""
    torch.set_num_threads(1)
    meeting = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORLD, "MASTER_ADDR": "127.0.0.1",
               "MASTER_PORT": (Path(folder) / "port").read_text()}  # fmt: skip
    os.environ.update({name: str(value) for name, value in meeting.items()})
    found: dict[str, Any] = {}
    for name in METHODS:
        model = Calm()
        made = trainer(Path(folder), model, make(name, model), noisy_rows(), per_device_train_batch_size=2,
                       gradient_accumulation_steps=WINDOW, ddp_backend="gloo")  # fmt: skip
        made.train()
        right = beside(name, rank, made.random)
        equal = all(torch.equal(p.detach(), q) for p, q in zip(model.parameters(), right, strict=True))
        moved = not torch.equal(next(model.parameters()).detach(), next(Calm().parameters()).detach())
        found[name] = (equal, moved, made.state.global_step, [p.detach().clone() for p in model.parameters()])
    torch.save(found, Path(folder) / f"rank{rank}.pt")
    leave()


assert STEPS % WINDOW == 0
