"""Hugging Face's Trainer, alone and behind ``WithClosure``: the losses and weights of a plain loop, to the bit.

The plain loop starts with the random streams that the Trainer's first step began with, and writes its closure by hand.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

import steepest
from tests.reliability.loops import CLOSURE, SMALL, STEPS, make, package

pytestmark = pytest.mark.filterwarnings("ignore")

LOOKS = ("PoNoS", "SLS", "SPS")  # step sizes that look at the loss: no clipping


class Noisy(nn.Module):
    """Dropout and running statistics, and a loss as the Trainer wants it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))

    @property
    def norm(self) -> nn.BatchNorm1d:
        """The layer with running statistics."""
        layer = self.body[1]
        assert isinstance(layer, nn.BatchNorm1d)
        return layer

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": nn.functional.cross_entropy(self.body(x), labels)}


def noisy_rows() -> list[dict[str, Tensor]]:
    """Four rows for each micro-batch."""
    random = torch.Generator().manual_seed(1)
    return [{"x": torch.randn(5, generator=random), "labels": torch.randint(3, (), generator=random)}
            for _ in range(4 * STEPS)]  # fmt: skip


def words() -> list[dict[str, Tensor]]:
    """Sentences, some of whose words are not to be learnt: micro-batches have different numbers of labels."""
    random = torch.Generator().manual_seed(1)
    rows = torch.randint(0, 17, (4 * STEPS, 6), generator=random)
    return [{"input_ids": row, "labels": torch.where(torch.rand(6, generator=random) < 0.4, -100, row)} for row in rows]


def gpt(transformers: ModuleType) -> nn.Module:
    """A language model of a thousand weights, from its configuration alone."""
    torch.manual_seed(0)
    drop = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.1)
    model: nn.Module = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=17, n_positions=8, n_embd=8, n_layer=1, n_head=2, **drop)
    )
    return model


