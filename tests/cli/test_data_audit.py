from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from leukolens.cli.main import app
from leukolens.datasets.synthetic import write_drawn_set
from leukolens.evaluation.predictions import Predictions


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One drawn folder of class folders with nothing wrong."""
    folder = tmp_path_factory.mktemp("sets") / "clean"
    write_drawn_set(
        folder, np.random.default_rng(3), labels=("neutrophil", "monocyte"), photographs=1, copies=1
    )
    return folder


@pytest.fixture(scope="module")
def leaky(clean: Path) -> Path:
    """Two splits of which one is the other again."""
    for split in ("train", "test"):
        shutil.copytree(clean, clean.parent / "leaky" / split)
    return clean.parent / "leaky"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", "audit", *map(str, arguments)])


def test_strict_passes_a_set_without_leaks(clean: Path, tmp_path: Path) -> None:
    result = run(clean, "--out", tmp_path, "--strict")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "audit.html").is_file()
    assert json.loads((tmp_path / "audit.json").read_text())["leaks"] == 0
    assert "--cross-fit" in result.stdout


def test_strict_fails_a_set_with_a_leak_after_everything_is_written(leaky: Path, tmp_path: Path) -> None:
    result = run(leaky, "--out", tmp_path, "--strict")
    assert result.exit_code == 1, result.output
    assert "no validation set" in " ".join(result.stdout.split())
    assert json.loads((tmp_path / "audit.json").read_text())["leaks"] >= 2
    assert (tmp_path / "audit.html").is_file()


def test_without_strict_a_leak_is_told_and_no_failure(leaky: Path, tmp_path: Path) -> None:
    result = run(leaky, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told == json.loads((tmp_path / "audit.json").read_text())
    assert told["overlaps"] == [
        {"split": "train", "other": "test", "photographs": 2, "shared": 2, "whole": True}
    ]


def test_predictions_show_doubtful_labels(clean: Path, tmp_path: Path) -> None:
    names = ("monocyte/000-0.png", "neutrophil/000-0.png")
    said = Predictions(
        ("neutrophil", "monocyte"),
        names,
        ("clean/monocyte/000", "clean/neutrophil/000"),
        np.array([1, 0]),
        np.array([[0.9, 0.1], [0.8, 0.2]]),
    )
    (tmp_path / "held_out.json").write_text(said.to_json())
    result = run(clean, "--out", tmp_path, "--predictions", tmp_path / "held_out.json", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["doubtful_labels"]
    assert told["photographs"] == 2
    assert [(doubt["photograph"], doubt["rather"]) for doubt in told["doubts"]] == [
        ("clean/monocyte/000", "neutrophil")
    ]


def test_predictions_of_other_sets_are_passed_over_and_of_others_alone_refused(
    clean: Path, tmp_path: Path
) -> None:
    both, rows = ("elsewhere/1.png", "clean/neutrophil/000-0.png"), np.array([[0.1, 0.9], [0.8, 0.2]])
    said = Predictions(("neutrophil", "monocyte"), both, ("elsewhere", "clean"), np.array([0, 0]), rows)
    path = tmp_path / "held_out.json"
    path.write_text(said.to_json())
    result = run(clean, "--out", tmp_path, "--predictions", path, "--json")
    assert json.loads(result.stdout)["doubtful_labels"] == {"photographs": 1, "doubts": []}
    path.write_text(said.only(np.array([True, False])).to_json())
    assert run(clean, "--out", tmp_path, "--predictions", path).exit_code == 1


@pytest.mark.parametrize("content", [None, "no json", "{}"])
def test_predictions_that_are_none_end_in_one_line(clean: Path, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "held_out.json"
    if content is not None:
        path.write_text(content)
    result = run(clean, "--out", tmp_path, "--predictions", path)
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "audit.html").exists()


def test_an_unknown_name_says_which_there_are(tmp_path: Path) -> None:
    result = run("no-such-set", "--out", tmp_path)
    assert result.exit_code == 1
    assert "blood-cells" in result.stderr


def test_wrong_usage_ends_with_2() -> None:
    assert run().exit_code == 2
