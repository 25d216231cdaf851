"""Callbacks that put averaged weights into the model where Lightning and Hugging Face do not train.

The right values come from a plain loop that evaluates inside ``with opt.averaged()`` after every step.  Like all tests of
trainers they need packages that this project does not depend on: ``bash .ci/trainers``.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from tests.reliability.loops import STEPS, loss_of, package, rows
from tests.reliability.test_hugging_face import Noisy, noisy_rows, trainer

pytestmark = pytest.mark.filterwarnings("ignore")

METHODS = ("Auto", "AdamW", "Lion")
State = dict[str, Tensor]


def make(name: str, model: nn.Module) -> steepest.Optimizer:
    """Large steps, so that the average is far from the weights, and the last is not the best."""
    options: dict[str, Any] = {"AdamW": {"lr": 0.3, "point": steepest.point.Average(gamma=1)},
                               "Lion": {"lr": 0.1, "point": steepest.point.ScheduleFree(pull=0.5)}}.get(name, {})  # fmt: skip
    return steepest.methods[name].make(model.parameters(), **options)


def net() -> nn.Module:
    """Without dropout, so that nothing depends on random streams."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def copied(model: nn.Module) -> State:
    return {n: t.detach().clone() for n, t in model.state_dict().items()}


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, base, what in (
        ("lightning", "Callback", "lightning"),
        ("huggingface", "TrainerCallback", "transformers"),
    ):
        module = importlib.import_module(f"steepest.trainers.{name}")
        monkeypatch.setattr(module, base, object)
        with pytest.raises(ImportError, match=f"pip install .*{what}"):
            module.AveragedWeights()


def same(found: State, right: State) -> bool:
    return found.keys() == right.keys() and all(torch.equal(found[n], right[n]) for n in right)


def plain(name: str, epochs: int = 1) -> list[tuple[State, State, float]]:
    """After each step: the weights of training, those for use, and the loss of the latter on all data."""
    model, (x, y) = net(), rows()
    opt, found = make(name, model), []
    for _ in range(epochs):
        for k in range(STEPS):
            opt.step(partial(loss_of, model, x[k], y[k]))
            own = copied(model)
            with opt.averaged(), torch.no_grad():
                loss = loss_of(model, x.flatten(0, 1), y.flatten()).item()
                found.append((own, copied(model), loss))
            assert not same(*found[-1][:2]) or len(found) == 1
    return found


# ---- Lightning -------------------------------------------------------------------------------------------------------


