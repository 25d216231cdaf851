"""A step in other coordinates: pull the gradient, let the direction work there, push the result back.

The direction's state lives in the chart's coordinates, so it is made when they are known and, if the chart says so,
made anew when they change.  A sharded matrix is gathered, because its coordinates belong to the whole of it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Protocol

import torch
from torch import Tensor

from steepest.core.buckets import Bucket
from steepest.core.composed import Composed
from steepest.core.draws import drawn
from steepest.core.sides import Side
from steepest.core.spread import decoded
from steepest.core.stored import room
from steepest.engine import codec, shard
from steepest.engine.layout import flat, like_storage
from steepest.engine.lift import Kernel, Table
from steepest.engine.stacked import stacks


class Kernels(Composed, Protocol):
    """An optimizer that makes kernels."""

    def kernel(self, mode: str, live: dict[str, list[Tensor]], maximize: bool, h: dict[str, float], side: Side,
               decoded: bool = False) -> Kernel:  # fmt: skip
        """What runs a rule for tensors like these."""


def through_chart(opt: Kernels, bucket: Bucket, h: dict[str, float]) -> None:
    """Fill ``bucket.ds`` with the direction in the parameters' own coordinates, and update the direction's state."""
    chart, space, side = opt.chart, SimpleNamespace(**h), bucket.fixed.side
    pulled, points, gradients, states = [], [], [], []
    reads_x = any(getattr(part, "reads_x", False) for part in side.direction.walk())
    for p, g in zip(bucket.params, bucket.gs, strict=True):
        state = opt.state[p]
        if shard.is_sharded(p):
            g = _gather(g, p)
        full = g.to(codec.compute_type(g))
        changed = chart.refresh(full, state, bucket.t, opt.sorter.salt(p))
        small = chart.pull(full, state).contiguous()
        for name in side.inside:
            spec = side.specs[name]
            shape = spec.of(tuple(small.shape))
            if shape is not None and (name not in state or (changed and chart.on_refresh == "reset")):
                kind, like = codec.kind(spec, opt.codec, small.dtype), small.new_empty(shape)
                start = codec.begin(spec, like, p) if spec.start == "eye" else None
                state.update(codec.create(name, like, kind, start))
        pulled.append(small)
        points.append(chart.pull(shard.whole(p).to(full.dtype), state).contiguous() if reads_x else small)
        gradients.append(full)
        states.append(state)
    sizes = [s.numel() for s in pulled]
    table = Table(states, sizes, sizes, bucket.table.salts, ([], []))
    answer = [torch.empty_like(s) for s in pulled]
    live = {"x": points, "g": pulled, "d": answer, "y": points}
    live |= {name: [drawn(seed, name, bucket.t, i, at) for i, at in zip(table.salts, pulled, strict=True)]
             for name, seed in side.draws.items()}  # fmt: skip
    kernel = opt.kernel("direct", live, bucket.group["maximize"], h, side)
    kernel.run(table, live, h, bucket.t * 1024, None)
    sign = -1.0 if bucket.group["maximize"] else 1.0
    bucket.ds = []
    for p, x, d, g, state in zip(bucket.params, bucket.xs, answer, gradients, states, strict=True):
        own = shard.part_of(chart.push(d, sign * g, state, space), p)
        bucket.ds.append(_laid_out(own, x))


def _laid_out(d: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=codec.compute_type(x)).copy_(d)


def on_whole(
    opt: Kernels, mode: str, bucket: Bucket, live: dict[str, list[Tensor]], h: dict[str, float]
) -> dict[str, float]:
    """Run a rule that needs whole tensors where parameters are sharded: gather some, run, keep one's own part of each.

    Every process does the same, so a state of a shape of its own stays the same on all of them.  Bytes are decoded before
    they are gathered, because a block of them belongs to one process, and encoded there again.

    Returns:
        The rule's sums; each process has those of whole tensors.
    """
    sums: dict[str, float] = {}
    for ks in stacks([tuple(p.shape) for p in bucket.params], bucket.xs[0].device):
        for name, value in _some_whole(opt, mode, bucket, live, h, ks).items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _some_whole(
    opt: Kernels, mode: str, bucket: Bucket, live: dict[str, list[Tensor]], h: dict[str, float], ks: list[int]
) -> dict[str, float]:
    """The same for the parameters at some places, which are there as a whole at one time."""
    side = bucket.fixed.side
    params, entries = [bucket.params[k] for k in ks], [bucket.fixed.entries[k] for k in ks]
    salts = [bucket.table.salts[k] for k in ks]
    gathered = {n: [_gather(live[n][k], p) for k, p in zip(ks, params, strict=True)] for n in live if n != "y"}
    gathered["y"] = [torch.empty_like(x) for x in gathered["x"]]
    kernel = opt.kernel(mode, gathered, bucket.group["maximize"], h, side, decoded=True)
    states = [_whole_states(opt, p, e) for p, e in zip(params, entries, strict=True)]
    sizes, seed = [p.numel() for p in params], bucket.t * 1024
    found = kernel.run(Table(states, sizes, sizes, salts, ([], [])), gathered, h, seed, None)
    for k, p, y, new, entry in zip(ks, params, gathered["y"], states, entries, strict=True):
        if mode != "measure":
            live["y"][k].copy_(shard.part_of(y, p))
        for place, n in enumerate(side.specs if mode == "commit" else ()):
            if n not in new or new[n] is entry[n]:
                continue
            part, here, scale = shard.part_of(new[n], p), shard.local(entry[n]), entry.get(n + codec.SCALE)
            if scale is None:
                here.copy_(part)
                continue
            kind, into = codec.kind(side.specs[n], opt.codec, part.dtype), (flat(here), scale)
            codec.encode(kind, flat(like_storage(part, here)), into, bucket.table.offsets[k], bucket.table.salts[k],
                         seed + place)  # fmt: skip
    return found


def _whole_states(opt: Composed, p: Tensor, entry: dict[str, Any]) -> dict[str, Any]:
    """State of the whole of p, as its process has it; what is not spread is the entry's own tensor."""
    states = dict[str, Any]()
    for n, spec in opt.specs(p).items():
        coded = n + codec.SCALE in entry
        if n in entry and room(opt, p, n) is not None:
            states |= {key: entry[key] for key in (n, n + codec.SCALE) if key in entry}
        elif n in entry:
            numbers = decoded(entry[n], entry[n + codec.SCALE], spec.signed) if coded else entry[n]
            states[n] = _gather(numbers, p) if coded else shard.whole(numbers)
    return states


def _gather(t: Tensor, p: Tensor) -> Tensor:
    return shard.whole(shard.like(t, p))
