"""A small GPT-2 over characters: the docstrings of Python's standard library, one character after the other.

The layout is that of GPT-2 (Radford et al. 2019, section 2.3): learnt positions, layer normalisation before each block
and after the last, one table for characters read and characters written, weights drawn with standard deviation 0.02 and
those that end a block divided by the square root of how many of them there are. Embeddings, matrices and the gains of
normalisations want learning rates of different size, and the tied table gets gradients from both ends.

Whole docstrings are held out; none of them stands in both parts.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches
from steepest.bench.workloads.docstrings import parts
from steepest.bench.workloads.text import no_source

TIME = 64  # characters in a row
ROWS = 8  # of a batch
HELD = 128  # rows: 8,192 characters
SPREAD = 0.02  # standard deviation of the weights at the start


@lru_cache(maxsize=1)
def characters() -> tuple[Batch, Batch, int]:
    """(characters, next characters) in rows of TIME, to learn from and held out; and how many characters there are."""
    train, held = ("\n".join(texts) for texts in parts())
    index = {character: i for i, character in enumerate(sorted(set(train)), start=1)}  # 0: not in the training part

    def rows(text: str) -> Batch:
        ids = torch.tensor([index.get(character, 0) for character in text])
        cut = ids[: len(ids) // (TIME + 1) * (TIME + 1)].view(-1, TIME + 1)
        return cut[:, :-1], cut[:, 1:]

    x, y = rows(held)
    return rows(train), (x[:HELD], y[:HELD]), 1 + len(index)


class Block(nn.Module):
    """Causal attention and a network of one hidden layer, each added to what it gets."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.attended = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x: (batch, time, width)."""
        query, key, value = self.attend(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attended(seen.transpose(1, 2).flatten(2))
        out: Tensor = x + self.down(nn.functional.gelu(self.up(self.between(x))))
        return out


class GPT(nn.Module):
    """Characters to logits of the next ones; the table of characters is used at both ends."""

    def __init__(self, kinds: int, width: int = 64, blocks: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.table, self.place = nn.Embedding(kinds, width), nn.Embedding(TIME, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                ends = name.endswith(("attended.weight", "down.weight"))
                nn.init.normal_(weight, std=SPREAD / (2 * blocks) ** 0.5 if ends else SPREAD)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps characters (batch, time) to logits (batch, time, kinds)."""
        h = self.blocks(self.table(x) + self.place.weight)
        return nn.functional.linear(self.norm(h), self.table.weight)


def docstrings_gpt(seed: int) -> Problem:
    """Next character of a docstring by a small GPT-2."""
    train, held, kinds = characters()
    return Problem(GPT(kinds), cross_entropy, minibatches(train, ROWS, seed), classification(held, chunk=64))


GPTS = (
    Workload("docstrings-gpt", "character-level GPT-2 (2 blocks, 64 wide, tied table), Python's docstrings", docstrings_gpt,
             400 * STEP, reason_to_skip=no_source),
)  # fmt: skip