def lit(lightning: ModuleType, name: str) -> Any:
    """A module that remembers what it validates, and the weights that each batch is trained with."""

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.losses, self.trained = net(), list[float](), list[State]()

        def training_step(self, batch: Any, index: int) -> Tensor:
            self.trained.append(copied(self.net))
            return loss_of(self.net, batch[0], batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            loss = loss_of(self.net, batch[0].flatten(0, 1), batch[1].flatten())
            self.losses.append(loss.item())
            self.log("loss", loss)

        def configure_optimizers(self) -> Any:
            return make(name, self.net)

    return Module()


def lit_fit(
    lightning: ModuleType, module: Any, folder: Path, callbacks: list[Any], resume: Any = None, **more: Any
) -> Any:
    settings = dict(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
                    use_distributed_sampler=False, default_root_dir=folder, max_epochs=2)  # fmt: skip
    settings |= {"enable_checkpointing": any("Checkpoint" in type(c).__name__ for c in callbacks), **more}
    x, y = rows()
    load = partial(torch.utils.data.DataLoader, batch_size=None)
    made = lightning.Trainer(callbacks=callbacks, **settings)
    whole: Any = [(x, y)]
    made.fit(module, load(torch.utils.data.TensorDataset(x, y)), load(whole), ckpt_path=resume)
    return made


def lit_model(path: Path) -> State:
    file = torch.load(path, weights_only=True)
    return {n.removeprefix("net."): t for n, t in file["state_dict"].items()}


@pytest.mark.parametrize("name", METHODS)
def test_lightning_validates_what_is_returned(name: str, tmp_path: Path) -> None:
    """In mid-epoch and at its end; training goes the way that it goes alone; the model is left with the average."""
    lightning = package("lightning")
    averaged = importlib.import_module("steepest.trainers.lightning").AveragedWeights
    module = lit(lightning, name)
    lit_fit(lightning, module, tmp_path, [averaged()], val_check_interval=4)
    right = plain(name, 2)
    assert module.losses[1:] == [right[k][2] for k in (3, 7, 11, 15)]  # the first is Lightning's rehearsal
    assert all(same(found, own) for found, (own, _, _) in zip(module.trained[1:], right, strict=False))
    assert same(copied(module.net), right[-1][1])


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("when", [
    {"monitor": "loss", "save_top_k": -1}, {"save_on_train_epoch_end": True, "save_top_k": -1},
    {"every_n_train_steps": 4, "save_top_k": -1}, {"every_n_train_steps": 4, "save_top_k": -1, "save_weights_only": True},
], ids=["validation", "epoch", "steps", "weights"])  # fmt: skip
def test_lightning_saves_what_is_returned(when: dict[str, Any], ours_first: bool, tmp_path: Path) -> None:
    """Each checkpoint has the average in the model, and the run goes on from it to the bit."""
    lightning = package("lightning")
    averaged = importlib.import_module("steepest.trainers.lightning").AveragedWeights
    callbacks = importlib.import_module("lightning.pytorch.callbacks")
    saves = callbacks.ModelCheckpoint(tmp_path, filename="{step}", **when)
    lit_fit(lightning, lit(lightning, "Auto"), tmp_path, [averaged(), saves] if ours_first else [saves, averaged()])
    right = plain("Auto", 2)
    files = {int(path.stem.removeprefix("step=")): path for path in tmp_path.glob("*.ckpt")}
    assert sorted(files) == ([4, 8, 12, 16] if "every_n_train_steps" in when else [8, 16])
    for step, path in files.items():
        assert same(lit_model(path), right[step - 1][1]), step
    if not when.get("save_weights_only"):
        again = lit(lightning, "Auto")
        lit_fit(lightning, again, tmp_path, [averaged()], resume=str(files[8]))
        assert same(again.trained[-1], right[-2][0])
        assert same(copied(again.net), right[-1][1])


def test_lightning_resumes_from_a_run_without_the_callback(tmp_path: Path) -> None:
    """Its checkpoint has the weights of training in the model."""
    lightning = package("lightning")
    averaged = importlib.import_module("steepest.trainers.lightning").AveragedWeights
    lit_fit(lightning, lit(lightning, "Auto"), tmp_path, [], max_epochs=1).save_checkpoint(tmp_path / "c.ckpt")
    again = lit(lightning, "Auto")
    lit_fit(lightning, again, tmp_path, [averaged()], resume=str(tmp_path / "c.ckpt"))
    assert same(copied(again.net), plain("Auto", 2)[-1][1])


@pytest.mark.parametrize("name", METHODS)
def test_lightning_stops_early_and_keeps_the_best(name: str, tmp_path: Path) -> None:
    """Both judge the average; ``validate`` of the best checkpoint sees that one, and not the last."""
    lightning = package("lightning")
    averaged = importlib.import_module("steepest.trainers.lightning").AveragedWeights
    callbacks = importlib.import_module("lightning.pytorch.callbacks")
    stops = callbacks.EarlyStopping("loss", patience=1, mode="max" if name == "Auto" else "min")
    best = callbacks.ModelCheckpoint(tmp_path, monitor="loss", mode=stops.mode)
    module = lit(lightning, name)
    made = lit_fit(lightning, module, tmp_path, [stops, best, averaged()], max_epochs=9)
    losses = [plain(name, 9)[STEPS * k - 1][2] for k in range(1, 10)]
    sign = -1 if name == "Auto" else 1
    ends = next((k for k in range(1, 9) if sign * losses[k] >= min(sign * v for v in losses[:k])), 8)
    assert module.losses[1:] == losses[: ends + 1]
    assert best.best_model_score == pytest.approx(sign * min(sign * v for v in losses[: ends + 1]))
    x, y = rows()
    whole: Any = [(x, y)]
    made.validate(module, torch.utils.data.DataLoader(whole, batch_size=None), ckpt_path="best", verbose=False)
    assert module.losses[-1] == pytest.approx(float(best.best_model_score))


def test_lightning_with_a_method_that_keeps_no_average(tmp_path: Path) -> None:
    """Nothing is changed."""
    lightning = package("lightning")
    averaged = importlib.import_module("steepest.trainers.lightning").AveragedWeights
    found = []
    for more in ([], [averaged()]):
        module = lit(lightning, "SGD")
        lit_fit(lightning, module, tmp_path, more)
        found.append((module.losses, copied(module.net)))
    assert found[0][0] == found[1][0] and same(found[0][1], found[1][1])


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


class Still(Noisy):
    """Without dropout and running statistics, and with its outputs beside the loss, as evaluation wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net()  # type: ignore[assignment]

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        out = self.body(x)
        return {"loss": nn.functional.cross_entropy(out, labels), "logits": out}


def hugging(name: str, folder: Path, more: list[Any], **settings: Any) -> tuple[Any, Still]:
    averaged = importlib.import_module("steepest.trainers.huggingface").AveragedWeights
    model, data = Still(), noisy_rows()
    made = trainer(folder, model, make(name, model), data, False, per_device_eval_batch_size=4 * STEPS,
                   **{"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 3, **settings})  # fmt: skip
    made.add_callback(averaged())
    for callback in more:
        made.add_callback(callback)
    return made, model


def hugging_plain(name: str, epochs: int = 2) -> list[tuple[State, State, float]]:
    """As ``plain``, on the Trainer's rows."""
    model, data = Still(), noisy_rows()
    opt, found = make(name, model), []
    whole = torch.utils.data.default_collate(data)
    for _ in range(epochs):
        for k in range(STEPS):
            batch = torch.utils.data.default_collate(data[4 * k : 4 * k + 4])
            opt.step(lambda batch=batch: model(**batch)["loss"])  # type: ignore[misc]
            own = copied(model)
            with opt.averaged(), torch.no_grad():
                found.append((own, copied(model), model(**whole)["loss"].item()))
    return found


def hugging_model(path: Path) -> State:
    loaded: State = importlib.import_module("safetensors.torch").load_file(path / "model.safetensors")
    return loaded


@pytest.mark.parametrize("name", METHODS)
def test_trainer_evaluates_and_saves_what_is_returned(name: str, tmp_path: Path) -> None:
    """Saved where it evaluates and where it does not; each checkpoint goes on to the bit."""
    package("transformers")
    right = hugging_plain(name)
    made, model = hugging(name, tmp_path, [], eval_strategy="steps", eval_steps=2)
    made.train()
    evaluated = {e["step"]: e["eval_loss"] for e in made.state.log_history if "eval_loss" in e}
    assert evaluated == pytest.approx({k: right[k - 1][2] for k in range(2, 17, 2)}, rel=1e-6)
    assert same(copied(model), right[-1][1])
    for step in (3, 6, 15):
        assert same(hugging_model(tmp_path / f"checkpoint-{step}"), right[step - 1][1]), step
        again, rest = hugging(name, tmp_path, [])
        again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert same(copied(rest), right[-1][1]), step
        rest.zero_grad()
        again.optimizer.train()
        assert same(copied(rest), right[-1][0]), step


@pytest.mark.parametrize("better", ["greater", "less"])
def test_trainer_keeps_the_best_average(better: str, tmp_path: Path) -> None:
    """``load_best_model_at_end`` with early stopping; later evaluation and saving see that model, and not the last."""
    transformers = package("transformers")
    right = hugging_plain("AdamW")
    losses = [right[k - 1][2] for k in range(2, 17, 2)]
    sign = -1 if better == "greater" else 1
    judged = [sign * v for v in losses]
    ends = next((k for k in range(1, 8) if judged[k] >= min(judged[:k])), 7)
    best = min(range(ends + 1), key=lambda k: judged[k])
    made, model = hugging("AdamW", tmp_path, [transformers.EarlyStoppingCallback(1)], eval_strategy="steps", eval_steps=2,
                          save_steps=2, load_best_model_at_end=True, metric_for_best_model="loss",
                          greater_is_better=better == "greater")  # fmt: skip
    made.train()
    assert made.state.global_step == 2 * (ends + 1)
    assert same(copied(model), right[2 * best + 1][1])
    assert made.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-6)
    assert same(copied(model), right[2 * best + 1][1])
    made.save_model(str(tmp_path / "end"))
    assert same(hugging_model(tmp_path / "end"), right[2 * best + 1][1])
