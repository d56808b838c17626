from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.bundle import Bundle
from leukolens.errors import BundleError, EngineError
from leukolens.reading import choice, processor
from leukolens.reading.choice import ENGINES, choose
from leukolens.reading.engine import Engine
from leukolens.reading.inputs import scaled
from leukolens.reading.runtimes import REFERENCE
from leukolens.reading.vectors import Vectors


def crops() -> NDArray[np.uint8]:
    colours = np.array([(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)], np.uint8)
    return np.broadcast_to(colours[:, None, None], (4, 32, 32, 3)).copy()


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """One that can be read in whole numbers: its quick graph is its own, so that it says the same."""
    plain = make_bundle()
    vectors = Vectors(crops(), Engine(plain).logits(scaled(crops())))
    return replace(plain, quick=plain.classifier, vectors=vectors.to_bytes())


def has(monkeypatch: pytest.MonkeyPatch, *flags: str, openvino: bool = False) -> None:
    monkeypatch.setattr(processor, "flags", lambda: frozenset(flags))
    monkeypatch.setattr(choice, "has_openvino", lambda: openvino)
    monkeypatch.setattr(choice, "providers", lambda: ())


@pytest.mark.parametrize(
    ("flags", "openvino", "expected"),
    [
        ((), False, ""),
        ((), True, ""),
        (("avx512_vnni",), False, "int8"),
        (("avx512_vnni", "avx512_bf16"), True, "int8"),
        (("avx512_bf16",), True, "openvino"),
        (("avx512_bf16",), False, ""),
        (("avx512_vnni", "amx_bf16"), True, "openvino"),
    ],
)
def test_the_quickest_that_the_machine_has_is_taken(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], openvino: bool, expected: str
) -> None:
    has(monkeypatch, *flags, openvino=openvino)
    chosen = choose(bundle)
    assert chosen.note == ""
    assert (chosen.quick.words if chosen.quick else "").count(expected) == bool(expected) or not expected
    assert (chosen.quick is None) == (not expected)


def test_what_names_a_test_cell_otherwise_is_not_used(
    bundle: Bundle, make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, "avx512_vnni")
    mirrored = make_bundle(classes=tuple(reversed(bundle.card.classes))).classifier
    chosen = choose(replace(bundle, quick=mirrored))
    assert chosen.quick is None
    assert chosen.note.startswith("int8 is not used: it names ")
    assert chosen.note.endswith("; ONNX Runtime reads instead")


def test_what_cannot_run_is_not_used(bundle: Bundle) -> None:
    chosen = choose(replace(bundle, quick=b"no graph"), "int8")
    assert chosen.quick is None
    assert "cannot be loaded" in chosen.note


def test_a_bundle_without_test_vectors_is_read_by_the_reference(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(monkeypatch, "avx512_vnni")
    older = replace(bundle, vectors=None)
    assert choose(older).quick is None
    assert choose(older).note == ""
    assert "nothing to check it by" in choose(older, "int8").note


def test_damaged_vectors_are_an_error(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="damaged"):
        choose(replace(bundle, vectors=b"none"), "int8")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("fastest", "there is no engine 'fastest'"),
        ("openvino", "OpenVINO is not installed"),
        ("cuda", "cannot use cuda"),
        ("int8", "cannot be read in whole numbers"),
    ],
)
def test_an_engine_that_is_not_here_is_refused(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, wanted: str, message: str
) -> None:
    has(monkeypatch)
    with pytest.raises(EngineError, match=message):
        choose(replace(bundle, quick=None), wanted)


def test_the_reference_needs_no_check(bundle: Bundle) -> None:
    assert choose(replace(bundle, vectors=b"damaged"), "onnxruntime").quick is None


def test_every_engine_but_auto_and_the_reference_runs_or_is_refused(bundle: Bundle) -> None:
    for wanted in ENGINES[2:]:
        try:
            chosen = choose(bundle, wanted)
        except EngineError:
            continue
        assert chosen.quick is not None
        assert chosen.quick.words != REFERENCE.words
        assert (
            np.abs(chosen.quick.logits(scaled(crops())) - Engine(bundle).logits(scaled(crops()))).max() < 0.1
        )
