"""From a run to a bundle that answers as the network did, and says what it learned from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from leukolens import bundle as bundles
from leukolens.adaptation.normalisation import unpack as unpack_norms
from leukolens.adaptation.onnx_convs import convolutions
from leukolens.bundle import Bundle
from leukolens.card import Figure, Judgement
from leukolens.datasets.base import Sample
from leukolens.errors import TrainingError
from leukolens.evaluation.calibration import softmax
from leukolens.imaging.framing import Box
from leukolens.models.resnet import resnet24
from leukolens.reading.classifier import Classifier
from leukolens.reading.engine import Engine
from leukolens.training import crops as crops_module
from leukolens.training import export, onnx_graph, session
from leukolens.training.augment import centre
from leukolens.training.crops import framed, samples_of
from leukolens.training.judgement import HeldOut, as_read, write_judgement
from leukolens.training.normalisation import normalisation_of
from leukolens.training.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Any, crop_cache: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    recipe = tiny_recipe(schedule={"epochs": 2, "batch": 9})
    session.train(recipe, session.Place(out.parent, out, crop_cache, accelerator="cpu"))
    return out


@pytest.fixture(scope="module")
def exported(run: Path, crop_cache: Path) -> Bundle:
    return export.export_run(run, run / "model.leukolens", root=run.parent, cache=crop_cache)


@pytest.fixture(scope="module")
def inputs(run: Path, crop_cache: Path) -> torch.Tensor:
    """All 24 drawn cells as the network sees them."""
    recipe = Run(run).recipe()
    crops = framed(samples_of(recipe, run), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    return centre(torch.from_numpy(crops.pixels), 32, 1.5)


def test_several_cells_of_one_image_are_told_apart_from_training_to_judging(
    tiny_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = crops_module.open_dataset

    class Boxed:
        def __init__(self, name: str, root: Path) -> None:
            self.found = plain(name, root).samples()

        def samples(self, *splits: str) -> list[Sample]:
            boxes = Box(0, 0, 40, 40), Box(50, 60, 90, 100)
            return [replace(sample, box=box) for sample in self.found for box in (None, *boxes)]

    monkeypatch.setattr(crops_module, "open_dataset", Boxed)
    out = tmp_path / "run"
    session.train(tiny_recipe(schedule={"epochs": 1, "batch": 9}), session.Place(tmp_path, out))
    bundle = export.export_run(out, tmp_path / "model.leukolens", root=tmp_path)
    listing = json.loads((out / "samples.json").read_text())
    names = [row[0] for part in ("teach", "held_out") for row in listing[part]]
    assert len(names) == len(set(names)) == 72
    assert sum(name.endswith("#50,60,90,100") for name in names) == 24
    assert bundle.card.judgement.chosen_on.startswith(f"{len(listing['held_out'])} cells in ")
    assert (
        bundle.card.learned_from[0].images == len(listing["teach"]) / 3
    )  # an image is one, however many of its cells


def test_the_file_is_the_bundle(run: Path, exported: Bundle) -> None:
    assert bundles.load(run / "model.leukolens") == exported


@pytest.mark.parametrize("batch", [1, 7])
def test_onnx_runtime_answers_as_torch_does(
    batch: int, run: Path, exported: Bundle, inputs: torch.Tensor
) -> None:
    network, engine = export.trained(Run(run)), Engine(exported)
    with torch.inference_mode():
        expected = network(inputs).numpy()
        maps = network.activation(network.forward_features(inputs)).numpy()
    pairs = [engine.logits_and_activation(piece.numpy()) for piece in inputs.split(batch)]
    logits, activation = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    assert expected.std() > 1e-3
    assert np.abs(logits - expected).max() < 1e-4
    np.testing.assert_array_equal(logits.argmax(1), expected.argmax(1))
    np.testing.assert_allclose(activation, maps, atol=1e-4)


def test_the_comparison_tells_what_it_compared(run: Path, exported: Bundle, inputs: torch.Tensor) -> None:
    checked = export.compare(export.trained(Run(run)), Engine(exported), inputs)
    assert checked.images == len(inputs)
    assert checked.logits.shape == (len(inputs), 2)
    assert 0 <= checked.difference < 1e-4


def tampered(graph: bytes, by: float) -> bytes:
    """The graph with the last layer's bias moved."""
    model = onnx.load_from_string(graph)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.shape == (2,) and values.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values + np.float32(by), tensor.name))
            return bytes(model.SerializeToString())
    raise AssertionError("no bias in the graph")


