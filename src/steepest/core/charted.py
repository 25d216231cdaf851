"""A step in other coordinates: pull the gradient, let the direction work there, push its answer back.

The direction's state lives in the chart's coordinates, so it is made when they are known and, if the chart says so,
made anew when they change.  A sharded matrix is gathered, because its coordinates belong to the whole of it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steepest.core.draws import drawn
from steepest.engine import codec, shard
from steepest.engine.lift import Table

if TYPE_CHECKING:
    from steepest.core.buckets import Bucket
    from steepest.core.optimizer import Optimizer


def through_chart(opt: Optimizer, bucket: Bucket, h: dict[str, float]) -> None:
    """Fill ``bucket.ds`` with the direction in the parameters' own coordinates, and update the direction's state."""
    chart, space, side = opt.chart, SimpleNamespace(**h), bucket.fixed.side
    pulled, points, gradients, states = [], [], [], []
    reads_x = any(getattr(part, "reads_x", False) for part in side.direction.walk())
    for p, g in zip(bucket.params, bucket.gs, strict=True):
        state = opt.state[p]
        if shard.is_sharded(p):
            g = _gather(g, p)
        full = g.to(torch.float64 if g.dtype is torch.float64 else torch.float32)
        changed = chart.refresh(full, state, bucket.t, opt._sorter.salt(p))
        small = chart.pull(full, state).contiguous()
        for name in side.inside:
            spec = side.specs[name]
            if name not in state or (changed and chart.on_refresh == "reset"):
                kind = codec.kind(spec, opt.codec, small.dtype)
                state.update(codec.create(name, small, kind, None))
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
    kernel = opt._kernel("direct", live, bucket.group["maximize"], h, side)
    kernel.run(table, live, h, bucket.t * 1024, None)
    sign = -1.0 if bucket.group["maximize"] else 1.0
    bucket.ds = []
    for p, x, d, g, state in zip(bucket.params, bucket.xs, answer, gradients, states, strict=True):
        own = shard.part_of(chart.push(d, sign * g, state, space), p)
        bucket.ds.append(_laid_out(own, x))


def _laid_out(d: Tensor, x: Tensor) -> Tensor:
    compute = torch.float64 if x.dtype is torch.float64 else torch.float32
    return torch.empty_like(x, dtype=compute).copy_(d)


def on_whole(opt: Optimizer, mode: str, bucket: Bucket, live: dict[str, list[Tensor]], h: dict[str, float]) -> None:
    """Run a rule that needs whole tensors where parameters are sharded: gather, run, keep one's own part.

    Raises:
        ValueError: state is in blocks of bytes, which cannot be gathered.
    """
    side = bucket.fixed.side
    if any(n + codec.SCALE in e for e in bucket.fixed.entries for n in side.specs):
        raise ValueError(f"{opt.geometry!r} works on whole tensors, which a sharded parameter gives only with "
                         f"codec='float32' or 'bfloat16', not {opt.codec!r}")  # fmt: skip
    gathered = {n: [_gather(t, p) for t, p in zip(live[n], bucket.params, strict=True)] for n in live if n != "y"}
    gathered["y"] = [torch.empty_like(x) for x in gathered["x"]]
    states = [{n: shard.whole(e[n]) for n in side.specs if n in e and shard.is_sharded(e[n])}
              for e in bucket.fixed.entries]  # fmt: skip
    sizes = [p.numel() for p in bucket.params]
    kernel = opt._kernel(mode, gathered, bucket.group["maximize"], h, side)
    kernel.run(Table(states, sizes, sizes, bucket.table.salts, ([], [])), gathered, h, bucket.t * 1024, None)
    for p, x, y, new, entry in zip(bucket.params, live["y"], gathered["y"], states, bucket.fixed.entries, strict=True):
        x.copy_(shard.part_of(y, p))
        for n, v in new.items():
            shard.local(entry[n]).copy_(shard.part_of(v, p))


def _gather(t: Tensor, p: Tensor) -> Tensor:
    return shard.whole(type(p).from_local(t, p.device_mesh, p.placements, shape=p.shape, stride=p.stride()))  # type: ignore[attr-defined]
