"""The driver: a true ``torch.optim.Optimizer`` that carries out the sentence for any assembly of parts.

It knows no method.  It checks an assembly when it is made, keeps the hyper-parameters in ``param_groups`` and the state
in ``state``, asks the point for evidence, runs the kernels the lift made, and leaves checkpoints that are plain tensors
and numbers.  Parameters are worked on in *buckets*: one group, one type, one step count.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor

from steepest.core import codec as codecs
from steepest.core import shard
from steepest.core.charted import through_chart
from steepest.core.checkpoint import accept, export, restore
from steepest.core.cite import citation
from steepest.core.evaluate import Closure, Counters, Evidence
from steepest.core.layout import is_dense, like_storage
from steepest.core.lift import KIND, LIFTS, Kernel, Reduce, Spec, Table, any_nonfinite, make
from steepest.core.part import (
    Channel,
    Chart,
    Direction,
    Geometry,
    LineSearch,
    Oracle,
    Part,
    Point,
    StepSize,
    check_number,
    nearest,
)
from steepest.core.rule import STOPPED, Maps
from steepest.core.run import SPARSE, Run

SEAMS: dict[str, type[Part]] = {"direction": Direction, "step_size": StepSize, "geometry": Geometry, "point": Point,
                                "oracle": Oracle, "chart": Chart, "channel": Channel}  # fmt: skip
NONFINITE = ("guard", "skip", "raise", "propagate")
_OWN = ("lr", "betas", "maximize", "t", "params")


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
    kinds: tuple[Any, ...]


class Optimizer(torch.optim.Optimizer):
    r"""Any method as an assembly of seven parts: :math:`x^+ = R_x(-\eta\, U^\top D(U\, C(O(f; q(x)))))`.

    Args:
        params: parameters or groups of them, as for every torch optimizer.
        lr: multiplies the step size; default: the step size part's own (1 for those that need no tuning).
        direction: which way, given g; default: the gradient itself.
        step_size: how far; default: ``lr``.
        geometry: how x moves; default: Euclidean.
        point: where to ask; default: at x.
        oracle: how the evidence is bought; default: backpropagation.
        chart: in what coordinates the direction works; default: the parameter's own.
        channel: who else hears the gradient; default: nobody (DDP and FSDP average on their own).
        maximize: ascend instead of descend; may be set per group (players of a game).
        codec: storage of state: ``"float32"``, ``"bfloat16"`` (stochastic rounding) or ``"int8"`` (blocks of 256).
        lift: who runs the maps: ``"auto"``, ``"native"``, ``"inductor"`` or ``"eager"``.
        nonfinite: what to do about NaN and infinity: ``"guard"`` never writes one (such elements of weights and state
            stay as they are, which costs nothing, and a warning is given once); ``"skip"`` leaves out the whole step
            and ``"raise"`` raises before anything is changed, both at the price of one more read of the gradients;
            ``"propagate"`` computes on, like torch.optim.

    Raises:
        TypeError: a part in the wrong place, an unknown hyper-parameter, a wrong type.
        ValueError: a value out of range, parts that do not go together.

    Example:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> opt = Optimizer([x], lr=0.5)
        >>> _ = opt.step(lambda: (x * x).sum() / 2)
        >>> x.data
        tensor([1.5000, 2.0000])
    """

    #: keys that a torch.optim class of the same method expects in each group; with them checkpoints are torch's own
    torch_group: ClassVar[Mapping[str, Any] | None] = None

    def __init__(
        self,
        params: Any,
        lr: float | Tensor | None = None,
        *,
        direction: Direction | None = None,
        step_size: StepSize | None = None,
        geometry: Geometry | None = None,
        point: Point | None = None,
        oracle: Oracle | None = None,
        chart: Chart | None = None,
        channel: Channel | None = None,
        maximize: bool = False,
        codec: str = "float32",
        lift: str = "auto",
        nonfinite: str = "guard",
    ) -> None:
        self.direction, self.step_size = direction or Direction(), step_size or StepSize()
        self.geometry, self.point = geometry or Geometry(), point or Point()
        self.oracle, self.chart, self.channel = oracle or Oracle(), chart or Chart(), channel or Channel()
        for seam, kind in SEAMS.items():
            if not isinstance(getattr(self, seam), kind):
                raise TypeError(f"{seam} must be a {kind.__name__} part, got {getattr(self, seam)!r}")
        for name, value, allowed in (("codec", codec, codecs.CODECS), ("lift", lift, LIFTS),
                                     ("nonfinite", nonfinite, NONFINITE)):  # fmt: skip
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}"
                                 f"{nearest(str(value), allowed)}")  # fmt: skip
        if not isinstance(maximize, bool):
            raise TypeError(f"maximize must be True or False, got {maximize!r}")
        self.codec, self.lift, self.nonfinite = codec, lift, nonfinite
        self.counters = Counters()
        self._held = -1
        self._closure_calls_backward: bool | None = None
        self._check_assembly()
        lr = self.step_size.lr if lr is None else lr
        check_number("lr", "lr", lr, "[0, inf)")
        values = {name: value for part in self.parts() for name, value in part.values.items()}
        defaults: dict[str, Any] = {"lr": lr, **_pack(values), "maximize": maximize, "t": 0, **self.step_size.memory}
        self._plain = [name for name in defaults if name not in ("betas", "maximize")]
        self._clear()
        super().__init__(params, defaults)

    # ---- assembly ------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """All parts, with the parts inside parts."""
        for seam in SEAMS:
            yield from getattr(self, seam).walk()

    def _check_assembly(self) -> None:
        owners: dict[str, Part] = {}
        given = {"closure", "loss", "grad"}
        self._intervals: dict[str, str] = {"lr": "[0, inf)"}
        for part in self.parts():
            for name in [*part.hyper, *part.state, *getattr(part, "memory", ())]:
                if name in owners or name in _OWN:
                    raise ValueError(f"{owners.get(name, 'the optimizer')!r} and {part!r} both own {name!r}: leave one "
                                     "of them out")  # fmt: skip
                owners[name] = part
            self._intervals.update({n: interval for n, (_, interval) in part.hyper.items()})
            given |= part.gives | set(part.state) | set(part.hyper)
        for part in self.parts():
            if part.needs - given:
                raise ValueError(f"{part!r} needs {', '.join(sorted(part.needs - given))}, which neither "
                                 f"{self.direction!r} nor any other part of this method gives: choose another "
                                 "direction or step size")  # fmt: skip
        self._state_specs = {n: s for part in self.parts() for n, s in part.state.items()}
        self._direction_state = [n for part in self.direction.walk() for n in part.state]
        self._asks = [part for part in self.parts() if "closure" in part.needs]
        self._with_scalars = [part for part in self.parts() if type(part).scalars is not Part.scalars]
        self._measures = type(self.step_size).measure is not StepSize.measure
        self._charted = type(self.chart) is not Chart
        self._sends = type(self.channel) is not Channel
        if self._charted and self.step_size.weighs_gradient:
            raise ValueError(f"{self.step_size!r} enters the direction's moments, which {self.chart!r} keeps in other "
                             "coordinates: choose another step size or no chart")  # fmt: skip
        self._pointwise = self.direction.pointwise and self.geometry.pointwise and self.step_size.pointwise

    def cite(self) -> str:
        """BibTeX entries of the papers whose parts are in this assembly."""
        return citation(key for part in self.parts() for key in part.cite)

    def __repr__(self) -> str:
        lines = [f"  {seam}: {getattr(self, seam)!r}" for seam in SEAMS if type(getattr(self, seam)) is not SEAMS[seam]]
        sizes = ", ".join(f"{len(g['params'])} tensors at lr={float(g['lr']):g}" for g in self.param_groups)
        return "\n".join([f"{type(self).__name__} ({sizes})", *lines])

    # ---- hyper-parameters ----------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own.

        Raises:
            TypeError: a misspelt hyper-parameter or a complex parameter.
            ValueError: a hyper-parameter out of its range.
        """
        unpacked = _unpack(param_group)
        for name, value in unpacked.items():
            if name in self._intervals:
                check_number(f"parameter group of {type(self).__name__}", name, value, self._intervals[name])
            elif name not in _OWN and name not in self.defaults and nearest(name, self._intervals):
                raise TypeError(f"a parameter group of {type(self).__name__} has no hyper-parameter {name!r}"
                                f"{nearest(name, self._intervals)}")  # fmt: skip
        if "betas" in param_group and "betas" not in self.defaults:
            raise TypeError(f"{type(self).__name__} has no betas")
        if not isinstance(param_group.get("maximize", False), bool):
            raise TypeError(f"maximize must be True or False, got {param_group['maximize']!r}")
        if self.param_groups:  # what is shared by all tensors is shared with the new ones
            for name in self.step_size.memory:
                param_group.setdefault(name, self.param_groups[0][name])
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.is_complex() or not p.is_floating_point() or shard.local(p).dtype not in KIND:
                self.param_groups.pop()
                raise TypeError(f"parameters must be float32, float64, bfloat16 or float16, got {p.dtype}; optimize a "
                                "complex one through torch.view_as_real")  # fmt: skip
        self._clear()

    def _read(self, group: dict[str, Any], name: str) -> float:
        if name.startswith("beta") and name[4:].isdigit():
            return float(group["betas"][int(name[4:]) - 1])
        return float(group[name])

    def _h(self, group: dict[str, Any], t: int) -> dict[str, float]:
        """All scalars of a kernel for one group at step t, but the step size."""
        h = {name: float(group[name]) for name in self._plain}
        if "betas" in self.defaults:
            h.update({f"beta{i}": float(beta) for i, beta in enumerate(group["betas"], 1)})
        h["t"] = t
        for part in self._with_scalars:
            h.update(part.scalars(t, SimpleNamespace(**h)))
        h["numel"], h["eta"], h["w"] = 0.0, h["lr"], 1.0
        return h

    # ---- the step ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: Closure | None = None, *, scaler: Any = None) -> Any:  # type: ignore[override]
        """One step of the method.

        Args:
            closure: computes and returns the loss; the optimizer calls backward.  Methods that need one gradient also
                work without it, after ``loss.backward()``.
            scaler: a ``GradScaler`` for methods that ask more than once; then call ``scaler.update()`` as usual.

        Returns:
            The loss at the point where the step began, or None without a closure.

        Raises:
            RuntimeError: the method needs a closure and got none, or a gradient is not finite under ``"raise"``.
        """
        if closure is None and self._asks:
            raise RuntimeError(f"{self._asks[0]!r} evaluates the loss itself: call step(closure) with a function that computes "
                               "and returns the loss")  # fmt: skip
        run = Run(self, closure, scaler)
        evidence = self.point.ask(run)
        self._move(run, evidence)
        self.point.keep(run)
        self.counters.steps += 1
        return evidence.loss

    def _move(self, run: Run, evidence: Evidence) -> None:
        """Direction, step size, geometry and new state for evidence bought at the weights as they are."""
        if not self._finite(evidence):
            return
        for group in self.param_groups:
            group["t"] += 1
        step_size, memory = self.step_size, {n: self.param_groups[0][n] for n in self.step_size.memory}
        h = {id(g): self._h(g, g["t"]) for g in self.param_groups}
        first = SimpleNamespace(**h[id(self.param_groups[0])])
        loss = float("nan")
        if step_size.uses_loss:
            sign = self._loss_sign()
            loss = sign * shard.mean_over_ranks(float(evidence.loss if evidence.loss is not None else "nan"))
        searches = isinstance(step_size, LineSearch)
        # regenerated gradients are made one at a time, unless making them twice would change something
        once = evidence.gradient is None or self._charted or self._sends or searches
        kept = list(self._buckets(evidence, h)) if once else None
        sums: dict[str, float] = {}
        if self._measures:
            for bucket in kept or self._buckets(evidence, h):
                self._kernel_run("measure", bucket, h, sums)
            if self.nonfinite != "propagate" and not all(map(math.isfinite, sums.values())):
                for group in self.param_groups:
                    group["t"] -= 1
                self._held_back("step skipped")
                return
        after: dict[str, float] = {}
        if searches:
            self._search(run, kept or [], sums, memory, h, first, loss, after)
        else:
            eta = step_size.eta(sums, memory, first, loss)
            for bucket in kept or self._buckets(evidence, h):
                self._set_eta(h, bucket, eta)
                self._kernel_run("commit", bucket, h, after)
                self._scatter(bucket)
                self._count(bucket)
            if self.nonfinite == "propagate" or all(map(math.isfinite, after.values())):
                step_size.after(after, memory, first)
        if after.get(STOPPED):
            self._held_back(f"{after[STOPPED]:.0f} elements were left as they are")
        for group in self.param_groups:
            group.update(memory)

    def _loss_sign(self) -> float:
        """-1 where the loss is maximized, for step sizes that look at it."""
        signs = {-1.0 if group["maximize"] else 1.0 for group in self.param_groups}
        if len(signs) > 1:
            raise ValueError(f"{self.step_size!r} looks at the loss, but some groups minimize it and some maximize it: "
                             "choose a step size that does not")  # fmt: skip
        return signs.pop()

    def _set_eta(self, h: dict[int, dict[str, float]], bucket: Bucket, eta: float) -> None:
        values = h[id(bucket.group)]
        values["eta"] = eta * values["lr"]
        values["w"] = values["eta"] if self.step_size.weighs_gradient else 1.0

    def _search(self, run: Run, buckets: list[Bucket], sums: dict[str, float], memory: dict[str, float],
                h: dict[int, dict[str, float]], first: SimpleNamespace, loss: float,
                after: dict[str, float]) -> None:  # fmt: skip
        """Let a line search try moves from a copy of the weights, then commit the accepted one."""
        start = [[x.clone() for x in bucket.xs] for bucket in buckets]
        saved = run.save()

        def go(mode: str, eta: float) -> None:
            for bucket, xs in zip(buckets, start, strict=True):
                self._set_eta(h, bucket, eta)
                self._kernel_run(mode, bucket, h, after, xs)
                self._scatter(bucket)

        def trial(eta: float) -> float:
            go("trial", eta)
            return self._loss_sign() * run.loss()

        run.trial = trial
        try:
            eta = self.step_size.search(run, sums, memory, first, loss)  # type: ignore[attr-defined]
        except BaseException:
            run.restore(saved)
            for group in self.param_groups:
                group["t"] -= 1
            raise
        go("commit", eta)
        for bucket in buckets:
            self._count(bucket)

    # ---- evidence into buckets -----------------------------------------------------------------------------------

    def _finite(self, evidence: Evidence) -> bool:
        """Whether the step may go on; otherwise skip it or raise, as configured."""
        bad = evidence.loss is not None and not math.isfinite(evidence.loss)
        guarded = self.nonfinite == "guard"
        if self.nonfinite == "propagate" or (guarded and not self.step_size.uses_loss):
            return True
        sharded = False
        if evidence.gradient is None and not guarded:
            for bucket in self._sorted(evidence):
                bad = bad or any_nonfinite(bucket.gs, bucket.table)
                sharded = sharded or bucket.fixed.reduce is not None
        if sharded or (self.step_size.uses_loss and evidence.loss is not None):
            bad = shard.mean_over_ranks(float(bad)) > 0
        if not bad:
            return True
        if self.nonfinite == "raise":
            raise RuntimeError("the loss or a gradient is NaN or infinite; nothing was changed. Lower lr, clip "
                               "gradients, or pass nonfinite='skip' to leave such steps out")  # fmt: skip
        self._held_back("step skipped")
        return False

    def _held_back(self, what: str) -> None:
        if self._held == self.counters.steps:  # counted once a step
            return
        self._held = self.counters.steps
        self.counters.skipped += 1
        if self.counters.skipped == 1:
            warnings.warn(f"the loss, a gradient or an update is NaN or infinite: {what} (steps like this are counted "
                          "in opt.counters.skipped; said once)", stacklevel=5)  # fmt: skip

    def salt(self, p: Tensor) -> int:
        """The place of p among all parameters."""
        return self._places[p]

    def _buckets(self, evidence: Evidence, h: dict[int, dict[str, float]]) -> Iterator[Bucket]:
        """Buckets with their direction made where it works in other coordinates."""
        for bucket in self._sorted(evidence):
            if (self._sends or self._charted) and self.nonfinite == "guard":
                fine = [bool(torch.isfinite(g).all()) for g in bucket.gs]  # a whole tensor's coordinates are at stake
                if not all(fine):
                    self._held_back("whole tensors were left as they are")
                    kept = [p for p, ok in zip(bucket.params, fine, strict=True) if ok]
                    if not kept:
                        continue
                    gs = [p.grad if evidence.gradient is None else g for p, g, ok in
                          zip(bucket.params, bucket.gs, fine, strict=True) if ok]  # fmt: skip
                    bucket = self._bucket(bucket.group, self._fixed(kept), gs)
            if self._sends:
                h_now = SimpleNamespace(**h[id(bucket.group)])
                sent = [self.channel.send(g, e, h_now) for g, e in zip(bucket.gs, bucket.fixed.entries, strict=True)]
                bucket.gs = [like_storage(g, x) for g, x in zip(sent, bucket.xs, strict=True)]
            if self._charted and self.chart.applies(bucket.params[0]):
                clock = self.chart.clock(bucket.t)
                through_chart(self, bucket, {**self._h(bucket.group, clock), "eta": float(bucket.group["lr"])})
            yield bucket

    def _sorted(self, evidence: Evidence) -> Iterator[Bucket]:
        """Parameters with a gradient, sorted into buckets; one by one where gradients are regenerated."""
        for group in self.param_groups:
            params = group["params"]
            if evidence.gradient is not None:
                for p in params:
                    if p.requires_grad:
                        yield self._bucket(group, self._fixed([p]), [evidence.gradient(self.salt(p), p)])
                continue
            grads = [p.grad for p in params]
            usual = self._usual.get(id(group))
            if usual is not None and len(usual.params) == len(grads) and self._as_usual(usual, grads):
                yield self._bucket(group, usual, grads)
                continue
            members: dict[tuple[Any, ...], list[tuple[Tensor, Tensor]]] = {}
            for p, g in zip(params, grads, strict=True):
                if g is None:
                    continue
                if g.is_sparse:
                    raise RuntimeError(SPARSE)
                self._init_state(p)
                charted = self._charted and self.chart.applies(p)
                key = (self.state[p]["step"], p.dtype, g.dtype, p.device, charted)
                members.setdefault(key, []).append((p, g))
            for rows in members.values():
                fixed = self._fixed([p for p, _ in rows])
                if len(rows) == len(params):
                    self._usual[id(group)] = fixed
                yield self._bucket(group, fixed, [g for _, g in rows])

    @staticmethod
    def _as_usual(usual: Fixed, grads: list[Tensor | None]) -> bool:
        """Whether all gradients are there, of the usual type, and all parameters have taken the same steps."""
        dtype = usual.params[0].dtype
        step = usual.entries[0]["step"]
        return all(g is not None and g.dtype is dtype for g in grads) and all(e["step"] == step for e in usual.entries)

    def _fixed(self, params: list[Tensor]) -> Fixed:
        key = tuple(map(id, params))
        if key not in self._tables:
            for p in params:
                self._init_state(p)
            local = [shard.local(p) for p in params]
            entries = [self.state[p] for p in params]
            states = [{k: shard.local(v) if isinstance(v, Tensor) else v for k, v in e.items()} for e in entries]
            table = Table(states, [x.numel() for x in local], [p.numel() for p in params], [*map(self.salt, params)])
            sharded = any(map(shard.is_sharded, params))
            dense = all(map(is_dense, local))
            strides = [(x if is_dense(x) else torch.empty_like(x)).stride() for x in local]
            kinds = (local[0].dtype, local[0].device.type)
            self._tables[key] = Fixed(params, entries, table, shard.reducer(params), sharded, dense, strides, kinds)
        return self._tables[key]

    def _bucket(self, group: dict[str, Any], fixed: Fixed, gs: list[Any]) -> Bucket:
        params = fixed.params
        xs = params
        if fixed.sharded:
            xs, gs = [shard.local(p) for p in params], [shard.local(g) for g in gs]
        scattered = []
        if not fixed.dense:
            xs = list(xs)
            for i, x in enumerate(xs):
                if not is_dense(x):
                    xs[i] = torch.empty_like(x).copy_(x)
                    scattered.append((x, xs[i]))
        if [g.stride() for g in gs] != fixed.strides:
            gs = [g if g.stride() == x.stride() else like_storage(g, x) for g, x in zip(gs, xs, strict=True)]
        return Bucket(group, params, xs, gs, fixed.table, fixed.entries[0]["step"] + 1, fixed, scattered)

    def _init_state(self, p: Tensor) -> None:
        state = self.state[p]
        if "step" in state:
            return
        x = shard.local(p)
        compute = torch.float64 if x.dtype is torch.float64 else torch.float32
        charted = self._charted and self.chart.applies(p)
        for name, spec in self._state_specs.items():
            if charted and name in self._direction_state:
                continue  # made when the coordinates are known
            kind = codecs.kind(spec, self.codec, compute)
            like = x if kind.startswith("q8") else p
            state.update(codecs.create(name, like, kind, p.detach() if spec.start == "x" else None))
        state["step"] = 0

    @staticmethod
    def _count(bucket: Bucket) -> None:
        for entry in bucket.fixed.entries:
            entry["step"] += 1

    @staticmethod
    def _scatter(bucket: Bucket) -> None:
        for p, dense in bucket.scattered:
            p.copy_(dense)

    # ---- kernels -------------------------------------------------------------------------------------------------

    def _kernel_run(self, mode: str, bucket: Bucket, h: dict[int, dict[str, float]], sums: dict[str, float],
                    xs: list[Tensor] | None = None) -> None:  # fmt: skip
        group, table, values = bucket.group, bucket.table, self._values(bucket, h)
        live = {"x": bucket.xs if xs is None else xs, "g": bucket.gs, "y": bucket.xs}
        if bucket.ds is not None:
            live["d"] = bucket.ds
        kernel = self._kernel(mode, live, group["maximize"], values)
        found = kernel.run(table, live, values, bucket.t * 1024, bucket.fixed.reduce)
        if found is not None:
            for name, value in zip(kernel.sums, found.sum(0).tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value

    def _values(self, bucket: Bucket, h: dict[int, dict[str, float]]) -> dict[str, float]:
        values = h[id(bucket.group)]
        if bucket.t == bucket.group["t"]:
            return values
        # a parameter that missed some steps has a step count of its own
        return {**self._h(bucket.group, bucket.t), "eta": values["eta"], "w": values["w"]}

    def _kernel(self, mode: str, live: dict[str, list[Tensor]], maximize: bool, h: dict[str, float]) -> Kernel:
        x, given = live["x"][0], "d" in live and mode != "direct"
        key = (mode, given, x.dtype, live["g"][0].dtype, x.device.type, maximize)
        kernel = self._kernels.get(key)
        if kernel is None:
            maps = Maps(self.direction, self.step_size, self.geometry, self.point, maximize, given, self.nonfinite == "guard")
            compute = torch.float64 if x.dtype is torch.float64 else torch.float32
            names = [n for n in self._state_specs if not (given and n in self._direction_state)]
            if mode == "direct":
                names = self._direction_state
            spec = Spec(
                getattr(maps, mode),
                {n: KIND[live[n][0].dtype] for n in ("x", "g", "d") if n in live},
                {n: codecs.kind(self._state_specs[n], self.codec, compute) for n in names},
                list(h),
                self._pointwise,
            )
            kernel = self._kernels[key] = make(spec, self.lift, x.device)
        return kernel

    def _clear(self) -> None:
        self._kernels: dict[tuple[Any, ...], Kernel] = {}
        self._tables: dict[tuple[int, ...], Fixed] = {}
        self._usual: dict[int, Fixed] = {}  # by group: all its parameters, as in most steps
        groups = getattr(self, "param_groups", [])
        self._places = {p: i for i, p in enumerate(p for group in groups for p in group["params"])}

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and numbers, loadable with ``weights_only=True``; torch's own layout where torch has the method."""
        return export(self, super().state_dict())

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to the bit where ``state_dict`` was saved, by this class, or by torch.optim's of the same method.

        Raises:
            ValueError: it belongs to another model or another method; nothing is changed then.
        """
        saved = accept(self, state_dict)
        super().load_state_dict(saved)
        restore(self, saved)
        self._clear()

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy: everything but compiled kernels, tables of addresses and hooks."""
        return {k: v for k, v in self.__dict__.items()
                if k not in ("_kernels", "_tables", "_usual", "_places") and "hook" not in k and k != "_warned_capturable_if_run_uncaptured"}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Undo ``__getstate__``."""
        super().__setstate__(state)
        self._clear()


def _pack(values: Mapping[str, float]) -> dict[str, Any]:
    """Hyper-parameters as they stand in a group: beta1, beta2, ... become ``betas``, where torch's schedulers look."""
    betas = sorted(n for n in values if n.startswith("beta") and n[4:].isdigit())
    packed: dict[str, Any] = {"betas": tuple(values[n] for n in betas)} if betas else {}
    return packed | {n: v for n, v in values.items() if n not in betas}


def _unpack(group: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of ``_pack``, for a group."""
    out = {n: v for n, v in group.items() if n not in ("betas", "params")}
    if "betas" in group:
        out.update({f"beta{i}": b for i, b in enumerate(group["betas"], 1)})
    return out