@pytest.mark.parametrize(("by", "passes"), [(1e-3, False), (1.0, False), (0.0, True)])
def test_a_graph_whose_weights_differ_is_refused(
    by: float, passes: bool, run: Path, exported: Bundle, inputs: torch.Tensor
) -> None:
    other = bundles.unpack(bundles.pack(exported.card, tampered(exported.classifier, by)), "tampered")
    network = export.trained(Run(run))
    if passes:
        export.compare(network, Engine(other), inputs)
        return
    with pytest.raises(TrainingError, match="disagrees with torch"):
        export.compare(network, Engine(other), inputs)


def test_a_graph_that_is_right_at_one_batch_size_only_is_refused(run: Path, inputs: torch.Tensor) -> None:
    network = export.trained(Run(run))
    with torch.inference_mode():
        right = {id_: network(piece).numpy() for id_, piece in enumerate(inputs.split(1))}

    class Wrong:
        calls = 0

        def logits(self, crops: Any) -> Any:
            if len(crops) > 1:
                return np.zeros((len(crops), 2), np.float32)
            self.calls += 1
            return right[self.calls - 1]

    with pytest.raises(TrainingError, match="disagrees"):
        export.compare(network, Wrong(), inputs)  # type: ignore[arg-type]


def test_an_export_that_disagrees_writes_no_bundle(
    run: Path, crop_cache: Path, tmp_path: Path, exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "to_onnx", lambda *_: tampered(exported.classifier, 0.5))
    with pytest.raises(TrainingError, match="disagrees"):
        export.export_run(run, tmp_path / "model.leukolens", root=run.parent, cache=crop_cache)
    assert list(tmp_path.iterdir()) == []


def test_the_graph_says_nothing_of_the_machine_that_made_it(exported: Bundle, run: Path) -> None:
    for trace in (
        b"site-packages",
        b".py",
        b"Traceback",
        b"/home",
        b"/root",
        b"/tmp",
        str(Path.cwd()).encode(),
    ):
        assert trace not in exported.classifier
    model = onnx.load_from_string(exported.classifier)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_the_graph_has_the_bundles_inputs_and_outputs_at_any_batch(exported: Bundle) -> None:
    model = onnx.load_from_string(exported.classifier)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [side.dim_value or "any" for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "crops": ["any", 3, 32, 32],
        "logits": ["any", 2],
        "activation": ["any", 2, 4, 4],
        "features": ["any", 512],
    }
    assert {opset.version for opset in model.opset_import if not opset.domain} == {onnx_graph.OPSET}


def test_equal_weights_give_equal_bytes(run: Path, exported: Bundle) -> None:
    assert export.to_onnx(export.trained(Run(run)), 32) == exported.classifier
    packed = bundles.pack(
        exported.card, exported.classifier, familiarity=exported.familiarity, replay=exported.replay,
        normalisation=exported.normalisation, quick=exported.quick, vectors=exported.vectors,
    )  # fmt: skip
    assert packed == (run / "model.leukolens").read_bytes()


def test_the_bundle_says_what_the_networks_normalisation_was(run: Path, exported: Bundle) -> None:
    assert exported.normalisation == normalisation_of(export.trained(Run(run)))
    assert convolutions(exported.classifier, unpack_norms(exported.normalisation or b""))


def test_a_flatten_head_is_exported_without_activation_maps() -> None:
    torch.manual_seed(0)
    network = resnet24(3, head="flatten", size=32, bias=True, stride_first=True).eval()
    model = onnx.load_from_string(export.to_onnx(network, 32))
    assert [output.name for output in model.graph.output] == ["logits"]


