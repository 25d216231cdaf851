"""The printed loop: a program as C, compiled once, run over a table of tensors in one call.

A step of any method reads each input once and writes each output once if all its elementwise work sits in one loop,
and costs no more for a thousand tensors than for one if that loop runs over a table of pointers.  So a program is
printed as such a loop (C, OpenMP), compiled with the machine's C compiler, and kept in a cache.  Nothing in it depends
on the number of tensors or their shapes, and scalars are arguments, so nothing is ever compiled twice.

A tensor is cut into chunks of fixed length.  A sum over a tensor adds up its chunks in order, whatever the number of
threads: results are reproducible to the bit.  A rule whose maps need a sum takes one pass more over the data for each
level of sums; what a pass does not need it does not read.

Strict IEEE: no contraction, no reassociation but inside the sums, NaN handled as torch does.
"""

from __future__ import annotations

import array
import ctypes
import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from steepest.engine.build import build
from steepest.engine.table import CHUNK as CHUNK
from steepest.engine.table import Plan
from steepest.engine.trace import TRUTH, Op, Program

C_TYPE = {"f32": "float", "f64": "double", "bf16": "uint16_t", "f16": "_Float16", "q8s": "uint8_t", "q8u": "uint8_t"}

_VECTOR = {
    "add": "{0}+{1}", "sub": "{0}-{1}", "mul": "{0}*{1}", "div": "{0}/{1}", "neg": "-{0}", "abs": "FABS({0})",
    "sqrt": "SQRT({0})", "rsqrt": "1/SQRT({0})", "reciprocal": "1/{0}", "exp": "EXP({0})", "log": "LOG({0})",
    "tanh": "TANH({0})", "sign": "(T)(({0}>0)-({0}<0))", "where": "{0}!=0?{1}:{2}", "gt": "(T)({0}>{1})",
    "lt": "(T)({0}<{1})", "ge": "(T)({0}>={1})", "le": "(T)({0}<={1})", "eq": "(T)({0}=={1})", "ne": "(T)({0}!={1})",
    "maximum": "({0}>{1}||{0}!={0})?{0}:{1}", "minimum": "({0}<{1}||{0}!={0})?{0}:{1}",
    "clamp": "({0}<{1}?{1}:{0})>{2}?{2}:({0}<{1}?{1}:{0})",
    "sq": "{0}*{0}", "pow": "POW({0},{1})", "and": "(T)({0}!=0&&{1}!=0)",
    "or": "(T)({0}!=0||{1}!=0)", "not": "(T)({0}==0)", "isfinite": "(T)(FABS({0})<=MOST)",
}  # fmt: skip

_HEAD = """
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define THREADS omp_get_num_threads
#define THREAD omp_get_thread_num
#else
#define THREADS() 1
#define THREAD() 0
#endif
#define CHUNK 4096
#define ALONE 16
static inline float f_of(uint32_t b) { float f; memcpy(&f, &b, 4); return f; }
static inline uint32_t b_of(float f) { uint32_t b; memcpy(&b, &f, 4); return b; }
static inline uint32_t mix(uint32_t x) {
  x ^= x >> 16; x *= 0x7feb352dU; x ^= x >> 15; x *= 0x846ca68bU; return x ^ (x >> 16);
}
static inline float load_bf16(uint16_t v) { return f_of((uint32_t)v << 16); }
static inline uint16_t near_bf16(float f) {
  uint32_t b = b_of(f), r = (b + 0x7fffU + ((b >> 16) & 1U)) >> 16;
  return (b & 0x7fffffffU) > 0x7f800000U ? (uint16_t)0x7fc0U : (uint16_t)r;
}
static inline uint16_t random_bf16(float f, uint32_t r) {
  uint32_t b = b_of(f), up = b + (r & 0xffffU);
  return (uint16_t)(((b & 0x7f800000U) == 0x7f800000U ? b : up) >> 16);
}
static inline float load_q8(uint8_t q, float scale, int sign, int top) {
  int32_t low = sign ? q & 0x7f : q;
  float y = f_of(low > 0 ? (uint32_t)(low - top + 1016) << 20 : 0U) * scale;
  return sign && q > 0x7f ? -y : y;
}
static inline uint8_t random_q8(float v, float scale, uint32_t r, int sign, int top) {
  float y = fabsf(v) / (scale < FLT_MIN ? FLT_MIN : scale);
  int32_t b = (int32_t)b_of(y), least = (1 - top + 1016) << 20;
  int32_t q = ((b + (int32_t)(r & 0xfffffU)) >> 20) - 1016 + top;
  q = q < 0 ? 0 : (q > top ? top : q);
  int32_t tiny = (float)(r >> 8) * 0x1p-24f * f_of((uint32_t)least) < y;
  q = b < least ? tiny : q;
  return (uint8_t)(sign && v < 0 ? q | 0x80 : q);
}
"""