def trainer(
    folder: Path, model: nn.Module, opt: Any, data: list[dict[str, Tensor]], asks: bool = True, **more: Any
) -> Any:
    """A Trainer that takes the rows in order and remembers how its first step found the random streams."""
    transformers = package("transformers")
    settings = dict(
        per_device_train_batch_size=4, num_train_epochs=1, max_grad_norm=0.0, lr_scheduler_type="constant", use_cpu=True,
        report_to=[], disable_tqdm=True, logging_steps=1, save_strategy="no", seed=2,
    )  # fmt: skip

    class Watch(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not hasattr(made, "random"):
                made.random = torch.get_rng_state()

    class InOrder(*((steepest.trainers.WithClosure,) if asks else ()), transformers.Trainer):  # type: ignore[misc, name-defined]
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(range(len(data)))

    made = InOrder(model, transformers.TrainingArguments(str(folder), **settings | more), train_dataset=data,
                   eval_dataset=data, optimizers=(opt, None), callbacks=[Watch()])  # fmt: skip
    return made


def plain(
    model: nn.Module, opt: steepest.Optimizer, data: list[dict[str, Tensor]], random: Tensor, *, window: int = 1,
    clip: float = 0.0, half: bool = False, schedule: Any = None,
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Losses and norms of the loop that anybody would write, for windows of micro-batches of four."""
    losses, norms = [], []
    micro = [torch.utils.data.default_collate(data[k : k + 4]) for k in range(0, len(data), 4)]
    torch.set_rng_state(random)
    model.train()
    for k in range(0, len(micro), window):
        parts = micro[k : k + window]
        labels = sum((part["labels"] != -100).sum() for part in parts)
        found: list[float] = []

        def closure(parts: list[dict[str, Tensor]] = parts, labels: Any = labels, found: list[float] = found) -> Tensor:
            opt.zero_grad()
            whole: Any = 0
            for part in parts:
                with torch.autocast("cpu", torch.bfloat16, enabled=half):
                    if "x" in part:
                        loss = model(**part)["loss"].float() / len(parts)
                    else:
                        loss = model(**part, num_items_in_batch=labels).loss
                loss.backward()
                whole = whole + loss.detach()
            if clip:
                found.append(float(nn.utils.clip_grad_norm_(model.parameters(), clip)))
            return whole

        losses.append(float(opt.step(closure)))
        norms += found[:1]
        if schedule is not None:
            schedule.step()
    return losses, norms


def logged(made: Any, what: str = "loss") -> list[float]:
    """What a Trainer has written down, rounded as it rounds."""
    return [entry[what] for entry in made.state.log_history if what in entry]


def same(a: nn.Module, b: nn.Module) -> None:
    """Weights and statistics equal to the bit."""
    for (name, p), q in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(p, q), name


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_trainer_is_a_plain_loop(name: str, window: int, tmp_path: Path) -> None:
    """Every method, dropout and batch normalisation, windows of 3, 3 and 2; AdamW and its like with the mixin or without."""
    package("transformers")
    data, (model, twin) = noisy_rows(), (Noisy(), Noisy())
    made = trainer(tmp_path, model, make(name, model), data, name in CLOSURE or window > 1,
                   gradient_accumulation_steps=window)  # fmt: skip
    made.train()
    losses, _ = plain(twin, make(name, twin), data, made.random, window=window)
    assert model.norm.num_batches_tracked == STEPS
    if name == "MeZO":  # its own loss is the mean on both sides, and it has asked no question at x
        losses = logged(made)
        twin.norm.load_state_dict(model.norm.state_dict())
    same(model, twin)
    assert logged(made) == pytest.approx(losses, abs=1e-4)


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("name", ["AdamW", "SAM", "PoNoS", "DAdaptAdam"])
def test_labels_are_counted_over_the_window(name: str, window: int, tmp_path: Path) -> None:
    """A language model: each loss is a sum over words, divided by the number of labels in all micro-batches."""
    transformers = package("transformers")
    data, model, twin = words(), gpt(transformers), gpt(transformers)
    made = trainer(tmp_path, model, make(name, model), data, gradient_accumulation_steps=window)
    made.train()
    losses, _ = plain(twin, make(name, twin), data, made.random, window=window)
    same(model, twin)
    assert logged(made) == pytest.approx(losses, abs=1e-4)


@pytest.mark.parametrize("name", ["SAM", "BAR"])
def test_adapters_are_trained_as_in_a_plain_loop(name: str, tmp_path: Path) -> None:
    """PEFT's adapters on a language model whose other weights are frozen."""
    transformers, peft = package("transformers"), package("peft")
    settings = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, lora_dropout=0.1)
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(peft.get_peft_model(gpt(transformers), settings))
    start = [p.detach().clone() for p in models[0].parameters()]
    opts = [
        steepest.BAR(m.parameters(), lr=0.05, pairs=steepest.nn.pairs(m)) if name == "BAR" else make(name, m)
        for m in models
    ]
    made = trainer(tmp_path, models[0], opts[0], words(), gradient_accumulation_steps=2)
    made.train()
    plain(models[1], opts[1], words(), made.random, window=2)
    same(*models)
    moved = [not torch.equal(p, q) for p, q in zip(models[0].parameters(), start, strict=True)]
    assert moved == [p.requires_grad for p in models[0].parameters()]


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["AdamW", "SAM", "ExtraAdam", "DAdaptAdam"])
def test_each_question_is_clipped(name: str, half: bool, tmp_path: Path) -> None:
    """``max_grad_norm`` under a falling schedule and autocast; the norm that is logged is the first question's."""
    package("transformers")
    data, (model, twin) = noisy_rows(), (Noisy(), Noisy())
    made = trainer(tmp_path, model, make(name, model), data, max_grad_norm=0.3, lr_scheduler_type="linear",
                   gradient_accumulation_steps=2, bf16=half)  # fmt: skip
    made.train()
    opt = make(name, twin)
    falls = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: max(0.0, 1 - t / (STEPS // 2)))
    losses, norms = plain(twin, opt, data, made.random, window=2, clip=0.3, half=half, schedule=falls)
    same(model, twin)
    assert logged(made) == pytest.approx(losses, abs=1e-4)
    assert logged(made, "grad_norm") == pytest.approx(norms, rel=1e-3)
    assert max(norms) > 0.3


@pytest.mark.parametrize("name", LOOKS)
def test_a_slope_is_not_clipped(name: str, tmp_path: Path) -> None:
    """The Trainer clips unless told not to: a step size that takes the slope from the gradient says so at once."""
    package("transformers")
    model, before = Noisy(), Noisy()
    with pytest.raises(ValueError, match="set max_grad_norm=0"):
        trainer(tmp_path, model, make(name, model), noisy_rows(), max_grad_norm=1.0).train()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("name", ["AdamW", "SAM", "PoNoS", "ExtraAdam", "Auto"])
def test_trainer_goes_on_from_its_checkpoint(name: str, tmp_path: Path) -> None:
    """``resume_from_checkpoint`` with the default schedule, in windows of two; and what a second ``train`` remembers."""
    package("transformers")
    data, (whole, half, rest) = noisy_rows(), (Noisy(), Noisy(), Noisy())
    falling = {
        "lr_scheduler_type": "linear",
        "save_strategy": "steps",
        "save_steps": 3,
        "gradient_accumulation_steps": 2,
    }
    trainer(tmp_path / "a", whole, make(name, whole), data, True, **falling).train()
    trainer(tmp_path / "b", half, make(name, half), data, True, **falling).train()
    last = trainer(tmp_path / "b", rest, make(name, rest), data, True, **falling)
    last.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    same(whole, rest)
    last.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    same(whole, rest)


def test_a_trial_is_a_forward(tmp_path: Path) -> None:
    """A line search costs a backward a step, and the first question nothing that the Trainer has not paid for."""
    package("transformers")
    model, data = Noisy(), noisy_rows()
    forwards = backwards = 0

    def forward(*_: Any) -> None:
        nonlocal forwards
        forwards += 1

    def backward(*_: Any) -> None:
        nonlocal backwards
        backwards += 1

    model.register_forward_hook(forward)
    next(model.parameters()).register_hook(backward)
    opt = make("PoNoS", model)
    trainer(tmp_path, model, opt, data).train()
    assert (backwards, opt.counters.backwards) == (STEPS, STEPS)
    assert forwards == opt.counters.forwards > STEPS


@pytest.mark.parametrize("name", CLOSURE)
def test_a_trainer_alone_gives_no_closure(name: str, tmp_path: Path) -> None:
    """Without the mixin a method that asks more than once says what it needs, and the weights are as they were."""
    package("transformers")
    model, before = Noisy(), Noisy()
    with pytest.raises(RuntimeError, match=r"step\(closure\)"):
        trainer(tmp_path, model, make(name, model), noisy_rows(), asks=False).train()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before.parameters(), strict=True))


