"""From a detector's run to a bundle that finds as the network did, with thresholds that fields chose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from leukolens import bundle as bundles
from leukolens.bundle import Bundle
from leukolens.card import Finding
from leukolens.errors import TrainingError
from leukolens.evaluation.detection import Matched, counted
from leukolens.models.detector import KINDS, Detector, Peaks
from leukolens.reading.detector import LEAST
from leukolens.reading.engine import FindingEngine
from leukolens.reading.fields import FieldReader
from leukolens.training.finding import export
from leukolens.training.finding.export import LabelledField
from leukolens.training.finding.recipe import DetectorRecipe
from leukolens.training.finding.scenes import Scene
from leukolens.training.finding.session import teaching, train_detector
from leukolens.training.run import Run

RecipeMaker = Callable[..., DetectorRecipe]


@pytest.fixture(scope="module")
def network(finding_recipe: RecipeMaker) -> Detector:
    """A tiny network whose statistics have seen a few fields, so that its peaks differ."""
    torch.manual_seed(5)
    spec = finding_recipe().network
    network = Detector(spec.widths, spec.depths, spec.neck)
    with torch.no_grad():
        network.heat.weight.normal_(std=0.5)
        for _ in range(20):
            network(torch.rand(4, 3, 64, 64) * 2 - 1)
    return network.eval()


@pytest.fixture(scope="module")
def graph(network: Detector) -> bytes:
    return export.to_onnx(network)


def finding(**changes: Any) -> Finding:
    given = {"kinds": list(KINDS), "red_cell": 20.0, "accept": dict.fromkeys(KINDS, 0.3), "suppression": 0.5}
    return Finding.model_validate({**given, "chosen_on": "made up", **changes})


@pytest.fixture(scope="module")
def engine(graph: bytes, make_bundle: Callable[..., Bundle]) -> FindingEngine:
    return FindingEngine(export.with_detector(make_bundle(), graph, finding()))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (208, 272), (64, 320), (480, 640)])
def test_onnx_runtime_finds_the_peaks_that_torch_finds_in_a_field_of_any_size(
    height: int, width: int, network: Detector, engine: FindingEngine
) -> None:
    field = np.random.default_rng(height).uniform(-1, 1, (3, height, width)).astype(np.float32)
    with torch.inference_mode():
        heat, shape = (part[0].numpy() for part in Peaks(network)(torch.from_numpy(field)[None]))
    own_heat, own_shape = engine.peaks(field)
    assert heat.std() > 1e-2
    np.testing.assert_allclose(own_heat, heat, atol=1e-5)
    np.testing.assert_allclose(own_shape, shape, atol=1e-4)


def test_the_comparison_tells_the_largest_difference(network: Detector, engine: FindingEngine) -> None:
    assert 0 <= export.check(network, engine) < 1e-4


def tampered(graph: bytes, shape: tuple[int, ...], by: float) -> bytes:
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.shape == shape and values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values + np.float32(by), tensor.name))
            return bytes(model.SerializeToString())
    raise AssertionError("no such tensor in the graph")


@pytest.mark.parametrize(("shape", "by"), [((4,), 1e-3), ((3,), 1e-3), ((3,), 3.0)])
def test_a_graph_whose_weights_differ_is_refused(
    shape: tuple[int, ...], by: float, network: Detector, graph: bytes, make_bundle: Callable[..., Bundle]
) -> None:
    other = export.with_detector(make_bundle(), tampered(graph, shape, by), finding())
    with pytest.raises(TrainingError, match="differ"):
        export.check(network, FindingEngine(other))


def test_the_graph_holds_no_path_of_this_machine(graph: bytes) -> None:
    for trace in (b"site-packages", b"leukolens/", str(Path.home()).encode()):
        assert trace not in graph


ONE_EPOCH = {"epochs": 1, "steps": 1, "batch": 2}


@pytest.fixture
def run(made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path) -> Path:
    train_detector(finding_recipe(schedule=ONE_EPOCH), tmp_path, tmp_path / "run", accelerator="cpu")
    return tmp_path / "run"


def fields_of(scenes: list[Scene], count: int) -> list[LabelledField]:
    return [
        LabelledField(
            scene.pixels, tuple(scene.boxes[scene.kinds == kind].astype(np.float64) for kind in range(3))
        )
        for scene in scenes[:count]
    ]


@pytest.fixture
def two_fields(monkeypatch: pytest.MonkeyPatch, scenes: list[Scene]) -> None:
    def labelled(root: Path, folds: int, fold: int) -> list[LabelledField]:
        assert (folds, fold) == (3, 1)
        return fields_of(scenes, 2)

    monkeypatch.setattr(export, "labelled_fields", labelled)


def test_a_run_becomes_a_bundle_that_reads_fields(
    run: Path, two_fields: None, make_bundle: Callable[..., Bundle], scenes: list[Scene],
    finding_recipe: RecipeMaker, tmp_path: Path,
) -> None:  # fmt: skip
    given, out = make_bundle(), tmp_path / "with.leukolens"
    made = export.add_detector(run, given, out, tmp_path)
    assert bundles.load(out) == made
    assert made.classifier == given.classifier
    assert made.card.model_copy(update={"finding": None, "bytes_per_part": {}}) == given.card.model_copy(
        update={"bytes_per_part": {}}
    )
    assert made.detector is not None
    assert made.card.bytes_per_part["detector.onnx"] == len(made.detector)
    card = made.card.finding
    assert card is not None
    recipe = finding_recipe(schedule=ONE_EPOCH)
    assert (card.kinds, card.red_cell) == (list(KINDS), 20.0)
    assert (card.recipe, card.recipe_sha256) == ("tiny", recipe.digest())
    assert card.chosen_on == "2 fields of bccd held out of training"
    note = json.loads((run / "finding.json").read_text())
    assert note == {
        "accept": card.accept,
        "suppression": card.suppression,
        "chosen_on": card.chosen_on,
    }
    (reading,) = FieldReader(made, threads=1).read([scenes[0].pixels])
    assert reading.status in {"ok", "no_cell"}


def test_an_unfinished_run_is_refused(run: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    (run / "checkpoints/epoch-001.json").unlink()
    with pytest.raises(TrainingError, match="is not finished") as caught:
        export.add_detector(run, make_bundle(), tmp_path / "m.leukolens", tmp_path)
    assert "--resume" in caught.value.remedy
    assert not (tmp_path / "m.leukolens").exists()


def test_a_run_with_epochs_to_go_is_refused(run: Path) -> None:
    document = json.loads((run / "recipe.json").read_text())
    document["schedule"]["epochs"] = 2
    (run / "recipe.json").write_text(json.dumps(document))
    with pytest.raises(TrainingError, match="is not finished"):
        export.trained(Run(run))


@pytest.mark.parametrize("text", [None, "{}", "no json", '{"kind": "classifier", "name": "other"}'])
def test_a_folder_that_is_no_detectors_run_is_named(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(TrainingError, match="is no run of a detector"):
        export.recipe_of(Run(tmp_path))


def test_the_averaged_weights_are_exported(run: Path) -> None:
    tensors, _ = export.checkpoint.load(Run(run).of_epoch(1))
    network = export.trained(Run(run))
    assert not network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, tensors[f"average.{name}"])


def test_a_graph_that_disagrees_makes_no_bundle(
    run: Path, two_fields: None, make_bundle: Callable[..., Bundle], graph: bytes, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(export, "to_onnx", lambda _: graph)  # another network's
    with pytest.raises(TrainingError, match="differ"):
        export.add_detector(run, make_bundle(), tmp_path / "m.leukolens", tmp_path)
    assert not (tmp_path / "m.leukolens").exists()


@pytest.fixture
def run_of_all(
    made_up_data: None, finding_recipe: RecipeMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run that held nothing out; its graph is written once for all tests."""
    recipe = finding_recipe(schedule=ONE_EPOCH, validation={"fold": None})
    train_detector(recipe, tmp_path, tmp_path / "all", accelerator="cpu")
    monkeypatch.setattr(export, "check", lambda *_: 0.0)
    return tmp_path / "all"


