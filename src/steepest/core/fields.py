"""What a part is made with: typed fields of its class, from which its signature is made.

    class SAM(Point):
        rho: float = real("[0, inf)", default=0.05)

Type checkers read the annotation and ``default`` (PEP 681: given by name, or they do not see it), and know ``SAM(rho: float =
0.05)``.  At run time the fields of a class, those of its bases first, are the table ``fields``; ``hyper``, ``structure`` and
the signature are made from it.  Where ``hyper`` or ``structure`` is written as a dict it replaces what was inherited.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, cast, get_args

from torch import Tensor

from steepest.core.given import close, plain

Word = TypeVar("Word", bound=str)
P = TypeVar("P")
Kind = Literal["part", "argument", "hyper", "structure"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # in the order of a constructor's parameters where dicts declare them
NOTHING = inspect.Parameter.empty


def inside(value: float, interval: str) -> bool:
    """Whether ``value`` lies in an interval written as in mathematics.

    >>> inside(0.0, "[0, 1)"), inside(1.0, "[0, 1)"), inside(5, "(0, inf)")
    (True, False, True)
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below


def nearest(name: str, known: Iterable[str]) -> str:
    """The words ``", did you mean 'x'?"`` for a misspelt name, or nothing."""
    meant = close(name, known)
    return f", did you mean {meant!r}?" if meant else ""


def as_float(value: Any) -> float:
    """A real number as a float, infinite where it is too large for one.

    >>> as_float(10**400)
    inf
    """
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def check_number(owner: str, name: str, value: object, interval: str) -> float:
    """Return ``value`` as a float, or say what was wrong with it.

    Raises:
        TypeError: not a real number.
        ValueError: NaN or outside ``interval``.
    """
    number = value.item() if isinstance(value, Tensor) and value.numel() == 1 else plain(value)
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"{owner}: {name} must be a number in {interval}, got {value!r}")
    found = as_float(number)
    if math.isnan(found) or not inside(found, interval):
        shown = repr(value) if math.isfinite(found) or isinstance(number, float) else f"{found} (too large for a float)"
        raise ValueError(f"{owner}: {name} must lie in {interval}, got {shown}")
    return found


def described(value: object) -> str:
    """A wrong value as an error message shows it; a class differs from its object.

    >>> described(int), described(3)
    ('the class int: make it with int()', '3')
    """
    return f"the class {value.__name__}: make it with {value.__name__}()" if isinstance(value, type) else repr(value)


@dataclass(eq=False)
class Field:
    """One parameter of a part's constructor.

    Args:
        kind: a part inside, anything else that is kept as it is, a live number, a fixed choice.
        default: of a part, what makes it.
        allowed: an interval for numbers, a tuple of words, None for bools, the class of a part.
        name: what the constructor calls it; default: as the attribute.
        kw_only: in the signature after all others, and by name only.
        attribute: where the part keeps it.
        annotation: its type.
    """

    kind: Kind
    default: Any
    allowed: Any = None
    name: str = ""
    kw_only: bool = False
    attribute: str = ""
    annotation: Any = Any

    def __set_name__(self, owner: type, name: str) -> None:
        self.attribute, self.name = name, self.name or name

    def __get__(self, part: Any, owner: type) -> Any:
        """A live number as its part was made with it; from the class the default."""
        if part is None:
            return self.default
        shown = part.prefixed.get(self.attribute, self.attribute)
        if self.kind == "hyper" and shown in vars(part).get("values", {}):
            return part.values[shown]
        raise AttributeError(f"{type(part).__name__!r} object has no attribute {self.attribute!r}")

    @property
    def parameter(self) -> inspect.Parameter:
        """As a signature shows it."""
        kind = inspect.Parameter.KEYWORD_ONLY if self.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = None if self.kind == "part" and self.default is not NOTHING else self.default
        return inspect.Parameter(self.name, kind, default=default, annotation=self.annotation)

    def checked_value(self, owner: str, given: dict[str, Any]) -> Any:
        """The value among those given, or the default, checked.

        Raises:
            TypeError: a value of the wrong type, or none where one is needed.
            ValueError: a value outside its range.
        """
        value, allowed, name = given.get(self.name, self.default), self.allowed, self.name
        if self.kind == "argument":
            return value
        if self.kind == "hyper":
            return check_number(owner, name, value, allowed)
        if self.kind == "part":
            if value is NOTHING:
                raise TypeError(f"{owner} goes around another part: give it as {name}")
            value = (
                self.default() if value is self.default or (value is None and self.default is not NOTHING) else value
            )
            if isinstance(value, allowed):
                return value
            seam = f"{'an' if allowed.__name__[0] in 'AEIOU' else 'a'} {allowed.__name__.lower()}"
            raise TypeError(f"{owner} goes around {seam} ({name}), got {described(value)}")
        if isinstance(allowed, tuple):
            if value not in allowed:
                words = ", ".join(map(repr, allowed))
                raise ValueError(f"{owner}: {name} must be one of {words}, got {value!r}{nearest(str(value), allowed)}")
        elif isinstance(allowed, str):
            if isinstance(value, bool) or not isinstance(value, numbers.Integral):
                raise TypeError(f"{owner}: {name} must be an integer in {allowed}, got {value!r}")
            if not inside(int(value), allowed):
                raise ValueError(f"{owner}: {name} must lie in {allowed}, got {value!r}")
            return int(value)
        elif not isinstance(value, type(self.default)):
            raise TypeError(f"{owner}: {name} must be a {type(self.default).__name__}, got {value!r}")
        return value


