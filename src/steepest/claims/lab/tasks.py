"""What claims are measured on: real data that comes with scikit-learn and with Python itself, small networks, one loop.

Weights and batches are functions of the seed alone, so at one seed all methods start from the same point and see the
same batches: comparisons are paired.
"""

from __future__ import annotations

import io
import math
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest

MODULES = (
    "argparse ast bdb calendar cmd codecs configparser copy csv datetime difflib dis doctest enum fractions ftplib "
    "functools gettext heapq imaplib inspect ipaddress locale mailbox mimetypes optparse pdb pickle pickletools platform "
    "plistlib poplib pprint profile pstats queue random sched shelve shlex shutil smtplib socket statistics string "
    "subprocess tarfile tempfile textwrap threading timeit trace traceback turtle typing uuid weakref zipfile"
).split()

Make = Callable[[Any], torch.optim.Optimizer]  # parameters -> optimizer
Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """Something to train.

    Args:
        model: a fresh model for a seed.
        train: inputs and labels.
        test: inputs and labels.
        loss: of predictions and labels.
        batch: rows in a mini-batch.
    """

    model: Callable[[int], nn.Module]
    train: Data
    test: Data
    loss: Callable[[Tensor, Tensor], Tensor]
    batch: int

    def batches(self, seed: int) -> Iterator[Data]:
        """Endless mini-batches, every row once an epoch."""
        generator = torch.Generator().manual_seed(1_000 + seed)
        x, y = self.train
        while True:
            for rows in torch.randperm(len(x), generator=generator).split(self.batch):
                if len(rows) == self.batch:
                    yield x[rows], y[rows]

    @property
    def epoch(self) -> int:
        """Steps in an epoch."""
        return len(self.train[0]) // self.batch

    def cost(self, model: nn.Module, data: Data, chunk: int = 2048) -> float:
        """Mean loss over all rows."""
        with torch.no_grad():
            parts = [float(self.loss(model(x), y)) * len(x)
                     for x, y in zip(data[0].split(chunk), data[1].split(chunk), strict=True)]  # fmt: skip
        return sum(parts) / len(data[0])

    def accuracy(self, model: nn.Module) -> float:
        """Part of the test rows whose largest output is the label."""
        with torch.no_grad():
            return float((model(self.test[0]).argmax(-1) == self.test[1]).double().mean())


@dataclass
class Fit:
    """A finished run: the model, its optimizer, the loss of each step's mini-batch before the step."""

    model: nn.Module
    opt: torch.optim.Optimizer
    losses: list[float]

    @property
    def diverged(self) -> bool:
        """Whether a loss was not finite."""
        return not all(map(math.isfinite, self.losses))


def fit(task: Task, make: Make, seed: int, steps: int, each: Callable[[int, Fit], None] | None = None,
        decay: Callable[[float], float] | None = None) -> Fit:  # fmt: skip
    """Train.

    Args:
        task: what.
        make: the optimizer of a model's parameters.
        seed: of weights and batches.
        steps: how many.
        each: called after every step with the number of steps done.
        decay: multiplier of the learning rate as a function of the part that is done.
    """
    model = task.model(seed)
    opt = make(model.parameters())
    run = Fit(model, opt, [])
    batches = task.batches(seed)
    start = [group["lr"] for group in opt.param_groups]
    for k in range(steps):
        x, y = next(batches)
        if decay is not None:
            for group, lr in zip(opt.param_groups, start, strict=True):
                group["lr"] = lr * decay(k / steps)

        def closure(x: Tensor = x, y: Tensor = y) -> Tensor:
            return task.loss(model(x), y)

        run.losses.append(float(opt.step(closure)))  # type: ignore[arg-type]
        if not math.isfinite(run.losses[-1]):
            break
        if each is not None:
            each(k + 1, run)
    return run


def cosine(done: float) -> float:
    """The cosine schedule, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * done))


def best(values: dict[float, float]) -> float:
    """The key of the smallest finite value."""
    return min((v if math.isfinite(v) else math.inf, k) for k, v in values.items())[1]


def state_bytes(opt: torch.optim.Optimizer) -> int:
    """Memory of all tensors in the optimizer's state, step counts left out."""
    return sum(t.numel() * t.element_size() for s in opt.state.values() for t in s.values()
               if isinstance(t, Tensor) and t.dim() > 0)  # fmt: skip


def _split(x: Tensor, y: Tensor, held_out: int, split: int) -> tuple[Data, Data]:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(2024 + split))
    x, y = x[order], y[order]
    return (x[held_out:], y[held_out:]), (x[:held_out], y[:held_out])


