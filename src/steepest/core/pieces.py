"""The program without a compiler: its operations one by one, over pieces of memory that stay in the cache.

Where no C compiler is at hand a step must not cost an allocation and a trip to memory for each of its fifteen
operations.  So a traced program is run on pieces that fit the cache, with results written into a few buffers that are
used again as soon as a value is dead, or at once where they belong; and neighbours are joined into the operations that
torch has fused (``add`` with a factor, ``addcmul``, ``addcdiv``).  Joined operations round once less than the printed
loop, so the two agree to rounding and not to the bit.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steepest.core.layout import flat
from steepest.core.rule import STOPPED, Op, Program

if TYPE_CHECKING:
    from steepest.core.lift import Reduce, Spec, Table

#: elements of a piece: with two threads some such pieces fit the cache, and an operation's overhead is small beside it
PIECE = 1 << 18
#: gradients below this cannot take a finite state to infinity in one step
HARMLESS = 1e15

_OUT: dict[str, Callable[..., Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "neg": torch.neg, "abs": torch.abs,
    "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal, "exp": torch.exp, "log": torch.log,
    "tanh": torch.tanh, "sign": torch.sign, "clamp": torch.clamp, "sq": torch.square, "pow": torch.pow,
}  # fmt: skip
_FRESH: dict[str, Callable[..., Tensor]] = {
    "where": torch.where, "gt": torch.gt, "lt": torch.lt, "ge": torch.ge, "le": torch.le, "eq": torch.eq,
    "ne": torch.ne, "maximum": torch.maximum, "minimum": torch.minimum, "and": torch.logical_and,
    "or": torch.logical_or, "not": torch.logical_not, "isfinite": torch.isfinite,
}  # fmt: skip
_JOINED: dict[str, Callable[..., Tensor]] = {
    "axpy": lambda a, b, s, out: torch.add(a, b, alpha=s, out=out),
    "addcmul": lambda a, b, c, s, out: torch.addcmul(a, b, c, value=s, out=out),
    "addcdiv": lambda a, b, c, s, out: torch.addcdiv(a, b, c, value=s, out=out),
}
_SCALAR: dict[str, Callable[..., float]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "neg": operator.neg,
    "abs": abs, "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "pow": operator.pow, "tanh": math.tanh,
    "sq": lambda a: a * a, "rsqrt": lambda a: a**-0.5, "reciprocal": lambda a: 1 / a, "maximum": max, "minimum": min,
    "clamp": lambda a, low, high: min(max(a, low), high), "sign": lambda a: float((a > 0) - (a < 0)),
}  # fmt: skip


def runnable(spec: Spec, program: Program) -> bool:
    """Whether a program can be run like this: full-precision tensors, no sums but the guard's, known operations."""
    plain = {*spec.live.values(), *spec.stored.values()} <= {"f32", "f64"}
    vectors = {*program.reads, *(op.name for op in program.ops if op.vector)}
    known = all(op.what in (_OUT.keys() | _FRESH.keys() if op.vector else _SCALAR) for op in program.ops)
    return plain and known and set(program.sums) <= {STOPPED} and all(v in vectors for v in program.stores.values())


@dataclass
class Term:
    """A value as a factor times a product or a quotient of vectors: what an addition can swallow."""

    factors: list[str | float]  # scalars
    over: list[str]  # one vector, or two to be multiplied or divided
    divided: bool = False


def join(program: Program) -> list[Op]:
    """The program's operations with sums of scaled terms joined into torch's fused ones."""
    ops = {op.name: op for op in program.ops}
    vectors = {*program.reads, *(op.name for op in program.ops if op.vector)}
    uses = Counter(a for op in program.ops for a in op.args if isinstance(a, str))
    uses.update(v for v in program.stores.values() if isinstance(v, str))
    swallowed: set[str] = set()
    extra: list[Op] = []

    def term(a: str | float, used: list[str]) -> Term | None:
        op = ops.get(a) if isinstance(a, str) else None
        if op is None or not op.vector or uses[op.name] > 1 or op.what not in ("mul", "div"):
            return None
        left, right = op.args
        used.append(op.name)
        if left in vectors and right in vectors:
            more: list[str] = []
            inner = term(left, more) if op.what == "div" else None
            if inner is not None and len(inner.over) == 1:  # (factor * p) / q
                used += more
                return Term(inner.factors, [inner.over[0], str(right)], True)
            return Term([], [str(left), str(right)], op.what == "div")
        if op.what == "div":
            return None
        vector, scalar = (left, right) if left in vectors else (right, left)
        more = []
        inner = term(vector, more)
        if inner is None:
            return Term([scalar], [str(vector)])
        used += more
        return Term([scalar, *inner.factors], inner.over, inner.divided)

    joined: list[Op] = []
    for op in program.ops:
        if op.what in ("add", "sub") and op.vector:
            for at in (1, 0) if op.what == "add" else (1,):
                used: list[str] = []
                found = term(op.args[at], used)
                if found is None or not found.factors:
                    continue
                scale: str | float = found.factors[0]
                for i, f in enumerate(found.factors[1:]):
                    extra.append(Op(f"{op.name}_f{i}", "mul", (scale, f), False, 0))
                    scale = extra[-1].name
                if op.what == "sub":
                    extra.append(Op(f"{op.name}_n", "neg", (scale,), False, 0))
                    scale = extra[-1].name
                what = "axpy" if len(found.over) == 1 else "addcdiv" if found.divided else "addcmul"
                if what != "axpy" and op.args[1 - at] not in vectors:
                    continue
                swallowed |= {*used}
                op = Op(op.name, what, (op.args[1 - at], *found.over, scale), True, 0)
                break
        joined.append(op)
    return [op for op in joined if op.name not in swallowed] + extra