def test_a_run_that_held_nothing_out_wants_thresholds_from_elsewhere(
    run_of_all: Path, graph: bytes, make_bundle: Callable[..., Bundle], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(export, "to_onnx", lambda _: graph)
    out, choice = tmp_path / "m.leukolens", tmp_path / "finding.json"
    with pytest.raises(TrainingError, match="held no fields out") as caught:
        export.add_detector(run_of_all, make_bundle(), out, tmp_path)
    assert "--finding" in caught.value.remedy
    accept = {"white_cell": 0.41, "red_cell": 0.33, "platelet": 0.25}
    choice.write_text(json.dumps({"accept": accept, "suppression": 0.4, "chosen_on": "56 fields"}))
    made = export.add_detector(run_of_all, make_bundle(), out, tmp_path, choice=choice)
    assert made.card.finding is not None
    assert (made.card.finding.accept, made.card.finding.suppression) == (accept, 0.4)
    assert made.card.finding.chosen_on == "56 fields"


@pytest.mark.parametrize(
    "text",
    [
        None, "no json", "[]", "{}", '{"accept": {"white_cell": 0.5}, "suppression": 0.5, "chosen_on": ""}',
        '{"accept": {"white_cell": 0.5, "red_cell": "x", "platelet": 0.5}, "suppression": 0.5, "chosen_on": ""}',
    ],
)  # fmt: skip
def test_a_file_without_thresholds_is_named(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "finding.json").write_text(text)
    with pytest.raises(TrainingError, match=r"finding\.json holds no thresholds"):
        export.read_choice(tmp_path / "finding.json")


def test_thresholds_are_those_that_are_right_most_often_and_suppression_the_one_that_orders_best(
    monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Bundle], scenes: list[Scene]
) -> None:
    """At suppression .4 the finds are best; there a threshold of .5 to .7 is right most often."""
    good = Matched(np.array([0.9, 0.7, 0.5, 0.2]), np.array([True, True, False, False]), 2)
    worse = Matched(np.array([0.9, 0.8, 0.7]), np.array([True, False, False]), 2)

    def compared(finder: Any, fields: Any) -> list[list[Matched]]:
        return [[good if finder.suppression == 0.4 else worse]] * 3

    monkeypatch.setattr(export, "compared", compared)
    made = export.chosen(make_bundle(), b"none", finding(chosen_on=""), fields_of(scenes, 1))
    assert made.suppression == 0.4
    assert made.chosen_on == "1 fields of bccd held out of training"
    for threshold in made.accept.values():
        assert 0.5 < threshold <= 0.7
        total = counted([good], threshold)
        assert (total.found, total.missed, total.false) == (2, 0, 0)


