"""Other people's training loops: Lightning and Accelerate; the losses and weights of a plain loop.

Each test needs a package that this project does not depend on and is skipped, with the reason, where it is missing::

    bash.ci / trainers

Warnings are theirs and are let pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.reliability.loops import CLOSURE, SMALL, STEPS, in_windows, loss_of, make, net, package, plain, rows, same

pytestmark = pytest.mark.filterwarnings("ignore")

# ---- Lightning -------------------------------------------------------------------------------------------------------


def lit(lightning: ModuleType, opt: Callable[[nn.Module], Any]) -> Any:
    """A Lightning module with automatic optimization."""

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses = net(), list[float]()

        def training_step(self, batch: Any, index: int) -> Tensor:
            return loss_of(self.net, batch[0], batch[1])

        def optimizer_step(self, epoch: int, index: int, optimizer: Any, closure: Any = None) -> None:
            self.losses.append(float(optimizer.step(closure)))

        def configure_optimizers(self) -> Any:
            return opt(self.net)

    return Module()


def lit_fit(lightning: ModuleType, module: Any, folder: Path, begin: int = 0, steps: int = STEPS, **more: Any) -> Any:
    """One epoch over the batches, from one of them on."""
    ours = ("accumulate_grad_batches", "gradient_clip_val", "max_epochs", "precision", "plugins")
    settings = {n: more.pop(n) for n in ours if n in more}
    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        use_distributed_sampler=False, enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
        **settings,
    )  # fmt: skip
    if not begin:
        torch.manual_seed(2)
    x, y = (data.roll(-begin, 0) for data in rows())  # Lightning goes on counting, and takes what the loader has first
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=None, generator=torch.Generator())  # not the global one
    trainer.fit(module, loader, **more)
    return trainer


@pytest.mark.parametrize("name", SMALL)
def test_lightning_is_a_plain_loop(name: str, tmp_path: Path) -> None:
    """Every method, through Lightning's own closure; PoNoS and SLS pay a backward for each trial there."""
    lightning = package("lightning")
    module = lit(lightning, lambda model: make(name, model))
    lit_fit(lightning, module, tmp_path)
    same((module.losses, [p.detach() for p in module.net.parameters()]), plain(name))


@pytest.mark.parametrize("name", ["AdamW", "PoNoS", "DAdaptAdam", "Auto"])
def test_lightning_goes_on_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    """``save_checkpoint`` and ``ckpt_path``."""
    lightning = package("lightning")
    first = lit(lightning, lambda model: make(name, model))
    lit_fit(lightning, first, tmp_path, steps=5).save_checkpoint(tmp_path / "c.ckpt")
    random = torch.get_rng_state()
    second = lit(lightning, lambda model: make(name, model))
    torch.set_rng_state(random)
    lit_fit(lightning, second, tmp_path, begin=5, ckpt_path=str(tmp_path / "c.ckpt"))
    same((first.losses + second.losses, [p.detach() for p in second.net.parameters()]), plain(name))


