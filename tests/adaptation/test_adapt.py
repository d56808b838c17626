import dataclasses
import errno
import os

import numpy as np
import pytest
from PIL import Image

import leukolens.adaptation.writing as module
from leukolens.adaptation.adapt import adapt, adapt_unlabelled
from leukolens.adaptation.learning import Learned, learn
from leukolens.adaptation.local import labelled
from leukolens.adaptation.normalisation import Norm
from leukolens.adaptation.normalisation import pack as pack_norms
from leukolens.adaptation.onnx_head import Head, head_of
from leukolens.adaptation.onnx_segments import loaded, run, segments
from leukolens.adaptation.without_labels import DOUBT
from leukolens.bundle import load, pack, unpack
from leukolens.datasets.folder import Folder
from leukolens.errors import BundleError, DataError, LeukolensError
from leukolens.reading.familiarity import learned
from leukolens.reading.inputs import scaled
from leukolens.reading.reader import Reader

STAIN = (0.0, -0.08, 0.4)
EVEN = dict.fromkeys(("neutrophil", "eosinophil", "basophil", "lymphocyte", "monocyte"), 12)


@pytest.fixture
def reader(colour_bundle):
    return Reader(colour_bundle, threads=1)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "new" / "own.leukolens"


def right(reader, folder):
    samples = folder.samples()
    readings = reader.identify([sample.path for sample in samples])
    return np.mean(
        [found.cells[0].label == sample.label for found, sample in zip(readings, samples, strict=True)]
    )


class TestAStainedLaboratory:
    @pytest.fixture
    def made(self, reader, make_lab, out):
        return adapt(reader, Folder(make_lab(EVEN, stain=STAIN)), out)

    def test_the_new_bundle_is_better_on_cells_that_nobody_saw(self, reader, made, make_lab, out):
        fresh = Folder(make_lab(EVEN, stain=STAIN, name="fresh", seed=1))
        assert right(reader, fresh) < 0.75
        assert right(Reader(load(out), threads=1), fresh) > 0.9
        assert made.verdict == "better"
        assert made.comparison.balanced.difference.interval.low > 0

    def test_figures_before_are_what_the_bundle_answers(self, reader, made, make_lab):
        folder = Folder(make_lab(EVEN, stain=STAIN, name="again"))
        assert made.comparison.accuracy.before.value == pytest.approx(right(reader, folder))

    def test_the_card_says_where_it_comes_from(self, made, colour_bundle, out):
        card = load(out).card
        assert card.name == "colours+lab"
        assert card.adapted.parent_sha256 == colour_bundle.sha256
        assert card.adapted.cells == EVEN
        assert (card.adapted.groups, card.adapted.method, card.adapted.verdict) == (60, "head", "better")
        assert [figure.name for figure in card.adapted.after][:2] == ["accuracy", "balanced accuracy"]
        assert card.adapted.after[1].value == made.comparison.balanced.after.value
        assert card.learned_from[-1].lab == "lab"
        assert card.learned_from[-1].images == 60
        assert card.figures == []

    def test_confusion_and_threshold_are_counted_on_the_outer_folds(self, made, out):
        card = load(out).card
        assert card.confusion.groups == (12,) * 5
        assert card.confusion.labs == ("lab",)
        named = sum(card.confusion.answers[index][index] for index in range(5))
        assert named / 60 <= made.comparison.accuracy.after.value + 1e-9
        assert "had not seen" in card.judgement.chosen_on
        assert card.judgement.accepted_accuracy >= 0.95

    def test_equal_cells_and_seeds_give_equal_bytes(self, reader, made, make_lab, out, tmp_path):
        folder = Folder(make_lab(EVEN, stain=STAIN, name="other/lab"))
        adapt(reader, folder, tmp_path / "second.leukolens")
        assert (tmp_path / "second.leukolens").read_bytes() == out.read_bytes()

    def test_everything_but_the_head_is_put_through(self, made, colour_bundle, out):
        new = load(out)
        assert new.replay == colour_bundle.replay
        assert (new.detector, new.familiarity) == (colour_bundle.detector, colour_bundle.familiarity)
        assert not np.array_equal(head_of(new.classifier).weight, head_of(colour_bundle.classifier).weight)
        assert new.card.framing == colour_bundle.card.framing


