"""Checkpoints: plain tensors and numbers, restored to the bit, and torch.optim's own where torch has the method.

torch casts state to the parameter's type when it loads; state here has a type of its own (full precision beside
bfloat16 weights, bytes), so it is put back as it was saved.  State saved under one codec loads under another.

A load looks at everything before it changes anything, and what it puts in place has passed the check that guards the
kernels (``stored.fault``).  NaN and infinity in tensors load, as in torch: they are harmless to memory, and whoever
saved a run that had diverged may want to look at it.
"""

from __future__ import annotations

import copy
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from steepest.core.averaged import KEPT, check_kept, fingerprint, loaded
from steepest.core.composed import Composed
from steepest.core.entry import Entry
from steepest.core.given import plain
from steepest.core.part import Part
from steepest.core.spread import from_saved, to_saved
from steepest.core.stored import coordinates, count, fault_of, number, room, unlike
from steepest.engine import codec, shard
from steepest.engine.layout import alike, flat, like_storage

#: choices in torch's groups that say how a step is carried out, or that not every version saves
HOW = ("foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")

Hooks = Mapping[int, Callable[..., Any]]


class Saved(Composed, Protocol):
    """With the hooks around saving and loading that torch keeps, and how torch puts back what was saved."""

    @property
    def _optimizer_state_dict_pre_hooks(self) -> Hooks: ...
    @property
    def _optimizer_state_dict_post_hooks(self) -> Hooks: ...
    @property
    def _optimizer_load_state_dict_pre_hooks(self) -> Hooks: ...
    @property
    def _optimizer_load_state_dict_post_hooks(self) -> Hooks: ...

    def __setstate__(self, state: dict[str, Any]) -> None: ...


def _names(parts: Iterable[Part]) -> dict[str, str]:
    """What torch.optim calls the states of parts, by our names."""
    return {ours: theirs for part in parts for ours, theirs in part.torch_names.items()}


def _shown(opt: Composed, parts: Iterable[Part]) -> dict[str, str]:
    """The same where checkpoints are torch's."""
    return {} if opt.torch_group is None else _names(parts)


def _choices(opt: Composed, group: Mapping[str, Any]) -> dict[str, Any]:
    """What torch has in each group besides numbers, as it is here."""
    fixed = dict(opt.torch_group or {})
    return fixed | {n: getattr(part, n) for part in opt.families.of(group).parts for n in part.structure if n in fixed}


def fresh(opt: Composed) -> defaultdict[Any, Any]:
    """``optimizer.state`` before the first step."""
    names = _shown(opt, opt.parts())
    return defaultdict(partial(Entry, names) if names else dict)


def export(opt: Saved) -> dict[str, Any]:
    """Parameters as places, plain numbers, the counters; torch's names where torch has the method.

    State of a parameter that is in no group any more is left out.  Hooks see what is saved, and have the last word.
    """
    for before in opt._optimizer_state_dict_pre_hooks.values():
        before(opt)
    places = {id(p): i for i, p in enumerate(p for group in opt.param_groups for p in group["params"])}
    groups: list[dict[str, Any]] = []
    state: dict[Any, Any] = {key: value for key, value in opt.state.items() if not isinstance(key, Tensor)}
    for group in opt.param_groups:
        own = {n: plain(v) for n, v in group.items() if n != "params"}
        groups.append({**_choices(opt, group), **own, "params": [places[id(p)] for p in group["params"]]})
        for p in group["params"]:
            if p in opt.state:
                names = _shown(opt, opt.side(p).parts)
                entry = {names.get(n, n): plain(v) for n, v in to_saved(opt, p, opt.state[p]).items()}
                state[places[id(p)]] = opt.to_torch(entry, group)
    saved: dict[str, Any] = {"state": state, "param_groups": groups, "counters": opt.counters.as_dict()}
    if (weights := fingerprint(opt)) is not None:
        saved["weights"] = weights
    for after in opt._optimizer_state_dict_post_hooks.values():
        answer = after(opt, saved)
        saved = saved if answer is None else answer
    return saved


def refuse_other_method(opt: Composed, group: Mapping[str, Any]) -> None:
    """Refuse a group that has a choice of torch's that this optimizer was not made with.

    Raises:
        ValueError: for instance ``momentum`` in a group of an SGD that was made without.
    """
    for name, ours in _choices(opt, group).items():
        given = group.get(name, ours)
        if name not in opt.defaults and isinstance(ours, (bool, int, float)) and given != ours:
            raise ValueError(f"{type(opt).__name__} was made with {name}={ours!r}, a group or checkpoint has "
                             f"{name}={given!r}: give it to the constructor, or load it where it belongs")  # fmt: skip


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


