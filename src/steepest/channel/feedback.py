"""Error feedback: send a small part of the gradient, and remember what was not sent, or a sketch of it."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from steepest.core.fields import part, real, whole
from steepest.core.part import Channel, Kept, Part, Scalars
from steepest.engine import shard
from steepest.engine.codec import bits, compute_type

if TYPE_CHECKING:
    from steepest.core.optimizer import Optimizer


class Feedback(Channel):
    """What channels with error feedback share: in one process or inside DDP's exchange of gradients."""

    keep: float = real("(0, 1]", default=0.01)
    _attached = False

    def message(self, g: Tensor, s: dict[str, Any], keep: float, average: bool) -> Tensor:
        """C(g + e), and the rest goes to memory; with ``average`` the mean of all processes' C(g + e)."""
        raise NotImplementedError

    def send(self, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """C(g + e), unless it was sent in DDP's exchange."""
        return g if self._attached else self.message(g, s, h.keep, False)

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
            g.copy_(self.message(g, opt.state[p], keep[p], True))
        future: torch.futures.Future[Tensor] = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


def full(g: Tensor) -> Tensor:
    """g in the precision of memory: float64 where it is, otherwise float32."""
    return g.to(compute_type(g))


class TopK(Feedback):
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

    keeps = ("e",)
    cite = ("karimireddy2019error",)

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """e, shaped like this process's part of x."""
        return {"e": Kept(tuple(shard.local(x).shape), spread=True)}

    @staticmethod
    def compress(p: Tensor, keep: float) -> Tensor:
        """The indices of the entries that are sent, flat."""
        k = max(1, round(keep * p.numel()))
        return p.reshape(-1).abs().topk(min(k, p.numel())).indices

    def message(self, g: Tensor, s: dict[str, Any], keep: float, average: bool) -> Tensor:
        """The k largest of g + e."""
        p = (full(g) + s["e"] if "e" in s else full(g).clone()).reshape(-1)
        index = self.compress(p, keep)
        value = p[index]
        s["e"] = p.index_fill(0, index, 0.0).view(g.shape)
        if average:
            return _mean_of_parts(value, index, g)
        return torch.zeros_like(p).index_copy_(0, index, value).view(g.shape)


class Memory(Part):
    """How what was not sent is stored: e ← Q(v) for a matrix v, the rows of a tensor's first dimension."""

    def write(self, v: Tensor, s: dict[str, Any], t: int) -> None:
        """Store Q(v) at step t."""
        raise NotImplementedError

    def read(self, s: Mapping[str, Any], v: Tensor) -> Tensor:
        """What is stored, shaped and typed as v."""
        raise NotImplementedError


def by_rows(x: Tensor, kept: Callable[[int, int], Mapping[str, Kept]]) -> Mapping[str, Kept]:
    """What is kept of this process's part of x as a matrix of its first dimension by all others; of vectors nothing."""
    if x.dim() < 2:
        return {}
    cut = [p.dim for p in x.placements if p.is_shard()] if shard.is_sharded(x) else []  # type: ignore[attr-defined]
    if any(cut):
        raise ValueError(f"a compressed memory follows the rows of a weight, but dimension {cut} is spread over processes: "
                         "shard dimension 0, or use channel=TopK()")  # fmt: skip
    m, *n = shard.local(x).shape
    return kept(m, math.prod(n))


class CountSketch(Memory):
    r"""A count sketch with one hash: the entries of a row share fewer numbers.

    .. math:: S_j = \frac{1}{n_j}\sum_{i: h(i) = j} \sigma_i v_i,\quad Q(v)_i = \sigma_i S_{h(i)}

    h puts each column into one of n/``per`` buckets of :math:`n_j` columns, σ = ±1; both are fixed hashes, the same for all
    rows.  Q is an orthogonal projection, so it never makes v longer.

    Args:
        per: columns a number, default 5: a fifth of the memory (the paper saves 80 to 90 %).

    Source: Charikar et al. 2002, read as a mean; one hash as the authors of ConEF advise.

    Note: read as a sum, as in Charikar et al., Q would be unbiased and make v up to ``per`` times longer, and the memory
    under a fixed hash would grow without end.  The authors' code reads a tenth of the sum by default, with two
    columns a number.
    """

    per: int = whole("[1, inf)", default=5)
    keeps = ("sketch",)

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """Rows x buckets."""
        return by_rows(x, lambda m, n: {"sketch": Kept((m, -(-n // self.per)), spread=True)})

    def hashed(self, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """h and σ of n columns."""
        draw = [bits(n, 0, salt, n, device) for salt in (1, 2)]
        return draw[0] % max(1, -(-n // self.per)), 1 - 2 * (draw[1] & 1)

    def write(self, v: Tensor, s: dict[str, Any], t: int) -> None:
        """The mean of each bucket."""
        h, sign = self.hashed(v.shape[1], v.device)
        buckets = -(-v.shape[1] // self.per)
        sums = v.new_zeros(v.shape[0], buckets).index_add_(1, h, v * sign)
        s["sketch"] = sums / h.bincount(minlength=buckets).clamp(min=1)

    def read(self, s: Mapping[str, Any], v: Tensor) -> Tensor:
        """σ times the mean of each column's bucket."""
        h, sign = self.hashed(v.shape[1], v.device)
        return s["sketch"].to(v.dtype)[:, h].mul(sign)


class FourBits(Memory):
    """Four bits an entry: one of 15 levels, stochastically rounded, times the largest magnitude of 64 in a row.

    Q is unbiased.  0.56 bytes an entry instead of 4; random bits are a hash of the step and the entry.

    Source: Alistarh et al. 2017, arXiv:1610.02132, section 3.1, with the largest magnitude for the norm.
    """

    keeps = ("codes", "scale")
    block, top = 64, 7

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """Two entries a byte, and a scale a block; blocks begin with the rows."""
        return by_rows(x, lambda m, n: {"codes": Kept((m, -(-n // 2)), 256, spread=True, byte=True),
                                        "scale": Kept((m, -(-n // self.block)), spread=True)})  # fmt: skip

    def write(self, v: Tensor, s: dict[str, Any], t: int) -> None:
        """Codes 0 to 14, of the levels -7 to 7."""
        (m, n), blocks = v.shape, -(-v.shape[1] // self.block)
        wide = torch.nn.functional.pad(v, (0, blocks * self.block - n)).view(m, blocks, self.block)
        s["scale"] = wide.abs().amax(2) / self.top
        y = (wide / s["scale"].clamp(min=torch.finfo(v.dtype).tiny)[..., None]).flatten(1)[:, :n]
        uniform = bits(m * n, 0, t, n, v.device).view(m, n).to(torch.float64) * 2.0**-32
        codes = torch.floor(y + uniform).clamp(-self.top, self.top).to(torch.int16) + self.top
        codes = torch.nn.functional.pad(codes, (0, n % 2)).to(torch.uint8)
        s["codes"] = codes[:, ::2] | codes[:, 1::2] << 4

    def read(self, s: Mapping[str, Any], v: Tensor) -> Tensor:
        """Levels times scales."""
        codes = torch.stack([s["codes"] & 15, s["codes"] >> 4], 2).flatten(1)[:, : v.shape[1]]
        return (codes.to(v.dtype) - self.top) * s["scale"].to(v.dtype).repeat_interleave(self.block, 1)[:, : v.shape[1]]


class ConEF(Feedback):
    r"""Contractive error feedback: the memory of what was not sent is compressed, too.

    .. math:: p = g + e,\quad \delta = C(p),\quad e \leftarrow Q(p - \delta)

    and δ is used instead of g.  C keeps a block of k entries that begins at a random one and goes on at the beginning; all
    processes draw the same block from the step's number, so δ is averaged by an all-reduce of k numbers.  Numbers and
    vectors are sent whole, without memory.

    Under DDP call ``attach`` with the wrapped model.  The memory differs between processes there; save it per process.

    Args:
        memory: Q, :class:`CountSketch` (default) or :class:`FourBits`.
        keep: the part of each matrix's entries that is sent, default 0.1 (authors' code); at least one entry.

    Source: Li et al. 2023, arXiv:2312.08538, the method's recursion; random blocks and the sketch by rows follow the authors'
    code, as does that vectors are sent whole.

    Note: the paper compresses η g + e; with the memory in units of the gradient the two agree while η is constant.  Its
    improved variants (iConEF) were not seen and are not here.  The authors' code sends everything in the first 1,000 steps.
    """

    keep: float = real("(0, 1]", default=0.1)
    stored: Memory = part(Memory, alias="memory", default_factory=CountSketch)
    keeps = ("sent",)
    cite = ("li2023conef",)

    def __post_init__(self) -> None:
        self.inner = (self.stored,)  # the default, too, keeps something

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """How often something was sent."""
        return {"sent": Kept()}

    @staticmethod
    def compress(n: int, keep: float, t: int) -> Tensor:
        """The indices of n entries that are sent at step t."""
        k = min(n, max(1, round(keep * n)))
        return (int(bits(1, t, 3, n, torch.device("cpu"))) + torch.arange(k)) % max(n, 1)

    def message(self, g: Tensor, s: dict[str, Any], keep: float, average: bool) -> Tensor:
        """A random block of g + e."""
        if g.dim() < 2:
            return _mean(full(g)) if average else full(g)  # in one type with what is sent of matrices
        v, t = full(g).reshape(len(g), math.prod(g.shape[1:])), s.get("sent", 0)
        p = (v + self.stored.read(s, v) if s.keys() >= {*self.stored.keeps} else v).reshape(-1)
        index = self.compress(len(p), keep, t).to(p.device)
        value, rest = p[index], p.index_fill(0, index, 0.0)
        self.stored.write(rest.view(v.shape), s, t)
        s["sent"] = t + 1
        return torch.zeros_like(p).index_copy_(0, index, _mean(value) if average else value).view(g.shape)


def _mean(value: Tensor) -> Tensor:
    """The mean over all processes."""
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


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
