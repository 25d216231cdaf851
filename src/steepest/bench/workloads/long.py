"""A long run: a small language model of today on text that does not repeat before the budget is spent.

The text is the source of the standard library, 450 files, as words and signs; every stretch of it is met once at most,
so that there is nothing to learn by heart and the loss falls to the end. Every 20th file is held out whole. The network
is what language models are built of now, very small: normalisation by the root mean square before each block, positions
by rotation (Su et al. 2021, arXiv 2104.09864), a gate in the feed-forward part (SwiGLU: Shazeer 2020, arXiv
2002.05202), one table for words read and words written.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches
from steepest.bench.workloads.graph import library
from steepest.bench.workloads.text import no_source

WORDS = 1000  # the 999 most frequent, and one for all others
TIME = 48  # words in a row
HELD = 200  # rows: 9,600 words
STEPS, ROWS = 2000, 8  # of a run, and of a batch: STEPS * ROWS are fewer than there are


@lru_cache(maxsize=1)
def stretches() -> tuple[Batch, Batch]:
    """(words, next words) in rows of TIME, one file after the other; tables of character sets are left out."""
    texts = [re.findall(r"[^\W\d]\w*|\d+|\n\s*|[^\w\s]", source) for place, source in library().items()
             if not place.startswith("encodings.")]  # fmt: skip
    counts = Counter(word for i, text in enumerate(texts) if i % 20 for word in text)
    index = {word: i for i, (word, _) in enumerate(counts.most_common(WORDS - 1))}

    def rows(kept: list[list[str]]) -> Batch:
        ids = torch.tensor([index.get(word, WORDS - 1) for text in kept for word in text])
        cut = ids[: len(ids) // (TIME + 1) * (TIME + 1)].view(-1, TIME + 1)
        return cut[:, :-1], cut[:, 1:]

    held = rows(texts[::20])
    some = torch.randperm(len(held[0]), generator=torch.Generator().manual_seed(2024))[:HELD]
    train = rows([text for i, text in enumerate(texts) if i % 20])
    return train, (held[0][some], held[1][some])


def rotated(x: Tensor) -> Tensor:
    """Pairs of the last axis, turned by an angle that grows with the place: (..., time, width of a head)."""
    time, half = x.shape[-2], x.shape[-1] // 2
    angle = torch.arange(time).unsqueeze(1) * 100.0 ** -(torch.arange(half) / half)
    one, other = x.chunk(2, -1)
    return torch.cat([one * angle.cos() - other * angle.sin(), one * angle.sin() + other * angle.cos()], dim=-1)


class Layer(nn.Module):
    """Attention to what came before, and a feed-forward part with a gate; each adds to what it gets."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.RMSNorm(width), nn.RMSNorm(width)
        self.look, self.found = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(2 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of x: (batch, time, width)."""
        queries, keys, values = self.look(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(rotated(queries), rotated(keys), values, is_causal=True)
        x = x + self.found(seen.transpose(1, 2).flatten(2))
        gate, value = self.up(self.between(x)).chunk(2, -1)
        out: Tensor = x + self.down(nn.functional.silu(gate) * value)
        return out


class Decoder(nn.Module):
    """Words to logits of the next words; the table of words is used at both ends."""

    def __init__(self, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width)
        self.layers, self.norm = nn.Sequential(*(Layer(width, heads) for _ in range(layers))), nn.RMSNorm(width)
        nn.init.normal_(self.words.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps words (batch, time) to logits (batch, time, WORDS)."""
        return nn.functional.linear(self.norm(self.layers(self.words(x))), self.words.weight)


def stdlib_long(seed: int) -> Problem:
    """Next word of Python's source, no stretch of it twice."""
    train, held = stretches()
    return Problem(Decoder(), cross_entropy, minibatches(train, ROWS, seed), classification(held, chunk=128))


LONG = (
    Workload("stdlib-long", "2,000 steps of a language model (2 layers, 64 wide) on text that does not repeat",
             stdlib_long, STEPS * STEP, reason_to_skip=no_source),
)  # fmt: skip