def load(opt: Saved, saved: dict[str, Any]) -> None:
    """Put ``opt`` where a checkpoint was saved, ours or torch.optim's; ``saved`` itself is left as it is.

    Hooks that come before may give another checkpoint instead; those that come after have the last word.

    Raises:
        ValueError: it belongs to another model or method, or is damaged; nothing is changed then.
        TypeError: a hyper-parameter is not a number; nothing is changed then.
    """
    _mapping(saved, "an optimizer's state_dict")
    saved = dict(saved)
    for before in opt._optimizer_load_state_dict_pre_hooks.values():
        answer = before(opt, saved)
        saved = saved if answer is None else answer
    counters, groups = _counters(opt, saved), _groups(opt, saved)
    state = _state(opt, saved, groups)
    steps = [entry["step"] for key, entry in state.items() if isinstance(key, Tensor) and "step" in entry]
    for group in groups:
        group.setdefault("t", max(steps, default=0))
    opt.__setstate__({"state": state, "param_groups": groups})
    for name, value in counters.items():
        setattr(opt.counters, name, value)
    loaded(opt, saved)
    for after in opt._optimizer_load_state_dict_post_hooks.values():
        after(opt)


def _mapping(value: Any, what: str, *keys: str) -> None:
    if not isinstance(value, Mapping) or not {*keys} <= set(value):
        has = f"the keys {sorted(map(str, value))}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
        needs = f" with the keys {' and '.join(map(repr, keys))}" if keys else ""
        raise ValueError(f"this is not {what}: it must be a dict{needs}, got {has}")


def _counters(opt: Composed, saved: Any) -> dict[str, int]:
    """What was evaluated before; torch's checkpoints do not say."""
    _mapping(saved, "an optimizer's state_dict", "state", "param_groups")
    given = saved.get("counters", {})
    _mapping(given, "the counters of a checkpoint")
    known = {name: value for name, value in given.items() if name in opt.counters.as_dict()}
    for name, value in known.items():
        if wrong := count(value):
            raise ValueError(f"the counter {name!r} of the checkpoint {wrong}")
    return {name: int(value) for name, value in known.items()}


