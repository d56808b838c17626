"""What this machine's processor is quick at, as far as the system tells."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path

WHOLE_NUMBERS = {"avx512_vnni", "avx_vnni", "asimddp"}
"""Flags of processors that multiply 8-bit whole numbers four at a time; others lose by them."""
SHORT_FLOATS = {"avx512_bf16", "amx_bf16"}
TILES = {"amx_bf16"}
CPUINFO = Path("/proc/cpuinfo")
CONTAINERS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Where Linux says what a container may take, and has taken."""


@cache
def flags() -> frozenset[str]:
    """The processor's flags, as Linux calls them; what little is certain elsewhere."""
    if sys.platform == "linux":
        try:
            lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return frozenset()
        listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
        return frozenset(next(listed, "").split())
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return frozenset({"asimddp"})  # every Apple silicon has it
    return frozenset()


def quick_at_whole_numbers() -> bool:
    """Whether graphs in 8-bit whole numbers run faster than in float32."""
    return bool(flags() & WHOLE_NUMBERS)


def quick_at_short_floats() -> bool:
    """Whether graphs in bfloat16 run faster than in float32."""
    return bool(flags() & SHORT_FLOATS)


def has_tiles() -> bool:
    """Whether it multiplies whole tiles of bfloat16, which is quicker than anything else."""
    return bool(flags() & TILES)


def memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process and others it begins may still take; None where the system does not tell.

    Args:
        root: Where the system's files lie.
    """
    known = _lines(root / "proc/meminfo")
    left = [1024 * int(line.split()[1]) for line in known if line.startswith("MemAvailable:")]
    for limit, used in CONTAINERS:
        numbers = [line for name in (limit, used) for line in _lines(root / name)]
        if len(numbers) == 2 and all(number.isdigit() for number in numbers):
            left.append(max(0, int(numbers[0]) - int(numbers[1])))
    return min(left, default=None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
