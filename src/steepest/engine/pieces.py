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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steepest.engine.layout import flat
from steepest.engine.table import Reduce, Spec, Table
from steepest.engine.trace import STOPPED, Op, Program

#: elements of a piece: a handful of them fit the last cache, and starting the threads of an operation is small beside it
PIECE = 1 << 18
#: pieces for each thread from which on threads of our own are worth their start
WORTH = 4
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
    "blend": lambda a, b, p, q, out: (
        torch.lerp(a, b, q, out=out) if abs(p + q - 1) < 1e-12 else torch.add(a * p, b, alpha=q, out=out)
    ),
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
                other: list[str] = []
                old = term(op.args[1 - at], other)
                if op.what == "add" and what == "axpy" and old is not None and len(old.factors) == len(old.over) == 1:
                    swallowed |= {*used, *other}
                    op = Op(op.name, "blend", (old.over[0], found.over[0], old.factors[0], scale), True, 0)
                    break
                if what != "axpy" and op.args[1 - at] not in vectors:
                    continue
                swallowed |= {*used}
                op = Op(op.name, what, (op.args[1 - at], *found.over, scale), True, 0)
                break
        joined.append(op)
    return [op for op in joined if op.name not in swallowed] + extra


Job = tuple[list[Tensor], Tensor, Tensor, slice, list[list[float]]]  # tensors, y, g, a piece of them, the scalars


class Pieces:
    """A program run piece by piece."""

    whole = False

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
        # what is stored elsewhere as it came must not be written over before
        last |= {v: len(self.ops) for n, v in program.stores.items() if v in self.names and v != n}
        final = {v: n for n, v in program.stores.items()}
        born = {op.name: i for i, op in enumerate(self.ops)}
        used = set[str]()  # stored tensors that have been written over
        self.place: dict[str, int | str] = {}  # where a result goes: a buffer's number, or the name of what is stored
        self.copies = dict(sorted(program.stores.items(), key=lambda item: item[1] not in self.names))
        free: list[int] = []
        self.buffers = 0
        for i, op in enumerate(self.ops):
            target = final.get(op.name)
            for a in dict.fromkeys(op.args):  # a buffer is used again once the value in it is dead, at once if it dies
                where = self.place.get(str(a))
                if isinstance(where, int) and last[str(a)] == i and str(a) not in final:
                    free.append(where)
            # an old value that dies here gives its room to a value that dies before the new one comes
            heir = next((a for a in op.args if a in program.stores and last[a] == i and a in self.copies
                         and last.get(op.name, i) <= born.get(str(program.stores[a]), -1)), None)  # fmt: skip
            if target is not None and op.what not in _FRESH and last.get(target, -1) <= i:
                self.place[op.name] = target
                self.copies.pop(target)
            elif heir is not None and op.what not in _FRESH and op.name not in final and heir not in used:
                self.place[op.name] = str(heir)
                used.add(str(heir))
            elif op.what not in _FRESH:
                if not free:
                    free, self.buffers = [self.buffers], self.buffers + 1
                self.place[op.name] = free.pop()
        self.numbers = sorted({a for op in self.ops for a in op.args if isinstance(a, str)} - {*self.names, *born})
        self.piece = self._function({*self.names, *born})

    def _function(self, vectors: set[str]) -> Callable[..., float]:
        """All operations as one Python function: to look up what comes next would cost as much as to do it."""

        def text(a: str | float, tensor: bool = False) -> str:
            if isinstance(a, str) and a in vectors:
                return f"v_{a}"
            number = f"s_{a}" if isinstance(a, str) else f"float('{a!r}')"
            return f"tensor({number})" if tensor else number

        rooms = [f"b{i}" for i in range(self.buffers)]
        given = [*(f"v_{n}" for n in self.names), "y", *rooms, *(f"s_{n}" for n in self.numbers)]
        lines = [f"def piece({', '.join(given)}):", *(f"{b} = {b}[:len(y)]" for b in rooms)]
        for op in self.ops:
            where = self.place.get(op.name)
            if where is None:
                done = f"plain(f_{op.what}({', '.join(text(a, True) for a in op.args)}))"
            else:
                room = f"b{where}" if isinstance(where, int) else "y" if where == "x" else f"v_{where}"
                done = f"f_{op.what}({', '.join([text(op.args[0], True), *map(text, op.args[1:])])}, out={room})"
            lines.append(f"v_{op.name} = {done}")
        lines += [f"{'y' if n == 'x' else f'v_{n}'}.copy_({text(v)})" for n, v in self.copies.items()]
        lines.append("return 0.0" if self.stopped is None else f"return float(v_{self.stopped}.sum())")
        known: dict[str, Any] = {f"f_{n}": f for n, f in (_OUT | _FRESH | _JOINED).items()}
        known["plain"] = lambda a: a if a.dtype in (torch.bool, self.spec.compute) else a.to(self.spec.compute)
        known["tensor"] = lambda a: torch.tensor(a, dtype=torch.float64)
        exec("\n    ".join(lines), known)
        piece: Callable[..., float] = known["piece"]
        return piece

    def run(
        self, table: Table, live: dict[str, list[Tensor]], h: dict[str, float], seed: int, reduce: Reduce | None
    ) -> dict[str, float]:
        """Tensor by tensor, piece by piece."""
        runners = [self] if self.plain is None else [self, self.plain]
        numbers: dict[float, list[list[float]]] = {}
        jobs: list[Job] = []
        for k, n in enumerate(table.numels):
            size = float(table.sizes[k])
            if size not in numbers:
                numbers[size] = [runner._known({**h, "numel": size}) for runner in runners]
            whole = [flat(live[m][k] if m in self.spec.live else table.states[k][m]) for m in self.names]
            y, g = flat(live["y"][k]), flat(live["g"][k])
            jobs += [(whole, y, g, slice(o, min(o + PIECE, n)), numbers[size]) for o in range(0, n, PIECE)]

        waiting, most = iter(jobs), max((job[3].stop - job[3].start for job in jobs), default=0)

        def work(mine: Iterator[Job]) -> float:
            rooms = [[torch.empty(most, dtype=self.spec.compute) for _ in range(r.buffers)] for r in runners]
            stopped = 0.0
            with torch.no_grad():  # each thread has a mode of its own
                for tensors, y, g, part, known in mine:
                    calm = len(runners) > 1 and float(torch.linalg.vector_norm(g[part])) < HARMLESS
                    inputs = [t[part] for t in tensors]
                    stopped += runners[calm].piece(*inputs, y[part], *rooms[calm], *known[calm])
            return stopped

        threads = torch.get_num_threads()
        if threads == 1 or len(jobs) < WORTH * threads:
            stopped = work(waiting)
        else:  # a piece a thread: starting all threads for each operation would cost as much as the operation
            with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                stopped = sum(pool.map(work, [waiting] * threads))  # whoever is done takes the next
            torch.set_num_threads(threads)  # threads made later start with what was said last
        return {} if self.stopped is None else {STOPPED: stopped}

    def _known(self, h: dict[str, float]) -> list[float]:
        """The scalars that the operations need."""
        known, waiting = dict[str, Any](h), self.scalars
        while waiting:  # factors come after the scalars they are made of, wherever joining put them
            ready = [op for op in waiting if all(a in known for a in op.args if isinstance(a, str))]
            known |= {op.name: _SCALAR[op.what](*(known.get(str(a), a) for a in op.args)) for op in ready}
            waiting = [op for op in waiting if op.name not in known]
        return [known[n] for n in self.numbers]
