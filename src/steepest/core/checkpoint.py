"""Checkpoints: plain tensors and numbers, restored to the bit, and torch.optim's own where torch has the method.

torch casts state to the parameter's type when it loads; state here has a type of its own (full precision beside
bfloat16 weights, bytes), so it is put back as it was saved.  State saved under one codec loads under another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steepest.core.answer import KEPT, check_kept, fingerprint, loaded
from steepest.engine import codec, shard
from steepest.engine.layout import flat, like_storage

if TYPE_CHECKING:
    from steepest.core.assembly import Assembly
    from steepest.core.optimizer import Optimizer


def _names(opt: Optimizer) -> dict[str, str]:
    return {ours: theirs for part in opt.parts() for ours, theirs in part.torch_names.items()}


def export(opt: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Add the counters, and speak torch's names where torch has the method."""
    saved["counters"] = opt.counters.as_dict()
    if (weights := fingerprint(opt)) is not None:
        saved["weights"] = weights
    if opt._evaluating:
        saved["state"] = {i: dict(s) for i, s in saved["state"].items()}  # train() empties what it puts back
    if opt.torch_group is None:
        return saved
    names = _names(opt)
    saved["state"] = {i: {names.get(k, k): v for k, v in s.items()} for i, s in saved["state"].items()}
    choices = {n: getattr(part, n) for part in opt.parts() for n in part.structure if n in opt.torch_group}
    saved["param_groups"] = [{**opt.torch_group, **choices, **group} for group in saved["param_groups"]]
    return saved


def refuse_other_method(opt: Assembly, group: Mapping[str, Any]) -> None:
    """Say so where a group asks for a choice of torch's that this optimizer was not made with.

    Raises:
        ValueError: for instance ``momentum`` in a group of an SGD that was made without.
    """
    fixed = dict(opt.torch_group or {})
    fixed |= {n: getattr(part, n) for part in opt.parts() for n in part.structure if n in fixed}
    for name, ours in fixed.items():
        asked = group.get(name, ours)
        if name not in opt.defaults and isinstance(ours, (bool, int, float)) and asked != ours:
            raise ValueError(f"{type(opt).__name__} was made with {name}={ours!r}, a group or checkpoint has "
                             f"{name}={asked!r}: give it to the constructor, or load it where it belongs")  # fmt: skip


