"""Random numbers of parts, drawn anew whenever they are needed: from seeds, the same on every machine and process.

Nothing is drawn from torch's global generator, and nothing is stored: a seed is made from the part's own, the number of the
step and a label of the draw, and with a parameter's place it fixes a tensor.  So a resumed run draws what the
uninterrupted one did, all processes draw the same, and of a sharded parameter each takes its own part.

Maps declare what they want (``draws = ("noise",)``) and find it in s, ``s.noise``; parts on the host call ``normal``.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from steepest.engine import shard
from steepest.engine.codec import compute_type


def seed_of(*numbers: int | str) -> int:
    """A 56-bit seed from several numbers and words, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")


def drawn(seed: int, name: str, t: int, index: int, p: Tensor) -> Tensor:
    """What a map finds as ``s.<name>`` for the parameter with this place, at its step t (1 at the first).

    The same numbers whatever the parameter's type.
    """
    found = _normal(seed_of(seed_of(seed, name, t), index), p, torch.float32)
    return found.double() if p.dtype is torch.float64 else found


def normal(seed: int, index: int, p: Tensor) -> Tensor:
    """This process's part of a standard normal tensor of p's shape, the same whenever it is drawn."""
    return _normal(seed_of(seed, index), p, compute_type(p))


def signs(like: Tensor, random: torch.Generator) -> Tensor:
    """Plus or minus one for each element, from a generator of the CPU: the same on every device."""
    return (torch.randint(0, 2, like.shape, generator=random) * 2 - 1).to(like)


def _normal(seed: int, p: Tensor, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator(p.device).manual_seed(seed)
    return shard.part_of(torch.randn(p.shape, generator=generator, device=p.device, dtype=dtype), p)
