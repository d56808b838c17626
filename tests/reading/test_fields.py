"""Reading fields: in order, one field's trouble its own, every white cell named, and what the edge cuts marked."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Finding, Framing
from leukolens.errors import BundleError
from leukolens.imaging.framing import Box
from leukolens.imaging.nucleus import slide_of
from leukolens.reading.engine import FindingEngine
from leukolens.reading.fields import NO_WHITE_CELL, FieldReader, cut_by_border, cut_by_edge
from leukolens.reading.runtimes import REFERENCE

KINDS = ["white_cell", "red_cell", "platelet"]
GROUND, RED, PLATELET = (235, 235, 235), (235, 120, 120), (120, 235, 120)
LYMPHOCYTE, BASOPHIL = (60, 60, 55), (60, 60, 200)
"""White cells of two classes: the tiny bundle names a crop by its mean colour."""

Pixels = NDArray[np.uint8]


def see_discs(
    self: FindingEngine, field: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`FindingEngine.peaks` for drawn discs: dark ones are white cells, reddish red cells, green platelets."""
    heat = np.zeros((3, field.shape[1] // 4, field.shape[2] // 4), np.float32)
    shape = np.zeros((4, *heat.shape[1:]), np.float32)
    red, green, _ = field > 178 / 127.5 - 1
    for kind, mask in enumerate((~(red | green), red & ~green, green & ~red)):
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        for x, y, w, h, area in stats[1:count].tolist():
            if area < 12:
                continue
            column, row = int((x + w / 2) / 4), int((y + h / 2) / 4)
            heat[kind, row, column] = 0.6 + 0.3 * area / (w * h)
            shape[:, row, column] = (
                (x + w / 2) / 4 - column - 0.5, (y + h / 2) / 4 - row - 0.5, np.log(w / 32), np.log(h / 32)
            )  # fmt: skip
    return heat, shape


def draw(
    white: dict[tuple[int, int], tuple[int, int, int]], *, width: int = 320, height: int = 240
) -> Pixels:
    """Six red cells of 40 pixels in the upper row, a platelet, and white cells of 60 by their middles."""
    rgb = np.full((height, width, 3), GROUND, np.uint8)
    for number in range(6):
        cv2.circle(rgb, (30 + 50 * number, 28), 20, RED, -1)
    cv2.circle(rgb, (width - 20, height // 2), 8, PLATELET, -1)
    for middle, colour in white.items():
        cv2.circle(rgb, middle, 30, colour, -1)
    return rgb


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(FindingEngine, "peaks", see_discs)
    given = make_bundle(framing=Framing(size=32, context=1.5, white_balance=False))
    finding = Finding(
        kinds=KINDS, red_cell=44.0, accept=dict.fromkeys(KINDS, 0.5), suppression=0.5, chosen_on="made up"
    )
    card = given.card.model_copy(update={"finding": finding})
    return unpack(pack(card, given.classifier, b"none"), "fields")


@pytest.fixture
def reader(bundle: Bundle) -> FieldReader:
    return FieldReader(bundle, threads=2)


def test_every_white_cell_is_named_from_top_to_bottom_and_the_others_are_counted(reader: FieldReader) -> None:
    (reading,) = reader.read([draw({(230, 120): LYMPHOCYTE, (80, 120): BASOPHIL, (150, 190): LYMPHOCYTE})])
    assert (reading.status, reading.reason) == ("ok", None)
    assert (reading.width, reading.height) == (320, 240)
    assert (reading.red_cells, reading.platelets) == (6, 1)
    assert reading.pixels_per_micrometre == pytest.approx(41 / 7.5, rel=0.05)
    assert [cell.label for cell in reading.cells] == ["basophil", "lymphocyte", "lymphocyte"]
    middles = [((cell.box.x0 + cell.box.x1) / 2, (cell.box.y0 + cell.box.y1) / 2) for cell in reading.cells]
    np.testing.assert_allclose(middles, [(80.5, 120.5), (230.5, 120.5), (150.5, 190.5)], atol=2)
    for cell in reading.cells:
        assert 58 <= cell.box.width <= 64
        assert sum(cell.probabilities.values()) == pytest.approx(1)
        assert 0.6 < cell.score < 0.9
        assert not cell.at_edge


def test_cells_at_the_edge_are_marked_and_their_boxes_end_with_the_field(
    reader: FieldReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generous(self: FindingEngine, field: NDArray[np.float32]) -> Any:
        heat, shape = see_discs(self, field)
        return heat, shape + np.array([0, 0, 0.2, 0.2], np.float32)[:, None, None]

    monkeypatch.setattr(FindingEngine, "peaks", generous)
    (reading,) = reader.read([draw({(8, 120): BASOPHIL, (160, 120): BASOPHIL, (300, 235): LYMPHOCYTE})])
    assert [cell.at_edge for cell in reading.cells] == [True, False, True]
    for cell in reading.cells:
        assert cell.box == cell.box.within(320, 240)
    assert reading.cells[0].box.x0 == 0
    assert (reading.cells[2].box.x1, reading.cells[2].box.y1) == (320, 240)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (Box(2, 2, 42, 42), False), (Box(1, 50, 41, 90), True), (Box(50, 1, 90, 41), True),
        (Box(258, 50, 298, 90), False), (Box(259, 50, 299, 90), True), (Box(50, 159, 90, 199), True),
        (Box(50, 158, 90, 198), False), (Box(-5, 50, 20, 90), True), (Box(50, 50, 330, 90), True),
        # Of a large cell, what lies within 3 % of its side of the edge is cut.
        (Box(5, 20, 205, 180), True), (Box(6, 6, 206, 166), False),
    ],
)  # fmt: skip
def test_a_box_that_all_but_touches_the_edge_is_cut(box: Box, cut: bool) -> None:
    assert cut_by_edge(box, 300, 200) == cut


def aperture(width: int, height: int, radius: float) -> Pixels:
    """Bright ground in a round opening at the middle, black around it."""
    rgb = np.full((height, width, 3), GROUND, np.uint8)
    rows, columns = np.mgrid[:height, :width] + 0.5
    rgb[np.hypot(rows - height / 2, columns - width / 2) > radius] = 3
    return rgb


def at(x: float, y: float, side: float) -> Box:
    return Box(*(round(v) for v in (x - side / 2, y - side / 2, x + side / 2, y + side / 2)))


@pytest.mark.parametrize(("width", "height", "cell"), [(320, 240, 30), (640, 480, 70), (2592, 1944, 190)])
@pytest.mark.parametrize("angle", [0, 30, 45, 100, 160, 225, 300])
def test_a_cell_that_a_round_aperture_cuts_is_cut_and_one_beside_it_is_not(
    width: int, height: int, cell: float, angle: float
) -> None:
    """The aperture is known to three pixels of a copy of 160."""
    radius, fine = 0.45 * height, width / 160
    slide = slide_of(aperture(width, height, radius))
    way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    for gap, cut in ((-cell / 2, True), (-0.1 * cell, True), (0, True), (3 * fine + 0.04 * cell, False)):
        x, y = way * (radius - gap - cell / 2) + (width / 2, height / 2)
        assert cut_by_border(at(x, y, cell), slide) == cut, gap
    assert not cut_by_border(at(width / 2, height / 2, cell), slide)


def test_a_cell_at_a_corner_that_a_rotation_left_is_cut() -> None:
    rgb = np.full((480, 640, 3), GROUND, np.uint8)
    cv2.fillPoly(rgb, [np.array([(0, 0), (200, 0), (0, 150)])], (0, 0, 0))
    slide = slide_of(rgb)
    # The black's long side goes through (100, 75); a box's corner in it does not cut the cell.
    assert cut_by_border(at(115, 105, 70), slide)
    assert cut_by_border(at(20, 165, 60), slide)
    whole = at(155, 148, 140)
    assert rgb[whole.y0 + 2, whole.x0 + 2].max() == 0
    assert not cut_by_border(whole, slide)
    assert not cut_by_border(at(600, 30, 60), slide)


def test_without_black_nothing_is_cut_by_it() -> None:
    assert not cut_by_border(Box(0, 0, 320, 240), slide_of(draw({(160, 120): BASOPHIL})))


def test_cells_at_an_apertures_rim_are_marked_in_the_reading(reader: FieldReader) -> None:
    rgb = aperture(640, 480, 230)
    for number in range(6):
        cv2.circle(rgb, (200 + 50 * number, 120), 20, RED, -1)
    for middle in ((320, 200), (505, 330), (240, 300)):
        cv2.circle(rgb, middle, 30, BASOPHIL, -1)
    rgb[aperture(640, 480, 230).max(axis=2) < 9] = 3
    (reading,) = reader.read([rgb])
    assert [cell.at_edge for cell in reading.cells] == [False, False, True]


def test_fields_come_in_their_order_whatever_they_take(reader: FieldReader) -> None:
    fields = [
        draw({(45 + 75 * place, 120): BASOPHIL for place in range(number % 4)}, width=320 + 40 * (number % 3))
        for number in range(13)
    ]
    readings = list(reader.read(fields))
    assert [len(reading.cells) for reading in readings] == [number % 4 for number in range(13)]
    assert [str(reading.path) for reading in readings] == [f"array-{number}" for number in range(13)]


def test_a_field_without_a_white_cell_says_so(reader: FieldReader) -> None:
    (reading,) = reader.read([draw({})])
    assert (reading.status, reading.reason, reading.cells) == ("no_cell", NO_WHITE_CELL, ())
    assert reading.red_cells == 6


def test_a_broken_image_costs_no_other_its_reading(reader: FieldReader, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "broken.png", "text.png", "absent.png", "b.png")]
    for path in (paths[0], paths[4]):
        Image.fromarray(draw({(160, 150): BASOPHIL})).save(path)
    paths[1].write_bytes(paths[0].read_bytes()[:300])
    paths[2].write_text("no image")
    readings = list(reader.read(paths))
    assert [reading.path for reading in readings] == paths
    assert [reading.status for reading in readings] == ["ok", "failed", "failed", "failed", "ok"]
    for path, reading in zip(paths, readings, strict=True):
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        assert reading.sha256 == digest
    for failed in readings[1:4]:
        assert failed.reason
        assert (failed.width, failed.height, failed.cells) == (0, 0, ())


def test_an_array_bears_the_digest_of_its_pixels_and_one_that_is_no_image_fails(reader: FieldReader) -> None:
    field = draw({(160, 150): BASOPHIL})
    sliced, grey = reader.read([field[:, ::-1], field[:, :, 0]])
    assert sliced.sha256 == hashlib.sha256(np.ascontiguousarray(field[:, ::-1]).tobytes()).hexdigest()
    assert grey.status == "failed"
    assert "shape (240, 320)" in str(grey.reason)


def test_whatever_goes_wrong_in_one_field_is_said_of_that_field(
    reader: FieldReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reader.detector.find

    def trips(rgb: Pixels) -> Any:
        if rgb.shape[1] == 321:
            raise MemoryError("too large")
        return real(rgb)

    monkeypatch.setattr(reader.detector, "find", trips)
    first, second, third = reader.read([draw({}), draw({}, width=321), draw({})])
    assert (first.status, second.status, third.status) == ("no_cell", "failed", "no_cell")
    assert second.reason == "could not be read (MemoryError: too large)"


def test_the_same_fields_give_the_same_readings_to_the_bit_on_any_number_of_threads(
    bundle: Bundle, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        middles = {(45 + 75 * place, 100 + int(rng.integers(80))): BASOPHIL for place in range(3)}
        noise = rng.integers(-4, 5, (240, 320, 3))
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray((draw(middles) + noise).astype(np.uint8)).save(paths[-1])
    first = list(FieldReader(bundle, threads=1).read(paths))
    assert sum(len(reading.cells) for reading in first) == 18
    for threads in (1, 4):
        assert list(FieldReader(bundle, threads=threads).read(map(str, paths))) == first
    assert FieldReader(bundle, threads=1).read_one(paths[3]) == first[3]


def test_fields_are_taken_as_they_are_needed(reader: FieldReader) -> None:
    taken = 0

    def endless() -> Iterator[Pixels]:
        nonlocal taken
        while True:
            taken += 1
            yield draw({})

    readings = reader.read(endless())
    for done in range(1, 8):
        next(readings)
        assert taken <= done + 2 * reader.threads
    readings.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("leukolens") and t.is_alive()]


def test_a_damaged_graph_is_the_bundles_failure_not_the_fields(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with pytest.raises(BundleError, match="cannot be loaded"):
        list(FieldReader(bundle).read([draw({})]))


def test_a_bundle_without_a_detector_reads_no_fields(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match="has no detector"):
        FieldReader(make_bundle())


def test_threads_are_at_least_one(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="threads"):
        FieldReader(bundle, threads=0)


def test_a_reading_can_be_told_with_what_it_was_read(reader: FieldReader, bundle: Bundle) -> None:
    assert reader.engine == REFERENCE.words
    assert reader.engine.startswith("onnxruntime ")
    assert reader.bundle is bundle
