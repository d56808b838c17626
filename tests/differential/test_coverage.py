"""The promise of the corrected limits, on photographs that the confusion was not counted on."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from leukolens.card import Judgement
from leukolens.evaluation.predictions import Predictions

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "limits.py"
BENCHMARK = runpy.run_path(str(SCRIPT))
ACCEPT = Judgement(accept_above=0.7)


def test_corrected_limits_hold_the_truth_where_photographs_differ(predictions):
    # Few samples, so the classes are taken together; benchmarks/limits.py looks at each.
    table = BENCHMARK["groups_of"](predictions(), ACCEPT)
    for cells in (100, 400):
        rows = BENCHMARK["measure"](table, cells, 90, seed=3)
        coverage = np.array([row.coverage for row in rows])
        assert 0.93 <= coverage.mean() <= 0.99
        assert coverage.min() >= 0.9
        assert all(0 < row.width < 40 for row in rows)


def test_limits_that_take_the_confusion_for_certain_do_not(predictions, monkeypatch):
    table = BENCHMARK["groups_of"](predictions(photographs=(40, 30, 40, 10)), ACCEPT)
    honest = BENCHMARK["measure"](table, 400, 60, seed=3)
    monkeypatch.setattr("leukolens.differential.correction.SAMPLE_AND_MEASURED", 1e-3)
    sure = BENCHMARK["measure"](table, 400, 60, seed=3)
    assert np.mean([row.coverage for row in sure]) < 0.85 < np.mean([row.coverage for row in honest])


def test_groups_are_counted_as_a_field_is_read(predictions):
    every = predictions(photographs=(3, 2, 2, 2))
    table = BENCHMARK["groups_of"](every, ACCEPT)
    assert len(table.truth) == 9
    np.testing.assert_allclose(table.shares.sum(axis=1), 1)
    sure = every.confidence >= 0.7
    names = np.array(every.groups)
    for place, name in enumerate(np.unique(names[every.truth == 0])):
        of = names == name
        assert table.truth[place] == 0
        assert table.shares[place, -1] == pytest.approx(1 - sure[of].mean())
        assert table.shares[place, 0] == pytest.approx((sure & every.correct)[of].mean())


def test_a_cell_is_drawn_by_its_group_and_a_class_without_one_leaves_the_population():
    shares = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
    table = BENCHMARK["Groups"](
        ("neutrophil", "lymphocyte", "monocyte"),
        np.array([0, 0, 1, 2]),
        shares,
        np.array(["a", "b", "a", "b"]),
    )
    population = np.array([0.5, 0.25, 0.25])
    rng = np.random.default_rng(0)
    true, answers = BENCHMARK["draw"](table, np.ones(4, bool), population, 40_000, rng)
    assert true == {"neutrophil": 50, "lymphocyte": 25, "monocyte": 25}
    np.testing.assert_allclose(answers / 40_000, [0.25, 0.25, 0.25, 0.25], atol=0.01)
    true, answers = BENCHMARK["draw"](table, table.labs == "a", population, 3000, rng)
    assert true["monocyte"] == 0
    assert true["neutrophil"] == pytest.approx(200 / 3)
    assert answers[2:].tolist() == [0, 0]


def test_a_laboratory_is_scored_by_the_classes_of_which_it_has_nine_groups():
    truth = np.repeat([0, 1, 0, 1], [9, 8, 20, 20])
    table = BENCHMARK["Groups"](
        ("neutrophil", "other"), truth, np.zeros((57, 3)), np.repeat(["a", "b"], [17, 40])
    )
    assert BENCHMARK["scored_classes"](table, "a") == ["neutrophil"]
    assert BENCHMARK["scored_classes"](table) == ["neutrophil"]  # other is no leukocyte
    few = BENCHMARK["Groups"](("neutrophil", "lymphocyte"), truth, np.zeros((57, 3)), table.labs)
    assert BENCHMARK["scored_classes"](few, "a") == ["neutrophil"]
    assert BENCHMARK["scored_classes"](few, "b") == ["neutrophil", "lymphocyte"]


def test_two_sets_of_one_laboratory_are_one(predictions):
    every = predictions(photographs=(2, 2, 2, 2))
    sets = [f"{'bccd' if number % 2 else 'blood-cells'}/{group}" for number, group in enumerate(every.groups)]
    named = Predictions(every.classes, every.images, tuple(sets), every.truth, every.probabilities)
    assert set(BENCHMARK["groups_of"](named, ACCEPT).labs) == {"blood-cells"}


def test_no_group_stands_on_both_sides():
    truth = np.repeat([0, 1, 2], [9, 4, 2])
    for seed in range(20):
        chosen = BENCHMARK["halves"](truth, np.random.default_rng(seed))
        for label, least, most in ((0, 4, 5), (1, 2, 2), (2, 1, 1)):
            assert least <= chosen[truth == label].sum() <= most


def test_the_script_writes_what_it_prints(predictions, tmp_path, monkeypatch, capsys):
    held_out = tmp_path / "held_out.json"
    every = predictions(photographs=(10, 5, 10, 4))
    sets = tuple(f"one/{group}" for group in every.groups)
    labelled = Predictions(every.classes, every.images, sets, every.truth, every.probabilities)
    held_out.write_text(labelled.to_json(), encoding="utf-8")
    (tmp_path / "judgement.json").write_text(
        json.dumps({"epoch": 3, "judgement": ACCEPT.model_dump()}), encoding="utf-8"
    )
    out = tmp_path / "limits.json"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(held_out), "--samples", "6", "--out", str(out)])
    BENCHMARK["main"]()
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["accept_above"] == 0.7
    assert document["groups"] == {"neutrophil": 10, "eosinophil": 5, "lymphocyte": 10, "monocyte": 4}
    assert [row["cells"] for row in document["rows"]] == [100] * 4 + [200] * 4 + [400] * 4
    assert [row["label"] for row in document["one_lab"]] == ["neutrophil", "lymphocyte"]
    printed = capsys.readouterr().out
    for row in document["rows"] + document["one_lab"]:
        first = row["lab"] or row["cells"]
        assert f"| {first} | {row['label']} | {row['coverage']:.3f} | {row['width']:.1f} |" in printed


def test_a_class_of_one_photograph_is_refused(predictions, tmp_path, monkeypatch):
    held_out = tmp_path / "held_out.json"
    held_out.write_text(predictions(photographs=(3, 3, 3, 1)).to_json(), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(held_out), "--accept-above", "0.7"])
    with pytest.raises(SystemExit, match="monocyte: fewer than two groups"):
        BENCHMARK["main"]()
