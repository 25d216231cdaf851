"""A record of gradient norms: one line a step, written when the step is done, so a killed run loses nothing."""

from __future__ import annotations

import json
import math
import os
import warnings
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from steepest.engine import shard


@dataclass
class Record:
    """Gradient norms of a run, one a step; NaN where a step had no finite gradient.

    Args:
        l2: Euclidean norms of the whole gradient.
        l1: sums of its absolute values.
        optimizer: name of the class that made the steps.
    """

    l2: list[float] = field(default_factory=list)
    l1: list[float] = field(default_factory=list)
    optimizer: str = ""

    def __len__(self) -> int:
        return len(self.l2)

    def line(self) -> str:
        """The last step as a line of the file."""
        shown = {k: v if math.isfinite(v) else None for k, v in (("l2", self.l2[-1]), ("l1", self.l1[-1]))}
        return json.dumps({"t": len(self), **shown}) + "\n"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Record:
        """Read the file of a run.

        A run that was killed may have written a part of its last line, which is ignored, and may have begun again at an
        earlier step, which then counts.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no record.
        """
        where, answer = os.fspath(path), None
        for k, text in enumerate(Path(path).read_bytes().split(b"\n")[:-1], 1):
            try:
                row = json.loads(text)
                if answer is None:
                    if row["steepest"] != "norms":
                        break
                    answer = cls(optimizer=str(row["optimizer"]))
                    continue
                t, values = row["t"], [math.nan if row[n] is None else float(row[n]) for n in ("l2", "l1")]
                if not 1 <= t <= len(answer) + 1:
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                if answer is None:
                    break
                raise ValueError(f"{where!r} is damaged in line {k}: {text[:60].decode(errors='replace')!r}") from None
            for known, value in zip((answer.l2, answer.l1), values, strict=True):
                known[t - 1 :] = [value]
        if answer is None:
            raise ValueError(f"{where!r} is no record of gradient norms: steepest.schedule.Norms(opt, path) writes one")
        return answer


class Norms:
    """Records the norms of the gradients an optimizer steps with, in memory and in a file.

    What stands in ``p.grad`` when a step is done is measured, so clipped gradients count as clipped, accumulated ones as
    a whole, and methods that take a closure are recorded, too (those that evaluate several times by their last gradient).
    torch's fused optimizers unscale inside their step: under a ``GradScaler`` call ``scaler.unscale_(opt)`` before them.
    Under FSDP2 norms are of the whole gradient; the first process writes.  The price is two reads of the gradients:
    about what a step of AdamW takes, and little beside a backward pass.

    Args:
        optimizer: any torch optimizer.
        path: file of lines in JSON, default none.
        resume: go on with a file that is there.

    Raises:
        FileExistsError: the file is there and ``resume`` is False.

    Example:
        >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> opt = torch.optim.SGD([x], lr=0.5)
        >>> norms = Norms(opt)
        >>> for _ in range(2):
        ...     x.grad = x.detach().clone()
        ...     opt.step()
        >>> norms.record.l2, norms.record.l1
        ([5.0, 2.5], [7.0, 3.5])
    """

    def __init__(self, optimizer: torch.optim.Optimizer, path: str | os.PathLike[str] | None = None,
                 resume: bool = False) -> None:  # fmt: skip
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"Norms records an optimizer, got {type(optimizer).__name__}")
        self.record = Record(optimizer=type(optimizer).__name__)
        self._file: int | None = None
        if path is not None and not (dist.is_available() and dist.is_initialized() and dist.get_rank()):
            self._open(Path(path), resume)
        self._hook = optimizer.register_step_post_hook(self._after)

    def _open(self, path: Path, resume: bool) -> None:
        there = path.exists() and path.stat().st_size > 0
        if there and not resume:
            raise FileExistsError(f"{str(path)!r} holds the norms of a run already: pass resume=True to go on with it, "
                                  "or give another path")  # fmt: skip
        if there:
            self.record.l2, self.record.l1 = (lambda r: (r.l2, r.l1))(Record.load(path))
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut off
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._closes = weakref.finalize(self, os.close, self._file)
        if not there:
            self._write(json.dumps({"steepest": "norms", "version": 1, "optimizer": self.record.optimizer}) + "\n")

    def _write(self, line: str) -> None:
        try:
            if self._file is not None:
                os.write(self._file, line.encode())  # whole lines, handed over at once: a kill loses none
        except OSError as error:  # a full disk must not end the training
            self._file = None
            warnings.warn(
                f"gradient norms are no longer written ({error.strerror}); Norms.record has them", stacklevel=6
            )

    def _after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        params = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        l2, l1 = measure(params) if params else (math.nan, math.nan)
        self.record.l2.append(l2)
        self.record.l1.append(l1)
        self._write(self.record.line())

    def close(self) -> None:
        """Stop recording."""
        self._hook.remove()
        if self._file is not None:
            self._file = None
            self._closes()

    def state_dict(self) -> dict[str, Any]:
        """The norms so far, for a checkpoint."""
        return {"l2": list(self.record.l2), "l1": list(self.record.l1)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; steps that were done after it are written anew."""
        self.record.l2, self.record.l1 = list(state["l2"]), list(state["l1"])


@torch.no_grad()
def measure(params: list[Tensor]) -> tuple[float, float]:
    """The Euclidean norm and the sum of absolute values of all gradients together, over all shards."""
    rows = []
    for p in params:
        assert p.grad is not None
        g = shard.local(p.grad)
        g = g.coalesce().values() if g.is_sparse else g
        exact = torch.float32 if g.dtype in (torch.float16, torch.bfloat16) else None
        rows += [torch.linalg.vector_norm(g, n, dtype=exact) for n in (2, 1)]
    if len({(r.device, r.dtype) for r in rows}) > 1:
        rows = [r.cpu().double() for r in rows]
    sums = torch.stack(rows).cpu().double().view(-1, 2)  # one wait for the device, whatever the number of tensors
    sums[:, 0] **= 2
    if (reduce := shard.reducer(params)) is not None:
        reduce(sums)
    l2, l1 = sums.sum(0).tolist()
    return math.sqrt(l2) if l2 >= 0 else l2, l1
