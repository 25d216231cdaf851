"""Channels: which processes share the gradient, and how much of it is communicated."""

from steepest.channel.feedback import ConEF, CountSketch, Feedback, FourBits, Memory, TopK
from steepest.core.part import Channel

__all__ = [
    "Channel",
    "ConEF",
    "CountSketch",
    "Feedback",
    "FourBits",
    "Memory",
    "TopK",
]
