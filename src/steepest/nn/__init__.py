"""What an optimizer or its closure may know of a model: low-rank adapters, their pairs of factors, the flooded loss."""

from steepest.losses.flood import flood
from steepest.nn.lora import LoRALinear, adapters, add_lora, merge, pairs

__all__ = [
    "LoRALinear",
    "adapters",
    "add_lora",
    "flood",
    "merge",
    "pairs",
]
