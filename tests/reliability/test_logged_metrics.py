"""``opt.metrics()`` in the logs of others: what was logged is what the optimizer says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import steepest
from steepest.trainers import metrics
from tests.reliability.loops import STEPS, loss_of, net, package, rows
from tests.reliability.test_hugging_face import Noisy, noisy_rows, trainer

pytestmark = pytest.mark.filterwarnings("ignore")


class Writer:
    """What TensorBoard's SummaryWriter is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, value, step))


def test_a_writer_is_told_all_numbers() -> None:
    """Under a prefix, at the optimizer's own count or another; torch's optimizers have none."""
    x, writer = torch.nn.Parameter(torch.ones(2)), Writer()
    opt = steepest.AdamW([x])
    for _ in range(3):
        opt.step(lambda: (x * x).sum())
    metrics.write_metrics(writer, opt)
    assert {name: value for name, value, _ in writer.told} == {f"steepest/{k}": v for k, v in opt.metrics().items()}
    assert {step for *_, step in writer.told} == {3}
    metrics.write_metrics(writer, opt, step=7, prefix="")
    assert writer.told[-1][2] == 7 and ("lr", 1e-3, 7) in writer.told
    writer.told.clear()
    metrics.write_metrics(writer, torch.optim.SGD([x], lr=0.1))
    assert writer.told == []


def test_without_a_trainer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for base, kind in (("TrainerCallback", metrics.HuggingFaceMetrics), ("Callback", metrics.LightningMetrics)):
        monkeypatch.setattr(metrics, base, object)
        with pytest.raises(ImportError, match="pip install"):
            kind()


@pytest.mark.parametrize("name", ["AdamW", "Auto", "DoG"])
def test_hugging_face_logs_them(name: str, tmp_path: Path) -> None:
    """In the history and for reporters behind the callback, at every logged step."""
    transformers, seen = package("transformers"), list[dict[str, Any]]()

    class Reporter(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
            seen.append(dict(logs))

    model = Noisy()
    opt = steepest.methods[name].make(model.parameters())
    made = trainer(tmp_path, model, opt, noisy_rows(), asks=False)
    made.add_callback(Reporter())
    made.callback_handler.callbacks.insert(0, metrics.HuggingFaceMetrics())
    made.train()
    losses = [entry for entry in made.state.log_history if "loss" in entry]
    assert [entry["steepest/steps"] for entry in losses] == list(range(1, STEPS + 1))
    assert [entry["steepest/steps"] for entry in seen if "loss" in entry] == list(range(1, STEPS + 1))
    assert {k: v for k, v in losses[-1].items() if k.startswith("steepest/")} == {
        f"steepest/{k}": v for k, v in opt.metrics().items()
    }


def test_lightning_logs_them(tmp_path: Path) -> None:
    """By log_dict, so that every logger, the progress bar and callback_metrics have them."""
    lightning = package("lightning")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return loss_of(self.net, batch[0], batch[1])

        def configure_optimizers(self) -> Any:
            self.opt = steepest.Auto(self.net.parameters())
            return self.opt

    module = Module()
    made = lightning.Trainer(
        max_steps=STEPS, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[metrics.LightningMetrics()],
    )  # fmt: skip
    made.fit(module, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*rows()), batch_size=None))
    logged = {k: float(v) for k, v in made.callback_metrics.items()}
    assert logged == pytest.approx({f"steepest/{k}": v for k, v in module.opt.metrics().items()}, rel=1e-6)
    assert logged["steepest/steps"] == STEPS