# ---- a scaler ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def spoiled(model: nn.Module, call: int) -> Iterator[None]:
    """One gradient overflows in one of the backwards."""
    calls = 0

    def spoil(g: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return g * torch.inf if calls == call else g

    handle = next(model.parameters()).register_hook(spoil)
    yield
    handle.remove()


@pytest.mark.parametrize("clip", [0.0, 0.3])
@pytest.mark.parametrize("call", [0, 3, 4], ids=["fine", "first question", "second question"])
def test_a_scaler_in_the_trainer(call: int, clip: float, tmp_path: Path) -> None:
    """As with fp16 on a GPU, the autocast left out: scales are powers of two, so nothing changes but what overflows."""
    package("transformers")
    data, (model, twin) = noisy_rows(), (Noisy(), Noisy())
    made = trainer(tmp_path, model, make("SAM", model), data, max_grad_norm=clip)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    ready = made.accelerator
    ready.scaler, ready.native_amp = scaler, True
    type(ready).mixed_precision, old = "fp16", type(ready).mixed_precision
    ready.autocast_handler = package("accelerate").utils.AutocastKwargs(enabled=False)
    try:
        with spoiled(model, call):
            made.train()
    finally:
        type(ready).mixed_precision = old
    opt = make("SAM", twin)
    if not call:
        plain(twin, opt, data, made.random, clip=clip)
        same(model, twin)
    assert scaler.get_scale() == (512.0 if call else 1024.0)
    assert made.optimizer.optimizer.counters.skipped == bool(call)
    assert made.optimizer.optimizer.param_groups[0]["t"] == STEPS - bool(call)


@pytest.mark.xdist_group("processes")
def test_two_trainers_are_a_plain_pair(tmp_path: Path) -> None:
    """DDP on two processes, windows of two micro-batches: each equals a plain DDP loop to the bit, and the other."""
    package("transformers")
    from tests.reliability import trainer_ranks as ranks

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (tmp_path / "port").write_text(str(free.getsockname()[1]))
    spawn(ranks.job, (str(tmp_path),), nprocs=ranks.WORLD)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(ranks.WORLD))
    for name in ranks.METHODS:
        assert first[name][:3] == second[name][:3] == (True, True, STEPS // 2), name
        assert all(map(torch.equal, first[name][3], second[name][3])), name
