"""Batch sizes that grow: a sampler whose batches may become larger while it runs, and the test that says when.

Far from a minimum a few samples point the right way; near it the gradient is small against the noise of its samples, and
only a larger batch can distinguish it from zero.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import Sampler

from steepest.core.part import check_number
from steepest.schedule.shape import whole


def together() -> bool:
    """Whether there are other processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class GrowingBatchSampler(Sampler[list[int]]):
    """Batches of row numbers for ``DataLoader(data, batch_sampler=...)``, whose size may grow while they are drawn.

    Every epoch is a permutation of all rows, a function of seed and epoch alone, and is cut into batches of the size that
    holds when a batch is drawn; workers of a loader draw ahead, so with them a new size takes a few batches to arrive.
    Batch sizes are of all processes together, and each process gets an equal part of every batch.

    Args:
        data: the data set, or its number of rows.
        batch: the first batch size.
        most: the largest, default all rows.
        seed: of the permutations, default 0.
        shuffle: default True.
        drop_last: leave out the batch at the end of an epoch that is smaller, default False.
        replicas: number of processes, default those of ``torch.distributed``.
        rank: which of them this is.

    Example:
        >>> sampler = GrowingBatchSampler(10, batch=2, most=8, shuffle=False)
        >>> for rows in sampler:
        ...     sampler.step()
        ...     print(rows, sampler.grow(2 * sampler.batch))
        [0, 1] 4
        [2, 3, 4, 5] 8
        [6, 7, 8, 9] 8
        >>> sampler.epoch, sampler.seen
        (1, 0)
    """

    def __init__(self, data: Sized | int, batch: int, most: int | None = None, seed: int = 0, shuffle: bool = True,
                 drop_last: bool = False, replicas: int | None = None, rank: int | None = None) -> None:  # fmt: skip
        owner = type(self).__name__
        self.rows = whole(owner, "data", data if isinstance(data, int) else len(data), 1)
        self.replicas = whole(owner, "replicas", replicas or (dist.get_world_size() if together() else 1), 1)
        ours = rank if rank is not None else dist.get_rank() if together() else 0
        self.rank = whole(owner, "rank", ours, 0, self.replicas - 1)
        self.most = whole(owner, "most", self.rows if most is None else most, self.replicas)
        self.seed, self.shuffle, self.drop_last = int(seed), shuffle, drop_last
        self.batch = 0
        self.grow(whole(owner, "batch", batch, 1, self.most))
        self.epoch = self.seen = 0
        self._begun = self._all_drawn = False
        self._drawn: deque[int] = deque()

    def grow(self, batch: float) -> int:
        """Request a batch size: it is rounded up to a whole number for each process, capped, and never falls."""
        if batch > self.batch:
            share = math.ceil(min(batch, self.most) / self.replicas)
            self.batch = max(self.batch, min(share * self.replicas, self.most // self.replicas * self.replicas))
        return self.batch

    def __iter__(self) -> Iterator[list[int]]:
        """An epoch, or after a checkpoint the rest of one."""
        if self._begun:
            self.epoch, self.seen = self.epoch + 1, 0
        self._begun, self._all_drawn = True, False
        self._drawn.clear()
        return self._batches(self._order(), self.seen)

    def _order(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(self.rows, generator=generator) if self.shuffle else torch.arange(self.rows)

    def _batches(self, order: Tensor, first: int) -> Iterator[list[int]]:
        while first < self.rows:
            size = min(self.batch, self.rows - first)
            share = size // self.replicas  # the same for every process: gradients are averaged with equal weights
            if share == 0 or (self.drop_last and size < self.batch):
                break
            self._drawn.append(size)
            mine = order[first + self.rank : first + share * self.replicas : self.replicas]
            first += size
            yield mine.tolist()
        self._all_drawn = True
        self._close()

    def _close(self) -> None:
        """The epoch ends when its last batch is used, which may be after it was drawn."""
        if self._begun and not self._drawn and (self._all_drawn or self.seen >= self.rows):
            self.epoch, self.seen, self._begun, self._all_drawn = self.epoch + 1, 0, False, False

    def __len__(self) -> int:
        """Batches left in the epoch if the size stays as it is."""
        left = self.rows - self.seen
        return left // self.batch if self.drop_last else math.ceil(left / self.batch)

    def step(self) -> None:
        """Say that a batch has been used, as with a scheduler; a checkpoint then knows where to go on."""
        if not self._drawn:
            raise RuntimeError("no batch has been drawn: call sampler.step() once after each batch")
        self.seen += self._drawn.popleft()
        self._close()

    def state_dict(self) -> dict[str, int]:
        """Batch size and place, for a checkpoint."""
        return {"batch": self.batch, "epoch": self.epoch, "seen": self.seen}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a checkpoint, in the middle of an epoch if it was made there."""
        self.batch, self.epoch, self.seen = state["batch"], state["epoch"], state["seen"]
        self._begun = self._all_drawn = False
        self._drawn.clear()


def row_gradients(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> list[Tensor]:
    """The gradient of each row's loss: one tensor for each trainable parameter, rows first.

    Args:
        model: no layer may mix rows (batch normalisation does; use micro-batches there).
        loss: of outputs and targets, for a batch of one.
        x: inputs, rows first.
        y: targets, rows first.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> x, y = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
        >>> _ = nn.init.ones_(model.weight)
        >>> row_gradients(model, nn.functional.mse_loss, x, y)[0].flatten()
        tensor([2., 8.])
    """
    named = dict(model.named_parameters())
    params = {name: p.detach() for name, p in named.items() if p.requires_grad}
    rest = {name: p.detach() for name, p in named.items() if not p.requires_grad} | dict(model.named_buffers())

    def one(params: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, (params, rest), (x[None],)), y[None])

    each = torch.vmap(torch.func.grad(one), in_dims=(None, 0, 0), randomness="different")(params, x, y)
    return [each[name] for name in params]


class NormTest:
    r"""Grows the batch when the gradient's noise is too large for the gradient.

    .. math:: \frac{\mathrm{Var}}{b} \le \eta^2 \|g_B\|^2 \ \text{or else}\
              b \leftarrow \Bigl\lceil \frac{\mathrm{Var}}{\eta^2 \|g_B\|^2} \Bigr\rceil,\quad
              \mathrm{Var} = \frac{1}{b-1} \sum_{i \in B} \|\nabla f_i - g_B\|^2

    Args:
        sampler: its batch size grows; it is never lowered and capped by ``sampler.most``.
        eta: η in (0, 1), default 0.1 (the authors' scripts for MNIST; 0.25 and 0.5 for CIFAR).
        coordinates: test every coordinate on its own and take the largest b (the paper's variant for AdaGrad); one
            coordinate near zero is enough to reach the cap.

    Source: Lau, Liu & Kolar 2024, arXiv:2402.11215 (AdAdaGrad and AdAdaGradNorm), test and update as in the authors'
    code (timlautk/AdAdaGrad, tests.py: ``norm_test``); the test is due to Byrd et al. 2012.

    Note: the authors' experiments with AdaGrad use the norm test and not the one by coordinates, so that is the default.
    The paper's two methods are this with ``steepest.AdaGrad`` and with ``steepest.AdaGradNorm``; it works with any.

    Example:
        >>> sampler = GrowingBatchSampler(100, batch=2)
        >>> test = NormTest(sampler, eta=0.5)
        >>> test.update([torch.tensor([[1.0, 3.0], [3.0, 3.0]])])  # Var = 2, ‖g‖² = 4 + 9: 0.6 of a row is enough
        2
        >>> test.update([torch.tensor([[1.0, 0.0], [0.0, 1.0]])])  # Var = 1, ‖g‖² = ½
        8
    """

    def __init__(self, sampler: GrowingBatchSampler, eta: float = 0.1, coordinates: bool = False) -> None:
        self.sampler, self.coordinates = sampler, coordinates
        self.eta = check_number("NormTest", "eta", eta, "(0, inf)")
        self.variance = self.square = math.nan

    @torch.no_grad()
    def update(self, grads: Sequence[Tensor], rows: int = 1) -> int:
        """Test the batch at hand and grow the next ones.

        Args:
            grads: gradients with rows first, as :func:`row_gradients` gives them, at least two in all processes.
            rows: how many rows each of them is the mean of, default 1; more for gradients of micro-batches.

        Returns:
            The batch size from now on.
        """
        if not grads or any(g.dim() == 0 or len(g) != len(grads[0]) for g in grads):
            raise ValueError("NormTest.update wants gradients with rows first, equally many for each parameter")
        count = len(grads[0]) * (dist.get_world_size() if together() else 1)
        if count < 2:
            return self.sampler.batch  # one gradient has no variance
        variance, square, most = 0.0, 0.0, 0.0
        for g in grads:
            mean = summed(g.double().sum(0)) / count
            spread = summed((g - mean).square().sum(0)) * (rows / (count - 1))
            variance, square = variance + float(spread.sum()), square + float(mean.square().sum())
            if self.coordinates and bool(spread.any()):
                most = max(most, float((spread / mean.square()).nan_to_num(0.0).max()))
        self.variance, self.square = variance, square
        if not self.coordinates:
            most = variance / square if square > 0 else math.inf if variance > 0 else 0.0
        wanted = most / self.eta**2
        if math.isnan(variance) or math.isnan(square):
            return self.sampler.batch  # a batch with NaN says nothing
        return self.sampler.grow(math.ceil(wanted) if math.isfinite(wanted) else self.sampler.most)


def summed(t: Tensor) -> Tensor:
    """t, added up in place over all processes."""
    if together():
        dist.all_reduce(t)
    return t
