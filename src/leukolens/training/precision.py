"""Which arithmetic a processor is quick in: bfloat16 that it has to emulate takes twice as long as float32."""

from __future__ import annotations

import platform
from typing import Literal

import torch

BFLOAT16 = ("avx512_bf16", "amx_bf16", "amx_tile")


def processor_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; True where torch can't tell."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.11
    return capabilities is None or any(capabilities().get(name) for name in BFLOAT16)


def fabric_precision(wanted: str, accelerator: str) -> Literal["bf16-mixed", "32-true"]:
    """What Lightning Fabric calls a recipe's arithmetic, float32 in place of bfloat16 that would be emulated.

    Args:
        wanted: The recipe's ``float32`` or ``bfloat16``.
        accelerator: ``cpu``, ``cuda``, ``mps`` or ``auto``.
    """
    on_processor = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    if wanted != "bfloat16" or (on_processor and not processor_has_bfloat16()):
        return "32-true"
    return "bf16-mixed"
