"""What two processes do with unequal shares: of the data, of an overflow, of an exploding batch; and in windows.

Tasks for the pair that ``ranks.job`` starts, and the same in one process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import steepest
from steepest.core.norms import norm
from tests.contract.case import CASES
from tests.contract.ranks import STEPS, Uneven, batch, gathered, sharded, whole

#: the first process gets three rows of eight, the second five
SHARES = (slice(0, 3), slice(3, 8))
#: methods whose step one process could get wrong alone: they look at losses, sums over tensors, or ask again
STEPPING = ("ADoG", "AdaGradNorm", "AdaGradSQR", "AdamW", "BoxBacktracking", "DAdaptAdaGrad", "DAdaptAdam", "DAdaptDual",
            "DAdaptSGD", "DoG", "ExtraAdam", "LDoG", "MeZO", "PoNoS", "PoNoSPrec", "SAM", "SLS", "SMB", "SMBi", "SPS",
            "UDoG")  # fmt: skip
ASKING = ("AdamW", "DoG", "PoNoS", "SAM")
BAD = 2  # the step at which something happens


class Steep(Uneven):
    """At will, one entry of one gradient is infinite: it belongs to the second process's shard."""

    steep = False

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        last = self.wide[-1, -1]
        return out + torch.sqrt(last - last.detach()) if self.steep else out


def replicated(model: nn.Module) -> nn.Module:
    """Replicas, gradients averaged by DDP."""
    return DistributedDataParallel(model)


KINDS: dict[str, Callable[[nn.Module], nn.Module]] = {"ddp": replicated, "fsdp": sharded}


def error(model: nn.Module, t: int, rows: slice) -> Tensor:
    """Half the mean square error on some rows of batch t."""
    x, y = batch(t)
    loss: Tensor = (model(x[rows]) - y[rows]).square().mean() / 2
    return loss


def shared(model: nn.Module, t: int) -> Tensor:
    """What the two processes descend together: the mean of their means, though one has more rows."""
    return (error(model, t, SHARES[0]) + error(model, t, SHARES[1])) / 2


def unfair(name: str, kind: str, rank: int | None) -> list[Tensor]:
    """Three rows here, five there."""
    model = Uneven() if rank is None else KINDS[kind](Uneven())
    opt = CASES[name](model.parameters())
    for t in range(STEPS):
        opt.step(partial(shared, model, t) if rank is None else partial(error, model, t, SHARES[rank]))
    return whole(model)


def scaled(name: str, kind: str, rank: int | None, call: int = 1) -> list[Tensor]:
    """A scaler, and an overflow that only the second process can see in its shard: both leave the step out."""
    inner = Steep()
    model = inner if rank is None else KINDS[kind](inner)
    opt, scaler, calls = CASES[name](model.parameters()), torch.amp.GradScaler("cpu", init_scale=1024.0), 0
    for t in range(STEPS):

        def closure(t: int = t) -> Tensor:
            nonlocal calls
            calls += torch.is_grad_enabled()
            inner.steep = t == BAD and calls == call and torch.is_grad_enabled()
            return shared(model, t) if rank is None else error(model, t, SHARES[rank])

        calls = 0
        if rank is not None:
            opt.step(closure, scaler=scaler)
            scaler.update()
        elif t != BAD:
            opt.step(closure)
    assert rank is None or (scaler.get_scale(), opt.counters.skipped) == (512.0, 1)
    return whole(model)


def windows(name: str, kind: str, rank: int | None) -> list[Tensor]:
    """Two micro-batches a step, and gradients exchanged after the second only."""
    model: Any = Uneven() if rank is None else KINDS[kind](Uneven())
    opt = CASES[name](model.parameters())
    rows = [slice(0, 4)] if rank is None else [slice(2 * rank, 2 * rank + 2)]
    rows.append(slice(4, 8) if rank is None else slice(4 + 2 * rank, 6 + 2 * rank))

    def closure(t: int) -> Tensor:
        opt.zero_grad()
        total = torch.zeros(())
        for last, part in enumerate(rows):
            wait = rank is not None and not last
            if kind == "fsdp" and rank is not None:
                model.set_requires_gradient_sync(not wait)
            with model.no_sync() if wait and kind == "ddp" else contextlib.nullcontext():
                loss = error(model, t, part) / 2
                if torch.is_grad_enabled():
                    loss.backward()
            total += loss.detach()
        return total

    for t in range(STEPS):
        opt.step(partial(closure, t))
    return whole(model)


