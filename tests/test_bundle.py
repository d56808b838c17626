"""A bundle: equal content gives equal bytes, and nothing but a whole, known bundle is ever opened."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from leukolens import bundle as bundle_module
from leukolens.bundle import Bundle, load, pack, save, unpack
from leukolens.card import Card, Finding, Framing, Judgement, LearnedFrom
from leukolens.errors import BundleError

GRAPH = bytes(range(256)) * 8


def card(**changes: Any) -> Card:
    given: dict[str, Any] = {
        "name": "tiny",
        "leukolens": "0.1.0",
        "network": "resnet24",
        "parameters": 12,
        "recipe": "tiny",
        "recipe_sha256": "0" * 64,
        "seed": 0,
        "classes": ["neutrophil", "monocyte"],
        "framing": Framing(size=32),
        "judgement": Judgement(temperature=1.5, accept_above=0.7),
        "learned_from": [
            LearnedFrom(
                name="pbc-224", lab="pbc", licence="CC-BY-4.0", permissive=True, splits=["all"],
                images=3, groups=2, groups_sha256="1" * 64,
            )
        ],
    }  # fmt: skip
    return Card(**{**given, **changes})


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def card_document(**changes: Any) -> bytes:
    return json.dumps({**card().model_dump(by_alias=True), **changes}).encode()


def refusal(content: bytes) -> BundleError:
    with pytest.raises(BundleError) as caught:
        unpack(content, "some.leukolens")
    assert "some.leukolens" in caught.value.problem
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return caught.value


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "below" / "tiny.leukolens"
    saved = save(card(), GRAPH, path)
    loaded = load(path)
    assert loaded == saved
    assert loaded.classifier == GRAPH
    assert loaded.card.model_copy(update={"bytes_per_part": {}}) == card()


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tiny.leukolens"
    assert save(card(), GRAPH, path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_equal_content_gives_equal_bytes_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack(card(), GRAPH)
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert pack(card(), GRAPH) == first
    assert pack(card(seed=1), GRAPH) != first


def test_the_card_says_how_many_bytes_the_graph_has() -> None:
    assert unpack(pack(card(), GRAPH), "it").card.bytes_per_part == {"classifier.onnx": len(GRAPH)}


def test_any_zip_reader_sees_a_card_in_json_and_a_graph() -> None:
    with zipfile.ZipFile(io.BytesIO(pack(card(), GRAPH))) as archive:
        assert archive.namelist() == ["card.json", "classifier.onnx"]
        assert archive.testzip() is None
        document = json.loads(archive.read("card.json"))
        assert archive.read("classifier.onnx") == GRAPH
    assert document["schema"] == "leukolens.bundle/1"
    assert document["classes"] == ["neutrophil", "monocyte"]
    assert document["learned_from"][0]["licence"] == "CC-BY-4.0"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"no zip at all",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        zipped({}),
        zipped({"card.json": card_document()}),
        zipped({"classifier.onnx": GRAPH}),
        zipped({"readme.txt": b"hello"}),
    ],
    ids=["empty", "signature", "text", "png", "empty-zip", "no-graph", "no-card", "foreign-zip"],
)
def test_what_is_no_bundle_is_refused(content: bytes) -> None:
    assert "no Leukolens bundle" in refusal(content).problem


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_bundle_cut_short_is_refused(share: float) -> None:
    whole = pack(card(), GRAPH)
    refusal(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("name", ["card.json", "classifier.onnx"])
def test_a_member_larger_than_any_bundles_is_refused_unread(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {"card.json": card_document(), "classifier.onnx": GRAPH, name: bytes(4097)}
    monkeypatch.setattr(bundle_module, "LARGEST_MEMBER", 4096)
    assert f"{name} is too large" in refusal(zipped(members)).problem


def test_a_decompression_bomb_is_refused_unread() -> None:
    bomb = zipped({"card.json": card_document(), "classifier.onnx": bytes(2**26)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**20
    tracemalloc.start()
    refusal(bomb)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_a_member_that_lies_about_its_size_is_refused() -> None:
    bomb = bytearray(zipped({"card.json": card_document(), "classifier.onnx": bytes(2**20)}))
    entry = bomb.rindex(b"PK\x01\x02")
    bomb[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    refusal(bytes(bomb))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_is_stored_so_a_packed_one_never_meets_a_decompressor(method: int) -> None:
    refusal(zipped({"card.json": card_document(), "classifier.onnx": GRAPH}, method))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_noticed_or_harmless(data: st.DataObject) -> None:
    whole = unpack(pack(card(), GRAPH[:64]), "it")
    content = bytearray(pack(card(), GRAPH[:64]))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    try:
        opened = unpack(bytes(content), "it")
    except BundleError:
        return
    assert opened.classifier == whole.classifier
    assert opened.card.classes == whole.card.classes


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (card_document(schema="leukolens.bundle/2"), "schema"),
        (card_document(surprise=1), "surprise"),
        (card_document(classes=["neutrophil", "blast"]), "blast"),
        (card_document(classes=["neutrophil", "neutrophil"]), "neutrophil"),
        (card_document(framing={"size": 16}), "framing.size"),
        (card_document(judgement={"accept_above": 1.5}), "judgement.accept_above"),
        (b"{", "card"),
        (b"\xff\xfe", "card"),
    ],
    ids=["later schema", "unknown field", "unknown class", "class twice", "size", "threshold", "json", "utf-8"],
)  # fmt: skip
def test_a_card_that_this_version_does_not_know_is_refused_by_field(document: bytes, where: str) -> None:
    problem = refusal(zipped({"card.json": document, "classifier.onnx": GRAPH})).problem
    assert where in problem


def test_a_card_and_what_it_holds_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        card().framing.size = 64  # type: ignore[misc]


def test_a_path_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"absent\.leukolens cannot be read"):
        load(tmp_path / "absent.leukolens")
    with pytest.raises(BundleError, match="cannot be read"):
        load(tmp_path)


def test_without_a_path_the_shipped_bundle_is_loaded_or_its_absence_explained(shipped_bundle: Bundle) -> None:
    assert load() == shipped_bundle


def test_an_installation_without_a_bundle_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle_module.resources, "files", lambda package: tmp_path)
    with pytest.raises(BundleError, match="ships no bundle"):
        load()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_bundle_and_no_litter(
    failing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.leukolens"
    before = save(card(), GRAPH, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(BundleError, match="No space left"):
        save(card(seed=1), GRAPH, path)
    monkeypatch.undo()
    assert load(path) == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(BundleError, match="cannot be written"):
        save(card(), GRAPH, tmp_path / "tiny.leukolens")


def finding(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "kinds": ["white_cell", "red_cell", "platelet"],
        "red_cell": 44.0,
        "accept": {"white_cell": 0.4, "red_cell": 0.3, "platelet": 0.25},
        "suppression": 0.5,
        "chosen_on": "56 fields",
    }
    return {**given, **changes}


def test_a_detector_is_a_part_like_the_classifier(tmp_path: Path) -> None:
    detector, path = GRAPH[::-1], tmp_path / "fields.leukolens"
    saved = save(card(finding=Finding(**finding())), GRAPH, path, detector)
    loaded = load(path)
    assert loaded == saved
    assert (loaded.classifier, loaded.detector) == (GRAPH, detector)
    assert loaded.card.finding == Finding(**finding())
    assert loaded.card.bytes_per_part == {"classifier.onnx": len(GRAPH), "detector.onnx": len(detector)}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["card.json", "classifier.onnx", "detector.onnx"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert pack(card(finding=Finding(**finding())), GRAPH, detector) == path.read_bytes()


def test_a_bundle_without_a_detector_has_none_and_its_card_says_so() -> None:
    opened = unpack(pack(card(), GRAPH), "it")
    assert opened.detector is None
    assert opened.card.finding is None


@pytest.mark.parametrize(
    "members",
    [
        {"card.json": card_document(), "classifier.onnx": GRAPH, "detector.onnx": GRAPH},
        {"card.json": card_document(finding=finding()), "classifier.onnx": GRAPH},
    ],
    ids=["a graph that the card does not know", "a card whose graph is missing"],
)
def test_a_card_and_parts_that_disagree_on_a_detector_are_refused(members: dict[str, bytes]) -> None:
    assert "disagree on a detector" in refusal(zipped(members)).problem


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"kinds": ["white_cell", "red_cell"]}, "finding"),
        ({"kinds": ["white_cell", "red_cell", "platelet", "red_cell"]}, "finding"),
        ({"accept": {"white_cell": 0.4, "red_cell": 0.3}}, "finding"),
        ({"accept": {"white_cell": 0.4, "red_cell": 0.3, "platelet": 1.5}}, "finding"),
        ({"red_cell": 0.0}, "finding.red_cell"),
        ({"suppression": 0.0}, "finding.suppression"),
        ({"surprise": 1}, "finding.surprise"),
    ],
    ids=["kind missing", "kind twice", "threshold missing", "threshold", "size", "suppression", "unknown"],
)
def test_a_finding_that_does_not_hold_together_is_refused_by_field(
    changes: dict[str, Any], where: str
) -> None:
    document = card_document(finding=finding(**changes))
    members = {"card.json": document, "classifier.onnx": GRAPH, "detector.onnx": GRAPH}
    assert f"({where}:" in refusal(zipped(members)).problem


def test_a_detector_too_large_or_packed_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"card.json": card_document(finding=finding()), "classifier.onnx": GRAPH}
    refusal(zipped({**members, "detector.onnx": GRAPH}, zipfile.ZIP_DEFLATED))
    monkeypatch.setattr(bundle_module, "LARGEST_MEMBER", 4096)
    assert "detector.onnx is too large" in refusal(zipped({**members, "detector.onnx": bytes(4097)})).problem


def test_what_is_known_of_learned_cells_travels_with_the_bundle(tmp_path: Path) -> None:
    path, known = tmp_path / "knows.leukolens", b"not looked into here"
    saved = save(card(), GRAPH, path, familiarity=known)
    assert load(path) == saved
    assert (saved.familiarity, saved.detector) == (known, None)
    assert saved.card.bytes_per_part == {"classifier.onnx": len(GRAPH), "familiarity.npz": len(known)}
    assert unpack(pack(card(), GRAPH), "an older one").familiarity is None


def test_what_its_normalisation_was_travels_with_the_bundle(tmp_path: Path) -> None:
    path, norms = tmp_path / "knows.leukolens", b"not looked into here either"
    saved = save(card(), GRAPH, path, normalisation=norms)
    assert load(path) == saved
    assert (saved.normalisation, saved.replay) == (norms, None)
    assert saved.card.bytes_per_part == {"classifier.onnx": len(GRAPH), "normalisation.npz": len(norms)}
    assert unpack(pack(card(), GRAPH), "an older one").normalisation is None


@pytest.mark.parametrize("sets", [{"neutrophil": 1.2}, {"no_such_cell": 0.2}])
def test_thresholds_of_sets_that_are_none_are_refused(sets: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="sets"):
        Judgement(sets=sets)
