"""Random numbers that are drawn anew whenever they are needed: from seeds, the same on every machine and process."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from steepest.engine import shard


def seed_of(*numbers: int) -> int:
    """A 56-bit seed from several numbers, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")


def normal(seed: int, index: int, p: Tensor) -> Tensor:
    """This process's part of a standard normal tensor of p's shape, the same whenever it is drawn."""
    generator = torch.Generator(p.device).manual_seed(seed_of(seed, index))
    dtype = torch.float64 if p.dtype is torch.float64 else torch.float32
    return shard.part_of(torch.randn(p.shape, generator=generator, device=p.device, dtype=dtype), p)
