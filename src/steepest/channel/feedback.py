"""Error feedback: send a small part of the gradient, and remember what was not sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Channel, Kept, Scalars
from steepest.engine import shard

if TYPE_CHECKING:
    from steepest.core.optimizer import Optimizer


class TopK(Channel):
    r"""Top-k compression with error feedback.

    .. math:: p = g + e,\quad \delta = C(p),\quad e \leftarrow p - \delta

    and δ is used instead of g; C keeps the k entries of largest magnitude of each tensor, which satisfies
    :math:`\lVert C(p) - p\rVert^2 \le (1 - k/n)\lVert p\rVert^2`.

    In one process the channel compresses the gradient the optimizer sees.  Under DDP call ``attach`` with the wrapped
    model: then every process compresses its own gradient, only values and indices travel, and the average of the δ
    arrives.  The memory e differs between processes there; save it per process.

    Args:
        keep: the part of each tensor's entries that is sent, default 0.01; at least one entry.

    Source: Karimireddy et al. 2019, arXiv:1901.09847, Algorithm 2.

    Note: the paper compresses η g + e; with the memory in units of the gradient the two agree while η is constant.
    """

    keep: float = real("(0, 1]", default=0.01)
    keeps = ("e",)
    cite = ("karimireddy2019error",)
    _attached = False

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """e, shaped like this process's part of x."""
        return {"e": Kept(tuple(shard.local(x).shape), spread=True)}

    @staticmethod
    def compress(p: Tensor, keep: float) -> Tensor:
        """The indices of the entries that are sent, flat."""
        k = max(1, round(keep * p.numel()))
        return p.reshape(-1).abs().topk(min(k, p.numel())).indices

    def _split(self, g: Tensor, s: dict[str, Any], keep: float) -> tuple[Tensor, Tensor]:
        """What is sent of g + e (values, flat indices); the rest goes to memory."""
        full = g.to(torch.float64 if g.dtype is torch.float64 else torch.float32)
        p = (full + s["e"]).reshape(-1) if "e" in s else full.reshape(-1).clone()
        index = self.compress(p, keep)
        value = p[index]
        s["e"] = p.index_fill(0, index, 0.0).view(full.shape)
        return value, index

    def send(self, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """C(g + e)."""
        if self._attached:
            return g
        value, index = self._split(g, s, h.keep)
        return torch.zeros(g.numel(), dtype=value.dtype, device=g.device).index_copy_(0, index, value).view(g.shape)

    def attach(self, model: Any, opt: "Optimizer") -> None:
        """Compress inside DDP's gradient exchange.

        Args:
            model: the ``DistributedDataParallel`` model.
            opt: the optimizer with this channel; the memory lives in its state.

        Raises:
            TypeError: the model is not wrapped in DistributedDataParallel.
        """
        if not hasattr(model, "register_comm_hook"):
            raise TypeError(f"attach needs a model wrapped in DistributedDataParallel, got {type(model).__name__}")
        model.register_comm_hook(opt, self._exchange)
        self._attached = True

    def _exchange(self, opt: "Optimizer", bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
        keep = {p: group["keep"] for group in opt.param_groups for p in group["params"]}
        for p, g in zip(bucket.parameters(), bucket.gradients(), strict=True):
            g.copy_(_mean_of_parts(*self._split(g, opt.state[p], keep[p]), g))
        future: torch.futures.Future[Tensor] = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


def _mean_of_parts(value: Tensor, index: Tensor, like: Tensor) -> Tensor:
    """The mean over all processes of tensors of which each sends some entries."""
    world = dist.get_world_size()
    values = [torch.empty_like(value) for _ in range(world)]
    indices = [torch.empty_like(index) for _ in range(world)]
    dist.all_gather(values, value)
    dist.all_gather(indices, index)
    total = torch.zeros(like.numel(), dtype=value.dtype, device=like.device)
    for v, i in zip(values, indices, strict=True):
        total.index_add_(0, i, v)
    return (total / world).view(like.shape)
