"""Where a run was made: seconds mean nothing without it, and even losses may differ in their last digits."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import torch


@lru_cache(maxsize=1)
def processor() -> str:
    """What computes, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def here(device: torch.device) -> dict[str, str]:
    """This machine and these versions, for a record."""
    accelerator = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    threads = torch.get_num_threads()
    return {
        "machine": processor() + accelerator,
        "threads": f"{threads} thread{'s' if threads > 1 else ''} a run",
        "versions": f"steepest {version('steepest')}, torch {torch.__version__}, Python {platform.python_version()}",
    }
