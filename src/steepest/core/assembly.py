"""What an optimizer is made of: seven parts that must go together, and the hyper-parameters they bring.

A wrong composition fails here, when it is made, with both parts named and what to do.  Hyper-parameters stand in
``param_groups`` under the names torch's schedulers know (``lr``, ``betas``, ``momentum``).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch

from steepest.core.averaged import refuse, refuse_in_block, swapped_in, to_eval, to_train
from steepest.core.buckets import Sorter
from steepest.core.checkpoint import refuse_other_method
from steepest.core.cite import citation
from steepest.core.given import plain, several, unpack
from steepest.core.observe import look_for_motion, metrics
from steepest.core.options import Codec, Nonfinite
from steepest.core.part import (
    Channel,
    Chart,
    Direction,
    Geometry,
    Oracle,
    Part,
    Point,
    State,
    StepSize,
    check_number,
    described,
    nearest,
)
from steepest.core.rate import Course
from steepest.core.records import Counters
from steepest.core.rule import refuse_mixed
from steepest.core.sides import OWN, Families, Side, check_sides
from steepest.core.stored import shape_of, trainable
from steepest.engine.lift import Kernel

SEAMS: dict[str, type[Part]] = {"direction": Direction, "step_size": StepSize, "geometry": Geometry, "point": Point,
                                "oracle": Oracle, "chart": Chart, "channel": Channel}  # fmt: skip
#: what the driver itself takes, besides the parts
OPTIONS = {"lr": None, **SEAMS, "maximize": None, "codec": None, "lift": None, "nonfinite": None}
#: options of torch.optim's methods about how they run, and what to do where they are not supported here
RUN = {"capturable": "its steps cannot be captured in CUDA graphs, so leave it out",
       "differentiable": "autograd does not go through its steps, so leave it out",
       "decoupled_weight_decay": "decay is decoupled by geometry=steepest.geometry.Decay(), as in steepest.AdamW, and else "
                                 "a part of the gradient, as in steepest.Adam"}  # fmt: skip


class Assembly(torch.optim.Optimizer):
    """The parts of an optimizer and their numbers."""

    direction: Direction
    step_size: StepSize
    geometry: Geometry
    point: Point
    oracle: Oracle
    chart: Chart
    channel: Channel
    #: keys that a torch.optim class of the same method expects in each group; with them checkpoints are torch's own
    torch_group: Mapping[str, Any] | None = None
    codec: Codec
    nonfinite: Nonfinite
    counters: Counters
    #: those of groups that have one of their own, by what stands in the group
    _directions: Mapping[str, Direction] = {}
    _plain: list[str]
    skipped_at: int = -1
    zeroed: bool = False
    course: Course | None = None
    #: whether each step measures how far it goes, for :meth:`metrics`
    track_norms: bool = False
    in_block: bool = False  # inside ``averaged()``
    evaluating: bool = False  # the model has the weights that the method returns
    resharding: contextlib.ExitStack | None = None
    expected_weights: Mapping[str, Any] | None = None  # the weights that belong to a checkpoint just loaded
    closure_calls_backward: bool | None = None
    weight_bits: list[int] | None = None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's; a closure that calls it clears gradients in each evaluation."""
        self.zeroed = True
        super().zero_grad(set_to_none)

    def to_torch(self, entry: dict[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
        """A parameter's state as a checkpoint has it, under torch's names; here as it is."""
        return entry

    def from_torch(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A parameter's state from a checkpoint, under our names; here as it is."""
        return entry

    #: the name of ``kernels`` until version 0.1
    _kernels = property(lambda self: self.kernels)

    def clear_cache(self) -> None:
        """Forget what depends on the parameters or their state: kernels and tables of addresses."""
        self.kernels: dict[tuple[Any, ...], Kernel] = {}
        self.__dict__.pop("sorter", None)

    @functools.cached_property
    def sorter(self) -> Sorter:
        """Sorts parameters into buckets, and knows their places."""
        return Sorter(self)

    def restart(self) -> None:
        """Discard all state, and begin anew at the weights as they are.

        Hyper-parameters, also a scheduler's, and counters stay.

        Raises:
            RuntimeError: the weights are swapped by :meth:`averaged` or :meth:`eval`.
        """
        refuse(self, "restart()")
        memories = [getattr(part, "memory", {}) for part in (self.step_size, *self.oracle.walk())]
        starts = {n: self.defaults[n] for n in ("t", *(n for names in memories for n in names)) if n in self.defaults}
        self.state.clear()
        for group in self.param_groups:
            group.update(starts)
        self.clear_cache()

    def _refuse(self, unknown: Mapping[str, Any]) -> None:
        """Say what an unknown keyword may have meant; torch's own about how a step is run are let be where they can."""
        owner = type(self).__name__
        for name, value in unknown.items():
            if name in (self.torch_group or ()):
                if name not in ("foreach", "fused") and value != (self.torch_group or {})[name]:
                    raise ValueError(f"{owner} has no {name}={value!r}: {RUN.get(name, 'leave it out')}")
                continue
            own = inspect.signature(type(self).__init__).parameters
            known = [n for n in {**own, **OPTIONS} if n not in ("self", "params", "options", "unknown")]
            raise TypeError(f"{owner} has no parameter {name!r}{nearest(name, known)} (it has: {', '.join(known)})")

    def _take(self, given: Mapping[str, Any]) -> None:
        """Put every part into its seam, the identity where none was given."""
        for seam, kind in SEAMS.items():
            part = kind() if given[seam] is None else given[seam]
            if not isinstance(part, kind):
                fits = next((name for name, other in SEAMS.items() if isinstance(part, other)), None)
                remedy = f": give it as {fits}=" if fits else ""
                raise TypeError(f"{seam} must be a {kind.__name__} part, got {described(part)}{remedy}")
            setattr(self, seam, part)

    # ---- assembly ------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """All parts, with the parts inside parts."""
        for seam in SEAMS:
            yield from getattr(self, seam).walk()
        for direction in self._directions.values():
            yield from direction.walk()

    def _check_assembly(self) -> None:
        shared = [part for seam in SEAMS if seam != "direction" for part in getattr(self, seam).walk()]
        self.families = Families(self.direction, shared, self._directions)
        self.sides = self.families.sides
        check_sides(self.sides, shared)
        for side in self.sides:
            refuse_mixed(side.direction, self.step_size, self.geometry, self.point)
        #: what all parameters have in common: the one side, or the parts that are not chosen
        self._common = self.sides[0] if len(self.sides) == 1 else Side(-1, Direction(), shared)
        self.__dict__.pop("state_specs", None)  # a group may have brought more of them
        self.numbers = [*dict.fromkeys(name for side in self.sides for name in side.numbers)]
        self.closure_parts = [part for part in self.parts() if "closure" in part.needs]
        self._measures = type(self.step_size).measure is not StepSize.measure
        self.charted = type(self.chart) is not Chart
        self._sends = type(self.channel) is not Channel
        bound = [p for p in self.parts() if getattr(p, "weighs_gradient", False) or "probe of the Hessian" in p.gives]
        if self.charted and bound:
            raise ValueError(f"{bound[0]!r} enters the direction's moments, which {self.chart!r} keeps in other "
                             "coordinates: choose another part or no chart")  # fmt: skip
        if self.step_size.plain and (self.charted or self._sends):
            other = self.chart if self.charted else self.channel
            raise ValueError(f"{self.step_size!r} looks at the gradient as the closure gives it, and not through "
                             f"{other!r}: leave out one of them")  # fmt: skip

    @functools.cached_property  # and not pickled
    def last_step(self) -> dict[str, Any]:
        """What the last step leaves behind for :meth:`metrics`."""
        return {}

    @functools.cached_property  # and not pickled: a state's shape may be a lambda
    def state_specs(self) -> dict[str, State]:
        """The states of all parts, by name."""
        return {n: spec for part in self.parts() for n, spec in part.state.items()}

    def side(self, p: torch.Tensor) -> Side:
        """What is done with the parameter p."""
        return self.sides[0] if len(self.sides) == 1 else self.sorter.side(p)

    def specs(self, p: torch.Tensor) -> Mapping[str, State]:
        """The states of the parameter p, as in ``state[p]``; one whose shape is None for p's is not there."""
        return {n: spec for n, spec in self.side(p).specs.items() if shape_of(self, p, n) is not None}

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """``with opt.averaged():`` the model has the weights that the method returns; afterwards its own, to the bit.

        Raises:
            TypeError: the point keeps no other weights than those it evaluates at.
        """
        return swapped_in(self)

    def eval(self) -> None:
        """Put the weights that the method returns into the model, until :meth:`train`.

        For loops that cannot stand in a block: call it before evaluating or saving.  ``step`` is refused then;
        ``state_dict`` keeps the weights of training as well, so that model and optimizer saved now resume after
        :meth:`train`.  Calling it twice, or for a method that returns the weights it trains, changes nothing.
        """
        if not self.in_block:
            to_eval(self)

    def train(self) -> None:
        """Put the weights of training back into the model, to the bit; they are there unless :meth:`eval` was called.

        Raises:
            RuntimeError: inside ``with opt.averaged()``.
        """
        refuse_in_block(self, "train()")
        to_train(self)

    def metrics(self) -> dict[str, float]:
        """Named numbers of the last step, flat, for loggers: ``writer.add_scalars``, ``log_dict``, ``wandb.log``.

        - ``lr``: what multiplied the direction, the learning rate times the step size that was found; where groups differ
          ``lr`` is the first one's, ``lr/1`` the second one's; ``lr/min`` and ``lr/max`` where each tensor has its own;
        - ``loss``: what ``step(closure)`` returned;
        - what the step size measured: its memory by its names (``rbar`` of DoG, ``distance`` of D-Adaptation, ``found``,
          ``agree`` and ``signal`` of Auto, ``shortened`` of a line search, …), and of its sums ``gradient_norm``,
          ``direction_norm`` and ``slope``, which is ⟨g, d⟩;
        - ``sharpness``: the loss where a sharpness-aware point evaluated again, less the loss at the weights;
        - with ``opt.track_norms = True``, from the next step on, over all parameters: ``weight_norm`` before the step,
          ``step_norm``, ``update_to_weight``, their quotient, and ``gradient_norm``, that of what stands in ``p.grad``;
        - since it began: ``steps``, ``skipped``, ``forwards``, ``backwards``, ``hvps``, ``rows``, ``gradient_equivalents``.

        Costs nothing but this call; ``track_norms`` costs a copy of the weights and three reads of it a step, on every
        process.  A step that was left out leaves the numbers of the one before it.

        Example:
            >>> import steepest
            >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
            >>> opt = steepest.SGD([x], lr=0.5)
            >>> opt.track_norms = True
            >>> _ = opt.step(lambda: (x * x).sum() / 2)
            >>> found = opt.metrics()
            >>> [found[name] for name in ("lr", "loss", "gradient_norm", "step_norm", "update_to_weight", "forwards")]
            [0.5, 12.5, 5.0, 2.5, 0.5, 1.0]
        """
        return metrics(self)

    def cite(self) -> str:
        """BibTeX entries of the papers whose parts are in this assembly."""
        return citation(key for part in self.parts() for key in part.cite)

    def __repr__(self) -> str:
        chosen = {name: getattr(self, name) for name in SEAMS}
        lines = [f"  {name}: {part!r}" for name, part in chosen.items() if type(part) is not SEAMS[name]]
        sizes = ", ".join(f"{len(g['params'])} tensors at lr={float(g['lr']):g}"
                          f"{' with ' + g['direction'] if 'direction' in g else ''}" for g in self.param_groups)  # fmt: skip
        return "\n".join([f"{type(self).__name__} ({sizes})", *lines])

    def _counted(self) -> None:
        """One more step."""
        self.counters.steps += 1
        look_for_motion(self)

    # ---- hyper-parameters ----------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with hyper-parameters of their own, and with a ``direction`` if there is one in the group.

        Raises:
            TypeError: a misspelt hyper-parameter or a complex parameter, or something else than a direction.
            ValueError: a hyper-parameter out of its range, or a direction that does not go with the other parts.
        """
        owner = f"a parameter group of {type(self).__name__}"
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{owner} must be a dict with 'params', got {type(param_group).__name__}")
        before = self._directions
        try:
            named, self._directions = self.families.named(owner, param_group)
            if self._directions is not before:
                self._check_assembly()
            self._add_group(owner, named)
        except BaseException:
            if self._directions is not before:
                self._directions = before
                self._check_assembly()
                self.clear_cache()
            raise

    def _add_group(self, owner: str, param_group: dict[str, Any]) -> None:
        family, defaults = self.families.of(param_group), self.families.defaults(param_group, self.defaults)
        self.check_group(owner, param_group)
        fixed = {n for part in family.parts for n in part.structure} | set(OPTIONS) - {"maximize", "direction"}
        live = [n for n in family.intervals if not n.startswith("beta")] + ["betas", "maximize"]
        for name in unpack(param_group):
            if name in param_group and name.startswith("beta") and name in family.intervals:
                raise TypeError(f"{owner} has no {name!r}: give betas=({', '.join(map(str, defaults['betas']))})")
            if name in family.intervals:
                continue
            if name in fixed:
                raise TypeError(f"{name!r} is one for the whole optimizer: give it to the constructor of "
                                f"{type(self).__name__}")  # fmt: skip
            if name not in (*OWN, "direction") and name not in defaults and nearest(name, live):
                raise TypeError(f"{owner} has no hyper-parameter {name!r}{nearest(name, live)}")
        param_group.update({n: plain(v) for n, v in param_group.items() if n != "params"})
        if self.param_groups and self.step_size.per == "all":  # what is shared is shared with the new ones
            for name in self.step_size.memory:
                param_group.setdefault(name, self.param_groups[0][name])
        usual, self.defaults = self.defaults, defaults
        try:
            super().add_param_group(param_group)
        finally:
            self.defaults = usual
        try:
            names = self.param_groups[-1].get("param_names", (None,) * len(self.param_groups[-1]["params"]))
            for name, p in zip(names, self.param_groups[-1]["params"], strict=True):
                if p.requires_grad or not isinstance(p, torch.nn.Parameter):
                    trainable(p)
                family.direction.side(name, p)
        except BaseException:
            self.param_groups.pop()
            raise
        for name, value in self.param_groups[-1].items():
            if name in family.intervals or name == "betas":
                self.param_groups[-1][name] = (
                    tuple(map(plain, several(value) or ())) if name == "betas" else plain(value)
                )
        self.clear_cache()

    def loss_sign(self) -> float:
        """-1 where the loss is maximized, for step sizes that look at it."""
        signs = {-1.0 if group["maximize"] else 1.0 for group in self.param_groups}
        if len(signs) > 1:
            raise ValueError(f"{self.step_size!r} looks at the loss, but some groups minimize it and some maximize it: "
                             "choose a step size that does not")  # fmt: skip
        return signs.pop()

    def check_group(self, owner: str, group: Mapping[str, Any]) -> None:
        """Say what is wrong with hyper-parameters in a group, new or from a checkpoint.

        Raises:
            TypeError: not a number, or another number of betas.
            ValueError: NaN, out of its interval, or of another method.
        """
        family, defaults = self.families.of(group), self.families.defaults(group, self.defaults)
        if "betas" in group:
            betas, count = several(group["betas"]), len(defaults.get("betas", ()))
            if betas is None or len(betas) != count:
                raise TypeError(f"{owner} has {count or 'no'} betas, got {group['betas']!r}")
        for name, value in unpack(group).items():
            if name in family.intervals:
                check_number(owner, name, value, family.intervals[name])
        if not isinstance(group.get("maximize", False), bool):
            raise TypeError(f"{owner}: maximize must be True or False, got {group['maximize']!r}")
        refuse_other_method(self, group)
        for part in family.parts:
            values = unpack({**defaults, **group})
            part.check(values | {own: values[name] for own, name in part.prefixed.items() if name in values})

    def hyper(self, group: dict[str, Any], name: str) -> float:
        """A live hyper-parameter of a group, ``beta1`` among them."""
        if name.startswith("beta") and name[4:].isdigit():
            return float(group["betas"][int(name[4:]) - 1])
        return float(group[name])

    def _live(self, group: dict[str, Any]) -> dict[str, float]:
        h = {name: float(group[name]) for name in self.families.plain(group, self._plain)}
        if "betas" in group:
            h.update({f"beta{i}": float(beta) for i, beta in enumerate(group["betas"], 1)})
        return h

    def numbers_of(self, group: dict[str, Any], t: int, kept: Mapping[str, Any], side: Side) -> dict[str, float]:
        """Numbers of a parameter after t steps: its own, or worked out from t where it has none."""
        h = SimpleNamespace(**side.named(self._live(group)))
        found = {name: value for part in side.counting for name, value in part.resumed(t, h).items()}
        return {name: float(kept.get(name, value)) for name, value in found.items()}

    def scalars(
        self, group: dict[str, Any], t: int, kept: Mapping[str, Any] | None = None, side: Side | None = None
    ) -> dict[str, float]:
        """All scalars of a kernel for one group at step t, but the step size; ``kept`` is what a parameter has of its own.

        With a side those of its parameters, without one what all parameters have in common.
        """
        side = side or self._common
        h = side.named({**self.step_size.memory, **self._live(group), "t": t})
        h.update(self.numbers_of(group, t - 1, kept or {}, side) if side.counting else {})
        for part in side.with_scalars:
            h.update(part.scalars(t, SimpleNamespace(**h)))
        h["numel"], h["eta"], h["w"] = 0.0, h["lr"], 1.0
        return h