_PASS = """
void %(name)s(int64_t nt, const int64_t*start, const int64_t*numel, const double*size, const uint64_t*salt,
              void*const*ptr, const double*sc, int64_t seed, const double*before, double*partial, double*after,
              int threads) {
  const int64_t C = start[nt];
  #pragma omp parallel num_threads(threads) if (C > ALONE)
  {
    int64_t P = THREADS(), p = THREAD(), a = C * p / P, b = C * (p + 1) / P, lo = 0, hi = nt;
    while (hi - lo > 1) { int64_t mid = (lo + hi) / 2; if (start[mid] <= a) lo = mid; else hi = mid; }
    for (int64_t k = lo; k < nt && start[k] < b; k++) {
%(scalars)s
      const int64_t from = a > start[k] ? a : start[k], to = b < start[k + 1] ? b : start[k + 1];
      for (int64_t c = from; c < to; c++) {
        const int64_t o = (c - start[k]) * CHUNK, n = numel[k] - o < CHUNK ? numel[k] - o : CHUNK;
%(body)s
      }
    }
  }
%(fold)s
}
"""

_CHECK = """
int64_t nonfinite(int64_t nt, const int64_t*start, const int64_t*numel, void*const*ptr, int threads) {
  const int64_t C = start[nt];
  int64_t bad = 0;
  #pragma omp parallel num_threads(threads) if (C > ALONE) reduction(+:bad)
  {
    int64_t P = THREADS(), p = THREAD(), a = C * p / P, b = C * (p + 1) / P, lo = 0, hi = nt;
    while (hi - lo > 1) { int64_t mid = (lo + hi) / 2; if (start[mid] <= a) lo = mid; else hi = mid; }
    for (int64_t k = lo; k < nt && start[k] < b; k++) {
      const int64_t from = a > start[k] ? a : start[k], to = b < start[k + 1] ? b : start[k + 1];
      const int64_t o = (from - start[k]) * CHUNK, e = (to - start[k]) * CHUNK < numel[k] ? (to - start[k]) * CHUNK : numel[k];
      const G*g = (const G*)ptr[k];
      int32_t any = 0;
      #pragma omp simd reduction(|:any)
      for (int64_t i = o; i < e; i++) any |= GBAD;
      bad += any;
    }
  }
  return bad;
}
"""

_BAD = {"f32": "((b_of(g[i]) & 0x7f800000U) == 0x7f800000U)", "bf16": "((g[i] & 0x7f80) == 0x7f80)",
        "f16": "!(fabsf((float)g[i]) <= 65504.0f)", "f64": "!(fabs(g[i]) <= DBL_MAX)"}  # fmt: skip


def _needed(program: Program, wanted: Sequence[str | float], known: int) -> list[Op]:
    """The operations that ``wanted`` depends on, without looking behind sums of passes that are done."""
    need, kept = {w for w in wanted if isinstance(w, str)}, []
    for op in reversed(program.ops):
        if op.name in need:
            kept.append(op)
            if op.what != "sum" or op.level > known:
                need.update(a for a in op.args if isinstance(a, str))
    return kept[::-1]


