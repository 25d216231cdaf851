"""``opt.metrics()`` in the log of a run: for TensorBoard and its kind, Hugging Face's Trainer, and Lightning.

Each of the two callbacks needs its trainer only where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from transformers import TrainerCallback
except ImportError:
    TrainerCallback = object
try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        Callback = object

__all__ = ["HuggingFaceMetrics", "LightningMetrics", "write_metrics"]


def of(optimizer: Any, prefix: str) -> dict[str, float]:
    """The metrics of an optimizer, perhaps behind accelerate's, under a prefix; nothing of one that has none."""
    own = getattr(optimizer, "optimizer", optimizer)
    found: Mapping[str, float] = own.metrics() if hasattr(own, "metrics") else {}
    return {f"{prefix}{name}": value for name, value in found.items()}


def write_metrics(writer: Any, opt: Any, step: int | None = None, prefix: str = "steepest/") -> None:
    """Write ``opt.metrics()`` as scalars of TensorBoard.

    Args:
        writer: a ``torch.utils.tensorboard.SummaryWriter``, or anything else that has ``add_scalar(name, value, step)``.
        opt: an optimizer of this library; any other has no metrics and writes nothing.
        step: default: how many steps the optimizer has taken.
        prefix: of the names, default ``"steepest/"``.

    Example:
        >>> import torch, steepest
        >>> class Writer:
        ...     def add_scalar(self, name, value, step):
        ...         print(name, value, step) if name in ("run/lr", "run/loss") else None
        >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> opt = steepest.SGD([x], lr=0.5)
        >>> _ = opt.step(lambda: (x * x).sum() / 2)
        >>> write_metrics(Writer(), opt, prefix="run/")
        run/lr 0.5 1
        run/loss 12.5 1
    """
    found = of(opt, "")
    at = int(found.get("steps", 0)) if step is None else step
    for name, value in found.items():
        writer.add_scalar(f"{prefix}{name}", value, at)


class HuggingFaceMetrics(TrainerCallback):  # type: ignore[misc]
    """Add the metrics to what ``transformers.Trainer`` logs, and to ``state.log_history``.

    Callbacks are called in order, and those that report to TensorBoard or elsewhere stand first, so go before them::

        trainer.callback_handler.callbacks.insert(0, HuggingFaceMetrics())

    Args:
        prefix: of the names, default ``"steepest/"``.

    Raises:
        ImportError: there is no transformers.
    """

    def __init__(self, prefix: str = "steepest/") -> None:
        if TrainerCallback is object:
            raise ImportError("this callback needs Hugging Face's Trainer: pip install 'transformers[torch]'")
        super().__init__()
        self.prefix = prefix

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Any = None, optimizer: Any = None, **others: Any
    ) -> None:
        """The entries that log a training loss; those of an evaluation stay as they are."""
        if logs is not None and "loss" in logs:
            found = of(optimizer, self.prefix)
            logs.update(found)
            state.log_history[-1].update(found)


class LightningMetrics(Callback):  # type: ignore[misc]
    """Log the metrics of all optimizers after each batch by ``log_dict``, as often as the Trainer logs.

    Args:
        prefix: of the names, default ``"steepest/"``; the second optimizer's names begin with ``"steepest/1/"``.

    Raises:
        ImportError: there is no Lightning.
    """

    def __init__(self, prefix: str = "steepest/") -> None:
        if Callback is object:
            raise ImportError("this callback needs Lightning: pip install lightning")
        super().__init__()
        self.prefix = prefix

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After the step."""
        for i, opt in enumerate(trainer.optimizers):
            pl_module.log_dict(of(opt, f"{self.prefix}{i}/" if i else self.prefix))
