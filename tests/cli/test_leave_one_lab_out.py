"""The command around the rotations: what it asks for, in which order, and what it writes and prints."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from leukolens.cli.evaluate import evaluate
from leukolens.errors import RecipeError
from leukolens.evaluation.answers import Answers
from leukolens.evaluation.predictions import Predictions
from leukolens.evaluation.unseen_answers import Asked

pytest.importorskip("torch")

from leukolens.training import rotation_run, rotations

app = typer.Typer()
app.command()(evaluate)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """No test may enter a look in the checkout's own ledger."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told(monkeypatch, make_bundle):
    """What the rotations were asked to do; in place of training, each answers by drawing lots."""
    calls = []

    def run_rotation(recipe, rotation, seed, place, *, detectors, ledger_path, watches):
        calls.append((recipe.name, rotation.name, rotation.lab.key, seed, place, detectors, ledger_path))
        own = rotations.rotated(recipe, rotation, seed)
        classes = tuple(own.classes)
        truth = np.repeat(np.arange(len(rotation.lab.scored)), 10)
        rows = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), len(truth))
        keys = [classes.index(key) for key in rotation.lab.scored]
        images = tuple(f"{number}.png" for number in range(len(truth)))
        predictions = Predictions(classes, images, images, np.array(keys)[truth], rows)
        card = make_bundle(classes=classes).card.model_copy(update={"recipe": recipe.name, "seed": seed})
        answers = Answers(predictions, ("review",) * len(truth), (None,) * len(truth), ())
        date = "2026-11-25T03:00:00+00:00"
        return Asked(rotation.lab, rotation.left_out, rotation.split, date, "abc", card, "b" * 64, answers)

    monkeypatch.setattr(rotation_run, "run_rotation", run_rotation)
    monkeypatch.setattr(rotations, "check", lambda work, root, detectors: None)
    return calls


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


PROTOCOL = ("--protocol", "leave-one-lab-out")


def test_four_rotations_of_one_recipe_make_a_page_and_a_document(told, tmp_path):
    result = _run("default", *PROTOCOL, "--out", tmp_path / "out", "--data", tmp_path, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert [call[2:4] for call in told] == [("blood-cells", 0), ("raabin", 0), ("tecom", 0), ("pbc", 0)]
    place, ledger = told[0][4], told[0][6]
    assert (place.root, place.out, place.accelerator) == (tmp_path, tmp_path / "out", "cpu")
    assert ledger == tmp_path / "out" / "ledger.csv"
    document = json.loads((tmp_path / "out" / "leave-one-lab-out.json").read_text())
    assert [lab["lab"] for lab in document["labs"]] == ["blood-cells", "raabin", "tecom", "pbc"]
    assert (tmp_path / "out" / "leave-one-lab-out.html").read_text().startswith("<!doctype html>")
    accuracy = document["labs"][0]["recipes"][0]["accuracy"]
    assert f"{100 * accuracy['value']:.1f} % ({100 * accuracy['low']:.1f} to" in result.output
    assert "leave-one-lab-out.html" in result.output


def test_several_recipes_and_seeds_are_columns_and_means(told, tmp_path):
    result = _run(
        "default", "permissive", *PROTOCOL, "--out", tmp_path, "--data", tmp_path, "--seeds", "0,5", "--json"
    )
    document = json.loads(result.stdout)
    assert [method["recipe"] for method in document["methods"]] == ["default", "permissive"]
    labs = {lab["lab"]: [own["recipe"] for own in lab["recipes"]] for lab in document["labs"]}
    assert labs["pbc"] == ["default", "permissive"]
    assert labs["raabin"] == ["default"]
    assert [run["seed"] for run in document["labs"][0]["recipes"][0]["runs"]] == [0, 5]


def test_inner_rotations_leave_the_lab_alone_and_have_a_page_of_their_own(told, tmp_path):
    result = _run("default", *PROTOCOL, "--out", tmp_path, "--data", tmp_path, "--inner", "tecom")
    assert result.exit_code == 0, result.output
    assert [call[2] for call in told] == ["blood-cells", "raabin", "pbc"]
    assert all("tecom" in call[1] for call in told)
    document = json.loads((tmp_path / "leave-one-lab-out-inside-tecom.json").read_text())
    assert document["inside"] == "tecom"
    assert "tecom was not touched" in result.output


def test_two_recipes_of_one_name_are_refused_before_any_work(told, tmp_path):
    result = _run("default", "default", *PROTOCOL, "--out", tmp_path / "out", "--data", tmp_path)
    assert isinstance(result.exception, RecipeError)
    assert "two recipes are called default" in str(result.exception)
    assert told == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("default", *PROTOCOL, "--split", "test"), "without --protocol"),
        (("a.leukolens", "tecom-300", "--seeds", "1"), "with --protocol"),
        (("a.leukolens", "tecom-300", "--inner", "pbc"), "with --protocol"),
        (("a.leukolens",), "one data set"),
        (("a.leukolens", "tecom-300", "pbc-224"), "one data set"),
        (("default", *PROTOCOL, "--seeds", "0,0"), "different whole numbers"),
        (("default", *PROTOCOL, "--seeds", "x"), "different whole numbers"),
        (("default", "--protocol", "guess"), "leave-one-lab-out"),
    ],
)
def test_wrong_usage_is_said_with_exit_code_2(arguments, words, told, tmp_path):
    result = _run(*arguments, "--out", tmp_path / "out", "--data", tmp_path)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())
    assert told == []


def test_a_stopped_experiment_says_how_it_goes_on(told, tmp_path, monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(rotation_run, "run_rotation", stopped)
    result = _run("default", *PROTOCOL, "--out", tmp_path / "out", "--data", tmp_path)
    assert result.exit_code == 130 or isinstance(result.exception, (KeyboardInterrupt, SystemExit))
    assert "the same command goes on" in result.output
    assert not (tmp_path / "out" / "leave-one-lab-out.html").exists()


def test_asking_ends_at_ctrl_c():
    from leukolens.cli.leave_one_lab_out import _Bars

    bars = _Bars()
    passed = bars.asking(iter(["a", "b", "c"]), 3)
    assert next(iter(passed)) == "a"
    bars.stopping = True
    with pytest.raises(KeyboardInterrupt):
        next(iter(passed))
