"""A factorization machine on columns of categories: is a name called, at this place of Python's source?

    score = b + Σ_i w_i + Σ_{i<j} ⟨v_i, v_j⟩       over the five categories that are on          (Rendle 2010, equation 1)

A row is a name in the source of the standard library: its module, itself, the sign before it, the name before it, and the
first name of its line; the answer is whether an opening bracket follows. Categories are as unequal as in tables of clicks
or purchases: most of the thousands of rows of the two embedding tables get a gradient of exactly zero in almost every
batch, and `self` is in nearly all of them.

Whole stretches of the source are held out. A category that the training part has not met twice is "other" in its column.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, minibatches
from steepest.bench.workloads.text import no_source, sources

COLUMNS = 5
STRETCH = 500  # rows in a row of the source; every twentieth stretch is held out
MODULES = 40  # of the standard library that are read
SIGNS = {tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING}
FACTORS = 16  # numbers of a category's vector


def _names(module: str, source: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The five categories of each name of a module, and whether the name is called; definitions are left out."""
    signs = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type in SIGNS]
    earlier, first, line = "", "", 0
    for i, sign in enumerate(signs[:-1]):
        if sign.type != tokenize.NAME or keyword.iskeyword(sign.string):
            continue
        if sign.start[0] != line:
            first, line = sign.string, sign.start[0]
        before = signs[i - 1].string if i else ""
        if before not in ("def", "class"):
            yield (module, sign.string, before, earlier, first), signs[i + 1].string == "("
        earlier = sign.string


@lru_cache(maxsize=1)
def calls() -> tuple[Batch, Batch, int]:
    """(numbers of five categories, called or not), to learn from and held out; and how many categories there are."""
    rows = [row for module in list(sources())[:MODULES] for row in _names(module, sources()[module])]
    held = torch.arange(len(rows)) // STRETCH % 20 == 0
    counts = Counter(
        item for (categories, _), out in zip(rows, held.tolist(), strict=True) if not out
        for item in enumerate(categories)
    )  # fmt: skip
    number = {item: i for i, item in enumerate(sorted(k for k, n in counts.items() if n > 1), start=COLUMNS)}
    x = torch.tensor([[number.get(item, item[0]) for item in enumerate(categories)] for categories, _ in rows])
    y = torch.tensor([float(called) for _, called in rows])
    return (x[~held], y[~held]), (x[held], y[held]), COLUMNS + len(number)


class FactorizationMachine(nn.Module):
    """A weight and a vector for every category."""

    def __init__(self, categories: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.weights, self.vectors = nn.Embedding(categories, 1), nn.Embedding(categories, FACTORS)
        nn.init.zeros_(self.weights.weight)
        nn.init.normal_(self.vectors.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps categories (rows, columns) to logits (rows,)."""
        v = self.vectors(x)
        pairs = (v.sum(1).square() - v.square().sum(1)).sum(-1) / 2  # each pair once: Rendle's lemma 3.1
        score: Tensor = self.bias + self.weights(x).sum((1, 2)) + pairs
        return score


def call_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of called or not, in nats a row."""
    x, called = batch
    return nn.functional.binary_cross_entropy_with_logits(model(x), called)


def stdlib_calls(seed: int) -> Problem:
    """Whether a name of Python's source is called, by a factorization machine of five columns."""
    train, held, categories = calls()

    def evaluate(model: nn.Module) -> dict[str, float]:
        logits, called = model(held[0]), held[1]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, called)
        return {"loss": loss.item(), "accuracy": ((logits > 0) == (called > 0)).float().mean().item()}

    return Problem(FactorizationMachine(categories), call_loss, minibatches(train, 128, seed), evaluate)


FACTORIZATION = (
    Workload("stdlib-calls", "factorization machine: is a name called? five columns of unequal categories", stdlib_calls,
             400 * STEP, reason_to_skip=no_source),
)  # fmt: skip
