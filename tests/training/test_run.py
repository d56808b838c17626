"""A run's folder: who may write, what was measured, which epoch is best."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from leukolens.errors import TrainingError
from leukolens.training.run import Epoch, Run, choose


def epoch(number: int, loss: float | None = None, accuracy: float | None = None) -> Epoch:
    return Epoch(number, 0.5, 0.75, loss, accuracy, accuracy, 1e-3, 1.5)


@pytest.mark.parametrize(
    ("judged", "best"),
    [
        ([(0.5, 0.9), (0.4, 0.8), (0.6, 0.95)], 2),
        ([(0.4, 0.8), (0.4, 0.9), (0.5, 0.99)], 2),
        ([(0.4, 0.9), (0.4, 0.9)], 1),
        ([(None, None), (None, None), (None, None)], 3),
        ([(None, None), (0.9, 0.1), (None, None)], 2),
    ],
    ids=["loss first", "then accuracy", "the earlier of equals", "nothing held out", "only what was judged"],
)
def test_the_best_epoch_has_the_lowest_loss_then_the_highest_accuracy(judged: Any, best: int) -> None:
    assert choose([epoch(number, *values) for number, values in enumerate(judged, 1)]) == best


def test_metrics_are_a_line_of_json_an_epoch_and_the_best_is_noted(tmp_path: Path) -> None:
    run, epochs = Run(tmp_path), [epoch(1, 0.5, 0.8), epoch(2, 0.4, 0.9), epoch(3, 0.45, 0.95)]
    run.write_epochs(epochs)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert json.loads((tmp_path / "best.json").read_text())["epoch"] == 2
    assert run.epochs() == epochs
    assert run.best() == 2


def test_measured_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    run, measured = Run(tmp_path), replace(epoch(1, 1 / 3, 0.1 + 0.2), train_loss=1e-17)
    run.write_epochs([measured])
    assert run.epochs() == [measured]


def test_a_run_without_an_epoch_has_no_best(tmp_path: Path) -> None:
    assert Run(tmp_path).epochs() == []
    with pytest.raises(TrainingError, match="no finished epoch"):
        Run(tmp_path).best()


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is no training run"):
        Run(tmp_path).recipe()


def test_the_recipe_is_that_of_the_folder(tmp_path: Path, tiny_recipe: Any) -> None:
    (tmp_path / "recipe.json").write_text(tiny_recipe().model_dump_json())
    assert Run(tmp_path).recipe() == tiny_recipe()


def test_held_out_logits_come_back_to_the_bit(tmp_path: Path) -> None:
    logits = torch.randn(5, 3)
    Run(tmp_path).write_held_out(2, logits)
    assert torch.equal(Run(tmp_path).held_out(2), logits)
    with pytest.raises(TrainingError, match="epoch-003"):
        Run(tmp_path).held_out(3)


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    with (
        Run(tmp_path).alone(),
        pytest.raises(TrainingError, match="another process"),
        Run(tmp_path).alone(),
    ):
        pytest.fail("two writers in one folder")
    with Run(tmp_path).alone():
        pass


def test_the_folder_is_let_go_of_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Run(tmp_path).alone():
        1 / 0  # noqa: B018
    with Run(tmp_path).alone():
        pass


def test_what_a_killed_writer_left_is_swept_away(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.checkpoints.mkdir()
    litter = [tmp_path / ".metrics.jsonl.12.part", run.checkpoints / ".epoch-001.safetensors.12.part"]
    other = tmp_path / "fold-1" / ".recipe.json.12.part"
    other.parent.mkdir()
    for path in (*litter, other):
        path.touch()
    with run.alone():
        assert not any(path.exists() for path in litter)
        # Another run's folder, where another process may be writing.
        assert other.exists()


def test_a_damaged_recipe_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(TrainingError, match="is damaged"):
        Run(tmp_path).recipe()