class TestTooFew:
    @pytest.mark.parametrize(
        ("counts", "reason"),
        [
            ({"neutrophil": 3, "eosinophil": 2}, "5 cells, and 20 are needed"),
            ({"neutrophil": 20, "eosinophil": 4}, "4 of eosinophil, and 5 of each class are needed"),
        ],
    )
    def test_the_bundle_is_written_without_a_verdict(self, reader, make_lab, out, counts, reason):
        found = adapt(reader, Folder(make_lab(counts, stain=STAIN)), out)
        assert (found.verdict, found.reason) == ("too few to tell", reason)
        card = load(out).card
        assert card.adapted.verdict == "too few to tell"
        assert card.confusion is None
        assert card.judgement.temperature == reader.bundle.card.judgement.temperature

    def test_copies_are_no_more_than_their_photograph(self, reader, make_lab, out):
        found = adapt(reader, Folder(make_lab({"neutrophil": 3, "eosinophil": 3}, copies=5)), out)
        assert (found.cells, found.groups) == ({"neutrophil": 15, "eosinophil": 15}, 6)
        assert found.reason == "6 independent groups, and 9 are needed"


class TestRefused:
    def test_a_bundle_that_would_be_worse_is_not_written(self, reader, make_lab, out, monkeypatch):
        def spoiled(*arguments):
            head = learn(*arguments).head
            return Learned(Head(np.roll(head.weight, 1, axis=0), np.roll(head.bias, 1)), 1.0)

        monkeypatch.setattr("leukolens.adaptation.teacher.learn", spoiled)
        with pytest.raises(
            LeukolensError, match=r"would be worse.*100.0 % before, 0.0 % after.*neutrophil"
        ) as caught:
            adapt(reader, Folder(make_lab(EVEN)), out)
        assert "Keep the bundle" in caught.value.remedy
        assert not out.exists()

    def test_a_class_that_the_bundle_does_not_know(self, reader, make_lab, out):
        root = make_lab({"neutrophil": 2, "eosinophil": 2})
        (root / "eosinophil").rename(root / "erythroblast")
        with pytest.raises(
            DataError, match=r"lab.erythroblast holds cells of class other, which bundle colours"
        ):
            adapt(reader, Folder(root), out)

    def test_one_class_alone(self, reader, make_lab, out):
        with pytest.raises(DataError, match=r"one class alone \(monocyte\)"):
            adapt(reader, Folder(make_lab({"monocyte": 6})), out)

    def test_no_image_at_all(self, reader, tmp_path, out):
        (tmp_path / "empty" / "neutrophil").mkdir(parents=True)
        with pytest.raises(DataError, match="holds no image"):
            adapt(reader, Folder(tmp_path / "empty"), out)

    def test_no_image_in_which_a_cell_is_found(self, make_lab, colour_bundle, out, monkeypatch):
        reader = Reader(colour_bundle, threads=1)
        monkeypatch.setattr(reader, "frame", lambda rgb: None)
        with pytest.raises(DataError, match="none of 4 images shows a white cell"):
            adapt(reader, Folder(make_lab({"neutrophil": 2, "monocyte": 2})), out)

    def test_a_bundle_without_features(self, make_bundle, make_lab, out):
        with pytest.raises(BundleError, match="cannot be given another head"):
            adapt(Reader(make_bundle(), threads=1), Folder(make_lab({"neutrophil": 2, "monocyte": 2})), out)

    def test_a_graph_that_does_not_obey_its_head(self, reader, make_lab, out, monkeypatch):
        monkeypatch.setattr(module, "with_head", lambda graph, head: graph)
        with pytest.raises(BundleError, match="answers otherwise"):
            adapt(reader, Folder(make_lab({"neutrophil": 3, "eosinophil": 3}, stain=STAIN)), out)
        assert not out.exists()

    def test_a_full_disk_leaves_nothing(self, reader, make_lab, out, monkeypatch):
        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(BundleError, match="No space left"):
            adapt(reader, Folder(make_lab({"neutrophil": 2, "monocyte": 2})), out)
        assert list(out.parent.iterdir()) == []


