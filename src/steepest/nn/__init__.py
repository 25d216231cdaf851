"""Modules whose parts an optimizer may know: low-rank adapters, and the pairs of factors in them."""

from steepest.nn.lora import LoRALinear, adapters, add_lora, merge, pairs

__all__ = [
    "LoRALinear",
    "adapters",
    "add_lora",
    "merge",
    "pairs",
]
