"""A network that knows drawn cells in one stain becomes a laboratory's own that stains otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import leukolens.training.fine_tuning as module
from leukolens.adaptation.adapt import Adaptation, adapt
from leukolens.adaptation.document import document
from leukolens.adaptation.local import labelled
from leukolens.adaptation.onnx_head import head_of
from leukolens.adaptation.replay import Replay, unpack
from leukolens.adaptation.replay import pack as pack_replay
from leukolens.adaptation.teacher import Taught, all_of
from leukolens.bundle import Bundle, load
from leukolens.bundle import pack as packed
from leukolens.bundle import unpack as unpacked
from leukolens.card import Card, Framing, Judgement
from leukolens.datasets.folder import Folder
from leukolens.datasets.synthetic import draw_single
from leukolens.errors import LeukolensError
from leukolens.imaging.framing import frame
from leukolens.models.resnet import NETWORKS, Basic, ResNet
from leukolens.reading.familiarity import learned
from leukolens.reading.inputs import scaled, side_of
from leukolens.reading.reader import Reader
from leukolens.training.export import to_onnx
from leukolens.training.fine_tuning import between, network_teacher, steps_of
from leukolens.training.fine_tuning_network import network_of
from leukolens.training.fine_tuning_steps import Settings
from leukolens.training.normalisation import normalisation_of

KEYS = ("neutrophil", "lymphocyte", "eosinophil")
FRAMING = Framing(size=32)
STAIN = np.array([[0.0, 1.0, 0.0], [0.7, 0.0, 0.3], [0.3, 0.0, 0.7]])
"""How the other laboratory mixes the colours' absorbances."""
QUICK = Settings(steps=24, batch=12, replayed=24, rate=3e-3, pull=1.0)


def drawn(rng: np.random.Generator, count: int) -> list[tuple[str, np.ndarray]]:
    return [(key, draw_single(rng, key).rgb) for key in KEYS for _ in range(count)]


def stained(rgb: np.ndarray) -> np.ndarray:
    density = -np.log(np.clip(rgb / 255, 1 / 255, 1)) @ STAIN.T
    return np.asarray(np.exp(-density) * 255).round().astype(np.uint8)


