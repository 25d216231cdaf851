"""The seven seams as types, and what a part declares.

A part owns four kinds of things and says so in class attributes, because the driver reads the declarations and nothing
else:

* ``hyper``: live real numbers.  They are copied into ``param_groups``, may be scheduled or set per group, and reach
  the kernel as scalars, so changing one never recompiles anything.
* ``structure``: bools, integers and words that change *which* computation is done.
* ``state``: tensors kept from step to step, one of the parameter's shape each, with their initial value.
* ``needs`` and ``gives``: what must be there for the part to work (``"closure"``, or the state of another part).

The maps (``__call__``) are pure: no in-place operation, no ``p.grad``, no Python objects in the state, no branch on a
tensor's value.  They are traced once and run by any lift.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator, Mapping
from inspect import Signature
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, Self, dataclass_transform, get_args

from torch import Tensor

from steepest.core import fields as F
from steepest.core.fields import Field
from steepest.core.fields import check_number as check_number
from steepest.core.fields import described as described
from steepest.core.fields import inside as inside
from steepest.core.fields import nearest as nearest
from steepest.core.rate import IS_THE_STEP, MULTIPLIES
from steepest.core.records import Evidence
from steepest.core.step import Run
from steepest.engine.state import Kept as Kept
from steepest.engine.state import State as State
from steepest.engine.state import scalar as scalar

Scalars = SimpleNamespace
NewState = dict[str, Tensor]


@dataclass_transform(eq_default=False, field_specifiers=(F.real, F.whole, F.word, F.flag, F.part, F.argument))
class Part:
    """What every part shares: declarations, and a constructor that checks against them.

    Raises:
        TypeError: an unknown name or a value of the wrong type.
        ValueError: a value outside its range.
    """

    #: what it is made with, by name; :mod:`steepest.core.fields`
    fields: ClassVar[Mapping[str, Field]] = {}
    #: live numbers, made from the fields or written here: name -> (default, interval)
    hyper: ClassVar[Mapping[str, tuple[float, str]]] = {}
    #: fixed choices, likewise: name -> (default, an interval for integers, a tuple of words, or None for bools)
    structure: ClassVar[Mapping[str, tuple[Any, str | tuple[str, ...] | None]]] = {}
    #: tensors kept from step to step
    state: ClassVar[Mapping[str, State]] = {}
    #: states that count something: ``opt.metrics()`` has their sum over all parameters
    counts: ClassVar[tuple[str, ...]] = ()
    #: what must be given by the caller ("closure") or by another part (a state's name, "bounded", ...)
    needs: ClassVar[frozenset[str]] = frozenset()
    #: what the part offers besides its state
    gives: ClassVar[frozenset[str]] = frozenset()
    #: keys of references.bib
    cite: ClassVar[tuple[str, ...]] = ()
    #: False where the map needs the whole tensor in its shape (a projection of rows, a function of a matrix): it runs eagerly
    pointwise: bool = True
    #: True where such a map takes many tensors of equal shape at once, b x shape, and treats each as it would alone
    batched: bool = False
    #: names under which host parts keep something of their own in ``optimizer.state[p]``
    keeps: ClassVar[tuple[str, ...]] = ()
    #: standard normal tensors shaped like the gradient, new at each step, that its maps find in ``s``; see ``core.draws``
    draws: ClassVar[tuple[str, ...]] = ()
    #: of what it draws; a part whose users may choose another has a field of this name
    seed: int = 0
    #: numbers kept with each parameter: ``scalars`` finds them in ``h`` and answers what they are after the step
    numbers: ClassVar[tuple[str, ...]] = ()
    #: other names this part's state has in torch.optim's checkpoints
    torch_names: ClassVar[Mapping[str, str]] = {}

    __signature__: ClassVar[Signature]
    values: dict[str, float]
    inner: tuple[Part, ...] = ()
    #: how groups and checkpoints call its live numbers and state, where it stands beside another part of the same names
    prefixed: Mapping[str, str] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.fields = F.collected(cls)
        live, fixed = ({n: f for n, f in cls.fields.items() if f.kind == kind} for kind in ("hyper", "structure"))
        cls.hyper = {name: (field.default, field.allowed) for name, field in live.items()}
        cls.structure = {name: (field.default, field.allowed) for name, field in fixed.items()}
        F.sign(cls, Part.__init__)

    def __init__(self, *first: Any, **given: Any) -> None:
        owner, fields = type(self).__name__, self.fields
        order = sorted(fields, key=lambda name: fields[name].kw_only)
        if len(first) > len(order):
            raise TypeError(f"{owner} takes at most {len(order)} values ({', '.join(order)}), got {len(first)}")
        for name, value in zip(order, first, strict=False):
            if name in given:
                raise TypeError(f"{owner} got {name} twice")
            given[name] = value
        known = [*self.hyper, *self.structure]
        for name in given:
            if name not in fields:
                raise TypeError(f"{owner} has no parameter {name!r}{nearest(name, known)} (it has: {', '.join(known)})")
        taken = {name: field.checked_value(owner, given) for name, field in fields.items()}
        self.values = {name: taken[name] for name in self.hyper}
        for name, field in fields.items():
            if field.kind != "hyper":
                setattr(self, field.attribute, taken[name])
        self.inner = tuple(taken[n] for n, f in fields.items() if f.kind == "part" and given.get(n) is not None)
        self.__post_init__()
        self.check(self.values)

    def __post_init__(self) -> None:
        """What else a part does when it is made, with its fields in place."""

    def declare(self, state: Mapping[str, State]) -> None:
        """Keep these tensors from step to step; for ``__post_init__``, where they depend on what the part is made with."""
        self.__dict__["state"] = state

    def kept(self, x: Tensor) -> Mapping[str, Kept]:
        """What stands under the names in ``keeps`` for the parameter x; a name that is left out is not checked."""
        return {}

    def check(self, values: Mapping[str, float]) -> None:
        """Say what is wrong with hyper-parameters that do not go together, here or in a parameter group."""

    def walk(self) -> Iterator[Part]:
        """This part and the parts inside it."""
        yield self
        for part in self.inner:
            yield from part.walk()

    def renamed(self, names: Container[str], prefix: str) -> Self:
        """A copy that groups and checkpoints know with a prefix before these names; its maps use the names as before."""
        made = copy.copy(self)
        for table in ("hyper", "values", "state", "torch_names"):
            setattr(made, table, {prefix * (n in names) + n: v for n, v in getattr(self, table).items()})
        known = self.prefixed or {n: n for n in (*self.hyper, *self.state)}
        made.prefixed = {own: prefix * (n in names) + n for own, n in known.items()}
        made.inner = tuple(part.renamed(names, prefix) for part in self.inner)
        for field in self.fields.values():
            if field.kind == "part" and (inside := getattr(self, field.attribute)) in self.inner:
                setattr(made, field.attribute, made.inner[self.inner.index(inside)])
        return made

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """Numbers that depend on the step count t (1 at the first step), computed once a step and found in ``h``."""
        return {}

    def resumed(self, t: int, h: Scalars) -> dict[str, float]:
        """The ``numbers`` of a parameter that has taken t steps and has none: 0 at the beginning, more in old checkpoints."""
        return {}

    def outline(self) -> str:
        """What it is, without live numbers."""
        fixed = (f"{name}={getattr(self, name)!r}" for name in self.structure)
        return f"{type(self).__name__}({', '.join([*(part.outline() for part in self.inner), *fixed])})"

    def __repr__(self) -> str:
        shown = [repr(part) for part in self.inner]
        shown += [f"{own}={self.values[self.prefixed.get(own, own)]:g}" for own in type(self).hyper]
        shown += [f"{name}={getattr(self, name)!r}" for name in self.structure]
        return f"{type(self).__name__}({', '.join(shown)})"


class Direction(Part):
    """Which way, given g?  ``(g, x, s, h) -> (d, new state)``; the move is ``x - η d`` in Euclidean geometry."""

    #: whether the map looks at x (with a chart, x must then be brought into its coordinates too)
    reads_x = False
    #: live numbers that multiply the learning rate of the parameters with this direction, as groups call them
    rates = tuple[str, ...]()

    def sides(self) -> tuple[Direction, ...]:
        """The directions that this one is for different parameters: itself alone, unless it chooses."""
        return (self,)

    def side(self, name: str | None, x: Tensor) -> int:
        """The place among ``sides`` of the direction for the parameter x; its name is None where it is not known."""
        return 0

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The direction of descent d and the state after this step, both shaped like g; here g itself."""
        return g, {}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """A tensor with the signs of d, for callers that need only its signs; cheaper than d where it can be."""
        return self(g, x, s, h)[0]


