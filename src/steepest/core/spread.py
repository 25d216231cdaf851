"""State of a parameter that is spread over processes, as a checkpoint has it: in tensors that can be cut anew.

Bytes are decoded, since a block of 256 with its scale belongs to one process's part: a checkpoint of shards has float32 in
their place, laid out as the parameter, at four bytes an element.  Loaded in the same parts they are the same bytes again,
in other parts they are rounded to nearest once more.  Where the scales would be, it has ``DECODED`` for each block of
the whole parameter: ``torch.distributed.checkpoint`` copies by name and size whatever the type, so a process that
has the whole parameter requests bytes and can check that it was given none, and one that has a part can check that it was
given the bytes of the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from steepest.core.composed import Composed
from steepest.core.stored import room, unlike
from steepest.engine import codec, shard
from steepest.engine.layout import flat

#: in the place of a scale, which is never negative
DECODED = -1.0


def to_saved(opt: Composed, p: Tensor, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The state of p for a checkpoint; what belongs to elements of a sharded p is spread as p is."""
    saved = dict(entry)
    if not shard.is_sharded(p):
        return saved
    for name, spec in opt.specs(p).items():
        scale = name + codec.SCALE
        if name in entry and scale in entry and room(opt, p, name) is None:
            numbers = decoded(entry[name], entry[scale], spec.signed)
            saved[name], saved[scale] = shard.spread(numbers, p), numbers.new_full((_blocks(p),), DECODED)
    for name, shape in _spread(opt, p, entry).items():
        saved[name] = shard.spread(entry[name], p, shape)
    return saved


def from_saved(opt: Composed, p: Tensor, entry: dict[str, Any]) -> tuple[str, str] | None:
    """Make decoded numbers of bytes that are in other parts than p's, and local parts of what is spread; what cannot be."""
    for name, spec in opt.specs(p).items():
        scale = name + codec.SCALE
        if name not in entry or scale not in entry or not isinstance(entry[name], Tensor):
            continue
        if room(opt, p, name) is not None:
            continue
        wrong = _bytes(p, entry, name, spec.signed)
        if wrong is not None:
            return name, wrong
    for name, shape in _spread(opt, p, entry).items():
        value = entry[name]
        integers = isinstance(value, Tensor) and not value.is_floating_point()
        if shard.is_sharded(p) and unlike(value, tuple(shape), integers) is None:
            if shard.is_sharded(value) and not shard.alike(value, p):
                return name, "is spread over processes unlike what it belongs to"
            entry[name] = shard.local(value) if shard.is_sharded(value) else shard.part_of(value, p)
    return None


def _spread(opt: Composed, p: Tensor, entry: Mapping[str, Any]) -> dict[str, torch.Size]:
    """What host parts keep spread as p is, with the shape of the whole."""
    all_of_it = torch.empty(p.shape, device="meta")
    return {n: torch.Size(what.shape) for part in opt.parts() for n, what in part.kept(all_of_it).items()
            if n in entry and what.spread and what.shape is not None}  # fmt: skip


def _bytes(p: Tensor, entry: dict[str, Any], name: str, signed: bool) -> str | None:
    value, scale = entry[name], entry[name + codec.SCALE]
    coded = value.dtype is torch.uint8
    if unlike(value, tuple(p.shape), coded) is not None or unlike(scale, (_blocks(p),)) is not None:
        return None  # one process's part, or nothing that is known: others look at it
    scale = shard.whole(scale)
    marked = bool((scale == DECODED).all())  # true of no block at all
    if marked and not coded:
        del entry[name + codec.SCALE]
        return None
    if marked and p.numel():
        return ("was saved by processes with a part each, as float32, and read as bytes: load it into a model under "
                "fully_shard, which may have one process, or gather it with StateDictOptions(full_state_dict=True) before "
                "it is saved")  # fmt: skip
    if not shard.is_sharded(p):
        return None
    if shard.is_sharded(value) and not shard.alike(value, p):
        return "is spread over processes unlike what it belongs to"
    codes = shard.whole(value)  # of blocks of the whole parameter, maybe copied into float32
    if not bool(((codes == codes.round()) & (codes >= 0) & (codes <= 255)).all()):
        return "has numbers beside scales that are not bytes"
    entry[name] = shard.spread(shard.part_of(decoded(codes.to(torch.uint8), scale, signed), p), p)
    del entry[name + codec.SCALE]
    return None


def decoded(codes: Tensor, scale: Tensor, signed: bool) -> Tensor:
    """The numbers in blocks of bytes, laid out as these."""
    numbers = torch.empty_like(codes, dtype=torch.float32)
    kind = "q8s" if signed else "q8u"
    flat(numbers).copy_(codec.decode(kind, (flat(codes), scale.to(torch.float32)), torch.float32))
    return numbers


def _blocks(p: Tensor) -> int:
    return -(-p.numel() // codec.BLOCK)


__all__ = ["DECODED", "decoded", "from_saved", "to_saved"]
