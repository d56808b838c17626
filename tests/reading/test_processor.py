from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leukolens.reading import processor


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    processor.flags.cache_clear()
    yield
    processor.flags.cache_clear()


def linux(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    path.write_text(text)
    monkeypatch.setattr(processor, "CPUINFO", path)
    monkeypatch.setattr("sys.platform", "linux")


@pytest.mark.parametrize(
    ("flags", "whole", "short", "tiles"),
    [
        ("fpu avx2 avx512f", False, False, False),
        ("fpu avx512_vnni", True, False, False),
        ("avx_vnni", True, False, False),
        ("avx512_bf16 avx512_vnni", True, True, False),
        ("amx_bf16 avx512_bf16 avx512_vnni", True, True, True),
    ],
)
def test_flags_are_read_as_linux_lists_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, whole: bool, short: bool, tiles: bool
) -> None:
    linux(monkeypatch, tmp_path / "cpuinfo", f"processor\t: 0\nflags\t\t: {flags}\n\nflags\t\t: none\n")
    assert processor.quick_at_whole_numbers() is whole
    assert processor.quick_at_short_floats() is short
    assert processor.has_tiles() is tiles


def test_an_arm_processor_lists_features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    linux(monkeypatch, tmp_path / "cpuinfo", "processor : 0\nFeatures : fp asimd asimddp\n")
    assert processor.quick_at_whole_numbers()


def test_where_the_system_tells_nothing_nothing_is_taken_for_granted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "absent")
    monkeypatch.setattr("sys.platform", "linux")
    assert processor.flags() == frozenset()


def test_apple_silicon_is_quick_at_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor.quick_at_whole_numbers()
    assert not processor.quick_at_short_floats()


def test_there_is_a_processor() -> None:
    assert processor.processors() >= 1


MEMINFO = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:    2000000 kB\n"


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 24000000 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 2_048_000_000),
        ({"proc/meminfo": MEMINFO, "sys/fs/cgroup/memory.max": "max\n"}, 2_048_000_000),
        (
            {
                "proc/meminfo": MEMINFO,
                "sys/fs/cgroup/memory.max": "1000000000\n",
                "sys/fs/cgroup/memory.current": "400000000\n",
            },
            600_000_000,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "6000\n",
            },
            0,
        ),
    ],
)
def test_memory_is_what_the_system_and_the_container_leave(
    tmp_path: Path, files: dict[str, str], left: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processor.memory(tmp_path) == left