@cache
def digits_data(split: int = 0) -> tuple[Data, Data]:
    """1,000 training and 797 test images of 8 x 8 handwritten digits, pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return _split(torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target), 797, split)


def network(*widths: int, hidden: Callable[[], nn.Module] = nn.ReLU) -> Callable[[int], nn.Module]:
    """A fully connected net as a function of its seed."""

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for a, b in pairwise(widths):
                layers += [nn.Linear(a, b), hidden()]
            return nn.Sequential(*layers[:-1])

    return build


def digits(*widths: int, batch: int = 64, hidden: Callable[[], nn.Module] = nn.ReLU, split: int = 0) -> Task:
    """Digits by a net with these hidden widths; none: multinomial logistic regression, from zero."""
    train, test = digits_data(split)
    build = network(64, *widths, 10, hidden=hidden)
    return Task(build if widths else zeros(build), train, test, F.cross_entropy, batch)


def digits_squares(batch: int, split: int = 0) -> Task:
    """Digits by linear least squares with the ten classes as targets, from zero."""
    (x, y), (u, v) = digits_data(split)
    train, test = (x, F.one_hot(y, 10).float()), (u, F.one_hot(v, 10).float())
    return Task(zeros(network(64, 10)), train, test, F.mse_loss, batch)


def zeros(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """The model with all weights zero, as linear models start."""

    def built(seed: int) -> nn.Module:
        model = build(seed)
        for p in model.parameters():
            nn.init.zeros_(p)
        return model

    return built


def breast_cancer(batch: int = 32, split: int = 0) -> Task:
    """Two classes from 30 standardised features; logistic regression from zero."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    x = torch.tensor(data.data, dtype=torch.float32)
    train, test = _split((x - x.mean(0)) / x.std(0), torch.tensor(data.target), 285, split)
    return Task(zeros(network(30, 2)), train, test, F.cross_entropy, batch)


def diabetes(batch: int = 32, split: int = 0) -> Task:
    """Linear least squares on ten standardised features, from zero."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes()
    x = torch.tensor(data.data, dtype=torch.float32)
    y = torch.tensor(data.target, dtype=torch.float32)
    train, test = _split((x - x.mean(0)) / x.std(0), ((y - y.mean()) / y.std())[:, None], 221, split)
    return Task(zeros(network(10, 1)), train, test, F.mse_loss, batch)


def source_files() -> list[str]:
    """Old, quiet modules of Python's standard library, as text.

    Raises:
        FileNotFoundError: this Python came without its sources.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    found = [(root / f"{m}.py").read_text(encoding="utf-8") for m in MODULES if (root / f"{m}.py").is_file()]
    if sum(map(len, found)) < 500_000:
        raise FileNotFoundError("the sources of Python's standard library are not installed")
    return found


@cache
def tokens(count: int, vocabulary: int) -> Tensor:
    """The first tokens of the standard library's source as ranks in frequency; the last rank is for all others."""
    kinds = {tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING}
    words: list[str] = []
    for file in source_files():
        words += [t.string for t in tokenize.generate_tokens(io.StringIO(file).readline) if t.type in kinds]
        if len(words) >= count:
            break
    rank = {word: i for i, (word, _) in enumerate(Counter(words[:count]).most_common(vocabulary - 1))}
    return torch.tensor([rank.get(word, vocabulary - 1) for word in words[:count]])


class Bytes(nn.Module):
    """A decoder over bytes: pre-norm layers without dropout."""

    def __init__(self, width: int, layers: int, context: int) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(256, width), nn.Embedding(context, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 256, bias=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(context), persistent=False)
        for table in (self.embed, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Bytes (batch, time) to logits (batch, time, 256)."""
        h = self.embed(x) + self.place.weight
        for layer in self.layers:
            h = layer(h, src_mask=self.mask, is_causal=True)
        logits: Tensor = self.head(self.norm(h))
        return logits


@cache
def language(width: int = 64, layers: int = 2, context: int = 32, batch: int = 16) -> Task:
    """Next byte of Python's own source by a small transformer."""
    raw = torch.frombuffer(bytearray("\n".join(source_files()).encode()), dtype=torch.uint8).long()
    rows = raw[: len(raw) // (context + 1) * (context + 1)].view(-1, context + 1)
    held = torch.arange(len(rows)) % 40 == 0

    def build(seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Bytes(width, layers, context)

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), y.flatten())

    train, test = rows[~held], rows[held][:: 1 + int(held.sum()) // 200]
    return Task(build, (train[:, :-1], train[:, 1:]), (test[:, :-1], test[:, 1:]), loss, batch)


def sgd(lr: float, **more: Any) -> Make:
    """SGD as a function of the parameters; so a grid is a list of these."""
    return lambda params: steepest.SGD(params, lr=lr, **more)
