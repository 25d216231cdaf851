"""Parameters with a gradient, sorted into buckets that one kernel call serves: one group, one type, one step count.

Most steps find every gradient there and every parameter at the same step, so what was worked out once (addresses of
state, lengths, layouts) is kept and found again at the price of a look at each gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steepest.core import codec as codecs
from steepest.core import shard
from steepest.core.checkpoint import conform
from steepest.core.evaluate import Evidence
from steepest.core.layout import is_dense, like_storage
from steepest.core.lift import Reduce, Table
from steepest.core.run import SPARSE

if TYPE_CHECKING:
    from steepest.core.optimizer import Optimizer


@dataclass
class Bucket:
    """Parameters of one group that one kernel call serves, and what the call needs."""

    group: dict[str, Any]
    params: list[Tensor]
    xs: list[Tensor]
    gs: list[Tensor]
    table: Table
    t: int
    fixed: Fixed
    scattered: list[tuple[Tensor, Tensor]]  # (parameter, dense working copy) where storage has gaps
    ds: list[Tensor] | None = None


@dataclass
class Fixed:
    """What stays the same for a list of parameters from step to step."""

    params: list[Tensor]
    entries: list[dict[str, Any]]  # optimizer.state[p]
    table: Table
    reduce: Reduce | None
    sharded: bool
    dense: bool
    strides: list[tuple[int, ...]]
    addresses: list[int]  # of the parameters


class Sorter:
    """Makes buckets for one optimizer, and remembers what stays the same."""

    def __init__(self, opt: Optimizer) -> None:
        self.opt = opt
        self.tables: dict[tuple[int, ...], Fixed] = {}
        self.usual: dict[int, Fixed] = {}  # by group: all its parameters, as in most steps
        self.home, self.known = opt.state, len(opt.state)
        self.places = {p: i for i, p in enumerate(p for group in opt.param_groups for p in group["params"])}

    def salt(self, p: Tensor) -> int:
        """The place of p among all parameters."""
        return self.places[p]

    def sort(self, evidence: Evidence) -> Iterator[Bucket]:
        """Parameters with a gradient, sorted into buckets; one by one where gradients are regenerated."""
        if self.opt.state is not self.home or len(self.opt.state) != self.known:  # the user put it away
            self.home = self.opt.state
            self.tables.clear()
            self.usual.clear()
        for group in self.opt.param_groups:
            params = group["params"]
            if evidence.gradient is not None:
                for p in params:
                    if p.requires_grad:
                        yield self.bucket(group, self.fixed([p]), [evidence.gradient(self.salt(p), p)])
                continue
            grads = [p.grad for p in params]
            usual = self.usual.get(id(group))
            if usual is not None and len(usual.params) == len(grads) and self._as_usual(usual, grads):
                yield self.bucket(group, usual, grads)
                continue
            members: dict[tuple[Any, ...], list[tuple[Tensor, Tensor]]] = {}
            for p, g in zip(params, grads, strict=True):
                if g is None:
                    continue
                if g.is_sparse:
                    raise RuntimeError(SPARSE)
                self.init_state(p)
                charted = self.opt._charted and self.opt.chart.applies(p)
                alone = id(p) if self.opt.step_size.per == "tensor" else 0
                key = (self.opt.state[p]["step"], p.dtype, g.dtype, p.device, charted, alone)
                members.setdefault(key, []).append((p, g))
            for rows in members.values():
                fixed = self.fixed([p for p, _ in rows])
                if len(rows) == len(params):
                    self.usual[id(group)] = fixed
                yield self.bucket(group, fixed, [g for _, g in rows])

    @staticmethod
    def _as_usual(usual: Fixed, grads: list[Tensor | None]) -> bool:
        """Whether all gradients are there, of the usual type, and all parameters have taken the same steps."""
        try:
            types = set(map(attrgetter("dtype"), grads))
        except AttributeError:  # a gradient is None
            return False
        return types == {usual.params[0].dtype} and len(set(map(itemgetter("step"), usual.entries))) == 1

    def fixed(self, params: list[Tensor]) -> Fixed:
        """What stays the same for these parameters; makes their state."""
        key = tuple(map(id, params))
        if key not in self.tables:
            for p in params:
                self.init_state(p)
            local = [shard.local(p) for p in params]
            entries = [self.opt.state[p] for p in params]
            sharded = any(map(shard.is_sharded, params))
            states = entries
            if sharded:
                states = [{k: shard.local(v) if isinstance(v, Tensor) else v for k, v in e.items()} for e in entries]
            addresses = [x.data_ptr() for x in local]
            lengths, salts = [x.numel() for x in local], [*map(self.salt, params)]
            table = Table(states, lengths, [p.numel() for p in params], salts, (params, addresses))
            dense = all(map(is_dense, local))
            strides = [(x if is_dense(x) else torch.empty_like(x)).stride() for x in local]
            self.tables[key] = Fixed(params, entries, table, shard.reducer(params), sharded, dense, strides, addresses)
            self.known = len(self.opt.state)
        return self.tables[key]

    def _follow(self, fixed: Fixed) -> Fixed:
        """The parameters' memory is elsewhere than before: bring their state into their present type and layout."""
        for p, entry in zip(fixed.params, fixed.entries, strict=True):
            x = shard.local(p)
            for name in self.opt._state_specs:
                kept = entry.get(name)
                if kept is None:
                    continue
                if self.opt._charted and name in self.opt._direction_state:  # in the chart's coordinates
                    conform(entry, name, self._kind(name, x), self.opt._state_specs[name].signed, kept)
                    continue
                if kept.shape != p.shape and name + codecs.SCALE not in entry:
                    raise RuntimeError(f"a parameter has now the shape {tuple(p.shape)}, its state {tuple(kept.shape)}: "
                                       "make a new optimizer for it")  # fmt: skip
                conform(entry, name, self._kind(name, x), self.opt._state_specs[name].signed, p)
        self.tables = {key: other for key, other in self.tables.items() if other is not fixed}
        return self.fixed(fixed.params)

    def _kind(self, name: str, x: Tensor) -> str:
        compute = torch.float64 if x.dtype is torch.float64 else torch.float32
        return codecs.kind(self.opt._state_specs[name], self.opt.codec, compute)

    def bucket(self, group: dict[str, Any], fixed: Fixed, gs: list[Any]) -> Bucket:
        """This step's bucket: local, dense tensors, gradients laid out like their parameters."""
        params = fixed.params
        xs = params
        if fixed.sharded:
            xs, gs = [shard.local(p) for p in params], [shard.local(g) for g in gs]
        if list(map(Tensor.data_ptr, xs)) != fixed.addresses:
            fixed = self._follow(fixed)
            self.usual.pop(id(group), None)
        scattered = []
        if not fixed.dense:
            xs = list(xs)
            for i, x in enumerate(xs):
                if not is_dense(x):
                    xs[i] = torch.empty_like(x).copy_(x)
                    scattered.append((x, xs[i]))
        if list(map(Tensor.stride, gs)) != fixed.strides:
            gs = [g if g.stride() == x.stride() else like_storage(g, x) for g, x in zip(gs, xs, strict=True)]
        return Bucket(group, params, xs, gs, fixed.table, fixed.entries[0]["step"] + 1, fixed, scattered)

    def init_state(self, p: Tensor) -> None:
        """Make p's state, unless it has one."""
        state = self.opt.state[p]
        if "step" in state:
            return
        x = shard.local(p)
        charted = self.opt._charted and self.opt.chart.applies(p)
        for name, spec in self.opt._state_specs.items():
            if charted and name in self.opt._direction_state:
                continue  # made when the coordinates are known
            kind = self._kind(name, x)
            like = x if kind.startswith("q8") else p
            state.update(codecs.create(name, like, kind, p.detach() if spec.start == "x" else None))
        state["step"] = 0

    @staticmethod
    def count(bucket: Bucket) -> None:
        """One more step for the bucket's parameters."""
        for entry in bucket.fixed.entries:
            entry["step"] += 1

    @staticmethod
    def scatter(bucket: Bucket) -> None:
        """Copy back where the kernel worked on a dense copy."""
        for p, dense in bucket.scattered:
            p.copy_(dense)
