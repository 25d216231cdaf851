"""What a law is: a small function of one method, entered into a table; and how two results are compared."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tests.contract.case import LOOSE, Case

Check = Callable[..., None]


@dataclass(frozen=True)
class Law:
    """A law, its variants, and whom it concerns."""

    name: str
    check: Check
    variants: tuple[str, ...]
    concerns: Callable[[Case], bool]
    slow: bool = False


LAWS: dict[str, Law] = {}


def law(
    *variants: str, concerns: Callable[[Case], bool] = lambda case: True, slow: bool = False
) -> Callable[[Check], Check]:
    """Enter a function of a case (and a variant, where there are some) into the table under its own name."""

    def enter(check: Check) -> Check:
        name = getattr(check, "__name__", "")
        assert name not in LAWS
        LAWS[name] = Law(name, check, variants, concerns, slow)
        return check

    return enter


def one_gradient(case: Case) -> bool:
    """Whether ``loss.backward(); opt.step()`` is enough."""
    return not case.closure


def tolerance(case: Case, name: str) -> float:
    """The relative tolerance agreed for a law; 0 means to the bit."""
    agreed = LOOSE.get(name, {})
    return agreed.get(case.name, agreed.get("*", (0.0, "")))[0]


def same(a: Any, b: Any, *, loose: float = 0.0, where: str = "") -> None:
    """Two nested results agree, to the bit unless a tolerance was agreed."""
    if isinstance(a, Tensor):
        assert isinstance(b, Tensor), f"{where}: a tensor and {b!r}"
        if a.is_floating_point() and loose:
            torch.testing.assert_close(a, b, rtol=loose, atol=loose, msg=lambda m: f"{where}: {m}")
        else:
            assert a.dtype == b.dtype and a.shape == b.shape, f"{where}: {a.dtype}{a.shape} and {b.dtype}{b.shape}"
            equal = torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())
            assert equal, f"{where}: differs by {(a.double() - b.double()).abs().max():.3g}"
    elif isinstance(a, dict):
        assert isinstance(b, dict) and a.keys() == b.keys(), f"{where}: {list(a)} and {list(b)}"
        for key in a:
            same(a[key], b[key], loose=loose, where=f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert isinstance(b, (list, tuple)) and len(a) == len(b), f"{where}: {a} and {b}"
        for i, (u, v) in enumerate(zip(a, b, strict=True)):
            same(u, v, loose=loose, where=f"{where}[{i}]")
    elif isinstance(a, float) and loose:
        assert a == b or abs(a - b) <= loose * (1 + abs(b)), f"{where}: {a!r} and {b!r}"
    else:
        assert a == b or (a != a and b != b), f"{where}: {a!r} and {b!r}"


def different(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether two lists of weights differ anywhere."""
    return not all(torch.equal(u, v) for u, v in zip(a, b, strict=True))


def finite(tensors: Iterable[Any]) -> bool:
    """Whether no tensor has a NaN or an infinity."""
    return all(bool(torch.isfinite(t).all()) for t in tensors if isinstance(t, Tensor))


def frozen(opt: torch.optim.Optimizer) -> dict[str, Any]:
    """A copy of everything the optimizer keeps, without its counters (a question that fails is still paid for)."""
    saved = copy.deepcopy(opt.state_dict())
    saved.pop("counters", None)
    return saved


def states(opt: torch.optim.Optimizer) -> list[Tensor]:
    """All state tensors."""
    return [v for s in opt.state.values() for v in s.values() if isinstance(v, Tensor)]


def through_file(saved: Any) -> Any:
    """What ``torch.load`` makes of it, without trusting the file."""
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
