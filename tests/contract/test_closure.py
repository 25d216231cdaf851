"""What a closure uses beside the weights: every question of a step finds it as the first did, and it moves on once."""

from __future__ import annotations

import copy
import functools
import gc
import random
import threading
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

import steepest
from steepest.core import replay

AGAIN = ("SAM", "ASAM", "SLS", "PoNoS", "ExtraAdam", "UDoG", "GAM", "SMB", "MeZO", "VaSSO")
X = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def make(name: str, params: Any, **more: Any) -> Any:
    return steepest.methods[name].make(params, **more)


def small(*first: nn.Module) -> nn.Sequential:
    """A model of a norm and a line."""
    torch.manual_seed(0)
    return nn.Sequential(*(first or (nn.BatchNorm1d(3),)), nn.Linear(3, 1))


def square(model: Callable[[Tensor], Tensor]) -> Callable[[], Tensor]:
    return lambda: model(X).square().mean()


# ---- random streams --------------------------------------------------------------------------------------------------

THEIRS, NUMPYS, OLD, PYTHONS = (torch.Generator(), np.random.default_rng(0), np.random.RandomState(0),
                                random.Random(0))  # fmt: skip
DRAWS: dict[str, Callable[[], float]] = {
    "torch": lambda: torch.rand(()).item(),
    "numpy": lambda: np.random.rand(),  # noqa: NPY002
    "python": lambda: random.random(),
    "a torch.Generator": lambda: torch.rand((), generator=THEIRS).item(),
    "a numpy Generator": lambda: NUMPYS.random(),
    "a RandomState's method": OLD.rand,
    "a random.Random": functools.partial(PYTHONS.uniform, 0, 1),
}


@pytest.mark.parametrize("stream", DRAWS)
@pytest.mark.parametrize("name", AGAIN)
def test_every_stream_is_replayed(name: str, stream: str) -> None:
    """All questions of a step draw the same number; the stream then stands where one of them leaves it."""
    model, draw, seen = small(), DRAWS[stream], list[float]()

    def closure() -> Tensor:
        seen.append(draw())
        return (1 + seen[-1]) * model(X).square().mean()

    opt, steps = make(name, model.parameters()), []
    for _ in range(3):
        seen.clear()
        opt.step(closure)
        assert len(seen) > 1
        assert len(set(seen)) == 1
        steps.append(seen[0])
    assert len(set(steps)) == 3


class Noisy(nn.Module):
    """Draws from a generator of its own, inside a method that forward calls."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.noise, self.seen = nn.Linear(3, 1), torch.Generator(), list[float]()

    def disturbed(self, x: Tensor) -> Tensor:
        e = torch.rand((), generator=self.noise) + torch.rand((), generator=THEIRS)
        self.seen.append(e.item())
        return x + e

    def forward(self, x: Tensor) -> Any:
        return self.line(self.disturbed(x))


class Loop:
    """Somebody's trainer."""

    def __init__(self) -> None:
        self.model = Noisy()

    def loss(self) -> Tensor:
        return self.answer().square().mean()

    def answer(self) -> Any:
        return self.model(X)


@pytest.mark.parametrize("style", ["lambda", "method", "partial", "attribute"])
def test_generators_are_found_behind_attributes_and_methods(style: str) -> None:
    """Where the closure leads: through the loop it belongs to, its model, and the functions that they call."""
    loop, unseen = Loop(), {"g": torch.Generator()}
    kept, closure = iter([unseen]), loop.loss
    if style == "lambda":
        closure = lambda: loop.loss()  # noqa: E731
    elif style == "partial":
        closure = functools.partial(Loop.loss, loop)
    elif style == "attribute":  # what it does not lead to can be given to it
        hidden = functools.partial(next, kept)
        generator = hidden()["g"]
        loop.model.noise = generator

        def closure() -> Tensor:
            return loop.loss()

        closure.generators = [generator]  # type: ignore[attr-defined]
    opt = steepest.SAM(loop.model.parameters(), lr=0.1)
    for _ in range(2):
        opt.step(closure)
    first, second, third, fourth = loop.model.seen
    assert (first, third) == (second, fourth)
    assert first != third


def test_next_gives_each_question_its_own() -> None:
    """An iterator is not entered: methods whose theory wants a batch for each question get one."""
    model, batches, seen = small(), iter(range(10)), list[int]()

    def closure() -> Tensor:
        seen.append(next(batches))
        return model(X).square().mean()

    steepest.SAM(model.parameters(), lr=0.1).step(closure)
    assert seen == [0, 1]


def test_the_search_ends() -> None:
    """Circles, functions that name themselves, long lists, empty cells, proxies and modules of Python."""

    class Proxy:
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise RuntimeError("outside of context")

    circle: list[Any] = [Proxy(), types, gc, range(5), object()]
    circle.append(circle)
    long = [torch.Generator() for _ in range(replay.LARGEST + 1)]

    def closure() -> Any:
        return circle, long, closure, later, random, torch

    modules, generators = replay.reached(closure)
    assert (modules, generators) == ([], [])
    later = 1
    assert later


# ---- buffers ---------------------------------------------------------------------------------------------------------