class Pieces:
    """A program run piece by piece."""

    def __init__(self, spec: Spec, program: Program, plain: Program) -> None:
        self.spec, self.stopped = spec, program.sums.get(STOPPED)
        # gradients are looked at first; only where one may overflow does the guarded program run
        self.plain = None if plain is program else Pieces(spec, plain, plain)
        ops = join(program)
        self.scalars = [op for op in ops if not op.vector]
        self.ops = [op for op in ops if op.vector]
        self.names = [n for n in (*spec.live, *spec.stored) if n in program.reads or n in program.stores]
        last = {a: i for i, op in enumerate(self.ops) for a in op.args if isinstance(a, str)}
        last |= {self.stopped: len(self.ops)} if isinstance(self.stopped, str) else {}
        final = {v: n for n, v in program.stores.items()}
        self.place: dict[str, int | str] = {}  # where a result goes: a buffer's number, or the name of what is stored
        self.copies = dict(program.stores)
        free: list[int] = []
        self.buffers = 0
        for i, op in enumerate(self.ops):
            target = final.get(op.name)
            if target is not None and op.what not in _FRESH and last.get(target, -1) <= i:
                self.place[op.name] = target
                self.copies.pop(target)
            elif op.what not in _FRESH:
                if not free:
                    free, self.buffers = [self.buffers], self.buffers + 1
                self.place[op.name] = free.pop()
            for a in dict.fromkeys(op.args):  # a buffer is used again once the value in it is dead
                where = self.place.get(str(a))
                if isinstance(where, int) and last[str(a)] == i and str(a) not in final:
                    free.append(where)
        self.room: list[Tensor] = []

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """Tensor by tensor, piece by piece."""
        stopped = 0.0
        for k, n in enumerate(table.numels):
            h = {**h, "numel": float(table.sizes[k])}
            tensors = {m: flat(live[m][k] if m in self.spec.live else table.states[k][m]) for m in self.names}
            y, g = flat(live["y"][k]), flat(live["g"][k])
            for o in range(0, n, PIECE):
                e = min(o + PIECE, n)
                harmless = self.plain is not None and float(torch.linalg.vector_norm(g[o:e], math.inf)) < HARMLESS
                runner = self.plain if harmless and self.plain is not None else self
                stopped += runner.piece({m: t[o:e] for m, t in tensors.items()}, y[o:e], h)
        return {} if self.stopped is None else {STOPPED: stopped}

    def _known(self, h: dict[str, float]) -> dict[str, Any]:
        """All scalars of the program."""
        known, waiting = dict[str, Any](h), self.scalars
        while waiting:  # factors come after the scalars they are made of, wherever joining put them
            ready = [op for op in waiting if all(a in known for a in op.args if isinstance(a, str))]
            known |= {op.name: _SCALAR[op.what](*(known.get(str(a), a) for a in op.args)) for op in ready}
            waiting = [op for op in waiting if op.name not in known]
        return known

    def piece(self, tensors: dict[str, Tensor], y: Tensor, h: dict[str, float]) -> float:
        """All operations on one piece; returns how many elements the guard held back."""
        self.room = self.room or [torch.empty(PIECE, dtype=self.spec.compute) for _ in range(self.buffers)]
        values = {**self._known(h), **tensors}
        out = {m: y if m == "x" else t for m, t in tensors.items()}
        for op in self.ops:
            where = self.place.get(op.name)
            room = None
            if where is not None:
                room = out[where] if isinstance(where, str) else self.room[where][: len(y)]
            values[op.name] = self._op(op, [values[a] if isinstance(a, str) else a for a in op.args], room)
        for m, v in self.copies.items():
            out[m].copy_(values[str(v)])
        return 0.0 if self.stopped is None else float(values[str(self.stopped)].sum())

    def _op(self, op: Op, args: list[Any], room: Tensor | None) -> Tensor:
        if room is None:
            answer = _FRESH[op.what](*map(_tensor, args))
            return answer if answer.dtype in (torch.bool, self.spec.compute) else answer.to(self.spec.compute)
        if op.what == "clamp":
            return torch.clamp(args[0], args[1], args[2], out=room)
        return (_JOINED.get(op.what) or _OUT[op.what])(_tensor(args[0]), *args[1:], out=room)


def _tensor(a: Any) -> Tensor:
    return a if isinstance(a, Tensor) else torch.tensor(a, dtype=torch.float64)
