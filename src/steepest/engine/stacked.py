"""Rules of whole tensors, for all tensors of equal shape at once: b x shape.

A call of a matrix function costs more than the arithmetic of a small matrix, so equal shapes share it.  What a rule does to
each tensor is what it does to that tensor alone; sums are of each tensor (``trace.total``).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from math import prod
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.engine import codec
from steepest.engine import trace as tracing
from steepest.engine.layout import flat, like_storage
from steepest.engine.table import Reduce, Spec, Table
from steepest.engine.trace import Rule

#: elements that a stack of tensors has at most, unless one tensor has more: on a CPU a dozen copies fit the cache
STACK = {"cpu": 1 << 18, "cuda": 1 << 22}


class Stacked:
    """A rule of whole tensors, for all of equal shape at once: it sees b x shape, and b may be 1.

    With ``compiled`` it goes through ``torch.compile``.
    """

    whole = True

    def __init__(self, spec: Spec, program: None = None, compiled: bool = False) -> None:
        self.spec, self.compiled = spec, compiled
        self.apply = torch.compile(own_code(self._apply), dynamic=True) if compiled else self._apply
        full = {*spec.live.values()} <= {"f32", "f64"}  # shorter types may overflow where x is stored
        self.plain = spec.unguarded if full and not compiled else None

    def _apply(self, tensors: dict[str, Any], h: dict[str, Any], rule: Rule | None = None) -> Any:
        """The rule, and its sums over each tensor."""
        outs, sums = (rule or self.spec.rule)(SimpleNamespace(**tensors), SimpleNamespace(**h))
        b = len(tensors["x"])
        each = {n: (v if v.dim() else v.expand(b)).double().reshape(b, -1).sum(1) for n, v in sums.items()}
        return {n: v.to(self.spec.compute) for n, v in outs.items()}, each

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """Shape by shape."""
        rows: list[dict[str, float]] = [{} for _ in table.numels]
        for ks in stacks([tuple(x.shape) for x in live["x"]], live["x"][0].device):
            for name, sums in self._some(ks, table, live, h, seed).items():
                for k, value in zip(ks, sums.tolist(), strict=True):
                    rows[k][name] = value
        sums = torch.tensor([list(r.values()) for r in rows], dtype=torch.float64)
        if reduce is not None and sums.numel():
            reduce(sums)
        return dict(zip(rows[0], sums.sum(0).tolist(), strict=True))

    def _some(
        self, ks: list[int], table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int
    ) -> dict[str, Tensor]:
        """Tensors of one shape: read, run, write."""
        spec, xs = self.spec, live["x"]
        scalars: dict[str, Any] = {**h, "numel": float(table.sizes[ks[0]])}
        if self.compiled:
            scalars = {n: torch.tensor(v, dtype=torch.float64, device=xs[0].device) for n, v in scalars.items()}
        tensors = {n: _stack([live[n][k] for k in ks]).to(spec.compute) for n in spec.live}
        for n in spec.stored:
            if n in table.states[ks[0]]:  # one of a shape of its own may be missing, then for all tensors of this shape
                rows = [(table.states[k], self._like(n, k, table, xs)) for k in ks]
                tensors[n] = torch.stack([decoded(spec.stored[n], n, *row, spec.compute) for row in rows])
        tracing.stacked = True
        try:
            outs, sums = self._guarded(tensors, scalars)
        finally:
            tracing.stacked = False
        for n, values in sorted(
            outs.items(), key=lambda out: out[0] in ("x", "d")
        ):  # x last: others may be views of it
            for k, value in zip(ks, values, strict=True):
                if n in ("x", "d"):
                    live["y" if n == "x" else n][k].copy_(value)
                else:
                    at = 0 if n in spec.shaped else table.offsets[k], table.salts[k], seed + spec.places[n]
                    put(spec.stored[n], n, table.states[k], value, self._like(n, k, table, xs), *at)
        return dict(sums)

    def _like(self, name: str, k: int, table: Table, xs: list[Tensor]) -> Tensor:
        """A tensor with the shape and layout of a state."""
        own: Tensor = table.states[k][name] if name in self.spec.shaped else xs[k]
        return own

    def _guarded(self, tensors: dict[str, Any], h: dict[str, Any]) -> Any:
        """The rule; where nothing has to be held back, which two reads check, without the arithmetic of its guard."""
        if self.plain is not None:
            outs, sums = self._apply(tensors, h, self.plain)
            if all(bool(torch.isfinite(v.sum())) for v in outs.values()):
                return outs, sums | {tracing.STOPPED: torch.zeros(len(tensors["x"]))}
        return self.apply(tensors, h)


def _stack(tensors: list[Tensor]) -> Tensor:
    """b x shape, contiguous; a view of a single tensor where it can be."""
    return tensors[0][None].contiguous() if len(tensors) == 1 else torch.stack(tensors)


def stacks(shapes: list[tuple[int, ...]], device: torch.device) -> Iterator[list[int]]:
    """The places of tensors of equal shape, as many as have so many elements together as ``STACK`` says, one at least."""
    alike_: dict[tuple[int, ...], list[int]] = {}
    for k, shape in enumerate(shapes):
        alike_.setdefault(shape, []).append(k)
    for shape, ks in alike_.items():
        most = max(1, STACK.get(device.type, STACK["cuda"]) // max(1, prod(shape)))
        yield from (ks[i : i + most] for i in range(0, len(ks), most))


def decoded(kind: str, name: str, state: dict[str, Any], like: Tensor, compute: torch.dtype) -> Tensor:
    """The values of a stored state, shaped and laid out as ``like``."""
    stored = (flat(state[name]), state[name + codec.SCALE]) if kind.startswith("q8") else (flat(state[name]),)
    return codec.decode(kind, stored, compute).as_strided(like.shape, like.stride())


def put(
    kind: str, name: str, state: dict[str, Any], value: Tensor, like: Tensor, offset: int, salt: int, seed: int
) -> None:
    """Store the values of a state of a tensor laid out as ``like``."""
    stored = (flat(state[name]), state[name + codec.SCALE]) if kind.startswith("q8") else (flat(state[name]),)
    in_order = value if value.stride() == like.stride() else like_storage(value, like)
    codec.encode(kind, flat(in_order), stored, offset, salt, seed)


def own_code(f: Callable[..., Any]) -> Callable[..., Any]:
    """Dynamo counts recompilations per code object, so every rule needs one of its own."""
    inner = f.__func__  # type: ignore[attr-defined]
    own = types.FunctionType(inner.__code__.replace(), inner.__globals__, "rule", inner.__defaults__, inner.__closure__)
    return types.MethodType(own, f.__self__)  # type: ignore[attr-defined]