def emit(
    program: Program, kinds: dict[str, str], slots: list[str], places: dict[str, int], ctype: str
) -> tuple[str, list[int]]:
    """The C source of all passes, and how many sums each pass adds up per tensor."""
    ops = {op.name: op for op in program.ops}
    sums = [op for op in program.ops if op.what == "sum"]
    levels = max([op.level for op in sums], default=0)
    passes: list[tuple[list[str | float], dict[str, str | float]]] = [
        ([op.args[0] for op in sums if op.level == j + 1], {}) for j in range(levels)
    ]
    passes.append((list(program.sums.values()), dict(program.stores)))
    names = {op.name: f"before[k*{len(sums)}+{i}]" for i, op in enumerate(sums)}

    def scalar(a: str | float) -> str:
        if not isinstance(a, str):
            named = {"inf": "INFINITY", "-inf": "(-INFINITY)", "nan": "NAN"}
            return named.get(repr(float(a)), f"({float(a)!r})")
        return "s_" + a

    source = []
    for j, (added, stores) in enumerate(passes):
        kept = _needed(program, [*added, *stores.values()], j)
        wanted = [a for op in kept if op.what != "sum" for a in op.args]
        used = sorted({a for a in [*wanted, *added, *stores.values()] if isinstance(a, str)})
        reads = [n for n in slots if n in used and n in kinds and n in program.reads]
        is_vector = {**dict.fromkeys(reads, True), **{op.name: op.vector for op in kept}}

        def vector(a: str | float, is_vector: dict[str, bool] = is_vector) -> str:
            if isinstance(a, str):
                return ("v_" if is_vector.get(a) else "u_") + a
            return f"((T){scalar(a)})"

        head = [f"const double s_{n} = {'size[k]' if n == 'numel' else f'sc[{i}]'};"
                for i, n in enumerate(program.scalars) if n in used]  # fmt: skip
        for op in kept:
            if op.vector:
                continue
            if op.what == "sum":
                if op.level <= j:
                    head.append(f"const double s_{op.name} = {names[op.name]};")
            else:
                text = _VECTOR[op.what].format(*map(scalar, op.args)).replace("(T)", "(double)")
                for macro in ("FABS", "SQRT", "EXP", "LOG", "TANH", "POW"):
                    text = text.replace(macro + "(", macro.lower() + "(")
                head.append(f"const double s_{op.name} = {text};")
        head += [f"const T u_{n} = (T)s_{n};" for n in used if n in program.scalars
                 or (n in ops and not ops[n].vector and (ops[n].what != "sum" or ops[n].level <= j))]  # fmt: skip
        lines, loop, tail = [], [], []
        for n in reads:
            at = slots.index(n)
            kind = kinds[n]
            lines.append(f"const {C_TYPE[kind]}*r_{n} = (const {C_TYPE[kind]}*)ptr[{at}*nt+k] + o;")
            if kind.startswith("q8"):
                sign, top = (1, 127) if kind == "q8s" else (0, 255)
                lines.append(f"float l_{n}[CHUNK]; const float*c_{n} = (const float*)ptr[{at + 1}*nt+k] + o/256;")
                lines.append(f"for (int64_t e = 0; e < n; e += 256) {{ const float z = c_{n}[e/256]; const int64_t m = "
                             f"n - e < 256 ? n - e : 256; for (int64_t i = 0; i < m; i++) "
                             f"l_{n}[e+i] = load_q8(r_{n}[e+i], z, {sign}, {top}); }}")  # fmt: skip
                loop.append(f"const T v_{n} = (T)l_{n}[i];")
            else:
                load = f"load_bf16(r_{n}[i])" if kind == "bf16" else f"r_{n}[i]"
                loop.append(f"const T v_{n} = (T){load};")
        loop += [f"const T v_{op.name} = {_VECTOR[op.what].format(*map(vector, op.args))};" for op in kept if op.vector]
        for n, v in stores.items():
            at = slots.index("y" if n == "x" else n)
            kind = kinds[n]
            lines.append(f"{C_TYPE[kind]}*w_{n} = ({C_TYPE[kind]}*)ptr[{at}*nt+k] + o;")
            if kind in ("bf16", "q8s", "q8u") and n != "x":
                lines.append(f"const uint32_t k_{n} = mix((uint32_t)salt[k]*0x9E3779B9U + "
                             f"(uint32_t)(seed + {places[n]})*0x85EBCA6BU) + (uint32_t)(salt[k] >> 32);")  # fmt: skip
            if kind == "bf16":
                rounded = f"random_bf16({{}}, mix((uint32_t)(o+i) + k_{n}))" if n != "x" else "near_bf16({})"
                loop.append(f"w_{n}[i] = {rounded.format(f'(float){vector(v)}')};")
            elif kind.startswith("q8"):
                sign, top = (1, 127) if kind == "q8s" else (0, 255)
                lines.append(f"float e_{n}[CHUNK]; float*z_{n} = (float*)ptr[{at + 1}*nt+k] + o/256;")
                loop.append(f"e_{n}[i] = (float){vector(v)};")
                tail.append(f"for (int64_t e = 0; e < n; e += 256) {{ const int64_t m = n - e < 256 ? n - e : 256; "
                            f"float z = 0; _Pragma(\"omp simd reduction(max:z)\") for (int64_t i = 0; i < m; i++) "
                            f"{{ const float q = fabsf(e_{n}[e+i]); z = q > z ? q : z; }} z_{n}[e/256] = z; "
                            f"for (int64_t i = 0; i < m; i++) w_{n}[e+i] = "
                            f"random_q8(e_{n}[e+i], z, mix((uint32_t)(o+e+i) + k_{n}), {sign}, {top}); }}")  # fmt: skip
            else:
                loop.append(f"w_{n}[i] = ({C_TYPE[kind]}){vector(v)};")
        # how often something is true within a chunk is exact in T, and a chunk of doubles takes twice the registers
        room = ["T" if str(v) in ops and ops[str(v)].what in TRUTH else "double" for v in added]
        for i, v in enumerate(added):
            loop.append(f"a{i} += ({room[i]}){vector(v)};")
        over = f" reduction(+:{','.join(f'a{i}' for i in range(len(added)))})" if added else ""
        pragma = f"#pragma omp simd{over}" if added else "#pragma GCC ivdep"
        if added:
            lines += [f"{room[i]} a{i} = 0;" for i in range(len(added))]
            tail += [f"partial[c*{len(added)}+{i}] = a{i};" for i in range(len(added))]
        body = [*lines, pragma, "for (int64_t i = 0; i < n; i++) {", *loop, "}", *tail]
        last = j == len(passes) - 1
        width = len(added) if last else len(sums)
        columns = range(len(added)) if last else [i for i, op in enumerate(sums) if op.level == j + 1]
        fold = []
        if added:
            per_row = f"for (int r = 0; r < {len(added)}; r++) f[r] += partial[c*{len(added)}+r];"
            fold = ["for (int64_t k = 0; k < nt; k++) {", f"double f[{len(added)}] = {{0}};",
                    "for (int64_t c = start[k]; c < start[k+1]; c++) " + per_row]  # fmt: skip
            fold += [f"after[k*{width}+{col}] = f[{i}];" for i, col in enumerate(columns)] + ["}"]
        source.append(
            _PASS % {"name": f"pass{j}", "scalars": "\n".join(head), "body": "\n".join(body), "fold": "\n".join(fold)}
        )
    macros = [f"#define T {ctype}", "#define MOST " + ("FLT_MAX" if ctype == "float" else "DBL_MAX")]
    macros += [f"#define {f.upper()} {f}{'f' if ctype == 'float' else ''}"
               for f in ("fabs", "sqrt", "exp", "log", "tanh", "pow")]  # fmt: skip
    return _HEAD + "\n".join(macros) + "".join(source), [len(sums)] * levels + [len(program.sums)]