@pytest.mark.parametrize("name", ["AdamW", "DAdaptAdam", "Lion"])
def test_lightning_accumulates_gradients(name: str, tmp_path: Path) -> None:
    """``accumulate_grad_batches``: a closure in torch's style adds to the gradients that are there."""
    lightning = package("lightning")
    module = lit(lightning, lambda model: make(name, model))
    lit_fit(lightning, module, tmp_path, steps=STEPS // 2, accumulate_grad_batches=2)
    assert all(torch.equal(p, q) for p, q in zip(module.net.parameters(), in_windows(name)[1], strict=True))


@pytest.mark.parametrize("name", ["SAM", "PoNoS"])
def test_lightning_cannot_ask_again_for_what_it_has_accumulated(name: str, tmp_path: Path) -> None:
    """Its closure knows the last micro-batch only: said at once, and what to do instead."""
    lightning = package("lightning")
    module = lit(lightning, lambda model: make(name, model))
    with pytest.raises(RuntimeError, match="go through all micro-batches"):
        lit_fit(lightning, module, tmp_path, steps=STEPS // 2, accumulate_grad_batches=2)
    assert all(torch.equal(p, q) for p, q in zip(module.net.parameters(), net().parameters(), strict=True))


def by_hand(lightning: ModuleType, name: str, scaler: Any = None) -> Any:
    """A Lightning module whose closure goes through the micro-batches of a step."""

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        automatic_optimization = False

        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses, self.micro = net(), list[float](), list[Any]()

        def training_step(self, batch: Any, index: int) -> None:
            self.micro.append(batch)
            if len(self.micro) == 2:
                opt = self.optimizers()
                if scaler is None:
                    self.losses.append(float(opt.step(self.closure)))
                else:
                    self.losses.append(float(opt.optimizer.step(self.closure, scaler=scaler)))
                    scaler.update()
                self.micro.clear()

        def closure(self) -> Tensor:
            self.net.zero_grad()
            losses = []
            for x, y in self.micro:
                loss = loss_of(self.net, x, y) / 2
                if torch.is_grad_enabled():
                    self.manual_backward(loss)
                losses.append(loss.detach())
            return losses[0] + losses[1]

        closure.may_skip_backward = True  # type: ignore[attr-defined]

        def configure_optimizers(self) -> Any:
            return make(name, self.net)

    return Module()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", ["AdamW", "SAM", "PoNoS", "ExtraAdam", "MeZO"])
def test_lightning_by_hand(name: str, precision: str, tmp_path: Path) -> None:
    """Manual optimization: any method may ask again for a window of micro-batches."""
    lightning = package("lightning")
    module = by_hand(lightning, name)
    lit_fit(lightning, module, tmp_path, steps=STEPS // 2, precision=precision)
    right = in_windows(name, torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    same((module.losses, [p.detach() for p in module.net.parameters()]), right)


@pytest.mark.parametrize("name", ["AdamW", "SAM", "PoNoS", "ExtraAdam"])
def test_lightning_by_hand_in_float16(name: str, tmp_path: Path) -> None:
    """With the scaler of Lightning's precision plugin, which itself takes no closure."""
    lightning = package("lightning")
    plugin = importlib.import_module("lightning.pytorch.plugins").MixedPrecision
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    module = by_hand(lightning, name, scaler)
    lit_fit(lightning, module, tmp_path, plugins=[plugin("16-mixed", "cpu", scaler)], max_epochs=1)
    right = in_windows(name, torch.float16, scaler=torch.amp.GradScaler("cpu", init_scale=256.0))
    same((module.losses, [p.detach() for p in module.net.parameters()]), right)


@pytest.mark.parametrize("name", ["AdamW", "SAM", "ExtraAdam", "DAdaptAdam"])
def test_lightning_clips_each_question(name: str, tmp_path: Path) -> None:
    """``gradient_clip_val``."""
    lightning = package("lightning")
    module = lit(lightning, lambda model: make(name, model))
    lit_fit(lightning, module, tmp_path, gradient_clip_val=0.3)
    same((module.losses, [p.detach() for p in module.net.parameters()]), in_windows(name, window=1, clip=0.3))


def test_lightning_steps_a_scheduler(tmp_path: Path) -> None:
    """A torch scheduler in ``configure_optimizers``."""
    lightning = package("lightning")

    def both(model: nn.Module) -> Any:
        opt = make("AdamW", model)
        return {"optimizer": opt,
                "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.StepLR(opt, 3, 0.5), "interval": "step"}}  # fmt: skip

    module = lit(lightning, both)
    trainer = lit_fit(lightning, module, tmp_path)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 1e-2 * 0.25


# ---- Accelerate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def accelerator() -> Iterator[Callable[..., Any]]:
    """Makes accelerators; their state is global."""
    accelerate = package("accelerate")
    state = importlib.import_module("accelerate.state")
    yield lambda **more: accelerate.Accelerator(cpu=True, **more)
    state.AcceleratorState._reset_state(reset_partial_state=True)
    state.GradientState._reset_state()


@pytest.mark.parametrize("name", SMALL)
def test_accelerate_is_a_plain_loop(name: str, accelerator: Callable[..., Any]) -> None:
    """``prepare`` and ``step``: with a closure for all, without one for those that ask once."""
    model = net()
    ready = accelerator()
    trained, opt = ready.prepare(model, make(name, model))
    losses, right = list[float](), plain(name)
    torch.manual_seed(2)
    for x, y in zip(*rows(), strict=True):
        if name in CLOSURE:
            asked = list[float]()

            def closure(x: Tensor = x, y: Tensor = y, asked: list[float] = asked) -> Tensor:
                loss = loss_of(trained, x, y)
                asked.append(float(loss.detach()))
                return loss

            opt.step(closure)
            losses.append(asked[0] if name != "MeZO" else right[0][len(losses)])
        else:
            loss = loss_of(trained, x, y)
            ready.backward(loss)
            opt.step()
            opt.zero_grad()
            losses.append(float(loss.detach()))
    same((losses, [p.detach() for p in model.parameters()]), right)


def test_accelerate_accumulates_gradients(accelerator: Callable[..., Any]) -> None:
    """Two batches of half a step are one batch."""
    model, twin = net().eval(), net().eval()
    ready = accelerator(gradient_accumulation_steps=2)
    trained, opt = ready.prepare(model, make("AdamW", model))
    other = make("AdamW", twin)
    x, y = rows()
    for k in range(STEPS):
        with ready.accumulate(trained):
            ready.backward(loss_of(trained, x[k], y[k]))
            opt.step()
            opt.zero_grad()
        (loss_of(twin, x[k], y[k]) / 2).backward()
        if k % 2:
            other.step()
            other.zero_grad()
    assert other.counters.steps == STEPS // 2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("name", ["SAM", "PoNoS", "ExtraAdam"])
def test_accelerate_asks_for_a_window_again(name: str, accelerator: Callable[..., Any]) -> None:
    """Two micro-batches in a closure, clipped by accelerate where that is right."""
    model, clip = net(), 0.0 if name == "PoNoS" else 0.3
    ready = accelerator()
    trained, opt = ready.prepare(model, make(name, model))
    losses, (xs, ys) = list[float](), rows()
    torch.manual_seed(2)
    for k in range(0, STEPS, 2):

        def closure(k: int = k) -> Tensor:
            opt.zero_grad()
            parts = [loss_of(trained, x, y) / 2 for x, y in zip(xs[k : k + 2], ys[k : k + 2], strict=True)]
            for part in parts:
                ready.backward(part)
            if clip:
                ready.clip_grad_norm_(trained.parameters(), clip)
            losses.append(float(parts[0].detach() + parts[1].detach()))
            return parts[0].detach() + parts[1].detach()

        opt.step(closure)
    right = in_windows(name, clip=clip)
    same(([loss for loss in losses if loss in right[0]], [p.detach() for p in model.parameters()]), right)


@pytest.mark.parametrize("name", ["AdamW", "PoNoS", "Auto"])
def test_accelerate_goes_on_from_its_checkpoint(name: str, accelerator: Callable[..., Any], tmp_path: Path) -> None:
    """``save_state`` and ``load_state``, random state included."""
    ready, x, y = accelerator(), *rows()

    def run(model: nn.Module, opt: Any, begin: int, end: int) -> None:
        for k in range(begin, end):
            opt.step(partial(loss_of, model, x[k], y[k]))

    model = net()
    trained, opt = ready.prepare(model, make(name, model))
    torch.manual_seed(2)
    run(trained, opt, 0, 5)
    ready.save_state(str(tmp_path / "state"))
    run(trained, opt, 5, STEPS)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    ready.load_state(str(tmp_path / "state"))
    run(trained, opt, 5, STEPS)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain(name)[1], strict=True))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_accelerate_saves_in_either_mode(mode: str, accelerator: Callable[..., Any], tmp_path: Path) -> None:
    """Its wrapper passes ``eval`` and ``train`` on; ``load_state`` brings weights and mode back."""
    ready, x, y = accelerator(), *rows()
    model = net()
    trained, opt = ready.prepare(model, make("Auto", model))
    torch.manual_seed(2)
    for k in range(5):
        opt.step(partial(loss_of, model, x[k], y[k]))
    own = [p.detach().clone() for p in model.parameters()]
    with opt.optimizer.averaged():
        right = [p.detach().clone() for p in model.parameters()]
    getattr(opt, mode)()
    assert all(map(torch.equal, trained.parameters(), right if mode == "eval" else own))
    ready.save_state(str(tmp_path / "state"))
    opt.train()
    opt.step(partial(loss_of, model, x[5], y[5]))
    for _ in range(2):
        ready.load_state(str(tmp_path / "state"))
        assert all(map(torch.equal, trained.parameters(), right if mode == "eval" else own))
        opt.train()
        for k in range(5, STEPS):
            opt.step(partial(loss_of, model, x[k], y[k]))
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain("Auto")[1], strict=True))
