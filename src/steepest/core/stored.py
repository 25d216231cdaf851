"""What must be true of stored state before a kernel walks it by address and length.

One check for checkpoints and for the tables of addresses: type, shape, layout, device and length of every tensor, and
the numbers that stand beside them.  ``fault`` is strict; ``unlike`` checks less and is for values that are yet to be
converted.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from steepest.core.composed import Composed
from steepest.core.fields import as_float
from steepest.engine import codec, layout, shard
from steepest.engine.lift import KIND


def number(value: Any, start: float, trusting: bool) -> str | None:
    """What is wrong with a number in a part's memory that began as ``start``."""
    value = _scalar(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return f"is {_shown(value)}, not a number"
    found = as_float(value)
    fine = math.isfinite(found) or (math.isinf(start) and found == start) or (trusting and isinstance(value, float))
    return None if fine else f"is {found!r}, not a finite number"


def count(value: Any) -> str | None:
    """What is wrong with a number of steps."""
    value = _scalar(value)
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53 and value % 1 == 0
    return None if whole else f"is {_shown(value)}, not a number of steps"


def unlike(value: Any, shape: tuple[int, ...], integers: bool = False) -> str | None:
    """Why ``value`` cannot be read as a tensor of real numbers (or integers) of this shape, whatever its precision."""
    if not isinstance(value, Tensor):
        return f"is {_shown(value)}, not a tensor"
    if _bare(value):
        return f"is {_shown(value)} ({value.layout}, {value.dtype}, {value.device}), not a dense tensor with values"
    floats = value.is_floating_point()
    if floats == integers or value.dtype in (torch.bool, torch.complex32) or value.is_complex():
        return f"has the type {value.dtype}, not {'integers' if integers else 'floating point'}"
    return None if tuple(value.shape) == shape else f"has the shape {tuple(value.shape)}, not {shape}"


def fault(opt: Composed, p: Tensor, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with ``entry``, the state of the parameter p, in one sentence; None if a kernel may use it.

    What no part knows is not looked at, nor a state that is yet to be made: all of it before the parameter's first step,
    and a direction's state in a chart before the chart has its coordinates.
    """
    found = fault_of(opt, p, entry)
    if found is None:
        return None
    index = next((i for i, q in enumerate(q for g in opt.param_groups for q in g["params"]) if q is p), None)
    return f"state {found[0]!r} of parameter {index} {found[1]}"


def fault_of(opt: Composed, p: Tensor, entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name of a state of p that is not as a kernel needs it, and why; None if there is none."""
    x, begun = shard.local(p), "step" in entry
    charted = coordinates(opt, p)
    kept = {n: k for part in opt.parts() for n, k in part.kept(p).items()}
    if begun and (type(entry["step"]) is not int or count(entry["step"])):
        return "step", f"is {_shown(entry['step'])}, not a plain number of steps"
    for name, spec in opt.specs(p).items():
        inside, own = name in charted, room(opt, p, name)
        if name not in entry:
            if begun and not inside:
                return name, "is missing"
            continue
        if inside and (lost := [n for n in opt.chart.keeps if n in kept and n not in entry]):
            return name, f"is in coordinates that are missing ({', '.join(lost)})"
        kind, like = codec.kind(spec, opt.codec, codec.compute_type(x)), x if own is None else own
        spread = own is None and not kind.startswith("q8")
        if wrong := _tensor(entry[name], codec.DTYPE[kind], like, x.device, p if spread else None):
            return name, wrong
        scale = name + codec.SCALE
        if kind.startswith("q8"):
            blocks = torch.empty(-(-like.numel() // codec.BLOCK), device="meta")
            if wrong := _tensor(entry.get(scale), torch.float32, blocks, x.device, None):
                return scale, wrong
        elif scale in entry:
            return scale, f"stands beside a state that is stored as {codec.DTYPE[kind]}"
    for name, what in kept.items():
        if name not in entry:
            continue
        value = entry[name]
        wrong = count(value) if what.shape is None else unlike(value, what.shape, what.below is not None)
        if wrong is None and isinstance(value, Tensor) and value.device != x.device:
            wrong = f"is on {value.device}, the parameter on {x.device}"
        if wrong:
            return name, wrong
    if opt.step_size.per == "tensor":
        for name, start in opt.step_size.memory.items():
            if name in entry and (wrong := number(entry[name], start, opt.nonfinite == "propagate")):
                return name, wrong
    return None


def coordinates(opt: Composed, p: Tensor) -> list[str]:
    """The states of p that live in a chart's coordinates."""
    return opt.side(p).inside if opt.charted and opt.chart.applies(p) else []


def shape_of(opt: Composed, p: Tensor, name: str) -> tuple[int, ...] | None:
    """The whole shape of a state of p; None where p has no such state."""
    return opt.side(p).specs[name].of(tuple(opt.chart.shape(p) if name in coordinates(opt, p) else p.shape))


def room(opt: Composed, p: Tensor, name: str) -> Tensor | None:
    """A tensor without values, laid out as a state of p that does not follow p's elements; None where it does.

    Such a state is in a chart's coordinates or has a shape of its own.  It belongs to the whole of a p that is spread over
    processes, and all of them hold the same.
    """
    if opt.side(p).specs[name].shape is None and name not in coordinates(opt, p):
        return None
    return torch.empty(shape_of(opt, p, name) or (), device="meta")


def trainable(p: Tensor) -> None:
    """Say so where a parameter is of a type that cannot be moved; one that is frozen may have any.

    Raises:
        TypeError: complex numbers, integers, or floating-point numbers of 8 bits.
    """
    if shard.local(p).dtype not in KIND:
        remedy = "optimize it through torch.view_as_real" if p.is_complex() else "freeze it: requires_grad_(False)"
        raise TypeError(f"parameters must be float32, float64, bfloat16 or float16, got {p.dtype}; {remedy}")


def _tensor(value: Any, dtype: torch.dtype, like: Tensor, device: torch.device, spread: Tensor | None) -> str | None:
    """Why ``value`` is not dense memory of this type, laid out as ``like``, spread over processes as ``spread`` is."""
    whole = like if spread is None else spread
    wrong = unlike(value, tuple(whole.shape), dtype is torch.uint8)
    if wrong is not None:
        return wrong
    if not shard.alike(value, whole):
        return f"is {_shown(value)}, spread over processes unlike what it belongs to"
    here = shard.local(value)
    if here.dtype is not dtype:
        return f"has the type {here.dtype}, not {dtype}"
    if here.device != device:
        return f"is on {here.device}, the parameter on {device}"
    if not layout.alike(here, like):
        return (f"has the shape {tuple(here.shape)} and the strides {here.stride()}, not {tuple(like.shape)} and "
                f"{layout.strides(like)}")  # fmt: skip
    end = (here.storage_offset() + here.numel()) * here.element_size()
    return None if here.untyped_storage().nbytes() >= end else "has lost its memory"


def _scalar(value: Any) -> Any:
    """The number in a tensor of one."""
    return value.item() if isinstance(value, Tensor) and not _bare(value) and value.numel() == 1 else value


def _bare(value: Tensor) -> bool:
    """Whether there is no plain memory with the tensor's values in it."""
    if shard.is_sharded(value):
        return False
    wrapped = type(value).__torch_dispatch__ is not Tensor.__torch_dispatch__
    return (wrapped or value.layout is not torch.strided or value.is_quantized or value.is_nested
            or value.is_neg() or value.is_conj() or value.device.type == "meta")  # fmt: skip


def _shown(value: Any) -> str:
    """A value as an error message shows it, however long it is."""
    return (
        repr(value) if isinstance(value, (int, float, str)) and len(repr(value)) < 60 else f"a {type(value).__name__}"
    )


__all__ = ["coordinates", "count", "fault", "fault_of", "number", "room", "shape_of", "trainable", "unlike"]
