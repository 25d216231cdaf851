"""Parameters with a gradient, sorted into buckets that one kernel call serves: one group, one type, one step count.

Most steps find every gradient there and every parameter at the same step, so what was worked out once (addresses of
state, lengths, layouts) is kept.  Nothing kept is taken unchecked: each step compares the parameters of the groups, the entries
of ``optimizer.state``, addresses and lengths with what was seen when they were kept, so that a parameter that was
replaced, appended, resized or moved, or state that was, is found before anything is read or written.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from operator import attrgetter, is_, itemgetter
from typing import Any

import torch
from torch import Tensor

from steepest.core.checkpoint import conform
from steepest.core.composed import Composed
from steepest.core.draws import drawn
from steepest.core.evaluate import Evidence
from steepest.core.sides import Side
from steepest.core.step import SPARSE
from steepest.core.stored import coordinates, room, trainable
from steepest.engine import codec as codecs
from steepest.engine import shard
from steepest.engine.layout import is_dense, like_storage
from steepest.engine.lift import Reduce, Table
from steepest.engine.state import State

#: lists of parameters whose tables are kept; more are seen where each step has gradients for another subset (experts)
KEPT = 64


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
    draws: dict[str, list[Tensor]] | None = None

    def drawn(self) -> dict[str, list[Tensor]]:
        """The random tensors of this step, laid out as the parameters."""
        if self.draws is None:
            rows = [*zip(self.table.salts, self.params, self.xs, strict=True)]
            self.draws = {name: [like_storage(drawn(seed, name, self.t, i, p), x) for i, p, x in rows]
                          for name, seed in self.fixed.side.draws.items()}  # fmt: skip
        return self.draws


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
    lengths: list[int]  # their local numbers of elements
    storages: list[torch.UntypedStorage]  # held, so that an equal address is equal memory
    side: Side


def same(now: list[Any], kept: list[Any]) -> bool:
    """Whether two lists hold the same objects."""
    return len(now) == len(kept) and all(map(is_, now, kept))


def _at(places: list[int], values: list[Any]) -> list[Any]:
    return values if len(places) == len(values) else [values[i] for i in places]


def _alike(numbers: list[str]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    return lambda entry: (entry["step"], *map(entry.get, numbers))


class Sorter:
    """Makes buckets for one optimizer, and caches what stays the same."""

    def __init__(self, opt: Composed) -> None:
        self.opt: Composed = weakref.proxy(opt)  # the optimizer owns the sorter: no cycle keeps weights alive
        self.tables: dict[tuple[int, ...], Fixed] = {}
        # what parameters of one bucket have in common; the numbers that one side keeps another may not have
        self.alike = itemgetter("step", *opt.numbers) if len(opt.sides) == 1 else _alike(opt.numbers)
        # by place of the group: a bucket for each side, with all parameters of the group by their places, as in most steps
        self.usual: dict[int, list[tuple[Fixed, list[int]]]] = {}
        self.params: list[Tensor] = []
        self.places: dict[Tensor, int] = {}
        self.sides: dict[Tensor, Side] = {}
        self.home: dict[Any, Any] = {}
        self.keys: list[Any] = []
        self.entries: list[Any] = []
        self.refresh()

    def salt(self, p: Tensor) -> int:
        """The place of p among all parameters."""
        if p not in self.places:  # put there since the last step
            self.refresh()
        return self.places[p]

    def side(self, p: Tensor) -> Side:
        """The side of p, as the direction chooses."""
        if p not in self.sides:
            for group in self.opt.param_groups:
                family, names = self.opt.families.of(group), group.get("param_names", ())
                for name, q in zip_longest(names, group["params"]):
                    self.sides[q] = family.sides[family.direction.side(name, q)]
            if p not in self.sides:  # in no group any more
                self.sides[p] = self.opt.sides[self.opt.direction.side(None, p)]
        return self.sides[p]

    def refresh(self) -> None:
        """Forget what was kept if the user changed the groups' parameters or put other entries into the state."""
        params = [*chain.from_iterable(map(itemgetter("params"), self.opt.param_groups))]
        moved = not same(params, self.params)
        if moved:
            for p in params:
                if p.requires_grad:
                    trainable(p)
            self.params, self.places, self.sides = params, {p: i for i, p in enumerate(params)}, {}
        state = self.opt.state
        if moved or state is not self.home or not self._same_entries(state):
            self.tables.clear()
            self.usual.clear()
            self._remember_entries()

    def _same_entries(self, state: dict[Any, Any]) -> bool:
        if same([*state], self.keys) and same([*state.values()], self.entries):
            return True
        known = dict(zip(self.keys, self.entries, strict=True))  # keys of the user's own may come and go
        if any(state.get(p) is not known.get(p) for p in self.params):
            return False
        self._remember_entries()
        return True

    def _remember_entries(self) -> None:
        self.home, self.keys, self.entries = self.opt.state, [*self.opt.state], [*self.opt.state.values()]

    def sort(self, evidence: Evidence) -> Iterator[Bucket]:
        """Parameters with a gradient, sorted into buckets; one by one where gradients are regenerated."""
        self.refresh()
        for place, group in enumerate(self.opt.param_groups):
            params = group["params"]
            if evidence.gradient is not None:
                for p in params:
                    if p.requires_grad:
                        yield self.bucket(group, self.fixed([p]), [evidence.gradient(self.salt(p), p)])
                continue
            grads = [p.grad for p in params]
            usual = self.usual.get(place)
            if usual is not None and all(self._as_usual(fixed, _at(rows, grads)) for fixed, rows in usual):
                for fixed, rows in usual:
                    yield self.bucket(group, fixed, _at(rows, grads))
                continue
            members: dict[tuple[Any, ...], list[int]] = {}
            for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                if g is None:
                    continue
                if g.is_sparse:
                    raise RuntimeError(SPARSE)
                self.init_state(p)
                charted = self.opt.charted and self.opt.chart.applies(p)
                alone = id(p) if self.opt.step_size.per == "tensor" else 0
                side = self.opt.side(p).place
                key = (self.alike(self.opt.state[p]), p.dtype, g.dtype, p.device, g.device, charted, alone, side)
                members.setdefault(key, []).append(i)
            found = [(self.fixed(_at(rows, params)), rows) for rows in members.values()]
            if sum(map(len, members.values())) == len(params) and len(found) == len(
                {one.side.place for one, _ in found}
            ):
                self.usual[place] = found
            for fixed, rows in found:
                yield self.bucket(group, fixed, _at(rows, grads))

    def _as_usual(self, usual: Fixed, grads: list[Tensor | None]) -> bool:
        """Whether all gradients are there, of the usual type, and all parameters have taken the same steps."""
        try:
            types = set(map(attrgetter("dtype"), grads))
        except AttributeError:  # a gradient is None
            return False
        return types == {usual.params[0].dtype} and len(set(map(self.alike, usual.entries))) == 1

    def fixed(self, params: list[Tensor]) -> Fixed:
        """What stays the same for these parameters; makes their state."""
        key = tuple(map(id, params))  # the parameters are alive as long as they are in a group
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
            offsets = [*map(shard.offset, params)]
            table = Table(states, lengths, [p.numel() for p in params], salts, (params, addresses), offsets)
            dense = all(map(is_dense, local))
            strides = [(x if is_dense(x) else torch.empty_like(x)).stride() for x in local]
            if len(self.tables) >= KEPT:
                self.tables.clear()
                self.usual.clear()
            storages = [x.untyped_storage() for x in local]
            self.tables[key] = Fixed(params, entries, table, shard.reducer(params), sharded, dense, strides, addresses,
                                     lengths, storages, self.opt.side(params[0]))  # fmt: skip
            self._remember_entries()
        return self.tables[key]

    def _follow(self, fixed: Fixed) -> Fixed:
        """The parameters' memory is elsewhere than before: bring their state into their present type and layout.

        Raises:
            RuntimeError: a parameter has another shape than its state; nothing is changed then.
        """
        specs = fixed.side.specs
        rows = []
        for p, entry in zip(fixed.params, fixed.entries, strict=True):
            x = shard.local(p)
            charted = coordinates(self.opt, p)
            for name in specs:
                if entry.get(name) is None:
                    continue
                kept, own = shard.local(entry[name]), room(self.opt, p, name)
                like = x if own is None else kept
                if kept.shape != (x if own is None else kept if name in charted else own).shape:
                    raise RuntimeError(f"parameter {self.salt(p)} has now the shape {tuple(x.shape)}, but its state "
                                       f"{name!r} has {tuple(kept.shape)}: put state of the new shape into "
                                       "opt.state[p], or opt.state[p] = {} to begin anew")  # fmt: skip
                rows.append((entry, name, x, kept if like is kept else p))
        for entry, name, x, like in rows:
            for key in (name, name + codecs.SCALE):
                if key in entry and entry[key].device != x.device:
                    entry[key] = entry[key].to(x.device)
            conform(
                entry,
                name,
                self._kind(specs[name], x),
                specs[name].signed,
                like if like.device == x.device else entry[name],
            )
        self.tables = {key: other for key, other in self.tables.items() if other is not fixed}
        return self.fixed(fixed.params)

    def _kind(self, spec: State, x: Tensor) -> str:
        return codecs.kind(spec, self.opt.codec, codecs.compute_type(x))

    def bucket(self, group: dict[str, Any], fixed: Fixed, gs: list[Any]) -> Bucket:
        """This step's bucket: local, dense tensors, gradients laid out like their parameters."""
        params = fixed.params
        xs = params
        if fixed.sharded:
            xs, gs = [shard.local(p) for p in params], [shard.local(g) for g in gs]
        try:
            usual = list(map(Tensor.stride, gs)) == fixed.strides and list(map(Tensor.numel, gs)) == fixed.lengths
        except RuntimeError as error:
            raise RuntimeError(SPARSE) from error
        if list(map(Tensor.data_ptr, xs)) != fixed.addresses or not (usual or self._in_place(xs, fixed)):
            fixed, usual = self._follow(fixed), False
            self.usual.clear()
        if not usual and (
            wrong := [k for k, (g, n) in enumerate(zip(gs, fixed.lengths, strict=True)) if g.numel() != n]
        ):
            k = wrong[0]
            raise RuntimeError(f"the gradient of parameter {self.salt(params[k])} has the shape {tuple(gs[k].shape)}, the "
                               f"parameter {tuple(xs[k].shape)}: call backward() again after changing a parameter")  # fmt: skip
        scattered = []
        if not fixed.dense:
            xs = list(xs)
            for i, x in enumerate(xs):
                if not is_dense(x):
                    xs[i] = torch.empty_like(x).copy_(x)
                    scattered.append((x, xs[i]))
        if not usual:
            gs = [g if g.stride() == x.stride() else like_storage(g, x) for g, x in zip(gs, xs, strict=True)]
        return Bucket(group, params, xs, gs, fixed.table, fixed.entries[0]["step"] + 1, fixed, scattered)

    @staticmethod
    def _in_place(xs: list[Tensor], fixed: Fixed) -> bool:
        """Whether tensors at known addresses have their known lengths and, where they are dense, strides."""
        return list(map(Tensor.numel, xs)) == fixed.lengths and (
            not fixed.dense or list(map(Tensor.stride, xs)) == fixed.strides
        )

    def init_state(self, p: Tensor) -> None:
        """Make p's state, unless it has one."""
        state, side = self.opt.state.get(p, {}), self.opt.side(p)
        if "step" in state:
            if any(not isinstance(state.get(n), float) for n in side.numbers):  # a checkpoint's, torch's or an old one
                group = next(g for g in self.opt.param_groups if any(p is q for q in g["params"]))
                state.update(self.opt.numbers_of(group, state["step"], state, side))
            return
        trainable(p)  # it may have been frozen when it was given
        state = self.opt.state[p]
        x, charted = shard.local(p), coordinates(self.opt, p)
        for name, spec in self.opt.specs(p).items():
            if name in charted:
                continue  # made when the coordinates are known
            kind, own = self._kind(spec, x), room(self.opt, p, name)
            like = x if kind.startswith("q8") else p
            like = like if own is None else torch.empty(own.shape, device=x.device)
            state.update(codecs.create(name, like, kind, codecs.begin(spec, like, p)))
        state["step"] = 0
        self.init_state(p)

    def count(self, bucket: Bucket, values: dict[str, float]) -> None:
        """One more step for the bucket's parameters, and the numbers that they have then."""
        for entry in bucket.fixed.entries:
            entry["step"] += 1
        for name in bucket.fixed.side.numbers:
            for entry in bucket.fixed.entries:
                entry[name] = values[name]

    @staticmethod
    def scatter(bucket: Bucket) -> None:
        """Copy back where the kernel worked on a dense copy."""
        for p, dense in bucket.scattered:
            p.copy_(dense)
