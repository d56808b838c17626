import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import leukolens.evaluation
from leukolens.bundle import save
from leukolens.card import Card, Framing, Judgement
from leukolens.cli.evaluate import evaluate
from leukolens.datasets.manifest import manifest
from leukolens.errors import BundleError, DataError, ReportError

onnx = pytest.importorskip("onnx")

app = typer.Typer()
app.command()(evaluate)

CLASSES = ["neutrophil", "eosinophil", "lymphocyte", "monocyte"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """No test may enter a look in the checkout's own ledger."""
    monkeypatch.chdir(tmp_path)


def _graph():
    """Logits from the mean of the three colours: any image gets an answer, none a sensible one."""
    from onnx import TensorProto, helper, numpy_helper

    weights = helper.np.array([[9, 0, 0, -9], [0, 9, -9, 0], [-9, 0, 9, 9]], dtype="float32")
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["crops"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "stub",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "stub.leukolens"
    card = Card(
        leukolens="0.1.0",
        name="stub",
        network="stub",
        parameters=12,
        recipe="stub",
        recipe_sha256="c" * 64,
        seed=0,
        classes=CLASSES,
        framing=Framing(size=32, whole_image=True),
        judgement=Judgement(accept_above=0.5),
        learned_from=[],
    )
    save(card, _graph(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("lab")
    for label, colour in {"neutrophil": "red", "eosinophil": "lime", "monocyte": "navy"}.items():
        (root / label).mkdir()
        for index in range(10):
            Image.new("RGB", (40 + index, 30), colour).save(root / label / f"{index}.png")
    (root / "monocyte" / "torn.png").write_bytes(b"\x89PNG")
    return root


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_bundle_on_a_folder_gives_a_page_and_a_document(bundle, folder, tmp_path):
    result = _run(bundle, folder, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert document["headline"]["images"] == 31
    assert document["failed"][0].startswith("monocyte/torn.png")
    assert document["looks"] is None
    assert (tmp_path / "report" / "evaluation.html").read_text().startswith("<!doctype html>")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"evaluation.json", "evaluation.html"}
    accuracy = document["headline"]["accuracy"]
    shown = f"{100 * accuracy['value']:.1f} % ({100 * accuracy['low']:.1f} to {100 * accuracy['high']:.1f})"
    assert shown in result.output
    assert "evaluation.html" in result.output


def test_json_is_one_document_on_standard_output(bundle, folder, tmp_path):
    result = _run(bundle, folder, "--out", tmp_path, "--json")
    assert json.loads(result.stdout) == json.loads((tmp_path / "evaluation.json").read_text())


def _official(root):
    """Of blood-cells, under their real names, one image of TRAIN and TEST_SIMPLE and six of TEST a class."""
    taken = Counter()
    for name in manifest("blood-cells"):
        _, split, label, *_ = (*Path(name).parts, "", "")
        if name.endswith("jpeg") and taken[split, label] < (6 if split == "TEST" else 1):
            taken[split, label] += 1
            path = root / "blood-cells" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (20 * taken[split, label], 60, 90)).save(path)


def test_a_look_at_test_is_entered_in_the_named_ledger(bundle, tmp_path):
    _official(tmp_path)
    ledger = tmp_path / "looks" / "ledger.csv"
    arguments = (bundle, "blood-cells", "--data", tmp_path, "--out", tmp_path / "out", "--ledger", ledger)
    first, second = _run(*arguments), _run(*arguments)
    assert "Look 1 at held-out data" in first.output
    assert "Look 2 at held-out data" in second.output
    assert len(ledger.read_text().splitlines()) == 1 + 2 * 10
    assert "without monocyte _0_" in first.output


def test_without_a_checkouts_ledger_the_look_is_entered_beside_the_page(bundle, tmp_path):
    _official(tmp_path)
    assert _run(bundle, "blood-cells", "--data", tmp_path, "--out", "out").exit_code == 0
    assert (tmp_path / "out" / "ledger.csv").is_file()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "ledger.csv").touch()
    assert _run(bundle, "blood-cells", "--data", tmp_path, "--out", "out").exit_code == 0
    assert len((tmp_path / "benchmarks" / "ledger.csv").read_text().splitlines()) == 11


def test_the_split_is_test_where_there_is_one(bundle, tmp_path):
    _official(tmp_path)
    for split, images in ((None, 24), ("train", 4), ("test_simple", 4)):
        asked = ["--split", split] if split else []
        _run(bundle, "blood-cells", "--data", tmp_path, "--out", tmp_path / "out", *asked)
        document = json.loads((tmp_path / "out" / "evaluation.json").read_text())
        assert document["headline"]["images"] == images


def test_a_run_is_exported_before_it_is_measured(bundle, folder, tmp_path, monkeypatch):
    asked = []

    def export_run(run, out, *, root):
        asked.append((run, root))
        out.write_bytes(bundle.read_bytes())

    # In place of the real one, which would import torch.
    monkeypatch.setitem(sys.modules, "leukolens.training.export", SimpleNamespace(export_run=export_run))
    (tmp_path / "run").mkdir()
    result = _run(tmp_path / "run", folder, "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert asked == [(tmp_path / "run", tmp_path)]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["bundle"]["name"] == "stub"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("gone.leukolens", "FOLDER"), BundleError, "gone.leukolens"),
        (("BUNDLE", "no-such-set"), DataError, "no-such-set"),
        (("BUNDLE", "FOLDER", "--split", "test"), DataError, "no split 'test'"),
    ],
)
def test_what_is_wrong_is_said(bundle, folder, tmp_path, arguments, error, words):
    named = {"BUNDLE": bundle, "FOLDER": folder}
    result = _run(*(named.get(argument, argument) for argument in arguments), "--out", tmp_path)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)


def test_an_output_folder_that_cannot_be_made_is_named_before_any_work(bundle, folder, tmp_path):
    (tmp_path / "file").touch()
    result = _run(bundle, folder, "--out", tmp_path / "file" / "report")
    assert isinstance(result.exception, ReportError)
    assert "cannot be made" in str(result.exception)


def test_without_matplotlib_nothing_is_begun(bundle, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in ("figures", "page"):
        monkeypatch.delitem(sys.modules, f"leukolens.evaluation.{name}", raising=False)
        monkeypatch.delattr(leukolens.evaluation, name, raising=False)
    result = _run(bundle, folder, "--out", tmp_path)
    assert isinstance(result.exception, ModuleNotFoundError)  # the frame makes one line of it: test_main.py
    assert not list(tmp_path.iterdir())


def test_the_command_is_imported_without_anything_heavy():
    heavy = ["numpy", "matplotlib", "onnxruntime", "torch", "PIL"]
    code = f"import sys, leukolens.cli.evaluate; print([name for name in {heavy} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"