def _groups(opt: Composed, saved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The groups of a checkpoint with this optimizer's parameters, every number looked at."""
    given, seen = saved["param_groups"], set[Any]()
    if not isinstance(given, (list, tuple)):
        raise ValueError(f"the checkpoint's 'param_groups' must be a list of dicts, got a {type(given).__name__}")
    for i, group in enumerate(given):
        _mapping(group, f"group {i} of a checkpoint", "params")
        places = group["params"]
        if not isinstance(places, (list, tuple)) or not all(isinstance(n, (int, str)) for n in places):
            raise ValueError(f"'params' of group {i} of the checkpoint must be a list of places or names")
        if len({*places} - seen) < len(places):
            raise ValueError(f"group {i} of the checkpoint names a parameter twice: {list(places)}")
        seen.update(places)
    sizes, ours = ([len(g["params"]) for g in groups] for groups in (given, opt.param_groups))
    if sizes != ours:
        raise ValueError(f"the checkpoint has groups of {sizes} parameters, this optimizer of {ours}")
    return [_group(opt, f"group {i} of the checkpoint", mine, theirs)
            for i, (mine, theirs) in enumerate(zip(opt.param_groups, given, strict=True))]  # fmt: skip


def _group(opt: Composed, owner: str, mine: dict[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    given = {n: copy.deepcopy(plain(v)) for n, v in theirs.items() if n != "params"}
    if given.get("direction") != mine.get("direction"):
        was, now = (group.get("direction") or repr(opt.direction) for group in (given, mine))
        raise ValueError(f"{owner} was saved with the direction {was}, here it has {now}: give its groups the directions "
                         "that they had, in the same order")  # fmt: skip
    opt.check_group(owner, given)
    trusting = opt.nonfinite == "propagate"
    remembered = dict(opt.step_size.memory if opt.step_size.per != "tensor" else {})
    remembered |= {n: start for part in opt.oracle.walk() for n, start in getattr(part, "memory", {}).items()}
    for name, start in remembered.items():
        if name not in given:
            continue
        listed = isinstance(start, tuple)
        if listed and not isinstance(given[name], (list, tuple)):
            raise ValueError(f"{owner}: {name!r} must be a list of numbers, got {given[name]!r:.60}")
        for value in given[name] if listed else [given[name]]:
            if wrong := number(value, math.nan if listed else start, trusting):
                raise ValueError(f"{owner}: {name!r} {wrong}")
        given[name] = tuple(map(float, given[name])) if listed else float(given[name])
    if "t" in given:
        if wrong := count(given["t"]):
            raise ValueError(f"{owner}: 't' {wrong}")
        given["t"] = int(given["t"])
    before = {n: v for n, v in mine.items() if n != "t"}
    defaults = {n: v for n, v in opt.families.defaults(mine, opt.defaults).items() if n != "t"}
    own: dict[str, Any] = {n: mine[n] for n in ("params", "param_names") if n in mine}  # as they are here
    return {**defaults, **before, **given, **own}


def _state(opt: Composed, saved: Mapping[str, Any], groups: list[dict[str, Any]]) -> dict[Any, Any]:
    """The state of a checkpoint, by parameter, as the kernels take it."""
    _mapping(saved["state"], "the state of a checkpoint")
    params = dict(zip((i for g in saved["param_groups"] for i in g["params"]),
                      (p for g in groups for p in g["params"]), strict=True))  # fmt: skip
    strange = sorted({n for g in saved["param_groups"] for n in _keys_of(opt, g) if n not in g})
    state = fresh(opt)
    if strange and saved["state"] and opt.torch_group is not None and any("t" not in g for g in saved["param_groups"]):
        raise ValueError(f"the checkpoint has no {strange} in its groups, as torch's {type(opt).__name__} has: it was "
                         "saved by another method")  # fmt: skip
    for key, given in saved["state"].items():
        if key not in params:
            state[key] = copy.deepcopy(given)
            continue
        _mapping(given, f"the state of parameter {key}")
        p = params[key]
        names = {theirs: ours for ours, theirs in _names(opt.side(p).parts).items()}
        entry = {names.get(n, str(n)): v for n, v in given.items() if v is not None}
        entry = opt.from_torch(entry)
        if entry:
            state[p].update(_entry(opt, key, p, entry, strange))
    return state


def _keys_of(opt: Composed, group: Mapping[str, Any]) -> list[str]:
    """The numbers and choices that this method has in its groups, and others may not have."""
    names = [
        n for n in opt.families.defaults(group, opt.defaults) if n == "betas" or n in opt.families.of(group).intervals
    ]
    if "t" in group:  # ours; a flattened checkpoint leaves out what only torch's groups have
        return names + [n for n, v in (opt.torch_group or {}).items() if type(v) in (int, float)]
    return names + [n for n in opt.torch_group or {} if n not in HOW]


def _entry(opt: Composed, key: Any, p: Tensor, given: dict[str, Any], strange: list[str]) -> dict[str, Any]:
    """One parameter's state as its kernels take it.

    Raises:
        ValueError: it is another method's or another parameter's, or damaged.
    """
    memory = opt.step_size.memory if opt.step_size.per == "tensor" else {}
    _refuse_other_state(opt, key, p, given, strange, memory)
    check_kept(given, p, key)
    entry = {name: _own(value, p) for name, value in given.items()}
    wrong = from_saved(opt, p, entry) or _states(opt, p, entry) or _kept(opt, p, entry)
    for name, start in {**memory, **dict.fromkeys(opt.side(p).numbers, math.nan)}.items():
        if name in entry and wrong is None and number(entry[name], start, opt.nonfinite == "propagate") is None:
            entry[name] = float(entry[name])
    if "step" in entry or any(n in entry for n in opt.specs(p)):
        entry.setdefault("step", 1)  # torch's SGD keeps no count, but has begun if it has state
        if count(entry["step"]) is None:
            entry["step"] = int(entry["step"])
    if wrong or (wrong := fault_of(opt, p, entry)):
        raise ValueError(f"state {wrong[0]!r} of parameter {key} {wrong[1]}: nothing was loaded; give what this method "
                         "saved for this model, or leave this parameter out of 'state'")  # fmt: skip
    return entry


def _refuse_other_state(opt: Composed, key: Any, p: Tensor, given: dict[str, Any], strange: list[str],
                        memory: Mapping[str, float]) -> None:  # fmt: skip
    charted, specs = coordinates(opt, p), opt.specs(p)
    states = [n for n in specs if n in given]
    needed = [n for n in specs if n not in charted]
    missing = [n for n in needed if n not in given]
    if elsewhere := [n for n in opt.state_specs if n in given and n not in specs]:
        raise ValueError(f"parameter {key} was on another side of {opt.direction!r} when the checkpoint was saved: it has "
                         f"{elsewhere}, and {[*specs] or 'no state'} is needed here; choose as it was done then, or leave "
                         "this parameter out of 'state'")  # fmt: skip
    own = {"step", *specs, *(n + codec.SCALE for n in specs), *memory}
    own |= {KEPT, *(n for part in opt.parts() for n in part.keeps)}
    others = strange and not {*given} <= own and (missing or not needed)  # what a wrapper adds comes with our numbers
    if others or (missing and (states or "step" in given)):
        lacks = f"keeps {missing}" if missing else f"has {strange} in its groups"
        raise ValueError(f"the checkpoint of parameter {key} has {sorted(map(str, given))} but {type(opt).__name__} "
                         f"{lacks}: it was saved by another method")  # fmt: skip


def _own(value: Any, p: Tensor) -> Any:
    """A copy, beside p."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(plain(value))
    here = value.detach().clone()
    return here if here.device.type == "meta" or shard.is_sharded(here) else here.to(shard.local(p).device)


def _states(opt: Composed, p: Tensor, entry: dict[str, Any]) -> tuple[str, str] | None:
    """Convert the states in ``entry`` where precision, codec or layout differ; what cannot be, and why."""
    x = shard.local(p)
    for name, spec in opt.specs(p).items():
        if name not in entry:
            continue
        value, scale, own = entry[name], name + codec.SCALE, room(opt, p, name)
        coded = scale in entry
        like = p if own is None else torch.empty(own.shape, device=x.device)
        if wrong := unlike(value, tuple((x if coded and own is None else like).shape), coded):
            return name, wrong
        if shard.is_sharded(value) and (coded or not shard.alike(value, like)):
            return name, "is spread over processes unlike what it belongs to"
        if coded:
            if wrong := unlike(entry[scale], (-(-value.numel() // codec.BLOCK),)):
                return scale, wrong
            if value.dtype is not torch.uint8:
                return name, f"has the type {value.dtype}, not bytes"
            entry[scale] = entry[scale].to(torch.float32)
        conform(entry, name, codec.kind(spec, opt.codec, codec.compute_type(p)), spec.signed, like)
    return None


def _kept(opt: Composed, p: Tensor, entry: dict[str, Any]) -> tuple[str, str] | None:
    """The same for what host parts keep."""
    for name, what in ((n, what) for part in opt.parts() for n, what in part.kept(p).items() if n in entry):
        value = entry[name]
        if wrong := count(value) if what.shape is None else unlike(value, what.shape, what.below is not None):
            return name, wrong
        if what.shape is None:
            entry[name] = int(value)
        elif what.below is None:
            entry[name] = value.to(codec.compute_type(p)).contiguous()
        elif value.numel() and not 0 <= int(value.min()) <= int(value.max()) < what.below:
            return name, f"has numbers that are not in [0, {what.below})"
        else:
            entry[name] = value.to(torch.uint8 if what.byte else torch.int64).contiguous()
    return None


def conform(entry: dict[str, Any], name: str, want: str, signed: bool, like: Tensor) -> None:
    """Bring one stored state into the wanted kind and the layout of ``like``, if it is not there yet."""
    value, scale, x = entry[name], entry.get(name + codec.SCALE), shard.local(like)
    if shard.is_sharded(like) and not shard.is_sharded(value) and value.shape != x.shape:
        value = shard.spread(shard.part_of(value, like), like)  # every process has the whole of it
    here, exact = shard.local(value), value.dtype is torch.float64
    have = {torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16"}.get(value.dtype, "")
    have = have if scale is None else "q8s" if signed else "q8u"
    bare = want.startswith("q8") or not shard.is_sharded(like)
    if have == want and alike(here, x) and here.device == x.device and bare != shard.is_sharded(value):
        entry[name] = value
        return
    if scale is None and have == want:
        entry[name] = shard.spread(like_storage(here, x), like)
        return
    numbers = torch.empty_like(here, dtype=torch.float64 if exact else torch.float32)
    if scale is None:
        numbers.copy_(here)
    else:
        flat(numbers).copy_(codec.decode(have, (flat(here), scale), numbers.dtype))
    entry.pop(name + codec.SCALE, None)
    entry.update(codec.create(name, x, want, numbers.to(x.device)))
    if not bare:
        entry[name] = shard.spread(entry[name], like)