def accept(opt: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint, ours or torch.optim's, in our own names; nothing of ``saved`` or of ``opt`` is changed.

    Raises:
        ValueError: it belongs to another model or another method.
    """
    if not isinstance(saved, dict) or not {"state", "param_groups"} <= set(saved):
        raise ValueError("this is not an optimizer's state_dict: it needs the keys 'state' and 'param_groups'")
    sizes, ours = ([len(g["params"]) for g in groups] for groups in (saved["param_groups"], opt.param_groups))
    if sizes != ours:
        raise ValueError(f"the checkpoint has groups of {sizes} parameters, this optimizer of {ours}")
    for group in saved["param_groups"]:
        refuse_other_method(opt, group)
    names = {theirs: mine for mine, theirs in _names(opt).items()}
    known = {*opt._state_specs, "step"}
    params = dict(zip((i for g in saved["param_groups"] for i in g["params"]),
                      (p for g in opt.param_groups for p in g["params"]), strict=True))  # fmt: skip
    state: dict[Any, Any] = {}
    for index, entry in saved["state"].items():
        if index not in params or not entry:
            if index not in params:
                state[index] = entry
            continue
        entry = {names.get(k, k): v for k, v in entry.items() if v is not None}
        missing = [n for n in opt._state_specs if n not in entry]
        if missing and any(k in names.values() or k in known for k in entry):
            raise ValueError(f"the checkpoint of parameter {index} has {sorted(entry)} but this method also keeps "
                             f"{missing}: it was saved by another method")  # fmt: skip
        for name in opt._state_specs:
            value, p = entry.get(name), params[index]
            if isinstance(value, Tensor) and not opt._charted and value.shape != p.shape:
                raise ValueError(f"state {name!r} of parameter {index} has shape {tuple(value.shape)}, the parameter "
                                 f"{tuple(p.shape)}")  # fmt: skip
        check_kept(entry, params[index], index)
        own = {*opt._state_specs, "step", KEPT, *(n + codec.SCALE for n in opt._state_specs)}
        own |= {n for part in opt.parts() for n in (*part.keeps, *getattr(part, "memory", ()))}
        entry = {k: v for k, v in entry.items() if k in own}  # what no part knows would only go stale
        entry["step"] = int(entry.get("step", 1))  # torch's SGD keeps no count, but has begun if it has state
        state[index] = entry
    count = max((e["step"] for i, e in state.items() if i in params), default=0)
    groups = [{**opt.defaults, **mine, "t": count, **theirs} for mine, theirs in
              zip(opt.param_groups, saved["param_groups"], strict=True)]  # fmt: skip
    return {**saved, "state": state, "param_groups": groups}


def save(state: Any, path: str | os.PathLike[str]) -> None:
    """``torch.save`` that a kill cannot spoil: the file appears whole or the one before stays.

    Args:
        state: what ``torch.save`` takes, for instance ``{"model": ..., "opt": opt.state_dict()}``.
        path: the file; its folder must exist.

    Example:
        >>> import tempfile, torch
        >>> path = tempfile.mkdtemp() + "/checkpoint.pt"
        >>> save({"step": 3}, path)
        >>> torch.load(path, weights_only=True)
        {'step': 3}
    """
    part = f"{os.fspath(path)}.part"  # one name, so that killed saves do not pile up
    try:
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise


def conform(entry: dict[str, Any], name: str, want: str, signed: bool, like: Tensor) -> None:
    """Bring one stored state into the wanted kind and the layout of ``like``, if it is not there yet."""
    value = entry[name]
    have = {torch.float64: "f64", torch.bfloat16: "bf16"}.get(value.dtype, "f32")
    if name + codec.SCALE in entry:
        have = "q8s" if signed else "q8u"
    if shard.is_sharded(value) or (have == want and value.stride() == like.stride()):
        return
    stored = tuple(entry.pop(k) for k in (name, name + codec.SCALE) if k in entry)
    plain = torch.empty_like(value, dtype=torch.float64 if have == "f64" else torch.float32)
    flat(plain).copy_(codec.decode(have, tuple(map(flat, stored)), plain.dtype))
    local = shard.local(like)
    entry.update(codec.create(name, local, want, plain.to(local.device)))


def restore(opt: Optimizer, saved: dict[str, Any]) -> None:
    """Put state back in the type it was saved in, converted where the codec differs, laid out like its parameter."""
    ours = [p for group in opt.param_groups for p in group["params"]]
    indices = [i for group in saved["param_groups"] for i in group["params"]]
    for index, p in zip(indices, ours, strict=True):
        if index not in saved["state"]:
            continue
        entry = dict(saved["state"][index])
        x = shard.local(p)
        compute = torch.float64 if x.dtype is torch.float64 else torch.float32
        for name, spec in opt._state_specs.items():
            value = entry.get(name)
            if not isinstance(value, Tensor):
                continue
            like = value if opt._charted and value.shape != p.shape else p
            conform(entry, name, codec.kind(spec, opt.codec, compute), spec.signed, like)
        for key, value in entry.items():
            if isinstance(value, Tensor):
                placed = value.detach().to(x.device)
                same = placed.shape == p.shape and not shard.is_sharded(placed) and placed.stride() != p.stride()
                entry[key] = like_storage(placed, p) if same and key in opt._state_specs else placed.clone()
        opt.state[p] = entry
    for name, value in saved.get("counters", {}).items():
        setattr(opt.counters, name, int(value))
    loaded(opt, saved)
