"""bfloat16 is used where the device multiplies it, and nowhere else."""

from __future__ import annotations

import platform

import pytest
import torch

from leukolens.training.precision import fabric_precision, processor_has_bfloat16


@pytest.fixture
def intel(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    return monkeypatch


@pytest.mark.parametrize(
    ("capabilities", "has"),
    [({"avx512_f": True, "avx512_bf16": False}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True)],
)  # fmt: skip
def test_a_processor_says_whether_it_has_bfloat16(
    intel: pytest.MonkeyPatch, capabilities: dict[str, bool], has: bool
) -> None:
    intel.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert processor_has_bfloat16() is has
    assert fabric_precision("bfloat16", "cpu") == ("bf16-mixed" if has else "32-true")


def test_where_torch_cannot_tell_the_recipe_is_believed(intel: pytest.MonkeyPatch) -> None:
    intel.delattr(torch.cpu, "get_capabilities", raising=False)
    assert processor_has_bfloat16()
    intel.setattr(platform, "machine", lambda: "aarch64")
    assert processor_has_bfloat16()


def test_only_the_processor_is_asked_and_float32_stays(intel: pytest.MonkeyPatch) -> None:
    intel.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert fabric_precision("float32", "cuda") == "32-true"
    assert fabric_precision("bfloat16", "cuda") == "bf16-mixed"
    intel.setattr(torch.accelerator, "is_available", lambda: True)
    assert fabric_precision("bfloat16", "auto") == "bf16-mixed"
    intel.setattr(torch.accelerator, "is_available", lambda: False)
    assert fabric_precision("bfloat16", "auto") == "32-true"
