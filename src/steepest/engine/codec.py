"""How state is stored: full precision, bfloat16 with stochastic rounding, or 8 bits in blocks.

A codec belongs to the engine and not to a method, so every method has every storage format.  Rounding is stochastic
and unbiased, because a moving average moves by less than half a rounding step at a time and would stand still under
rounding to nearest.  Its random bits are a hash of (parameter, state, step, element): nothing touches torch's random
state, and a resumed run rounds as the uninterrupted one did.

The 8-bit format is a small float relative to the largest magnitude of a block of 256: 3 bits of mantissa, and 4 bits of
exponent with a sign or 5 bits without (second moments span a wide range and are never negative).  The code of y in
[0, 1] is the top of its float32 bit pattern, counted down from the pattern of 1; since a float's value is linear in
its bits between two powers of two, adding uniform bits below the cut before cutting is exactly unbiased.

Bytes per element: 4 (8 for float64 parameters), 2, and 1 + 4/256.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from steepest.engine.layout import flat, like_storage
from steepest.engine.state import State

BLOCK = 256
CODECS = ("float32", "bfloat16", "int8")
SCALE = ".scale"
#: the type of the tensor that stores a state, by storage kind
DTYPE = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16, "q8s": torch.uint8, "q8u": torch.uint8}
_TOP = 127 << 3  # the float32 pattern of 1.0, cut after three bits of mantissa
_CUT = 20


def compute_type(t: Tensor) -> torch.dtype:
    """The type that a tensor is worked on in: float64 where it is float64, float32 otherwise."""
    return torch.float64 if t.dtype is torch.float64 else torch.float32


def kind(spec: State, codec: str, compute: torch.dtype) -> str:
    """The storage kind of a state: ``f32``, ``f64``, ``bf16``, ``q8s`` (signed) or ``q8u``."""
    if spec.exact or codec == "float32":
        return "f64" if compute is torch.float64 else "f32"
    if codec == "bfloat16":
        return "bf16"
    return "q8s" if spec.signed else "q8u"


def kinds(specs: Mapping[str, State], codec: str, compute: torch.dtype, decoded: bool) -> dict[str, str]:
    """The same for several; ``decoded``: states that follow the parameter's elements are numbers, and never bytes."""
    number = "f64" if compute is torch.float64 else "f32"
    found = {n: kind(spec, codec, compute) for n, spec in specs.items()}
    return {n: number if decoded and k[0] == "q" and specs[n].shape is None else k for n, k in found.items()}


def begin(spec: State, like: Tensor, x: Tensor) -> Tensor | None:
    """What a state of the parameter x begins as, in a tensor like ``like``; None for zeros."""
    if spec.start == "eye":
        return torch.eye(*like.shape[-2:], device=like.device).expand(like.shape)
    return x.detach() if spec.start == "x" else None


def create(name: str, like: Tensor, kind: str, start: Tensor | None) -> dict[str, Tensor]:
    """The tensors that store one state, keyed as they appear in ``optimizer.state[p]``."""
    if not kind.startswith("q8"):
        fresh = torch.zeros_like(like, dtype=DTYPE[kind])
        return {name: fresh if start is None else fresh.copy_(start)}
    codes = torch.zeros_like(like, dtype=torch.uint8)
    scale = torch.zeros(-(-like.numel() // BLOCK), dtype=torch.float32, device=like.device)
    if start is not None:
        encode(kind, flat(like_storage(start, codes)).float(), (flat(codes), scale), 0, 0, None)
    return {name: codes, name + SCALE: scale}


def _hash(x: Tensor) -> Tensor:
    """A 32-bit integer hash with low bias (two rounds of xor-shift and multiply), on int64 tensors."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & 0xFFFFFFFF
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


def bits(n: int, offset: int, salt: int, seed: int, device: torch.device) -> Tensor:
    """n random 32-bit numbers (int64): a pure function of the element's index, the parameter's salt and the seed."""
    key = _hash(torch.tensor((salt * 0x9E3779B9 + seed * 0x85EBCA6B) & 0xFFFFFFFF))
    return _hash((torch.arange(offset, offset + n, device=device) + key.to(device)) & 0xFFFFFFFF)


def to_bfloat16(x: Tensor, random: Tensor) -> Tensor:
    """Stochastic rounding: E[result] = x; NaN and infinity stay what they are."""
    pattern = x.float().contiguous().view(torch.int32)
    rounded = (pattern + (random & 0xFFFF).to(torch.int32)) & ~0xFFFF
    finite = (pattern & 0x7F800000) != 0x7F800000
    return torch.where(finite, rounded, pattern).view(torch.float32).to(torch.bfloat16)


def decode(kind: str, stored: tuple[Tensor, ...], compute: torch.dtype) -> Tensor:
    """The values of a stored state, flat."""
    if len(stored) == 1:
        return stored[0].to(compute)
    codes, scale = stored[0].to(torch.int32), stored[1]
    low = codes & 0x7F if kind == "q8s" else codes
    top = 127 if kind == "q8s" else 255
    y = torch.where(low > 0, (low - top + _TOP) << _CUT, 0).view(torch.float32)
    y = y * scale.repeat_interleave(BLOCK)[: len(codes)]
    return (torch.where(codes > 0x7F, -y, y) if kind == "q8s" else y).to(compute)


def encode(kind: str, value: Tensor, stored: tuple[Tensor, ...], offset: int, salt: int, seed: int | None) -> None:
    """Store flat values; ``offset`` is the index of the first one in its tensor, and blocks begin there.

    Without a seed values are rounded to nearest, so that decoded ones that come back in the same blocks are the same
    codes again.
    """
    if kind in ("f32", "f64", "f16"):
        stored[0].copy_(value)
        return
    if seed is None:  # one half at each of the cuts below
        random = torch.full((len(value),), 0x8000 if kind == "bf16" else 0x80080000, device=value.device)
    else:
        random = bits(len(value), offset, salt, seed, value.device)
    if kind == "bf16":
        stored[0].copy_(to_bfloat16(value, random))
        return
    codes, scale = stored
    v = value.float()
    padded = torch.nn.functional.pad(v.abs(), (0, -len(v) % BLOCK)).view(-1, BLOCK)
    scale.copy_(padded.amax(1))
    y = v.abs() / scale.repeat_interleave(BLOCK)[: len(v)].clamp(min=torch.finfo(torch.float32).tiny)
    top = 127 if kind == "q8s" else 255
    least = (1 - top + _TOP) << _CUT
    pattern = y.view(torch.int32)
    code = ((pattern + (random & 0xFFFFF).to(torch.int32)) >> _CUT) - _TOP + top
    uniform = (random >> 8).float() * 2.0**-24
    smallest = torch.tensor(least, dtype=torch.int32, device=y.device).view(torch.float32)
    code = torch.where(pattern < least, (uniform * smallest < y).int(), code.clamp(0, top))
    codes.copy_(torch.where(v < 0, code | 0x80, code) if kind == "q8s" else code)
