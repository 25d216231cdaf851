"""Who runs a rule: the lifts.

The *eager* lift runs the rule as written and is the oracle of the others; on the CPU it goes through memory in pieces
that fit the cache, so that a rule of fifteen torch operations costs two passes over memory and not fifteen.  The
*native* lift prints it (see ``native``).  The *inductor* lift hands it to ``torch.compile``.  ``auto`` takes the
printed loop on the CPU where there is a compiler and the program can be printed, ``torch.compile`` on a GPU, and the
eager lift otherwise.  A rule that needs whole tensors runs eagerly, or compiled under ``inductor``, tensor by tensor or
*stacked* (see ``stacked``).
"""

from __future__ import annotations

import array
import warnings
from itertools import chain
from operator import is_, itemgetter
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from steepest.engine import codec, native
from steepest.engine.layout import alike, flat, is_dense, like_storage
from steepest.engine.native import Native
from steepest.engine.pieces import PIECE, Pieces, runnable
from steepest.engine.stacked import Stacked, own_code
from steepest.engine.table import Addresses
from steepest.engine.table import Kernel as Kernel
from steepest.engine.table import Reduce as Reduce
from steepest.engine.table import Spec as Spec
from steepest.engine.table import Table as Table
from steepest.engine.trace import Program, Unprintable, trace

LIFTS = ("auto", "native", "inductor", "eager")
KIND = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16"}


class Printed:
    """The printed loop over a table."""

    whole = False

    def __init__(self, spec: Spec, program: Program) -> None:
        used = {*program.reads, *program.stores}
        self.live = [*spec.live]
        self.keys: list[str] = []
        self.kinds: list[str] = []  # of each key; a scale is float32
        for n, kind in spec.stored.items():
            if n in used:
                quantised = kind.startswith("q8")
                self.keys += [n, n + codec.SCALE] if quantised else [n]
                self.kinds += [kind, "scale"] if quantised else [kind]
        self.gather = itemgetter(*self.keys) if len(self.keys) > 1 else lambda s: [s[k] for k in self.keys]
        slots = [*self.live, "y", *self.keys]
        ctype = "double" if spec.compute is torch.float64 else "float"
        self.native = Native(program, {**spec.live, **spec.stored}, slots, spec.places, ctype)
        self.sums, self.scalars = self.native.sums, self.native.scalars
        self.moves = "x" in program.stores
        written = {k for n in program.stores for k in (n, n + codec.SCALE)}
        self.writes = [i for i, k in enumerate(self.keys) if k in written]

    def _gate(self, table: Table, layouts: list[Tensor]) -> Addresses:
        """The addresses of the state, once every tensor is known to be what the loop takes it for.

        Raises:
            RuntimeError: a tensor is missing or has another type, length, device or layout; nothing was read of it.
        """
        nt, by_key = len(table.numels), list[list[Tensor]]()
        for key, kind in zip(self.keys, self.kinds, strict=True):
            by_key.append([state.get(key) for state in table.states])  # type: ignore[misc]
            for k, tensor in enumerate(by_key[-1]):
                wrong = misfit(tensor, kind, table.numels[k], layouts[k])
                if wrong:
                    raise RuntimeError(f"state {key!r} of parameter {table.salts[k]} {wrong}: put back what the "
                                       "optimizer made, or set opt.state[p] = {} to begin anew")  # fmt: skip
        found = [t.data_ptr() for column in by_key for t in column]
        pointers = array.array("q", [0] * nt * (len(self.live) + 1) + found)
        tensors = [column[k] for k in range(nt) for column in by_key]
        written = [t for i in self.writes for t in by_key[i]]
        storages = [t.untyped_storage() for t in tensors]
        return Addresses(tensors, [t.data_ptr() for t in tensors], pointers, written, storages)

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """One call for all tensors."""
        known, nt = table.stored.get(self), len(table.numels)
        try:
            present = [*chain.from_iterable(map(self.gather, table.states))]
        except KeyError:
            present = []
        if (
            known is None
            or len(present) != len(known.tensors)
            or not all(map(is_, present, known.tensors))
            or list(map(Tensor.data_ptr, present)) != known.at
        ):  # the first time, or the user put other tensors into the state, or other memory into the tensors
            known = table.stored[self] = self._gate(table, live["x"])
        pointers, filled = known.pointers, known.filled
        for i, n in enumerate((*self.live, "y")):
            if live[n] is not table.usual[0]:
                pointers[i * nt : (i + 1) * nt] = array.array("q", list(map(Tensor.data_ptr, live[n])))
                filled.discard(i)
            elif i not in filled:  # the parameters themselves, mostly: their addresses stay
                pointers[i * nt : (i + 1) * nt] = array.array("q", table.usual[1])
                filled.add(i)
        values = array.array("d", [h[n] for n in self.scalars])
        sums = self.native.run(table.plan, pointers, values, seed, reduce)
        increment_version([*live["y"], *known.written] if self.moves else known.written)  # autograd must see it
        return {} if sums is None else {n: sum(sums[i :: len(self.sums)]) for i, n in enumerate(self.sums)}


