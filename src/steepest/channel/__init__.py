"""Channels: who else hears the gradient, and how much of it?"""

from steepest.channel.feedback import TopK
from steepest.core.part import Channel

__all__ = [
    "Channel",
    "TopK",
]
