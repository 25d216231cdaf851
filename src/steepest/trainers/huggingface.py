"""Hugging Face's Trainer saves, stops and picks its best model by the weights that an optimizer returns.

The Trainer itself calls ``optimizer.train()`` before a step and ``optimizer.eval()`` before it evaluates.  What it saves
without having evaluated, and what it keeps at the end, are left to the callback.
"""

from __future__ import annotations

from typing import Any

try:
    from transformers import TrainerCallback
except ImportError:
    TrainerCallback = object


class AveragedWeights(TrainerCallback):  # type: ignore[misc]
    """Put averaged weights into the model wherever the Trainer does not train.

    For optimizers that have ``eval()`` and ``train()``: those of this library (nothing happens where the method keeps no
    average) and others that follow schedulefree::

        from steepest.trainers.huggingface import AveragedWeights

        Trainer(model, args, train_dataset=data, optimizers=(opt, None), callbacks=[AveragedWeights()])

    Evaluation sees the averaged weights, checkpoints have them in the model's file, and the model keeps them when training
    is over, or those of the best checkpoint (``load_best_model_at_end``).  The weights of training stand beside them in the
    optimizer's file, so a run resumes from every checkpoint to the bit.  A callback of your own that sets ``should_save``
    comes before this one.

    Swapping costs a copy of the weights, and memory for one more until training goes on.

    Raises:
        ImportError: there is no transformers.

    Note: running statistics of batch normalisation belong to the model and are not averaged.  Without this callback the
    last average would be put over a best model when that is evaluated.
    """

    def __init__(self) -> None:
        if TrainerCallback is object:
            raise ImportError("this callback needs Hugging Face's Trainer: pip install 'transformers[torch]'")
        super().__init__()

    def on_train_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **others: Any) -> None:
        """The averaged weights: a run that is over already stays at its best model."""
        _call(optimizer, "eval")

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **others: Any) -> None:
        """The weights of training."""
        _call(optimizer, "train")

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **others: Any) -> None:
        """The averaged weights, to be evaluated or saved."""
        if control.should_save or control.should_evaluate:
            _call(optimizer, "eval")

    def on_epoch_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **others: Any) -> None:
        """The averaged weights, perhaps for good."""
        _call(optimizer, "eval")


def _call(opt: Any, mode: str) -> None:
    if callable(swap := getattr(opt, mode, None)):
        swap()