class Around(Direction):
    """A direction made from another one; state and hyper-parameters of both live side by side."""

    around: Direction = F.part(Direction, alias="inner")

    def __post_init__(self) -> None:
        both = (type(self), self.around)
        self.pointwise = all(part.pointwise for part in both)
        self.batched = all(part.pointwise or part.batched for part in both)

    def sides(self) -> tuple[Direction, ...]:
        """This direction around each of those that the inner one chooses from."""
        inside = self.around.sides()
        return (self,) if inside == (self.around,) else tuple(map(self._with, inside))

    def _with(self, inner: Direction) -> Self:
        made = copy.copy(self)
        made.around, made.inner, made.rates = inner, (inner,), inner.rates
        made.__post_init__()
        return made

    def side(self, name: str | None, x: Tensor) -> int:
        """As the inner direction says."""
        return self.around.side(name, x)

    def apply_inner(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """d and the new state of the direction inside."""
        return self.around(g, x, s, h)

    def inner_heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """The signs of the direction inside."""
        return self.around.heading(g, x, s, h)

    ask_inner, ask_heading = apply_inner, inner_heading  # the former names


class Geometry(Part):
    """How does x move?  ``(x, u, η, h) -> x⁺`` where u = η d is the step; ``R_x(0) = x`` up to decay or prox."""

    def __call__(self, x: Tensor, u: Tensor, eta: Tensor, h: Scalars) -> Tensor:
        """Euclid: x - u."""
        return x - u


#: the values of ``StepSize.per``
Per = Literal["all", "group", "tensor"]
PER: tuple[Per, ...] = get_args(Per)


class StepSize(Part):
    """How far?  Reductions over tensors, then arithmetic on the host.

    ``measure`` names elementwise terms whose sums over the tensors that share it (and all ranks) go to ``eta``; ``advance``
    may update the step size's own state in the kernel that moves x and name further sums, handed to ``after``.
    """

    #: who shares one step size: "all" tensors, those of a "group", or each "tensor" for itself
    per = "all"
    #: numbers kept with those who share it (in all groups, in theirs, in the tensor's state): name -> start
    memory: ClassVar[Mapping[str, float]] = {}
    #: multiply the gradient that enters the direction's first moment (``h.w``) instead of d (D-Adaptation)
    weighs_gradient = False
    #: needs the loss of this step
    uses_loss = False
    #: looks at gradients itself, as the closure gives them: neither chart nor channel
    plain = False
    #: default of the ``lr`` hyper-parameter, which multiplies the step size of the part
    lr = 1.0
    #: how ``lr`` is meant: it ``"is the step"``, or it ``"multiplies"`` a step that the part finds, and belongs near 1;
    #: unless a part says otherwise, one that has an ``eta`` of its own finds its step
    reads_lr = IS_THE_STEP

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "eta" in cls.__dict__ and "reads_lr" not in cls.__dict__:
            cls.reads_lr = MULTIPLIES

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """Elementwise terms to be summed before the move."""
        return {}

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """New state of the step size, and elementwise terms to be summed during the move."""
        return {}, {}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The step size before ``lr`` multiplies it; may write ``memory``."""
        return 1.0

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """Digest the sums of ``advance``; may write ``memory``."""


class LineSearch(StepSize):
    """A step size that tries: ``search`` may evaluate the loss after trial moves as often as it needs."""

    needs = frozenset({"closure"})
    uses_loss = True
    reads_lr = MULTIPLIES

    def search(self, run: Run, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The accepted step size; ``run.trial(η)`` is the loss at ``R_x(η d)``."""
        raise NotImplementedError


class Point(Part):
    """Where is the gradient evaluated, which point is kept, and which is returned?"""

    #: True where ``after_direction`` is a map that changes d
    bends = False

    def ask(self, run: Run) -> Evidence:
        """Evaluate loss and gradient for this step; the weights must be back at x when this returns."""
        return run.evaluate()

    def after_direction(self, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """A map between direction and move, for points whose closed form needs no second evaluation."""
        return d, {}

    def pace(self, eta: Tensor, h: Scalars) -> Tensor:
        """The step size that the geometry uses, for points that make a part of the step at once; here all of it."""
        return eta

    def keep(self, run: Run) -> None:
        """What happens to the weights after the move."""

    def answer(self, p: Tensor, state: dict[str, Any]) -> Tensor:
        """The weights to be returned for p, of which ``state`` is kept; here p itself."""
        return p


class Oracle(Part):
    """How are loss and gradient evaluated?  Here by backpropagation."""

    #: what is kept in the first group from step to step, plain numbers or tuples of them: name -> start
    memory: ClassVar[Mapping[str, Any]] = {}
    #: for an oracle that changes ``evaluate``: whether its gradients are backpropagated, so that a GradScaler may scale them
    scales: ClassVar[bool] = False

    def evaluate(self, run: Run) -> Evidence:
        """Loss and gradient at the weights as they are now."""
        return run.backpropagate()

    def keep(self, run: Run) -> None:
        """What is stored once a step is taken."""


class Channel(Part):
    """What do processes communicate?  The identity: gradients are already averaged by DDP or FSDP, if at all."""

    def send(self, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """The message that is used instead of g; ``s`` is the parameter's state, ``h`` its group's scalars."""
        return g


class Chart(Part):
    """In what coordinates?  ``pull(g) -> g̃`` where the direction works, ``push(d̃) -> d`` back where x moves."""

    #: what to do with the direction's state when the coordinates change
    on_refresh = "keep"

    def clock(self, t: int) -> int:
        """The step count that the direction's per-step scalars see at step t."""
        return t

    def applies(self, x: Tensor) -> bool:
        """Whether this parameter gets new coordinates at all."""
        return False

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """The shape of ``pull`` of a gradient of x, and so of the direction's state; here x's own."""
        return tuple(x.shape)

    def refresh(self, g: Tensor, s: dict[str, Any], t: int, seed: int) -> bool:
        """Choose new coordinates where it is time to; True if they changed."""
        return False

    def pull(self, g: Tensor, s: dict[str, Any]) -> Tensor:
        """Coordinates of g."""
        return g

    def push(self, d: Tensor, g: Tensor, s: dict[str, Any], h: Scalars) -> Tensor:
        """The direction in the parameter's own coordinates."""
        return d
