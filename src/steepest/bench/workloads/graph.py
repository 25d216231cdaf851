"""The standard library as a graph: on one side its modules, on the other the names of attributes that they use.

There is a link between `zipfile` and `seek` because `zipfile.py` writes `.seek` somewhere. A message-passing network
guesses which links are missing. It has nothing to go by but the other links: each module and each name has a vector that
is learnt, and takes in the mean of the vectors that it is linked with (GraphSAGE, Hamilton, Ying & Leskovec 2017, arXiv
1706.02216). The links of a batch carry no messages while they are guessed; a fifth of all are held out and never carry
any. Beside the links stand as many pairs that are not linked, for a batch drawn anew, for what is held out drawn once.
"""

from __future__ import annotations

import ast
import sysconfig
from collections import Counter
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, minibatches, split
from steepest.bench.workloads.text import no_source

LEFT_OUT = {"test", "tests", "site-packages", "idlelib", "lib2to3", "turtledemo", "__pycache__", "pydoc_data"}
FEWEST = 5  # modules that use a name, or it is left out
LINKS = 64  # of a batch, and as many pairs that are not linked


@lru_cache(maxsize=1)
def library() -> dict[str, str]:
    """The source of every file of the standard library, by its place with dots; tests and applications left out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    places = {path: path.relative_to(root).with_suffix("").parts for path in sorted(root.rglob("*.py"))}
    return {
        ".".join(place): path.read_text(encoding="utf-8", errors="replace")
        for path, place in places.items()
        if not LEFT_OUT & set(place) and not place[0].startswith(("_sysconfigdata", "config-"))
    }


@lru_cache(maxsize=1)
def links() -> tuple[Tensor, tuple[int, int]]:
    """The links as rows (module, name), and how many there are of both."""
    used = [
        {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
        for source in library().values()
    ]
    counts = Counter(name for names in used for name in names)
    number = {name: i for i, name in enumerate(sorted(name for name, n in counts.items() if n >= FEWEST))}
    rows = sorted((i, number[name]) for i, names in enumerate(used) for name in names if name in number)
    return torch.tensor(rows), (len(used), len(number))


def table(rows: Tensor) -> Tensor:
    """Ones where there is a link: (modules, names)."""
    filled = torch.zeros(links()[1])
    filled[rows[:, 0], rows[:, 1]] = 1
    return filled


def beside(rows: Tensor, known: Tensor, seed: int) -> Batch:
    """The links, and as many random pairs that are not known to be linked; and which are which."""
    random = torch.Generator().manual_seed(seed)
    draws = torch.stack([torch.randint(n, (4 * len(rows),), generator=random) for n in known.shape], dim=-1)
    pairs = torch.cat([rows, draws[known[draws[:, 0], draws[:, 1]] == 0][: len(rows)]])
    return pairs, (torch.arange(len(pairs)) < len(rows)).float()


@lru_cache(maxsize=1)
def parts() -> tuple[Tensor, Batch]:
    """Links to learn from; held-out pairs, and which of them are linked."""
    (train,), (held,) = split((links()[0],), held_out=len(links()[0]) // 5)
    return train, beside(held, table(links()[0]), seed=2024)


class Messages(nn.Module):
    """Two rounds of messages along the links; the score of a pair is a product of two vectors."""

    def __init__(self, known: Tensor, width: int = 32) -> None:
        super().__init__()
        self.known: Tensor
        self.register_buffer("known", known, persistent=False)
        self.modules_, self.names = (nn.Parameter(torch.randn(n, width) / width**0.5) for n in known.shape)
        self.to_modules, self.to_names = (
            nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2)) for _ in range(2)
        )
        self.often = nn.Linear(width, 1)  # some names are used by most

    def forward(self, pairs: Tensor) -> Tensor:
        """Maps pairs (rows, 2) to logits (rows,); the pairs themselves carry no messages."""
        along = self.known.index_put((pairs[:, 0], pairs[:, 1]), torch.zeros(()))
        mean, mean_back = (a / a.sum(1, keepdim=True).clamp(min=1) for a in (along, along.T))
        m: Tensor = self.modules_
        n: Tensor = self.names
        for to_modules, to_names in zip(self.to_modules, self.to_names, strict=True):
            m, n = (
                m + torch.relu(to_modules(torch.cat([m, mean @ n], dim=-1))),
                n + torch.relu(to_names(torch.cat([n, mean_back @ m], dim=-1))),
            )
        one, other = m[pairs[:, 0]], n[pairs[:, 1]]
        logits: Tensor = (one * other).sum(-1) + self.often(other).squeeze(-1)
        return logits


def link_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of linked or not, in nats a pair."""
    pairs, linked = batch
    return nn.functional.binary_cross_entropy_with_logits(model(pairs), linked)


def stdlib_names(seed: int) -> Problem:
    """Which module of the standard library uses which name, by message passing."""
    train, held = parts()
    known, rows = table(train), minibatches((train,), LINKS, seed)

    def batch(k: int) -> Batch:
        return beside(rows(k)[0], known, seed * 1_000_003 + k)

    def evaluate(model: nn.Module) -> dict[str, float]:
        logits, linked = model(held[0]), held[1]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, linked)
        return {"loss": loss.item(), "accuracy": ((logits > 0) == (linked > 0)).float().mean().item()}

    return Problem(Messages(known), link_loss, batch, evaluate)


GRAPH = (
    Workload("stdlib-names", "which module of the standard library uses which name, by message passing on the graph",
             stdlib_names, 500 * STEP, reason_to_skip=no_source),
)  # fmt: skip
