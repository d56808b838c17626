"""The promise of the corrected limits, on photographs that the confusion was not counted on."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from leukolens.bundle import Judgement

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "limits.py"
BENCHMARK = runpy.run_path(str(SCRIPT))
ACCEPT = Judgement(accept_above=0.7)


def test_corrected_limits_hold_the_truth_where_photographs_differ(predictions):
    # Few samples, so the classes are taken together; benchmarks/limits.py looks at each.
    table = BENCHMARK["counted"](predictions(), ACCEPT)
    for cells in (100, 400):
        rows = BENCHMARK["measure"](table, cells, 90, seed=3)
        coverage = np.array([row.coverage for row in rows])
        assert 0.93 <= coverage.mean() <= 0.99
        assert coverage.min() >= 0.9
        assert all(0 < row.width < 40 for row in rows)


def test_limits_that_take_the_confusion_for_certain_do_not(predictions, monkeypatch):
    table = BENCHMARK["counted"](predictions(photographs=(40, 30, 40, 10)), ACCEPT)
    honest = BENCHMARK["measure"](table, 400, 60, seed=3)
    monkeypatch.setattr("leukolens.differential.correction.SAMPLE_AND_MEASURED", 1e-3)
    sure = BENCHMARK["measure"](table, 400, 60, seed=3)
    assert np.mean([row.coverage for row in sure]) < 0.85 < np.mean([row.coverage for row in honest])


def test_cells_are_counted_as_a_field_is_read(predictions):
    every = predictions(photographs=(3, 2, 2, 2))
    table = BENCHMARK["counted"](every, ACCEPT)
    assert table.answers.sum() == len(every)
    assert len(table.truth) == 9
    sure = every.confidence >= 0.7
    assert table.answers[:, -1].sum() == (~sure).sum()
    assert table.answers[table.truth == 0, 0].sum() == (sure & every.correct & (every.truth == 0)).sum()


def test_no_group_stands_on_both_sides():
    truth = np.repeat([0, 1, 2], [9, 4, 2])
    for seed in range(20):
        chosen = BENCHMARK["halves"](truth, np.random.default_rng(seed))
        for label, least, most in ((0, 4, 5), (1, 2, 2), (2, 1, 1)):
            assert least <= chosen[truth == label].sum() <= most


def test_the_script_writes_what_it_prints(predictions, tmp_path, monkeypatch, capsys):
    held_out = tmp_path / "held_out.json"
    held_out.write_text(predictions(photographs=(6, 5, 6, 4)).to_json(), encoding="utf-8")
    (tmp_path / "judgement.json").write_text(
        json.dumps({"epoch": 3, "judgement": ACCEPT.model_dump()}), encoding="utf-8"
    )
    out = tmp_path / "limits.json"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(held_out), "--samples", "6", "--out", str(out)])
    BENCHMARK["main"]()
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["accept_above"] == 0.7
    assert document["groups"] == {"neutrophil": 6, "eosinophil": 5, "lymphocyte": 6, "monocyte": 4}
    assert [row["cells"] for row in document["rows"]] == [100] * 4 + [200] * 4 + [400] * 4
    printed = capsys.readouterr().out
    for row in document["rows"]:
        assert f"| {row['cells']} | {row['label']} | {row['coverage']:.3f} | {row['width']:.1f} |" in printed


def test_a_class_of_one_photograph_is_refused(predictions, tmp_path, monkeypatch):
    held_out = tmp_path / "held_out.json"
    held_out.write_text(predictions(photographs=(3, 3, 3, 1)).to_json(), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(held_out), "--accept-above", "0.7"])
    with pytest.raises(SystemExit, match="monocyte: fewer than two groups"):
        BENCHMARK["main"]()