def test_bad_images_are_listed_and_the_rest_is_used(reader, make_lab, out):
    root = make_lab({"neutrophil": 3, "monocyte": 3})
    (root / "monocyte" / "torn.png").write_bytes(b"\x89PNG")
    found = adapt(reader, Folder(root), out)
    (failure,) = found.failed
    assert failure.startswith("monocyte/torn.png: ")
    assert found.cells == {"neutrophil": 3, "monocyte": 3}


def test_an_image_without_a_cell_counts_as_wrong(colour_bundle, make_lab, out, monkeypatch):
    reader = Reader(colour_bundle, threads=1)
    whole, seen = reader.frame, []

    def frame(rgb):
        seen.append(rgb)
        return None if len(seen) == 1 else whole(rgb)

    monkeypatch.setattr(reader, "frame", frame)
    found = adapt(reader, Folder(make_lab({"eosinophil": 6, "monocyte": 6})), out)
    assert found.lost == 1
    assert found.cells == {"eosinophil": 5, "monocyte": 6}
    assert found.comparison.classes[0].cells == 6
    assert found.comparison.classes[0].recall.before.value <= 5 / 6


def test_a_bundle_without_a_replay_keeps_the_weights_of_absent_classes(colour_bundle, make_lab, out):
    bare = unpack(pack(colour_bundle.card, colour_bundle.classifier), "bare")
    adapt(Reader(bare, threads=1), Folder(make_lab({"neutrophil": 10, "monocyte": 10}, stain=STAIN)), out)
    old, new = head_of(bare.classifier), head_of(load(out).classifier)
    np.testing.assert_array_equal(new.weight[1:4], old.weight[1:4])
    assert not np.array_equal(new.weight[0], old.weight[0])