class Native:
    """A program compiled for given storage kinds; ``plan`` fixes the tensors, ``run`` does one step over all of them.

    Args:
        program: what to do.
        kinds: storage kind of each tensor it names.
        slots: the order of pointers in the table; ``y`` is where the new x goes, a quantised state takes two slots.
        places: a number for each state that separates its random bits from those of the others.
        ctype: ``float`` or ``double``.
    """

    def __init__(
        self, program: Program, kinds: dict[str, str], slots: list[str], places: dict[str, int], ctype: str
    ) -> None:
        source, self.widths = emit(program, kinds, slots, places, ctype)
        names = tuple(f"pass{j}" for j in range(len(self.widths)))
        library = build(source, names)
        self.scalars = program.scalars
        self.sums = list(program.sums)
        levels = [op.level for op in program.ops if op.what == "sum"]
        self.columns = [[i for i, level in enumerate(levels) if level == j + 1] for j in range(len(self.widths) - 1)]
        self.passes = [getattr(library, name) for name in names]
        for f in self.passes:
            f.restype = None
            f.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * 6, ctypes.c_int64, *[ctypes.c_void_p] * 3, ctypes.c_int]

    def run(
        self,
        plan: Plan,
        pointers: array.array[int],
        values: array.array[float],
        seed: int,
        reduce: Callable[[Tensor], None] | None,
    ) -> array.array[float] | None:
        """One step; returns the sums of the last pass, one row per tensor."""
        threads = torch.get_num_threads()
        nt = len(plan.numel)
        before: array.array[float] = array.array("d", bytes(8 * nt * max(self.widths[0] if self.passes[1:] else 0, 1)))
        after = before
        for j, f in enumerate(self.passes):
            last = j == len(self.passes) - 1
            if last and self.widths[-1]:
                after = array.array("d", bytes(8 * nt * self.widths[-1]))
            partial = plan.partial(self.widths[j])
            f(nt, *plan.addresses, pointers.buffer_info()[0], values.buffer_info()[0], seed, before.buffer_info()[0],
              partial, after.buffer_info()[0], threads)  # fmt: skip
            if reduce is not None and self.widths[j]:
                sums = torch.frombuffer(after, dtype=torch.float64).view(nt, -1)
                own = slice(None) if last else self.columns[j]  # those of earlier passes are added up already
                part = sums[:, own].contiguous()
                reduce(part)
                sums[:, own] = part
        return after if self.widths[-1] else None


@functools.cache
def finite_check(kind: str) -> Callable[..., int]:
    """A loop that checks whether anything in a table of tensors is NaN or infinite, at the price of one read.

    Raises:
        Unprintable: it cannot be compiled here.
    """
    check = build(f"{_HEAD}\n#define G {C_TYPE[kind]}\n#define GBAD {_BAD[kind]}\n{_CHECK}", ("nonfinite",)).nonfinite
    check.restype = ctypes.c_int64
    check.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * 3, ctypes.c_int]
    return check


def any_nonfinite(kind: str, tensors: list[Tensor], plan: Plan) -> bool:
    """Whether NaN or infinity is anywhere in dense tensors of one kind, whose lengths ``plan`` has."""
    pointers = array.array("q", [t.data_ptr() for t in tensors])
    return bool(finite_check(kind)(len(tensors), plan.start.buffer_info()[0], plan.numel.buffer_info()[0],
                                   pointers.buffer_info()[0], torch.get_num_threads()))  # fmt: skip