def test_the_card_says_what_was_trained_and_on_what(
    run: Path, exported: Bundle, drawn_set: Path, crop_cache: Path
) -> None:
    recipe, card = Run(run).recipe(), exported.card
    assert (card.name, card.network, card.recipe, card.seed) == ("tiny-resnet24", "resnet24", "tiny", 7)
    assert card.classes == ["neutrophil", "lymphocyte"]
    assert card.parameters == sum(value.numel() for value in resnet24(2).parameters())
    assert card.recipe_sha256 == recipe.digest()
    assert card.framing == recipe.framing
    assert card.code_licence == "Apache-2.0"
    (entry,) = card.learned_from
    listing = json.loads((run / "samples.json").read_text())
    groups = sorted({row[4] for row in listing["teach"]})
    assert (entry.name, entry.lab, entry.splits) == ("drawn", "drawn", ["all"])
    assert (entry.licence, entry.permissive) == ("the user's own", False)
    assert (entry.images, entry.groups) == (len(listing["teach"]), len(groups))
    assert entry.groups_sha256 == hashlib.sha256(("\n".join(groups) + "\n").encode()).hexdigest()
    assert str(drawn_set.parent) not in card.model_dump_json()


def test_temperature_and_threshold_come_from_the_held_out_photographs(run: Path, exported: Bundle) -> None:
    judgement = exported.card.judgement
    listing = json.loads((run / "samples.json").read_text())
    groups = {row[4] for row in listing["held_out"]}
    assert judgement.chosen_on.startswith(f"{len(listing['held_out'])} images of {len(groups)} groups")
    assert judgement.temperature > 0
    assert 0 <= judgement.accept_above <= 1


def test_held_out_photographs_are_counted_as_the_bundle_answers_them(
    run: Path, exported: Bundle, crop_cache: Path
) -> None:
    recipe, card = Run(run).recipe(), exported.card
    crops = framed(samples_of(recipe, run), recipe.classes, recipe.framing, margin=1.5, cache=crop_cache)
    held_out = session.split(crops, recipe)[1]
    # So small a network is sure of nothing; a threshold in its midst has some crops looked at again, and some not.
    first = Classifier(exported).probabilities(held_out.pixels[:, 8:40, 8:40]).max(axis=1)
    judgement = card.judgement.model_copy(update={"accept_above": float(np.median(first)) + 1e-6})
    bundle = bundles.unpack(
        bundles.pack(card.model_copy(update={"judgement": judgement}), exported.classifier), "in its midst"
    )
    network = export.trained(Run(run))
    with torch.inference_mode():
        logits = network(centre(torch.from_numpy(held_out.pixels), 32, 1.5)).numpy()
    answers = as_read(HeldOut(held_out, logits, network), recipe, judgement)
    np.testing.assert_allclose(
        answers, Classifier(bundle).probabilities(held_out.pixels[:, 8:40, 8:40]), atol=1e-5
    )
    once = softmax(logits.astype(np.float64), judgement.temperature)
    assert np.abs(answers - once).max() > 1e-4
    assert card.confusion is not None
    assert sum(card.confusion.groups) == len({sample.group for sample in held_out.samples})


def test_a_judgement_from_elsewhere_and_figures_are_taken_over(
    run: Path, exported: Bundle, crop_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "to_onnx", lambda *_: exported.classifier)
    given = Judgement(temperature=1.25, accept_above=0.9, chosen_on="cross-fitting")
    chosen = tmp_path / "judgement.json"
    known = exported.card.confusion
    assert known is not None
    write_judgement(given, known, 2, chosen)
    figure = Figure(name="accuracy", value=0.9, low=0.8, high=0.95)
    made = export.export_run(
        run, tmp_path / "m.leukolens", root=run.parent, cache=crop_cache, judgement=chosen, figures=(figure,)
    )
    assert made.card.judgement == given
    assert made.card.confusion == known
    assert made.card.figures == [figure]


def test_a_run_that_held_nothing_out_wants_a_judgement(
    run: Path, crop_cache: Path, tmp_path: Path, exported: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((run / "recipe.json").read_text())
    document["validation"]["fold"] = None
    for part in ("checkpoints", "metrics.jsonl"):
        (tmp_path / part).symlink_to(run / part)
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    monkeypatch.setattr(export, "to_onnx", lambda *_: exported.classifier)
    with pytest.raises(TrainingError, match="held no photographs out"):
        export.export_run(tmp_path, tmp_path / "m.leukolens", root=run.parent, cache=crop_cache)


def test_an_epoch_that_was_not_kept_is_named(run: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint of epoch 9"):
        export.trained(Run(run), 9)
