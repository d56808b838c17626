from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from leukolens.cli.bench_stages import STAGES, draw, engines
from leukolens.cli.main import app
from leukolens.reading.reader import Reader
from leukolens.reading.runtimes import REFERENCE


def test_it_tells_of_every_stage_and_engine(shipped_bundle: object) -> None:
    result = CliRunner().invoke(app, ["bench", "--seconds", "0", "--engine", "onnxruntime", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert [stage["stage"] for stage in found["stages"]] == list(STAGES)
    assert sum(stage["share"] for stage in found["stages"]) == pytest.approx(1, abs=0.01)
    assert all(stage["ms"] > 0 for stage in found["stages"])
    assert found["latency_ms"]["p99"] >= found["latency_ms"]["p50"] > 0
    whole = sum(stage["ms"] for stage in found["stages"])
    assert whole >= found["latency_ms"]["p50"] / 3
    assert found["images_a_second"] > 0
    assert found["engine"] == REFERENCE.words
    assert {"onnxruntime", "int8"} <= {row["engine"] for row in found["engines"]}


def test_it_takes_the_users_images(tmp_path: Path, shipped_bundle: object) -> None:
    draw(tmp_path, 7)
    (tmp_path / "broken.jpeg").write_bytes(b"no image")
    result = CliRunner().invoke(app, ["bench", str(tmp_path), "--seconds", "0"])
    assert result.exit_code == 0, result.output
    assert "8 images" in result.output
    assert "images a second" in result.output


def test_images_without_a_cell_are_refused(tmp_path: Path, shipped_bundle: object) -> None:
    (tmp_path / "broken.jpeg").write_bytes(b"no image")
    result = CliRunner().invoke(app, ["bench", str(tmp_path), "--seconds", "0"])
    assert result.exit_code != 0
    assert "no cell was found" in result.output


def test_an_engine_that_cannot_be_checked_is_listed_without_a_rate(
    make_bundle: Callable[..., object],
) -> None:
    from dataclasses import replace

    import numpy as np

    bundle = replace(make_bundle(), quick=b"no graph")  # type: ignore[type-var]
    reader = Reader(bundle, engine="onnxruntime")
    rows = {row["engine"]: row for row in engines(reader, np.zeros((2, 32, 32, 3), np.uint8))}
    assert rows["onnxruntime"]["crops_a_second"] > 0
    assert rows["int8"]["crops_a_second"] is None
    assert "not used" in rows["int8"]["note"]