def misfit(tensor: object, kind: str, numel: int, like: Tensor) -> str:
    """What keeps a stored tensor from being used as storage of this kind for a parameter laid out as ``like``."""
    if not isinstance(tensor, Tensor):
        return "is missing"
    dtype, length = codec.DTYPE.get(kind, torch.float32), numel
    if kind == "scale":
        length = -(-numel // codec.BLOCK)
    if tensor.dtype is not dtype:
        return f"is {tensor.dtype}, not {dtype}"
    if tensor.layout is not torch.strided or tensor.device != like.device or tensor.is_quantized:
        return f"is {tensor.layout} on {tensor.device}, not a plain tensor on {like.device}"
    if tensor.numel() != length:
        return f"has {tensor.numel()} elements, not {length}"
    if kind == "scale" or tensor.shape != like.shape:  # codes of a shard may be kept flat
        fits = is_dense(tensor)
    else:
        fits = alike(tensor, like)
    return "" if fits else f"has strides {tensor.stride()} where the parameter has {like.stride()}"


class Eager:
    """The rule as written, piece by piece; with ``compiled`` each whole tensor goes through ``torch.compile``."""

    def __init__(self, spec: Spec, program: Program | None, compiled: bool = False) -> None:
        self.spec = spec
        self.whole = program is None or any(op.what == "sum" for op in program.ops)
        self.apply = torch.compile(own_code(self._apply), dynamic=True) if compiled else self._apply
        self.compiled = compiled

    def _apply(self, tensors: dict[str, Any], h: dict[str, Any], like: Tensor | None) -> Any:
        """Decode, run the rule; everything still unrounded."""
        spec = self.spec
        t = {}
        for n, stored in tensors.items():
            kind = spec.live.get(n) or spec.stored[n]
            if n in spec.shaped:
                own = codec.decode(kind, (flat(stored[0]), *stored[1:]), spec.compute)
                t[n] = own.view(stored[0].shape)
                continue
            t[n] = codec.decode(kind, stored, spec.compute) if n in spec.stored else stored[0].to(spec.compute)
            if like is not None:  # the rule needs the tensor's own dimensions
                t[n] = t[n].as_strided(like.shape, like.stride())
        outs, sums = spec.rule(SimpleNamespace(**t), SimpleNamespace(**h))
        return outs, {n: v.double().sum() for n, v in sums.items()}

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """Tensor by tensor."""
        rows = [self._one(k, table, live, h, seed) for k in range(len(table.numels))]
        sums = torch.tensor([[float(v) for v in r.values()] for r in rows], dtype=torch.float64)
        if reduce is not None and sums.numel():
            reduce(sums)
        return dict(zip(rows[0], sums.sum(0).tolist(), strict=True)) if rows[0] else {}

    def _one(
        self, k: int, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int
    ) -> dict[str, float]:
        spec, n, x = self.spec, table.numels[k], live["x"][k]
        step = n if self.whole or self.compiled or x.is_cuda else PIECE
        scalars: dict[str, Any] = {**h, "numel": float(table.sizes[k])}
        if self.compiled:
            scalars = {name: torch.tensor(v, dtype=torch.float64, device=x.device) for name, v in scalars.items()}
        storage = {name: flat(live[name][k]) for name in (*spec.live, "y")}
        state = table.states[k]
        added: dict[str, float] = {}
        for o in range(0, max(n, 1), max(step, 1)):
            e = min(o + step, n)
            tensors: dict[str, Any] = {name: (storage[name][o:e],) for name in spec.live}
            for name, kind in spec.stored.items():
                if name in spec.shaped:
                    if name in state:
                        scale = (state[name + codec.SCALE],) if kind.startswith("q8") else ()
                        tensors[name] = (state[name], *scale)
                    continue
                stored: tuple[Tensor, ...] = (flat(state[name])[o:e],)
                if kind.startswith("q8"):
                    stored += (state[name + codec.SCALE][o // codec.BLOCK : -(-e // codec.BLOCK)],)
                tensors[name] = stored
            outs, sums = self.apply(tensors, scalars, None if spec.pointwise else x)
            if not spec.pointwise:
                outs = {name: v if name in spec.shaped else flat(like_storage(v, x)) for name, v in outs.items()}
            for name, v in outs.items():
                if name == "x":
                    storage["y"][o:e].copy_(v.reshape(-1))
                elif name == "d":
                    storage["d"][o:e].copy_(v.reshape(-1))
                else:
                    place, first = seed + spec.places[name], 0 if name in spec.shaped else table.offsets[k] + o
                    into = (flat(tensors[name][0]), *tensors[name][1:])
                    codec.encode(spec.stored[name], v.reshape(-1), into, first, table.salts[k], place)
            for name, v in sums.items():
                added[name] = added.get(name, 0.0) + float(v)
        return added


def any_nonfinite(tensors: list[Tensor], table: Table) -> bool:
    """Whether NaN or infinity is anywhere in the gradients of a bucket; by the printed loop where there is one."""
    if tensors[0].device.type == "cpu":
        try:
            return native.any_nonfinite(KIND[tensors[0].dtype], tensors, table.plan)
        except Unprintable:
            pass
    return not all(bool(torch.isfinite(t).all()) for t in tensors)


_warned: set[str] = set()


def make(spec: Spec, lift: str, device: torch.device) -> Kernel:
    """The kernel for a rule.

    Raises:
        Unprintable: ``lift="native"`` was demanded and cannot be had.
    """
    if spec.whole:
        if lift == "native":
            raise Unprintable(
                f"{spec.whole} works on whole tensors, which the printed loop does not: choose another lift"
            )
        return (Stacked if spec.batched else Eager)(spec, None, lift == "inductor")
    tensors = [*spec.live, *spec.stored]
    program: Program | None = None
    reason = ""
    try:
        program = trace(spec.rule, tensors, spec.scalars)
        if lift == "native" or (lift == "auto" and device.type == "cpu"):
            return Printed(spec, program)
    except Unprintable as error:
        if lift == "native":
            raise
        reason = str(error)
    if lift == "inductor" or (lift == "auto" and device.type != "cpu"):
        return Eager(spec, program, compiled=True)
    if program is not None and device.type == "cpu" and lift == "auto" and runnable(spec, program):
        plain = program if spec.unguarded is None else trace(spec.unguarded, tensors, spec.scalars)
        kernel: Kernel = Pieces(spec, program, plain)
    else:
        kernel = Eager(spec, program)
    if lift == "auto" and reason and reason not in _warned:
        _warned.add(reason)
        warnings.warn(f"steepest runs eagerly, some times slower than its printed loop: {reason}", stacklevel=2)
    return kernel
