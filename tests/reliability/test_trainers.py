"""Other people's training loops: Hugging Face's Trainer, Lightning, Accelerate; the losses and weights of a plain loop.

Each test needs a package that this project does not depend on and is skipped, with the reason, where it is missing::

    pip install transformers accelerate lightning

Warnings are theirs and are let pass. A loop that never gives a closure cannot run a method that asks more than once; it
gets the sentence that says so, before anything is changed.
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

import steepest

pytestmark = pytest.mark.filterwarnings("ignore")

CLOSURE = ("SAM", "PoNoS", "SLS", "ExtraAdam", "SPS", "MeZO")
SMALL: dict[str, dict[str, Any]] = {
    "AdamW": {"lr": 1e-2}, "SAM": {"lr": 0.05}, "ExtraAdam": {"lr": 1e-2}, "MeZO": {"lr": 1e-2},
    "PoNoS": {}, "SLS": {"eta_max": 2.0}, "SPS": {"eta_max": 1.0}, "DAdaptAdam": {"d0": 1e-3},
    "GaLore": {"rank": 2, "every": 3},
}  # fmt: skip
STEPS = 8


def package(name: str) -> ModuleType:
    """A package, or a skipped test."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    return importlib.import_module(name)


def make(name: str, model: nn.Module, **more: Any) -> steepest.Optimizer:
    """A method with small settings."""
    return steepest.methods[name].make(model.parameters(), **SMALL[name] | more)


def net() -> nn.Module:
    """The same small network every time, dropout included."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 3))


def rows() -> tuple[Tensor, Tensor]:
    """A batch of four for each step."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(STEPS, 4, 5, generator=random), torch.randint(0, 3, (STEPS, 4), generator=random)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """What is trained."""
    return nn.functional.cross_entropy(model(x), y)


def plain(name: str, **more: Any) -> tuple[list[float], list[Tensor]]:
    """Losses and weights of the loop that anybody would write."""
    model = net()
    opt, losses = make(name, model, **more), []
    torch.manual_seed(2)
    for x, y in zip(*rows(), strict=True):
        losses.append(float(opt.step(partial(loss_of, model, x, y))))
    return losses, [p.detach().clone() for p in model.parameters()]


def same(found: tuple[list[float], list[Tensor]], right: tuple[list[float], list[Tensor]]) -> None:
    """Equal to the bit."""
    assert found[0] == right[0]
    assert all(torch.equal(a, b) for a, b in zip(found[1], right[1], strict=True))


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
    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, use_distributed_sampler=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder,
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


@pytest.mark.parametrize("name", ["AdamW", "PoNoS", "DAdaptAdam"])
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


@pytest.mark.parametrize("name", ["AdamW", "PoNoS"])
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


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


def hugging(transformers: ModuleType, folder: Path, name: str, model: nn.Module, **more: Any) -> Any:
    """A Trainer that takes the rows in order, without clipping and with a constant schedule."""
    tokens = torch.randint(0, 17, (4 * STEPS, 6), generator=torch.Generator().manual_seed(1))
    settings = dict(
        per_device_train_batch_size=4, num_train_epochs=1, max_grad_norm=0.0, lr_scheduler_type="constant", use_cpu=True,
        report_to=[], disable_tqdm=True, logging_steps=1, save_strategy="no", seed=2,
    )  # fmt: skip

    class InOrder(transformers.Trainer):  # type: ignore[misc, name-defined]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(range(4 * STEPS))

    return InOrder(
        model, transformers.TrainingArguments(str(folder), **settings | more),
        train_dataset=[{"input_ids": row, "labels": row} for row in tokens], optimizers=(make(name, model), None),
    )  # fmt: skip


def gpt(transformers: ModuleType) -> nn.Module:
    """A language model of a thousand weights, from its configuration alone."""
    torch.manual_seed(0)
    off = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)
    model: nn.Module = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=17, n_positions=8, n_embd=8, n_layer=1, n_head=2, **off)
    )
    return model


def lm_loss(model: nn.Module, tokens: Tensor) -> Tensor:
    """The loss that a Trainer asks for: the sum over tokens, divided by the number of labels in the batch."""
    loss: Tensor = model(input_ids=tokens, labels=tokens, num_items_in_batch=torch.tensor(tokens.numel())).loss
    return loss


def logged(trainer: Any) -> list[float]:
    """The losses that a Trainer has written down, rounded as it rounds them."""
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("name", [name for name in SMALL if name not in CLOSURE])
def test_trainer_is_a_plain_loop(name: str, tmp_path: Path) -> None:
    """Methods that ask once."""
    transformers = package("transformers")
    model, twin = gpt(transformers), gpt(transformers)
    trainer = hugging(transformers, tmp_path, name, model)
    trainer.train()
    opt, losses = make(name, twin), list[float]()
    data = trainer.train_dataset
    for k in range(STEPS):
        tokens = torch.stack([data[4 * k + i]["input_ids"] for i in range(4)])
        losses.append(float(opt.step(partial(lm_loss, twin, tokens))))
    assert logged(trainer) == pytest.approx(losses, abs=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_trainer_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """``resume_from_checkpoint`` with the default schedule."""
    transformers = package("transformers")
    whole, half, rest = gpt(transformers), gpt(transformers), gpt(transformers)
    falling = {"lr_scheduler_type": "linear", "save_strategy": "steps", "save_steps": 5}
    hugging(transformers, tmp_path / "a", "AdamW", whole, **falling).train()
    hugging(transformers, tmp_path / "b", "AdamW", half, **falling).train()
    hugging(transformers, tmp_path / "b", "AdamW", rest, **falling).train(
        resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-5")
    )
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), rest.parameters(), strict=True))


@pytest.mark.parametrize("name", CLOSURE)
def test_trainer_gives_no_closure(name: str, tmp_path: Path) -> None:
    """A method that asks more than once says what it needs, and the weights are as they were."""
    transformers = package("transformers")
    model, before = gpt(transformers), gpt(transformers)
    with pytest.raises(RuntimeError, match=r"step\(closure\)"):
        hugging(transformers, tmp_path, name, model).train()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))
