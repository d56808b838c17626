"""The evidence is the network's own arithmetic, laid where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leukolens.bundle import Bundle
from leukolens.card import Framing
from leukolens.datasets.synthetic import draw_single
from leukolens.errors import BundleError, ImageError
from leukolens.imaging.framing import Box, frame, frame_within
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.classifier import Classifier
from leukolens.reading.engine import Engine
from leukolens.reading.explain import Explanation, explain, explain_in_field, overlaid, picture, veil
from leukolens.reading.inputs import scaled
from leukolens.reading.reader import Reader
from leukolens.taxonomy import CLASS_KEYS, cell_class

MakeBundle = Callable[..., Bundle]
BIAS = 0.125


def left_red_right_green() -> NDArray[np.uint8]:
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:, :32, 0] = 255
    pixels[:, 32:, 1] = 255
    return pixels


@pytest.mark.parametrize("label", [None, *CLASS_KEYS])
def test_the_mean_of_the_evidence_and_the_bias_are_the_logit(
    make_bundle: MakeBundle, label: str | None
) -> None:
    bundle = make_bundle(framing=Framing(size=32))
    field = draw_single(np.random.default_rng(11), "neutrophil")
    found = frame(field.rgb, bundle.card.framing)
    assert found is not None
    crop, box = found
    logits = Engine(bundle).logits(scaled(crop[None]))[0]
    explanation = explain(Reader(bundle), field.rgb, label)
    assert explanation is not None
    assert explanation.box == box
    index = int(logits.argmax()) if label is None else CLASS_KEYS.index(label)
    assert explanation.label == CLASS_KEYS[index]
    assert explanation.evidence.mean() + BIAS == pytest.approx(logits[index], abs=1e-5)


def test_evidence_stands_where_the_colour_is(make_bundle: MakeBundle) -> None:
    explanation = explain(Reader(make_bundle()), left_red_right_green(), "neutrophil")
    assert explanation is not None
    assert (explanation.evidence[:, :2] > 0).all()
    assert (explanation.evidence[:, 2:] < 0).all()
    shown = overlaid(left_red_right_green(), explanation)
    assert shown[20, 8].tolist() == [255, 70, 0]  # half orange (255, 140, 0) over red
    assert shown[20, 56, 2] > 0  # blue over green
    assert (shown[:, :24, 2] == 0).all()


def test_outside_the_box_nothing_changes() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    before = rgb.copy()
    shown = overlaid(rgb, Explanation(Box(10, 20, 40, 50), "monocyte", np.ones((4, 4), np.float32)))
    inside = np.zeros((50, 60), bool)
    inside[20:50, 10:40] = True
    assert np.array_equal(shown[~inside], rgb[~inside])
    expected = np.rint(rgb[inside] * 0.5 + np.array([255, 140, 0]) * 0.5)
    assert np.array_equal(shown[inside], expected)
    assert np.array_equal(rgb, before)


def test_a_box_over_the_edge_keeps_its_evidence_in_place() -> None:
    rgb = np.full((40, 40, 3), 100, np.uint8)
    evidence = np.zeros((4, 4), np.float32)
    evidence[0, 0], evidence[3, 3] = 1, -1
    shown = overlaid(rgb, Explanation(Box(-20, -20, 20, 20), "monocyte", evidence))
    assert np.array_equal(shown[20:], rgb[20:])
    assert shown[18, 18].tolist() != [100, 100, 100]
    assert shown[18, 18, 2] > shown[18, 18, 0]  # the blue corner is the one inside
    assert np.array_equal(overlaid(rgb, Explanation(Box(50, 50, 90, 90), "monocyte", evidence)), rgb)


@pytest.mark.parametrize("label", [None, "monocyte"])
def test_in_a_field_the_evidence_is_of_the_cell_as_it_was_framed_there(
    make_bundle: MakeBundle, label: str | None
) -> None:
    bundle = make_bundle(framing=Framing(size=32))
    field = draw_single(np.random.default_rng(11), "neutrophil").rgb
    box = Box(90, 60, 220, 190)
    crop, square = frame_within(field, box, bundle.card.framing, slide_of(field))
    logits = Engine(bundle).logits(scaled(crop[None]))[0]
    explanation = explain_in_field(Classifier(bundle), field, box, label)
    index = int(logits.argmax()) if label is None else CLASS_KEYS.index(label)
    assert (explanation.box, explanation.label) == (square, CLASS_KEYS[index])
    assert explanation.evidence.mean() + BIAS == pytest.approx(logits[index], abs=1e-5)


def test_a_veil_laid_over_the_square_is_what_is_shown_otherwise() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    evidence = np.random.default_rng(1).normal(size=(5, 5)).astype(np.float32)
    explanation = Explanation(Box(0, 0, 40, 40), "monocyte", evidence)
    laid = Image.alpha_composite(Image.fromarray(rgb).convert("RGBA"), Image.fromarray(veil(explanation, 40)))
    shown = overlaid(rgb, explanation).astype(int)
    assert np.abs(np.asarray(laid.convert("RGB")).astype(int) - shown).max() <= 2
    nothing = veil(Explanation(Box(0, 0, 8, 8), "monocyte", np.zeros((4, 4), np.float32)), 8)
    assert (nothing[..., 3] == 0).all()


def test_no_evidence_shows_nothing() -> None:
    rgb = np.full((8, 8, 3), 100, np.uint8)
    nothing = Explanation(Box(0, 0, 8, 8), "monocyte", np.zeros((4, 4), np.float32))
    assert np.array_equal(overlaid(rgb, nothing), rgb)


def test_between_the_maps_cells_the_evidence_is_bilinear() -> None:
    evidence = np.array([[0.0, 1.0]], np.float32)
    shown = overlaid(np.zeros((2, 8, 3), np.uint8), Explanation(Box(0, 0, 8, 2), "monocyte", evidence))
    # Pixel centres .5 to 7.5 over two cells whose centres are 2 and 6, held beyond them; half of 255.
    weights = np.clip((np.arange(8) + 0.5 - 2) / 4, 0, 1)
    assert np.abs(shown[0, :, 0] - 127.5 * weights).max() <= 3


def test_the_picture_is_large_enough_to_read_and_framed_in_the_class_colour(make_bundle: MakeBundle) -> None:
    reader = Reader(make_bundle(framing=Framing(size=32)))
    field = draw_single(np.random.default_rng(5), "lymphocyte")
    (reading,) = reader.identify([field.rgb])
    explanation = explain(reader, field.rgb, reading.cells[0].label)
    assert explanation is not None
    page = picture(field.rgb, explanation, reading.cells[0])
    assert page.width == 640
    assert page.height > 480
    pixels = np.asarray(page)
    frame_colour = np.array(cell_class(explanation.label).rgb)
    assert (pixels == frame_colour).all(axis=2).sum() > 100
    assert (pixels[480:] < 128).any()  # the caption
    assert (pixels[480:].mean(axis=(0, 1)) > 200).all()
    large = np.asarray(picture(np.tile(field.rgb, (3, 3, 1)), explanation))
    assert large.shape[1] == 960


def test_no_cell_has_nothing_to_explain(make_bundle: MakeBundle) -> None:
    reader = Reader(make_bundle(framing=Framing(size=32)))
    assert explain(reader, np.full((240, 320, 3), 255, np.uint8)) is None


def test_what_cannot_be_explained_is_said(
    make_bundle: MakeBundle, graph_maker: Callable[..., bytes], tmp_path: Path
) -> None:
    with pytest.raises(ImageError):
        explain(Reader(make_bundle()), tmp_path / "missing.png")
    flat = make_bundle(graph=graph_maker(32, np.ones((7, 3)), activation=False))
    with pytest.raises(BundleError, match="activation maps"):
        explain(Reader(flat), left_red_right_green())