def real(interval: str, *, default: float, kw_only: bool = False) -> float:
    """A live number: it stands in ``param_groups``, may be scheduled, and recompiles nothing.

    Args:
        interval: as in mathematics, ``"[0, inf)"``.
        default: the paper's.
        kw_only: in the signature after all others, those of subclasses too, and by name only.
    """
    return cast(float, Field("hyper", default, interval, kw_only=kw_only))


def whole(interval: str, *, default: int, kw_only: bool = False) -> int:
    """A fixed integer in an interval."""
    return cast(int, Field("structure", default, interval, kw_only=kw_only))


def word(allowed: tuple[Word, ...] = (), *, default: Word, kw_only: bool = False) -> Word:
    """A fixed word, one of its annotation's ``Literal``, unless ``allowed`` says which."""
    return cast(Word, Field("structure", default, allowed, kw_only=kw_only))


def flag(*, default: bool, kw_only: bool = False) -> bool:
    """A fixed yes or no."""
    return cast(bool, Field("structure", default, kw_only=kw_only))


def part(kind: type[P], *, alias: str, default_factory: Callable[[], P] | None = None) -> P:
    """A part inside.

    Args:
        kind: its seam.
        alias: what the constructor calls it.
        default_factory: makes the one that is used when none is given; without it one must be given.
    """
    return cast(P, Field("part", default_factory or NOTHING, kind, name=alias))


def argument(*, default: Any) -> Any:
    """Anything else that the constructor takes, kept as it is."""
    return Field("argument", default)


def annotated(cls: type, name: str) -> Any:
    """The annotation of a class's attribute; its text where that uses a name which only type checkers know."""
    annotation = cls.__annotations__.get(name, Any)
    try:
        return eval(annotation, vars(sys.modules[cls.__module__])) if isinstance(annotation, str) else annotation
    except (NameError, KeyError):
        return annotation


def collected(cls: type[Any]) -> dict[str, Field]:
    """The fields of a class by what the constructor calls them, those of its bases first.

    Raises:
        TypeError: a field that hides something else, or a word without a ``Literal``.
    """
    found: dict[str, Field] = {}
    for base in reversed(cls.__bases__):
        found |= getattr(base, "fields", {})
    for kind in KINDS:
        if kind in vars(cls):
            found = {n: f for n, f in found.items() if f.kind != kind}
            for name, (default, allowed) in vars(cls)[kind].items():
                hint = float if kind == "hyper" else type(default)
                found[name] = Field(kind, default, allowed, name, attribute=name, annotation=hint)
    for name, value in list(vars(cls).items()):
        if isinstance(value, Field):
            if not all(isinstance(vars(b).get(name, ""), (Field, float, int, str)) for b in cls.__mro__[1:]):
                raise TypeError(
                    f"{cls.__name__}: the field {name!r} hides what every part calls so: choose another name"
                )
            value.annotation = annotated(cls, name)
            value.allowed = get_args(value.annotation) if value.allowed == () else value.allowed
            if value.allowed == ():
                raise TypeError(
                    f"{cls.__name__}: {name} has no words: annotate it as a Literal, or give them to word()"
                )
            found[value.name] = value
        elif name in found and isinstance(value, (float, int, str)):  # another default for a field of a base
            found[name] = replace(found[name], default=value)
            setattr(cls, name, found[name])
    if any(kind in vars(cls) for kind in KINDS):  # numbers before choices, as dicts have them
        found = dict(sorted(found.items(), key=lambda item: KINDS.index(item[1].kind)))
    return found


def sign(cls: type[Any], shared: Callable[..., None]) -> None:
    """Give a class the signature of its fields.

    Args:
        cls: the class.
        shared: the constructor of all parts; a class that has another names some fields itself, and the others stand for its
            ``**given``.
    """
    fields = [field.parameter for field in cls.fields.values()]
    inits = (vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base))
    init = next(function for function in inits if getattr(function, "__wrapped__", None) is not shared)
    if init is shared:
        named = sorted(fields, key=lambda p: p.kind)

        @functools.wraps(shared)
        def constructor(self: Any, *first: Any, **given: Any) -> None:
            shared(self, *first, **given)

        # libraries that read configurations look here, and not at the class
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        constructor.__signature__ = inspect.Signature([own, *named])  # type: ignore[attr-defined]
        cls.__init__ = constructor
    else:
        cls.__init__ = init
        _, *own_ones = inspect.signature(init).parameters.values()
        named = [p for p in own_ones if p.kind is not inspect.Parameter.VAR_KEYWORD]
        if len(named) < len(own_ones):
            taken = {p.name for p in named}
            named += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in fields if p.name not in taken]
    cls.__signature__ = inspect.Signature(named)
