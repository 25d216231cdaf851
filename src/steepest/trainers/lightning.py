"""Lightning validates, saves and stops by the weights that an optimizer returns, and trains on at its own.

The weights of training are in the model while a batch is trained, so whatever looks between two batches (validation,
``ModelCheckpoint``, ``EarlyStopping``) finds those that are for use.
"""

from __future__ import annotations

import copy
from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    try:
        from pytorch_lightning import Callback
    except ImportError:
        Callback = object


class AveragedWeights(Callback):  # type: ignore[misc]
    """Put averaged weights into the model wherever Lightning does not train.

    For optimizers that have ``eval()`` and ``train()``: those of this library (nothing happens where the method keeps no
    average) and others that follow schedulefree::

        from steepest.trainers.lightning import AveragedWeights

        Trainer(callbacks=[AveragedWeights(), EarlyStopping("val_loss"), ModelCheckpoint(monitor="val_loss")])

    Validation sees the averaged weights, checkpoints have them in ``state_dict``, and the model keeps them when ``fit`` is
    over.  The weights of training stand beside them in the optimizer's state, so a run resumes from every checkpoint to the
    bit.  The place among the callbacks does not matter.

    Swapping costs a copy of the weights, and memory for one more until training goes on.  With a ``ModelCheckpoint`` that
    has ``save_weights_only``, which notifies no callback when it saves, weights are swapped after every batch.

    Raises:
        ImportError: there is no Lightning.

    Note: running statistics of batch normalisation belong to the model and are not averaged.
    """

    def __init__(self) -> None:
        if Callback is object:
            raise ImportError("this callback needs Lightning: pip install lightning")
        super().__init__()
        self._in_batch = False

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The averaged weights: a resumed run may have begun with others."""
        self._swap(trainer, "eval")

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """The weights of training."""
        self._swap(trainer, "train")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The averaged weights where they may be saved without ``on_save_checkpoint``."""
        if any(getattr(each, "save_weights_only", False) for each in trainer.checkpoint_callbacks):
            self._swap(trainer, "eval")

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """The averaged weights."""
        self._swap(trainer, "eval")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """The averaged weights, for what is saved here."""
        self._swap(trainer, "eval")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The averaged weights, for good."""
        self._swap(trainer, "eval")

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """The averaged weights, and a state with both, where training has only just made a step or is in its midst."""
        if self._in_batch:
            self._swap(trainer, "eval")
            checkpoint["state_dict"] = copy.deepcopy(trainer.strategy.lightning_module_state_dict())
            checkpoint["optimizer_states"] = [trainer.strategy.optimizer_state(opt) for opt in trainer.optimizers]
            self._swap(trainer, "train")

    def _swap(self, trainer: Any, mode: str) -> None:
        self._in_batch = mode == "train"
        for opt in trainer.optimizers:
            if callable(swap := getattr(opt, mode, None)):
                swap()
