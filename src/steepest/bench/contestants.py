"""Who takes part: every method of `steepest.methods`, and torch's own optimizers as the ones to beat.

A method of the library is taken as it is. A torch optimizer is named `torch.Class` and has the defaults of torch; the
search spaces here are those used when it is tuned, and by the runs that froze the targets. Two methods of other packages
that also want no tuning take part under their import names, where they are installed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

import steepest
from steepest.bench.errors import UsageError, unknown

REFERENCE = "torch.AdamW"  # the method a recommendation is compared with
Space = Mapping[str, tuple[Any, ...]]
Hyper = dict[str, Any]

_LR, _BETA2 = ("log", 1e-4, 1.0), ("choice", 0.9, 0.99, 0.999)
TORCH: dict[str, Space] = {
    "SGD": {"lr": ("log", 1e-4, 3.0), "momentum": ("choice", 0.9, 0.95, 0.99), "nesterov": ("choice", False, True)},
    "AdamW": {"lr": _LR, "betas": ("choice", (0.9, 0.99), (0.9, 0.999), (0.95, 0.99)),
              "weight_decay": ("choice", 0.0, 0.01, 0.1)},
    "Adam": {"lr": _LR, "betas": ("choice", (0.9, 0.99), (0.9, 0.999), (0.95, 0.99))},
    "NAdam": {"lr": _LR},
    "RAdam": {"lr": _LR},
    "Adamax": {"lr": _LR},
    "RMSprop": {"lr": _LR, "alpha": _BETA2},
    "Adagrad": {"lr": _LR},
    "Adadelta": {"lr": ("log", 1e-2, 10.0)},
    "Adafactor": {"lr": _LR},
}  # fmt: skip
#: optimizers of other packages, which take part where they are installed (the extra "rivals")
OTHERS: dict[str, Space] = {
    "schedulefree.AdamWScheduleFree": {"lr": _LR, "weight_decay": ("choice", 0.0, 0.01, 0.1)},
    "prodigyopt.Prodigy": {"d_coef": ("log", 0.1, 10.0), "weight_decay": ("choice", 0.0, 0.01, 0.1)},
}


@dataclass(frozen=True)
class Contestant:
    """One method as the runner sees it.

    Attributes:
        name: as on the command line.
        make: `make(params, **hyper)`, a torch optimizer.
        space: where tuning draws from; empty: nothing to tune.
        counts: whether the optimizer counts its own evaluations (`opt.counters`) and calls backward itself.
    """

    name: str
    make: Callable[..., torch.optim.Optimizer]
    space: Space
    counts: bool


def names() -> list[str]:
    """All methods that can take part."""
    return [*steepest.methods, *(f"torch.{name}" for name in TORCH), *OTHERS]


def find(name: str) -> Contestant:
    """The method of that name.

    Raises:
        UsageError: if there is none.
    """
    if name.startswith("torch.") and name[6:] in TORCH:
        return Contestant(name, getattr(torch.optim, name[6:]), TORCH[name[6:]], counts=False)
    if name in steepest.methods:
        method = steepest.methods[name]
        return Contestant(name, method.make, method.space, counts=True)
    if name in OTHERS:
        package, _, kind = name.partition(".")
        if find_spec(package) is None:
            raise UsageError(f"{name} needs the package {package}: pip install {package}")
        return Contestant(name, getattr(import_module(package), kind), OTHERS[name], counts=False)
    raise unknown("method", name, names(), "`steepest list` shows all, and torch's own are torch.AdamW, torch.SGD, …")


def options(bounds: Sequence[Any]) -> Sequence[Any]:
    """What a choice is from: given one by one, or as one list."""
    return bounds[0] if len(bounds) == 1 and isinstance(bounds[0], (list, tuple)) else bounds


def rounded(value: float) -> float:
    """To three digits, so that what is printed is what was run."""
    return float(f"{value:.3g}")


def draw(space: Space, trial: int) -> Hyper:
    """The hyper-parameters of a trial: a random point of the space, the same for the same trial number.

    By hand and not by a sampler of Optuna, for the recorded targets and results were tuned by these very draws.

    Ranges are `("log", low, high)`, `("linear", low, high)`, `("int", low, high)` or `("choice", a, b, …)`. Numbers are
    rounded to three digits.
    """
    hyper: Hyper = {}
    for name, (kind, *bounds) in sorted(space.items()):
        rng = np.random.default_rng([trial, *name.encode()])  # one stream a name: adding a name moves no other
        if kind == "choice":
            hyper[name] = options(bounds)[int(rng.integers(len(options(bounds))))]
        elif kind == "int":
            hyper[name] = int(rng.integers(bounds[0], bounds[1] + 1))
        elif kind in ("log", "linear", "uniform"):
            low, high = (math.log(b) for b in bounds) if kind == "log" else bounds
            value = float(rng.uniform(low, high))
            hyper[name] = rounded(math.exp(value) if kind == "log" else value)
        else:
            raise UsageError(f"search space of {name!r} has kind {kind!r}; give log, linear, int or choice")
    return hyper


def settings_of(opt: torch.optim.Optimizer) -> Hyper:
    """What the optimizer really ran with: the plain values of its first parameter group."""
    plain = (bool, int, float, str, tuple, list, type(None))
    hide = {"params", "foreach", "maximize", "capturable", "differentiable", "fused"}
    named = inspect.signature(type(opt)).parameters  # a group also carries what the method remembers between steps
    return {k: v for k, v in opt.param_groups[0].items() if k in named and k not in hide and isinstance(v, plain)}


def state_bytes(opt: torch.optim.Optimizer, params: Iterable[Tensor]) -> float:
    """Bytes of optimizer state per parameter, measured.

    What has no axis beside a parameter that has some is a single number of the method (a step counter), and so is `step`
    beside any; these are not counted.
    """
    params = list(params)
    shapes = dict(enumerate(p.shape for group in opt.param_groups for p in group["params"]))

    def size(thing: object, number: bool) -> int:
        if isinstance(thing, Tensor):
            return 0 if number and thing.ndim == 0 else thing.numel() * thing.element_size()
        if isinstance(thing, Mapping):
            return sum(size(part, number or name == "step") for name, part in thing.items())
        return sum(size(part, number) for part in thing) if isinstance(thing, (list, tuple)) else 0

    state = opt.state_dict()["state"]
    return sum(size(of, number=bool(shapes.get(i, (1,)))) for i, of in state.items()) / sum(p.numel() for p in params)