class TestWithoutLabels:
    @pytest.fixture
    def normalised(self, colour_bundle, make_lab):
        """The bundle with what its convolution gives of the taught colours, as normalisation would have made it."""
        home = make_lab(EVEN, name="home", seed=7)
        crops = [np.asarray(Image.open(path)) for path in sorted(home.rglob("*.png"))]
        (segment,) = segments(colour_bundle.classifier, ["map"])
        values = {"crops": scaled(np.stack(crops))}
        run(loaded(segment), segment, values)
        norm = Norm(values["map"].std(axis=(0, 2, 3)), values["map"].mean(axis=(0, 2, 3)))
        return dataclasses.replace(colour_bundle, normalisation=pack_norms({"mixing": norm}))

    def test_the_networks_normalisation_takes_the_cells_statistics(self, normalised, make_lab, out):
        reader, root = Reader(normalised, threads=1), make_lab(EVEN, stain=STAIN)
        found = adapt_unlabelled(reader, root, out)
        assert (found.verdict, found.unlabelled, found.comparison) == ("not judged", 60, None)
        new = load(out)
        assert (new.card.adapted.method, new.card.adapted.unlabelled) == ("normalisation", 60)
        assert (new.normalisation, new.replay) == (normalised.normalisation, normalised.replay)
        np.testing.assert_array_equal(head_of(new.classifier).weight, head_of(normalised.classifier).weight)
        fresh = Folder(make_lab(EVEN, stain=STAIN, name="fresh", seed=1))
        assert right(reader, fresh) < 0.75
        assert right(Reader(new, threads=1), fresh) > 0.9

    def test_what_was_measured_of_the_parent_is_not_said_of_it(self, normalised, make_lab, out):
        measured = {"accepted_accuracy": 0.98, "accepted_share": 0.9, "sets": {"neutrophil": 0.2}}
        judgement = normalised.card.judgement.model_copy(update=measured)
        card = normalised.card.model_copy(update={"judgement": judgement})
        reader = Reader(dataclasses.replace(normalised, card=card), threads=1)
        adapt_unlabelled(reader, make_lab({"neutrophil": 3}), out)
        new = load(out).card.judgement
        assert (new.accepted_accuracy, new.accepted_share, new.sets) == (None, None, {})
        assert new.accept_above == judgement.accept_above
        assert new.temperature == DOUBT * judgement.temperature

    def test_another_networks_normalisation_is_refused(self, normalised, make_lab, out):
        other = pack_norms({"elsewhere": Norm(np.ones(3, np.float32), np.ones(3, np.float32))})
        reader = Reader(dataclasses.replace(normalised, normalisation=other), threads=1)
        with pytest.raises(BundleError, match="no convolution has the weights 'elsewhere'"):
            adapt_unlabelled(reader, make_lab({"neutrophil": 3}), out)
        assert not out.exists()

    def test_of_a_bundle_without_it_the_last_features_are_matched_and_nothing_is_claimed(
        self, reader, make_lab, out
    ):
        root = make_lab(EVEN, stain=STAIN)
        found = adapt_unlabelled(reader, root, out)
        assert (found.verdict, found.unlabelled, found.comparison) == ("not judged", 60, None)
        card = load(out).card
        assert (card.adapted.method, card.adapted.cells, card.adapted.unlabelled) == ("statistics", {}, 60)
        assert card.adapted.before == []
        fresh = Folder(make_lab(EVEN, stain=STAIN, name="fresh", seed=1))
        assert right(Reader(load(out), threads=1), fresh) > right(reader, fresh)

    def test_a_bundle_with_neither_has_nothing_to_match(self, colour_bundle, make_lab, out):
        bare = Reader(dataclasses.replace(colour_bundle, replay=None), threads=1)
        with pytest.raises(BundleError, match="carries neither its normalisation nor features"):
            adapt_unlabelled(bare, make_lab({"neutrophil": 2}), out)

    def test_cells_that_the_bundle_knows_are_refused_and_new_ones_are_not(self, normalised, make_lab, out):
        home = make_lab(EVEN, name="home-again", seed=8)
        cells = labelled(Reader(normalised, threads=1), Folder(home))
        keys = [normalised.card.classes[place] for place in cells.truth]
        features, known = cells.features, learned(cells.features, keys, ["home"] * len(keys))
        far = float(np.quantile(known.distance(features), 0.95))
        card = normalised.card.model_copy(
            update={
                "judgement": normalised.card.judgement.model_copy(
                    update={"usual_within": far, "unlike_beyond": 3 * far, "outside_share": 0.1}
                )
            }
        )
        reader = Reader(dataclasses.replace(normalised, card=card, familiarity=known.to_bytes()), threads=1)
        with pytest.raises(DataError, match=r"not new to .* \(3 of 60 cells lie outside"):
            adapt_unlabelled(reader, home, out)
        assert not out.exists()
        assert adapt_unlabelled(reader, make_lab(EVEN, stain=STAIN), out).unlabelled == 60

    def test_a_folder_without_a_cell(self, reader, tmp_path, out):
        (tmp_path / "none").mkdir()
        with pytest.raises(DataError, match="none of 0 images"):
            adapt_unlabelled(reader, tmp_path / "none", out)
        with pytest.raises(DataError, match="is no folder"):
            adapt_unlabelled(reader, tmp_path / "nowhere", out)

    def test_bad_images_are_listed(self, reader, make_lab, out):
        root = make_lab({"neutrophil": 2})
        Image.new("RGB", (9, 9)).save(root / "loose.png")
        (root / "torn.jpg").write_bytes(b"\xff\xd8")
        found = adapt_unlabelled(reader, root, out)
        assert found.unlabelled == 3
        assert [failure.split(":")[0] for failure in found.failed] == ["torn.jpg"]
