"""The driver: a true ``torch.optim.Optimizer`` that carries out the sentence for any assembly of parts.

It knows no method.  It checks an assembly when it is made, keeps the hyper-parameters in ``param_groups`` and the state
in ``state``, gets evidence from the point, runs the kernels the lift made, and leaves checkpoints that are plain tensors
and numbers.  Parameters are worked on in *buckets*: one group, one type, one step count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Unpack, overload

import torch
from torch import Tensor

from steepest.core.assembly import Assembly
from steepest.core.averaged import ready, refuse_in_block
from steepest.core.buckets import Bucket, Sorter
from steepest.core.charted import on_whole, through_chart
from steepest.core.checkpoint import export, fresh, load
from steepest.core.driver import count_skip
from steepest.core.evaluate import Closure, Counters, Evidence, in_full
from steepest.core.fields import check_number, nearest
from steepest.core.given import listed, pack, plain
from steepest.core.observe import observed
from steepest.core.options import NONFINITE, Codec, Lift, Nonfinite, Torch
from steepest.core.part import Channel, Chart, Direction, Geometry, LineSearch, Oracle, Point, StepSize
from steepest.core.rule import Maps
from steepest.core.shares import Share, Shares
from steepest.core.sides import Side
from steepest.core.step import Run, no_trial
from steepest.engine import codec as codecs
from steepest.engine import shard
from steepest.engine.layout import like_storage
from steepest.engine.lift import KIND, LIFTS, Kernel, Spec, any_nonfinite, make
from steepest.engine.trace import BELOW, STOPPED

#: attributes that pickles of version 0.1 have under other names
RENAMED = {
    "_asks": "closure_parts", "_bits": "weight_bits", "_charted": "charted",
    "_closure_calls_backward": "closure_calls_backward", "_course": "course", "_evaluating": "evaluating",
    "_expected": "expected_weights", "_families": "families", "_held": "skipped_at", "_numbers": "numbers",
    "_sides": "sides", "_zeroed": "zeroed",
}  # fmt: skip


class Optimizer(Assembly):
    r"""Any method as an assembly of seven parts: :math:`x^+ = R_x(-\eta\, U^\top D(U\, C(O(f; q(x)))))`.

    Args:
        params: parameters or groups of them, as for every torch optimizer.
        lr: multiplies the step size; default: the step size part's own (1 for those that need no tuning).
        direction: which way, given g; default: the gradient itself.
        step_size: how far; default: ``lr``.
        geometry: how x moves; default: Euclidean.
        point: where to evaluate; default: at x.
        oracle: how loss and gradient are evaluated; default: backpropagation.
        chart: in what coordinates the direction works; default: the parameter's own.
        channel: what processes communicate of the gradient; default: nothing (DDP and FSDP average on their own).
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
        codec: Codec = "float32",
        lift: Lift = "auto",
        nonfinite: Nonfinite = "guard",
        **unknown: Unpack[Torch],
    ) -> None:
        self._refuse(unknown)
        self._take({"direction": direction, "step_size": step_size, "geometry": geometry, "point": point,
                    "oracle": oracle, "chart": chart, "channel": channel})  # fmt: skip
        words = (("codec", codec, codecs.CODECS), ("lift", lift, LIFTS), ("nonfinite", nonfinite, NONFINITE))
        for name, value, allowed in words:
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}"
                                 f"{nearest(str(value), allowed)}")  # fmt: skip
        if not isinstance(maximize, bool):
            raise TypeError(f"maximize must be True or False, got {maximize!r}")
        self.codec, self.lift, self.nonfinite = codec, lift, nonfinite
        self.counters = Counters()
        self._check_assembly()
        lr = plain(self.step_size.lr if lr is None and type(self) is Optimizer else lr)
        check_number(type(self).__name__, "lr", lr, "[0, inf)")
        values = {name: value for part in self.parts() for name, value in part.values.items()}
        memory = {} if self.step_size.per == "tensor" else self.step_size.memory
        defaults: dict[str, Any] = {"lr": lr, **pack(values), "maximize": maximize, "t": 0, **memory}
        self._plain = [name for name in defaults if name not in ("betas", "maximize")]
        defaults |= {n: start for part in self.oracle.walk() for n, start in getattr(part, "memory", {}).items()}
        self.clear_cache()
        super().__init__(listed(params), defaults)
        self.state = fresh(self)

    # ---- the step ------------------------------------------------------------------------------------------------

    @overload  # type: ignore[override]  # torch's closure returns a number
    def step(self, closure: None = None, *, scaler: Any = None) -> None: ...

    @overload
    def step(self, closure: Closure, *, scaler: Any = None) -> Tensor: ...

    @in_full
    @observed
    def step(self, closure: Closure | None = None, *, scaler: Any = None) -> Tensor | None:
        """One step of the method.

        Args:
            closure: computes and returns the loss; the optimizer calls backward.  Methods that need one gradient also
                work without it, after ``loss.backward()``.
            scaler: a ``GradScaler`` for methods that evaluate more than once; then call ``scaler.update()`` as usual.

        Returns:
            The loss at the point where the step began, or None without a closure.

        Raises:
            RuntimeError: no closure where one is needed, a gradient not finite under ``"raise"``, or after ``eval()``.
        """
        ready(self)
        if closure is not None and not callable(closure):
            raise TypeError("the closure must be a function that computes and returns the loss, got "
                            f"{type(closure).__name__}: call step(lambda: loss_of(model)), or loss.backward() and then "
                            "step()")  # fmt: skip
        if closure is None and self.closure_parts:
            if all(float(group["lr"]) == 0 for group in self.param_groups):
                self._make_state()  # how torch.distributed.checkpoint makes state to load into
                return None
            raise RuntimeError(f"{self.closure_parts[0]!r} evaluates the loss itself: call step(closure) with a function that "
                               "computes and returns the loss")  # fmt: skip
        if (
            scaler is not None
            and type(last := [*self.oracle.walk()][-1]) is not Oracle
            and not getattr(last, "scales", 0)
        ):
            raise RuntimeError(f"{self.oracle!r} makes no gradient that could be scaled: leave out scaler")
        run = Run(self, closure, scaler)
        evidence = self.point.ask(run)
        if run.left_out:
            self.counters.skipped += self.skipped_at != self.counters.steps  # a warning may have counted it
            if run.restarts:
                self.restart()
                self.oracle.keep(run)
        elif evidence.moved or self.make_move(run, evidence):
            self.point.keep(run)
            self.oracle.keep(run)
        self._counted()
        return evidence.loss

    def _make_state(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.sorter.init_state(p)

    def make_move(self, run: Run, evidence: Evidence) -> bool:
        """Direction, step size, geometry and new state for evidence evaluated here; False if the step was left out."""
        if not self.acceptable(evidence):
            return False
        for group in self.param_groups:
            group["t"] += 1
        step_size, first = self.step_size, self.param_groups[0]
        h = {id(g): self.scalars(g, g["t"]) for g in self.param_groups}
        loss = float("nan")
        if step_size.uses_loss:
            sign = self.loss_sign()
            loss = sign * shard.mean_over_ranks(float(evidence.loss if evidence.loss is not None else "nan"))
        searches = isinstance(step_size, LineSearch)
        # regenerated gradients are made one at a time, unless making them twice would change something
        once = evidence.gradient is None or self.charted or self._sends or searches
        try:
            kept = list(self._buckets(evidence, h)) if once else None
        except BaseException:
            self._uncount()
            raise
        share = Shares(step_size, first, h)
        if self._measures:
            for bucket in kept or self._buckets(evidence, h):
                self._kernel_run("measure", bucket, h, share.of(bucket).sums)
            if self.nonfinite != "propagate" and share.spoiled():
                count_skip(self, "step skipped")
                if not any(one.fine for one in share):
                    self._uncount()
                    return False
        if searches:
            run.evidence = evidence
            self._search(run, kept or [], share.of(None), h, loss)
        for bucket in () if searches else kept or self._buckets(evidence, h):
            one = share.of(bucket)
            if one.fine:
                if one.eta is None:
                    one.eta = step_size.eta(one.sums, one.memory, one.h, loss)
                self._set_eta(h, bucket, one.eta, one.memory)
                self._kernel_run("commit", bucket, h, one.after)
                Sorter.scatter(bucket)
                self.sorter.count(bucket, self._values(bucket, h))
        stopped = sum(one.after.get(STOPPED, 0.0) for one in share)
        if stopped:
            count_skip(self, f"{stopped:.0f} elements were left as they are")
        share.digest(self.nonfinite == "propagate", self.param_groups)
        run.observed["move"] = [*share], [h[id(group)] for group in self.param_groups]
        return True

    def _uncount(self) -> None:
        for group in self.param_groups:
            group["t"] -= 1

    def _set_eta(self, h: dict[int, dict[str, float]], bucket: Bucket, eta: float, memory: dict[str, float]) -> None:
        values = h[id(bucket.group)]
        values.update(memory, eta=eta * values["lr"])  # maps see what the step size knows now
        values["w"] = values["eta"] if self.step_size.weighs_gradient else 1.0

    def _search(self, run: Run, buckets: list[Bucket], share: Share, h: dict[int, dict[str, float]],
                loss: float) -> None:  # fmt: skip
        """Let a line search try moves from a copy of the weights, then commit the accepted one."""
        start = [[x.clone() for x in bucket.xs] for bucket in buckets]
        saved = run.save()

        def go(mode: str, eta: float) -> None:
            for bucket, xs in zip(buckets, start, strict=True):
                self._set_eta(h, bucket, eta, share.memory)
                self._kernel_run(mode, bucket, h, share.after, xs)
                Sorter.scatter(bucket)

        def trial(eta: float) -> float:
            go("trial", eta)
            return self.loss_sign() * run.loss()

        run.trial = trial
        try:
            eta = self.step_size.search(run, share.sums, share.memory, share.h, loss)  # type: ignore[attr-defined]
        except BaseException:
            run.restore(saved)
            self._uncount()
            raise
        finally:
            run.trial = no_trial  # the other one knows the run: no cycle keeps the weights alive
        go("commit", eta)
        for bucket in buckets:
            self.sorter.count(bucket, self._values(bucket, h))

    # ---- evidence into buckets -----------------------------------------------------------------------------------

    def acceptable(self, evidence: Evidence) -> bool:
        """Whether the step may go on; otherwise skip it or raise, as configured."""
        bad = evidence.loss is not None and not math.isfinite(evidence.loss)
        guarded = self.nonfinite == "guard"
        if self.nonfinite == "propagate" or (guarded and not self.step_size.uses_loss):
            return True
        if evidence.gradient is None and not guarded:
            for bucket in self.sorter.sort(evidence):
                bad = bad or any_nonfinite(bucket.gs, bucket.table)
        if not guarded or evidence.loss is not None:  # replicas must agree
            bad = shard.mean_over_ranks(float(bad)) > 0
        if not bad:
            return True
        if self.nonfinite == "raise":
            raise RuntimeError("the loss or a gradient is NaN or infinite; nothing was changed. Lower lr, clip "
                               "gradients, or pass nonfinite='skip' to leave such steps out")  # fmt: skip
        count_skip(self, "step skipped")
        return False

    def _buckets(self, evidence: Evidence, h: dict[int, dict[str, float]]) -> Iterator[Bucket]:
        """Buckets with their direction made where it works in other coordinates."""
        for bucket in self.sorter.sort(evidence):
            if (self._sends or self.charted) and self.nonfinite == "guard":
                bad = torch.tensor([[float(not torch.isfinite(g).all())] for g in bucket.gs])
                if bucket.fixed.reduce is not None:  # a whole tensor's coordinates are at stake, wherever its parts are
                    bucket.fixed.reduce(bad)
                fine = [not n for n in bad.flatten().tolist()]
                if not all(fine):
                    count_skip(self, "whole tensors were left as they are")
                    kept = [p for p, ok in zip(bucket.params, fine, strict=True) if ok]
                    if not kept:
                        continue
                    gs = [p.grad if evidence.gradient is None else g for p, g, ok in
                          zip(bucket.params, bucket.gs, fine, strict=True) if ok]  # fmt: skip
                    bucket = self.sorter.bucket(bucket.group, self.sorter.fixed(kept), gs)
            if self._sends:
                h_now = SimpleNamespace(**h[id(bucket.group)])
                sent = [self.channel.send(g, e, h_now) for g, e in zip(bucket.gs, bucket.fixed.entries, strict=True)]
                if len(types := {g.dtype for g in sent}) > 1:  # a kernel reads all of them as one type
                    raise TypeError(
                        f"{type(self.channel).__name__} must send one type for gradients of one type, got {types}"
                    )
                bucket.gs = [like_storage(g, x) for g, x in zip(sent, bucket.xs, strict=True)]
            if self.charted and self.chart.applies(bucket.params[0]):
                clock, own = self.chart.clock(bucket.t), bucket.fixed.entries[0]
                own = own if clock == bucket.t else {}
                through_chart(self, bucket, self.scalars(bucket.group, clock, own, bucket.fixed.side))
            yield bucket

    # ---- kernels -------------------------------------------------------------------------------------------------

    def _kernel_run(self, mode: str, bucket: Bucket, h: dict[int, dict[str, float]], sums: dict[str, float],
                    xs: list[Tensor] | None = None) -> None:  # fmt: skip
        group, table, values = bucket.group, bucket.table, self._values(bucket, h)
        live = {"x": bucket.xs if xs is None else xs, "g": bucket.gs, "y": bucket.xs}
        live |= bucket.drawn() if bucket.ds is None else {"d": bucket.ds}
        kernel = self.kernel(mode, live, group["maximize"], values, bucket.fixed.side)
        if bucket.fixed.sharded and kernel.whole:
            found = on_whole(self, mode, bucket, live, values)
        else:
            found = kernel.run(table, live, values, bucket.t * 1024, bucket.fixed.reduce)
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + value

    def _values(self, bucket: Bucket, h: dict[int, dict[str, float]]) -> dict[str, float]:
        values, side = h[id(bucket.group)], bucket.fixed.side
        if bucket.t == bucket.group["t"] and side is self._common and not side.numbers:
            return values
        own = self.scalars(
            bucket.group, bucket.t, bucket.fixed.entries[0], side
        )  # of its own side, or it missed some steps
        return own | {n: values[n] for n in (*self.step_size.memory, "eta", "w")}

    def kernel(self, mode: str, live: dict[str, list[Tensor]], maximize: bool, h: dict[str, float], side: Side,
               decoded: bool = False) -> Kernel:  # fmt: skip
        """What runs a rule (``measure``, ``trial``, ``commit``, ``direct``) for tensors like these; made once."""
        x, given = live["x"][0], "d" in live and mode != "direct"
        key = (mode, given, x.dtype, live["g"][0].dtype, x.device.type, maximize, side.place, decoded)
        kernel = self.kernels.get(key)
        if kernel is None:
            guard, below = self.nonfinite == "guard", BELOW.get(x.dtype, math.inf)
            maps = Maps(side.direction, self.step_size, self.geometry, self.point, maximize, given, guard, below)
            names = side.inside if mode == "direct" else [n for n in side.specs if not (given and n in side.inside)]
            states, whole = {n: side.specs[n] for n in names}, maps.whole(mode)
            spec = Spec(
                side.rule(getattr(maps, mode)),
                {n: KIND[live[n][0].dtype] for n in ("x", "g", "d", *side.draws) if n in live},
                codecs.kinds(states, self.codec, codecs.compute_type(x), decoded),
                list(h),
                repr(whole[-1]) if whole else "",
                side.rule(replace(maps, guard=False).commit) if guard and mode == "commit" else None,
                frozenset(n for n in names if states[n].shape is not None),
                all(part.batched for part in whole),
            )
            kernel = self.kernels[key] = make(spec, self.lift, x.device)
        return kernel

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors and numbers, for ``weights_only=True``; in torch's own layout where torch has the method."""
        refuse_in_block(self, "state_dict()")
        return export(self)

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to the bit where ``state_dict`` was saved, by this class, or by torch.optim's of the same method.

        Raises:
            ValueError: it belongs to another model or method, or is damaged (TypeError: a number is none); nothing is changed.
        """
        refuse_in_block(self, "load_state_dict()")
        load(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy: everything but kernels, tables, hooks and what others put over methods."""
        left = ("kernels", "sorter", "last_step", "_warned_capturable_if_run_uncaptured", "in_block", "resharding",
                "state_specs")  # fmt: skip
        return {k: v for k, v in self.__dict__.items()
                if k not in left and "hook" not in k and not callable(getattr(type(self), k, None))}  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Undo ``__getstate__``."""
        super().__setstate__({RENAMED.get(name, name): value for name, value in state.items()})
        self.clear_cache()
