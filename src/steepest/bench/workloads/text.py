"""Text that every Python carries: its own standard library.

Three workloads: a byte-level transformer, a recurrent network on the same bytes, and the prediction of the next token of
source code among a thousand classes. The last is heavy-tailed: a few classes (`(`, `,`, `self`) make up half of the data
and most classes are rare, which is where sign-like and adaptive methods leave plain SGD behind.

The text is a fixed list of old, quiet modules, so that Python versions differ little; a module that is missing is left
out.
"""

from __future__ import annotations

import io
import sysconfig
import tokenize
from collections import Counter
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches

MODULES = (
    "argparse ast base64 bdb bisect calendar cmd code codecs configparser copy csv datetime difflib dis doctest "
    "enum filecmp fileinput fractions ftplib functools gettext glob gzip heapq hmac imaplib inspect ipaddress locale "
    "mailbox mimetypes netrc numbers operator optparse pathlib pdb pickle pickletools platform plistlib poplib pprint "
    "profile pstats queue random sched selectors shelve shlex shutil smtplib socket socketserver ssl statistics string "
    "subprocess tarfile tempfile textwrap threading timeit trace traceback turtle typing uuid warnings wave weakref "
    "webbrowser zipapp zipfile"
).split()
CONTEXT = 64  # bytes the transformer sees
CLASSES = 1000  # the 999 most frequent tokens, and one for all others
WINDOW = 8  # tokens before the one to be guessed


@lru_cache(maxsize=1)
def sources() -> dict[str, str]:
    """The text of each module that is there."""
    root = Path(sysconfig.get_paths()["stdlib"])
    return {m: (root / f"{m}.py").read_text(encoding="utf-8") for m in MODULES if (root / f"{m}.py").is_file()}


def no_source() -> str | None:
    """None, or how little of the source there is."""
    found = sum(map(len, sources().values()))
    return None if found > 500_000 else f"only {found} characters of the standard library's source are on this machine"


@lru_cache(maxsize=1)
def _bytes() -> tuple[Batch, Batch]:
    raw = bytearray("\n".join(sources().values()).encode("utf-8"))
    text = torch.frombuffer(raw, dtype=torch.uint8).long()
    rows = text[: len(text) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
    keep = torch.arange(len(rows)) % 40 != 0  # every 40th stretch is held out
    train, held = rows[keep], rows[~keep][:128]
    return (train[:, :-1], train[:, 1:]), (held[:, :-1], held[:, 1:])


class Transformer(nn.Module):
    """A decoder of two pre-norm layers, 64 wide, 4 heads, over bytes."""

    def __init__(self, width: int = 64, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(256, width), nn.Embedding(CONTEXT, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 256, bias=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT), persistent=False)
        for table in (self.embed, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps bytes (batch, time) to logits (batch, time, 256)."""
        h = self.embed(x) + self.place.weight
        for layer in self.layers:
            h = layer(h, src_mask=self.mask, is_causal=True)
        logits: Tensor = self.head(self.norm(h))
        return logits


def stdlib_lm(seed: int) -> Problem:
    """Next byte of Python source by a small transformer."""
    train, held = _bytes()
    return Problem(Transformer(), cross_entropy, minibatches(train, 8, seed), classification(held, chunk=64))


class Recurrent(nn.Module):
    """One recurrent layer, 96 wide, over tokens of so many kinds."""

    def __init__(self, kinds: int, wide: int, cell: type[nn.GRU] | type[nn.LSTM], width: int = 96) -> None:
        super().__init__()
        self.embed, self.cell, self.head = (
            nn.Embedding(kinds, wide),
            cell(wide, width, batch_first=True),
            nn.Linear(width, kinds),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (batch, time) to logits (batch, time, kinds)."""
        logits: Tensor = self.head(self.cell(self.embed(x))[0])
        return logits


def stdlib_gru(seed: int) -> Problem:
    """Next byte of Python source by a recurrent network."""
    train, held = _bytes()
    return Problem(
        Recurrent(256, 32, nn.GRU), cross_entropy, minibatches(train, 8, seed), classification(held, chunk=64)
    )


@lru_cache(maxsize=1)
def _tokens() -> tuple[Batch, Batch]:
    kinds = {tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING}
    words = [t.string for s in list(sources().values())[:40] for t in tokenize.generate_tokens(io.StringIO(s).readline)
             if t.type in kinds]  # fmt: skip
    index = {word: i for i, (word, _) in enumerate(Counter(words).most_common(CLASSES - 1))}
    ids = torch.tensor([index.get(word, CLASSES - 1) for word in words])
    rows = ids.unfold(0, WINDOW + 1, 1)
    held = torch.arange(len(rows)) // 500 % 20 == 0  # whole stretches are held out, not single windows that overlap
    train, test = rows[~held], rows[held][::2]
    return (train[:, :-1], train[:, -1]), (test[:, :-1], test[:, -1])


class NextToken(nn.Module):
    """A linear softmax over the embedded window: one table, one matrix."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(CLASSES, width), nn.Linear(width * WINDOW, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Maps windows (batch, WINDOW) to logits (batch, CLASSES)."""
        logits: Tensor = self.head(self.embed(x).flatten(1))
        return logits


def stdlib_tokens(seed: int) -> Problem:
    """Next token of Python source among 1,000 classes of very unequal size."""
    train, held = _tokens()
    return Problem(NextToken(), cross_entropy, minibatches(train, 128, seed), classification(held))


TEXT = (
    Workload("stdlib-tokens", "next-token softmax, 1,000 Zipf-distributed classes, Python's own source", stdlib_tokens,
             400 * STEP, reason_to_skip=no_source),
    Workload("stdlib-lm", "byte-level transformer (2 layers, 64 wide), Python's own source", stdlib_lm, 400 * STEP,
             reason_to_skip=no_source),
    Workload("stdlib-gru", "byte-level recurrent network (GRU, 96 wide), Python's own source", stdlib_gru, 400 * STEP,
             reason_to_skip=no_source),
)  # fmt: skip