def framed(fields: list[tuple[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    crops = [frame(rgb, FRAMING) for _, rgb in fields]
    truth = [KEYS.index(key) for (key, _), crop in zip(fields, crops, strict=True) if crop]
    return np.stack([crop[0] for crop in crops if crop]), np.array(truth)


@pytest.fixture(scope="module", autouse=True)
def _small_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "small", lambda classes, **options: ResNet(Basic, (1, 1), classes, **options))
        yield


@pytest.fixture(scope="module")
def parent() -> Bundle:
    """Taught a minute's worth of drawn cells; it carries their features along."""
    torch.manual_seed(0)
    crops, truth = framed(drawn(np.random.default_rng(0), 14))
    network = NETWORKS["small"](3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    labels = torch.from_numpy(truth)
    for step in range(60):
        inputs = torch.from_numpy(scaled(side_of(crops, step % 8)))
        loss = F.cross_entropy(network(inputs), labels, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    with torch.no_grad():
        features = network.forward_features(torch.from_numpy(scaled(crops))).mean(dim=(2, 3)).numpy()
    known = learned(features, [KEYS[label] for label in truth], ["home"] * len(truth))
    limits = np.quantile(known.distance(features), [0.95, 0.99])
    card = Card(
        name="drawn", leukolens="0.1.0", network="small", parameters=1, recipe="none", recipe_sha256="0" * 64, seed=0,
        classes=list(KEYS), framing=FRAMING, learned_from=[],
        judgement=Judgement(accept_above=0.6, usual_within=float(limits[0]), unlike_beyond=float(limits[1])),
    )  # fmt: skip
    content = packed(
        card, to_onnx(network, FRAMING.size), familiarity=known.to_bytes(),
        replay=pack_replay(Replay(features, truth)), normalisation=normalisation_of(network),
    )  # fmt: skip
    return unpacked(content, "drawn")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labs") / "ours"
    for number, (key, rgb) in enumerate(drawn(np.random.default_rng(1), 10)):
        (root / key).mkdir(parents=True, exist_ok=True)
        Image.fromarray(stained(rgb)).save(root / key / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def taught(parent: Bundle, lab: Path) -> Taught:
    return all_of(labelled(Reader(parent, threads=1), Folder(lab)))


def made(parent: Bundle, lab: Path, out: Path, settings: Settings = QUICK) -> Adaptation:
    teacher = network_teacher(parent, settings=settings)
    return adapt(Reader(parent, threads=1), Folder(lab), out, teacher=teacher)


def spoil(network, crops, truth, replay, settings, rng, tick):
    """In place of `train_on`: every answer turned into its opposite."""
    with torch.no_grad():
        network.classifier.weight.mul_(-20)
    tick(settings.steps)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own") / "own.leukolens"


@pytest.fixture(scope="module")
def found(parent: Bundle, lab: Path, out: Path) -> Adaptation:
    return made(parent, lab, out)


class TestAnotherStain:
    def test_cells_that_it_did_not_learn_from_are_named_better(self, found: Adaptation) -> None:
        assert found.comparison is not None
        balanced = found.comparison.balanced
        assert balanced.before.value < 0.5
        assert balanced.after.value > 0.85
        assert found.verdict == "better"
        assert not found.comparison.harmed

    def test_card_and_document_call_it_by_its_name(
        self, found: Adaptation, parent: Bundle, out: Path
    ) -> None:
        card, before, after = load(out).card, network_of(parent).stages, network_of(load(out)).stages
        same = all(torch.equal(*pair) for pair in zip(before.parameters(), after.parameters(), strict=True))
        called = "head" if same else "network"
        assert card.adapted is not None
        assert (card.adapted.method, card.adapted.verdict) == (called, "better")
        assert card.adapted.parent_sha256 == parent.sha256
        assert document(found, out)["method"] == called
        assert "by networks that had not seen their group" in card.judgement.chosen_on

    def test_its_cells_are_familiar_and_the_old_ones_still_are(
        self, found: Adaptation, parent: Bundle
    ) -> None:
        crops, _ = framed(drawn(np.random.default_rng(5), 4))
        own, _ = framed([(key, stained(rgb)) for key, rgb in drawn(np.random.default_rng(6), 4)])
        limit = found.bundle.card.judgement.unlike_beyond
        classifier = Reader(found.bundle, threads=1).classifier
        assert (classifier.answers(own).distance <= limit).mean() > 0.8
        assert (classifier.answers(crops).distance <= limit).mean() > 0.8

    def test_equal_cells_and_seeds_give_equal_bytes(
        self, found: Adaptation, parent: Bundle, lab: Path, out: Path, tmp_path: Path
    ) -> None:
        made(parent, lab, tmp_path / "again.leukolens")
        assert (tmp_path / "again.leukolens").read_bytes() == out.read_bytes()


def test_a_bundle_that_would_be_worse_is_not_written(
    parent: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (key, rgb) in enumerate(drawn(np.random.default_rng(1), 7)):
        (tmp_path / "home" / key).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(tmp_path / "home" / key / f"{number}.png")
    monkeypatch.setattr(module, "SHARES", (1.0,))
    with pytest.raises(LeukolensError, match="would be worse"):
        made(parent, tmp_path / "home", tmp_path / "x", Settings(steps=3, batch=6, rate=3.0, pull=0))
    assert not (tmp_path / "x").exists()


class TestWhatIsChosenInside:
    def test_nothing_is_trained_on_the_cells_that_choose(
        self, parent: Bundle, taught: Taught, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown, asked = [], []
        train, ask = module.train_on, module.logits_of

        def train_on(network, crops, *rest):
            shown.append({crop.tobytes() for crop in crops})
            train(network, crops, *rest)

        def logits_of(network, crops):
            asked.append({crop.tobytes() for crop in crops})
            return ask(network, crops)

        monkeypatch.setattr(module, "train_on", train_on)
        monkeypatch.setattr(module, "logits_of", logits_of)
        monkeypatch.setattr(module, "SHARES", (1.0,))
        network_teacher(parent, settings=QUICK).learn(taught, None, np.random.default_rng(0))
        assert not shown[0] & asked[0]
        assert shown[0] | asked[0] == {crop.tobytes() for crop in taught.crops} == shown[1]

    def test_all_layers_learn_and_can_be_taken_up_again(
        self, parent: Bundle, taught: Taught, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SHARES", (1.0,))
        own = network_teacher(parent, settings=QUICK).learn(taught, None, np.random.default_rng(0))
        assert own.classifier is not None
        old = network_of(parent)
        new = network_of(replace(parent, classifier=own.classifier, normalisation=own.normalisation))
        for name, value in old.named_parameters():
            assert not torch.equal(dict(new.named_parameters())[name], value), name
        torch.testing.assert_close(new.norm.running_mean, old.norm.running_mean, atol=1e-4, rtol=1e-4)

    def test_training_that_does_not_help_leaves_the_head(
        self, parent: Bundle, taught: Taught, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "train_on", spoil)
        ticks: list[int] = []
        teacher = network_teacher(parent, settings=QUICK, tick=ticks.append)
        own = teacher.learn(taught, None, np.random.default_rng(0))
        assert own.classifier is None
        assert not np.array_equal(own.head.weight, head_of(parent.classifier).weight)
        assert sum(ticks) == 2 * QUICK.steps == steps_of(QUICK) / 4

    def test_the_card_then_says_that_the_head_learned(
        self, parent: Bundle, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "train_on", spoil)
        made(parent, lab, tmp_path / "own.leukolens")
        adapted = load(tmp_path / "own.leukolens").card.adapted
        assert adapted is not None
        assert adapted.method == "head"

    def test_one_group_alone_moves_the_head_only(self, parent: Bundle, taught: Taught) -> None:
        one = replace(taught, groups=np.zeros(len(taught), np.int64))
        ticks: list[int] = []
        own = network_teacher(parent, settings=QUICK, tick=ticks.append).learn(
            one, None, np.random.default_rng(0)
        )
        assert own.classifier is None
        assert sum(ticks) == 2 * QUICK.steps

    def test_a_class_without_a_cell_is_still_known(self, parent: Bundle, taught: Taught) -> None:
        assert parent.replay is not None
        replay = unpack(parent.replay, 128, 3)
        two = taught.only(taught.truth != 2)
        own = network_teacher(parent, settings=QUICK).learn(two, replay, np.random.default_rng(0))
        third = replay.only(replay.truth == 2)
        assert (own.head.logits(third.features).argmax(axis=1) == 2).mean() > 0.7


def test_half_the_way_is_half_of_every_weight(parent: Bundle) -> None:
    first, end = network_of(parent), network_of(parent)
    with torch.no_grad():
        for parameter in end.parameters():
            parameter.add_(1)
    half = between(first, end, 0.5)
    for name, value in first.named_parameters():
        torch.testing.assert_close(dict(half.named_parameters())[name], value + 0.5)


def test_threads_are_given_back(parent: Bundle, taught: Taught) -> None:
    before = torch.get_num_threads()
    quick = Settings(steps=1, batch=2)
    network_teacher(parent, settings=quick, threads=before + 1).learn(taught, None, np.random.default_rng(0))
    assert torch.get_num_threads() == before
