"""Sharded parameters: what a step must know about DTensor.

Kernels run on local shards.  Sums are added up over the shards; a part that needs a whole tensor (a matrix for its low
rank, a row for its projection) gets it gathered and hands its answer back in shards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

try:
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
except ImportError:  # a torch built without distributed support
    DTensor = None  # type: ignore[assignment,misc]


def is_sharded(t: Tensor) -> bool:
    """Whether t is spread over several processes."""
    return DTensor is not None and isinstance(t, DTensor)


def local(t: Tensor) -> Tensor:
    """This process's part of t."""
    return t.to_local() if is_sharded(t) else t  # type: ignore[attr-defined]


def whole(t: Tensor) -> Tensor:
    """All of t, on every process."""
    return t.full_tensor() if is_sharded(t) else t  # type: ignore[attr-defined]


def part_of(full: Tensor, like: Tensor) -> Tensor:
    """This process's part of ``full``, cut as ``like`` is; no communication."""
    if not is_sharded(like):
        return full
    assert isinstance(like, DTensor)
    spread = DTensor.from_local(full, like.device_mesh, [Replicate()] * like.device_mesh.ndim, run_check=False)
    return spread.redistribute(like.device_mesh, like.placements).to_local()


def spread(part: Tensor, like: Tensor, shape: torch.Size | None = None) -> Tensor:
    """This process's part of a tensor as such, where ``like`` is spread; no communication.

    ``shape`` is that of the whole tensor, if other than that of ``like``.
    """
    if not is_sharded(like):
        return part
    assert isinstance(like, DTensor)
    stride = like.stride() if shape in (None, like.shape) else torch.empty(shape, device="meta").stride()
    return DTensor.from_local(part, like.device_mesh, like.placements, run_check=False, shape=shape or like.shape,
                              stride=stride)  # fmt: skip


def alike(t: Tensor, like: Tensor) -> bool:
    """Whether both are spread over the same processes in the same way, or neither is."""
    if not (is_sharded(t) and is_sharded(like)):
        return is_sharded(t) == is_sharded(like)
    assert isinstance(t, DTensor)
    assert isinstance(like, DTensor)
    return t.device_mesh == like.device_mesh and t.placements == like.placements


def offset(t: Tensor) -> int:
    """Where this process's first element lies in the storage of the whole of t.

    All local elements follow from there in order if the dimension that is cut is the outermost in memory, as FSDP2 cuts.
    """
    if not is_sharded(t):
        return 0
    assert isinstance(t, DTensor)
    first, lengths = [0] * t.dim(), list(t.shape)
    for dim, placement in enumerate(t.placements):
        if type(placement) is Shard:
            d, ranks, rank = placement.dim, t.device_mesh.size(dim), t.device_mesh.get_local_rank(dim)
            chunk = -(-lengths[d] // ranks)
            begin = min(rank * chunk, lengths[d])
            first[d] += begin
            lengths[d] = min(chunk, lengths[d] - begin)
    return sum(i * stride for i, stride in zip(first, t.stride(), strict=True))


def reducer(params: list[Tensor]) -> Callable[[Tensor], None] | None:
    """Adds up the rows of a table of sums that belong to sharded parameters; None if there are none."""
    meshes: dict[tuple[Any, int], list[int]] = {}
    for k, p in enumerate(params):
        if is_sharded(p):
            assert isinstance(p, DTensor)
            for dim, placement in enumerate(p.placements):
                if isinstance(placement, Shard):
                    meshes.setdefault((p.device_mesh, dim), []).append(k)
    if not meshes:
        return None

    def reduce(sums: Tensor) -> None:
        for (mesh, dim), rows in meshes.items():
            part = sums[rows].to(mesh.device_type)
            dist.all_reduce(part, group=mesh.get_group(dim))
            sums[rows] = part.to(sums.device)

    return reduce


def summed(rows: list[Tensor], owners: list[Tensor]) -> float:
    """The sum of one number for each parameter, over their shards too."""
    sums = torch.stack(rows).view(-1, 1) if rows else torch.zeros(0, 1)
    if (reduce := reducer(owners)) is not None:
        reduce(sums)
    return float(sums.sum())


def like(piece: Tensor, p: Tensor) -> Tensor:
    """A tensor laid out as p, of this process's piece of it."""
    if not is_sharded(p):
        return piece
    made: Tensor = type(p).from_local(piece, p.device_mesh, p.placements, shape=p.shape, stride=p.stride())  # type: ignore[attr-defined]
    return made


def processes() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def averaged(tensors: list[Tensor]) -> list[Tensor]:
    """The mean of each whole tensor over all processes; the same tensors where there is one process."""
    if processes() == 1:
        return tensors
    for t in (tensors := [t.clone() for t in tensors]):
        dist.all_reduce(t)
        t.div_(processes())
    return tensors


def anywhere(places: list[int], n: int) -> list[int]:
    """Which of n places are among those of any process."""
    if processes() == 1:
        return places
    seen = torch.zeros(n, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    seen[places] = 1.0
    dist.all_reduce(seen)
    return [i for i, count in enumerate(seen.tolist()) if count]


def mean_over_ranks(value: float) -> float:
    """The mean over all processes, or the value itself where there is one process."""
    if processes() == 1:
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


__all__ = [
    "DTensor",
    "anywhere",
    "averaged",
    "distribute_tensor",
    "is_sharded",
    "local",
    "mean_over_ranks",
    "offset",
    "part_of",
    "processes",
    "rank",
    "reducer",
    "spread",
    "whole",
]
