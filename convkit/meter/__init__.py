"""How fast a kernel is, and how fast it could be: work, ceilings and timing by turns."""

from .ceilings import copy_bandwidth, multiply_add_peak
from .turns import Turns, geometric_mean, take_turns
from .work import Work, conv_work, streaming_work

__all__ = [
    "Turns",
    "Work",
    "conv_work",
    "copy_bandwidth",
    "geometric_mean",
    "multiply_add_peak",
    "streaming_work",
    "take_turns",
]
