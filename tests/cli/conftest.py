"""What tests of commands share: made-up fields, a small bundle's file, and a reader that needs no network."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from leukolens.bundle import Bundle, pack

CELLS = ["neutrophil"] * 4 + ["lymphocyte"] * 2 + ["monocyte"]


@pytest.fixture(scope="session")
def squares() -> ModuleType:
    """The module beside this file; test modules cannot import one another."""
    spec = importlib.util.spec_from_file_location("squares", Path(__file__).with_name("squares.py"))
    assert spec
    assert spec.loader
    module = sys.modules["squares"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bundle_file(make_bundle: Callable[..., Bundle], tmp_path: Path) -> Path:
    """The file of a small bundle."""
    bundle = make_bundle()
    path = tmp_path / "tiny.leukolens"
    path.write_bytes(pack(bundle.card, bundle.classifier))
    return path


@pytest.fixture
def square_reader(
    squares: ModuleType, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The reader that `read` gets instead of the real one."""
    reader = squares.SquareReader(make_bundle())
    monkeypatch.setattr("leukolens.cli.read.open_reader", lambda *given: reader)
    return reader


@pytest.fixture
def smear(squares: ModuleType, tmp_path: Path) -> Path:
    """Three fields: 12 neutrophils of which one is unsure, 6 lymphocytes, 3 monocytes, one cell at an edge."""
    folder = tmp_path / "smear"
    folder.mkdir()
    for number in range(3):
        squares.draw(folder / f"{number}.png", CELLS, seed=number, unsure=number == 1, at_edge=number == 2)
    return folder