def exploding(name: str, kind: str, rank: int | None) -> list[Tensor]:
    """One process's batch is a thousand times too steep: all of them leave the step out."""
    model = Uneven() if rank is None else KINDS[kind](Uneven())
    opt = CASES[name](model.parameters(), oracle=steepest.oracle.SkipSpikes(listen=1))
    for t in range(STEPS):
        steep = 1e3 if t == BAD and rank == 1 else 1.0
        if rank is None and t != BAD:
            opt.step(partial(shared, model, t))
        elif rank is not None:
            opt.step(lambda t=t, steep=steep: error(model, t, SHARES[rank]) * steep)  # type: ignore[misc]
    assert rank is None or opt.counters.skipped == 1
    return whole(model)


class Cubic(steepest.direction.Direction):
    """The gradient over its 3-norm."""

    def __call__(self, g: Tensor, x: Tensor, s: Any, h: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return g / norm(g, 3.0), {}


#: parts that work on whole tensors under step sizes that measure or search, which need their sums
MEASURED: dict[str, Callable[[], dict[str, Any]]] = {
    "CAdam": lambda: {"direction": steepest.direction.Cautious(steepest.direction.Adam()), "lr": 0.1, "lift": "eager"},
    "norm": lambda: {"direction": Cubic(), "lr": 0.1},
    "eager norm": lambda: {"direction": Cubic(), "lr": 0.1, "lift": "eager"},
    "DoG": lambda: {"direction": steepest.direction.NovoGrad(), "step_size": steepest.stepsize.DoG(reps_rel=0.1)},
    "DoG on simplices": lambda: {
        "geometry": steepest.geometry.Simplex(),
        "step_size": steepest.stepsize.DoG(reps_rel=0.1),
    },
    "SLS": lambda: {"direction": steepest.direction.NovoGrad(beta1=0.0), "step_size": steepest.stepsize.SLS()},
}


def measured(name: str, kind: str, rank: int | None) -> list[Tensor]:
    """Whole-tensor parts and a step size that is the same on all processes, and the one of one process."""
    model = Uneven() if rank is None else KINDS[kind](Uneven())
    opt = steepest.Optimizer(model.parameters(), **MEASURED[name]())
    for t in range(STEPS):
        opt.step(partial(shared, model, t) if rank is None else partial(error, model, t, SHARES[rank]))
    return whole(model)


def curved(kind: str, rank: int | None) -> list[Tensor]:
    """Hessian products under SAM, in layers that FSDP gathers one by one and that the loss does not all depend on."""
    random = torch.Generator().manual_seed(0)
    sizes = ((6, 5), (5, 5), (5, 7), (3, 3))
    layers = [nn.Linear(*size) for size in sizes]
    model = nn.Sequential(*layers)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=random) * 0.4
    if rank is not None and kind == "fsdp":
        for layer in layers:
            sharded(layer)
    net: nn.Module = nn.Sequential(*layers[:3])
    net = net if rank is None else KINDS[kind](net)
    unused = list(layers[3].parameters())
    opt = steepest.SophiaH([*net.parameters(), *unused], lr=0.02, every=2, point=steepest.point.SAM(rho=0.05))
    for t in range(STEPS):
        rows = slice(None) if rank is None else (slice(0, 4), slice(4, 8))[rank]
        opt.step(partial(error, net, t, rows))
    return [*whole(net), *gathered(unused)]


Task = Callable[[int | None], list[Tensor]]


def _tasks() -> dict[str, Task]:
    rows: dict[str, tuple[Callable[..., list[Tensor]], tuple[str, ...]]] = {
        "unfair": (unfair, STEPPING), "scaled": (scaled, ASKING), "scaled-again": (partial(scaled, call=2), ("SAM",)),
        "windows": (windows, ASKING), "exploding": (exploding, ASKING),
        "measured": (measured, tuple(MEASURED)),
    }  # fmt: skip
    found: dict[str, Task] = {f"curved-{kind}": partial(curved, kind) for kind in KINDS}
    for mode, (run, names) in rows.items():
        found |= {f"{mode}-{kind}-{name}": partial(run, name, kind) for kind in KINDS for name in names}
    return found


TASKS = _tasks()