class Direct(nn.Module):
    """Runs its norm by ``.forward``."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.line = nn.BatchNorm1d(3, affine=False), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Any:
        return self.line(self.norm.forward(x))


def _functional() -> Any:
    model = small()
    params = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
    return model[0], [*params.values()], lambda: torch.func.functional_call(model, params, (X,)).square().mean()


def _teacher() -> Any:
    model, teacher = small(), small().requires_grad_(False)
    return teacher[0], [*model.parameters()], lambda: (model(X) - teacher(X)).square().mean()


def _of(model: Any, norm: Any, run: Any = None) -> Any:
    return norm, [*model.parameters()], square(run or model)


WHERE: dict[str, Callable[[], Any]] = {
    "by .forward": lambda: _of(m := Direct(), m.norm),
    "without parameters": lambda: _of(m := small(nn.BatchNorm1d(3, affine=False)), m[0]),
    "compiled": lambda: _of(m := small(), m[0], torch.compile(m, backend="aot_eager")),
    "scripted": lambda: _of(m := torch.jit.script(small()), m[0]),
    "functional": _functional,
    "a teacher": _teacher,
    "outside of the optimizer": lambda: ((m := small())[0], [*m[1].parameters()], square(m)),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", ["SAM", "SLS", "MeZO", "UDoG"])
def test_statistics_change_once_a_step(name: str, where: str) -> None:
    """However the norm is run, and whoever owns its parameters."""
    norm, params, closure = WHERE[where]()
    opt, mean = make(name, params), norm.running_mean.clone()
    for t in range(3):
        opt.step(closure)
        assert int(norm.num_batches_tracked) == t + 1
    if where != "a teacher":  # the input's statistics do not depend on any weight
        for _ in range(3):
            mean.lerp_(X.mean(0), 0.1)
        torch.testing.assert_close(norm.running_mean, mean)


class Own(nn.Module):
    """Statistics of one's own: replaced, written in place, and written by a kernel that moves no version."""

    replaced: Tensor
    written: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.line, self.instance = nn.Linear(3, 3), nn.InstanceNorm1d(6, track_running_stats=True)
        for name in ("replaced", "written", "mean", "mask"):
            self.register_buffer(name, torch.zeros(3))
        self.register_buffer("spread", torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.line(x)
        self.replaced = 0.9 * self.replaced + 0.1 * h.detach().mean(0)
        self.written.lerp_(h.detach().mean(0), 0.1)
        h = nn.functional.batch_norm(h, self.mean, self.spread, training=True)
        return self.instance(h.expand(1, 6, 3))


@pytest.mark.parametrize(
    "model", [Own(), nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))], ids=["own", "spectral"]
)
def test_other_buffers_change_once_a_step(model: nn.Module) -> None:
    """To the bit as after one forward, at a step of length zero."""
    twin = copy.deepcopy(model)
    opt = steepest.SAM(model.parameters(), lr=0.0, rho=0.5)
    for t in range(5):
        opt.step(square(model))
        twin(X)
        for name, buffer in model.named_buffers():
            assert torch.equal(buffer, twin.get_buffer(name)), (t, name)
        if t == 2:
            model.eval(), twin.eval()
        if t == 3:
            model.train(), twin.train()


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "in one module"])
def test_threads_do_not_meet(apart: bool) -> None:
    """Two models with BatchNorm in two threads go where they go one after the other."""

    def trained(together: bool) -> list[Tensor]:
        torch.manual_seed(0)
        both = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)) for _ in range(2)]
        models, data, failed = both if apart else nn.ModuleList(both), [torch.randn(16, 4) for _ in both], []

        def train(k: int) -> None:
            try:
                opt = steepest.SAM(models[k].parameters(), lr=0.05)
                for _ in range(60):
                    opt.step(lambda: (models[k](data[k]) - 1).square().mean())
            except RuntimeError as error:
                failed.append(error)

        threads = [threading.Thread(target=train, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
            if not together:
                thread.join()
        for thread in threads:
            thread.join()
        assert not failed
        return [t for m in models for t in m.state_dict().values()]

    for a, b in zip(trained(False), trained(True), strict=True):
        torch.testing.assert_close(a, b)


# ---- compilation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["plain", "zero"])
@pytest.mark.parametrize("name", ["AdamW", "SAM", "SLS", "MeZO"])
def test_a_compiled_model_is_compiled_once(name: str, style: str) -> None:
    """With gradients and without: nothing that a step does invalidates the guards."""
    torch._dynamo.reset()
    counters.clear()
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    fast, opt = torch.compile(model, backend="eager"), make(name, model.parameters())

    def closure() -> Tensor:
        loss: Tensor = fast(X).square().mean()
        if style == "zero":
            model.zero_grad(set_to_none=False)
            loss.backward()
        return loss

    for _ in range(12):
        opt.step(closure)
    assert 1 <= counters["stats"]["unique_graphs"] <= 3


@pytest.mark.parametrize("name", ["AdamW", "SAM"])
def test_a_step_inside_a_compiled_function(name: str) -> None:
    """One break of the graph, without a warning, and the weights of the loop that is not compiled."""
    torch._dynamo.reset()

    def trained(compiled: bool) -> list[Tensor]:
        model = small()
        opt = make(name, model.parameters())

        def step() -> Any:
            if name == "SAM":
                return opt.step(square(model))
            opt.zero_grad()
            square(model)().backward()
            return opt.step()

        run = torch.compile(step, backend="eager") if compiled else step
        for _ in range(4):
            run()
        return [p.detach() for p in model.parameters()]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trained(True)
    for a, b in zip(trained(False), found, strict=True):
        assert torch.equal(a, b)
