"""What Python says about itself: the docstrings of its standard library, as words.

Two workloads: from which of 77 modules a docstring comes (turtle has 174, string has 3: most classes are rare, and the
few texts are soon known by heart), and the next word, by a long short-term memory whose gradients are not clipped.

Whole docstrings are held out, and a text that stands in several places is taken once, so that none is in both parts.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import nn

from steepest.bench.problem import STEP, Batch, Problem, Workload, classification, cross_entropy, minibatches, split
from steepest.bench.workloads.text import Recurrent, no_source, sources

END, RARE = 0, 1  # after a docstring, and in the place of a word that is not among the most frequent
TOPIC_WORDS, NEXT_WORDS = 2000, 800
LENGTH = 48  # words of a docstring from which its module is guessed
TIME = 32  # words in a row of the recurrent network


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|[^\sa-z]", text.lower())


@lru_cache(maxsize=1)
def docstrings() -> dict[str, str]:
    """The module of each docstring; where a text stands in several places, the first."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found: dict[str, str] = {}
    for module, source in sources().items():
        nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
        for text in filter(None, map(ast.get_docstring, nodes)):
            found.setdefault(" ".join(_words(text)), module)
    return found


@lru_cache(maxsize=1)
def parts() -> tuple[list[str], list[str]]:
    """Texts to learn from, and an eighth to be held out."""
    texts = list(docstrings())
    train, held = split((torch.arange(len(texts)),), held_out=len(texts) // 8)
    return [texts[i] for i in train[0].tolist()], [texts[i] for i in held[0].tolist()]


def _index(texts: Iterable[str], size: int) -> dict[str, int]:
    """Numbers of the most frequent words, from 2 on."""
    counts = Counter(word for text in texts for word in text.split())
    return {word: i for i, (word, _) in enumerate(counts.most_common(size - 2), start=2)}


@lru_cache(maxsize=1)
def topics() -> tuple[Batch, Batch]:
    """(words, module) of the docstrings, cut or filled up with END to LENGTH words."""
    modules = {name: i for i, name in enumerate(sorted(set(docstrings().values())))}
    index = _index(parts()[0], TOPIC_WORDS)

    def rows(texts: list[str]) -> Batch:
        x = torch.full((len(texts), LENGTH), END)
        for i, text in enumerate(texts):
            ids = [index.get(word, RARE) for word in text.split()[:LENGTH]]
            x[i, : len(ids)] = torch.tensor(ids)
        return x, torch.tensor([modules[docstrings()[text]] for text in texts])

    train, held = map(rows, parts())
    return train, held


def docstrings_topic(seed: int) -> Problem:
    """Which module a docstring comes from, by the mean of its words' vectors."""
    train, held = topics()
    classes = 1 + max(int(part[1].max()) for part in (train, held))
    model = nn.Sequential(
        nn.EmbeddingBag(TOPIC_WORDS, 96, mode="mean", padding_idx=END), nn.Linear(96, 128), nn.ReLU(),
        nn.Linear(128, classes),
    )  # fmt: skip
    return Problem(model, cross_entropy, minibatches(train, 64, seed), classification(held))


@lru_cache(maxsize=1)
def sentences() -> tuple[Batch, Batch]:
    """(words, next words) in rows of TIME, one docstring after the other."""
    index = _index(parts()[0], NEXT_WORDS)

    def rows(texts: list[str]) -> Batch:
        ids = torch.tensor([i for text in texts for i in (*(index.get(w, RARE) for w in text.split()), END)])
        cut = ids[: len(ids) // (TIME + 1) * (TIME + 1)].view(-1, TIME + 1)
        return cut[:, :-1], cut[:, 1:]

    train, (x, y) = map(rows, parts())
    return train, (x[:256], y[:256])  # 256 rows are enough and quick


def docstrings_lstm(seed: int) -> Problem:
    """Next word of a docstring by a recurrent network."""
    train, held = sentences()
    model = Recurrent(NEXT_WORDS, 64, nn.LSTM)
    return Problem(model, cross_entropy, minibatches(train, 16, seed), classification(held, chunk=128))


DOCSTRINGS = (
    Workload("docstrings-topic", "which of 77 modules a docstring comes from: bag of words, unequal classes",
             docstrings_topic, 300 * STEP, reason_to_skip=no_source),
    Workload("docstrings-lstm", "next word of Python's docstrings (LSTM, 96 wide, 800 words)", docstrings_lstm,
             400 * STEP, reason_to_skip=no_source),
)  # fmt: skip