def test_finds_of_every_score_are_compared_kind_by_kind(
    monkeypatch: pytest.MonkeyPatch, make_bundle: Callable[..., Bundle], scenes: list[Scene]
) -> None:
    def peaks(self: Any, field: Any) -> Any:
        heat = np.zeros((3, field.shape[1] // 4, field.shape[2] // 4), np.float32)
        heat[0, 4, 5], heat[1, 9, 9], heat[1, 2, 2] = 0.9, LEAST + 0.01, LEAST / 2
        return heat, np.zeros((4, *heat.shape[1:]), np.float32)

    monkeypatch.setattr(FindingEngine, "peaks", peaks)
    monkeypatch.setattr(
        "leukolens.reading.detector.with_nucleus", lambda rgb, white, *_: np.ones(len(white), bool)
    )
    finder = export.Finder(
        export.with_detector(make_bundle(), b"none", finding(accept=dict.fromkeys(KINDS, 0.8)))
    )
    white, red, platelets = export.compared(finder, fields_of(scenes, 2))
    assert [len(field.scores) for field in white] == [1, 1]
    assert [len(field.scores) for field in red] == [1, 1]
    assert [len(field.scores) for field in platelets] == [0, 0]
    assert [field.labelled for field in red] == [10, 10]


def test_held_out_fields_are_those_that_training_left_out(
    monkeypatch: pytest.MonkeyPatch, finding_recipe: RecipeMaker, scenes: list[Scene]
) -> None:
    own = [scene for scene in scenes if scene.name.startswith("bccd/")]
    monkeypatch.setattr(
        export, "photographs", lambda root, **_: ((Path(scene.name), scene.field, ()) for scene in own)
    )
    by_name = {scene.name: scene for scene in own}
    monkeypatch.setattr(export, "decode", lambda path: by_name[path.as_posix()].pixels)
    for fold in range(3):
        fields = export.labelled_fields(Path(), 3, fold)
        taught = teaching(finding_recipe(validation={"fold": fold}), scenes)
        left = [scene for scene in own if scene not in taught]
        assert [id(field.rgb) for field in fields] == [id(scene.pixels) for scene in left]
        assert all(boxes.shape == (0, 4) for field in fields for boxes in field.boxes)


def test_the_card_says_what_taught_the_detector(scenes: list[Scene], finding_recipe: RecipeMaker) -> None:
    shown = teaching(finding_recipe(), scenes)
    bccd, pbc = export.learned_from(shown)
    fields = sorted({scene.field for scene in shown if scene.name.startswith("bccd/")})
    assert (bccd.name, bccd.splits, bccd.licence, bccd.permissive) == ("bccd", ["train"], "MIT", True)
    assert (bccd.images, bccd.groups) == (sum(s.name.startswith("bccd/") for s in shown), len(fields))
    assert bccd.groups_sha256 == hashlib.sha256("".join(f"{f}\n" for f in fields).encode()).hexdigest()
    assert "TEST" in bccd.left_out
    assert (pbc.name, pbc.splits, pbc.images, pbc.left_out) == ("pbc-224", ["all"], 3, "")
    other = replace(shown[0], field="another")
    assert export.learned_from([other, *shown])[0].groups_sha256 != bccd.groups_sha256


def test_a_detector_leaves_what_stands_beside_the_classifier(make_bundle: Callable[..., Bundle]) -> None:
    given = replace(make_bundle(), familiarity=b"known", replay=b"cells", normalisation=b"norms")
    made = export.with_detector(given, b"none", finding())
    assert (made.familiarity, made.replay, made.normalisation) == (b"known", b"cells", b"norms")
