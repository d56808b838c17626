"""Finding at any size and magnification, with an engine that sees coloured discs where the network would cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from leukolens.bundle import Bundle, pack, unpack
from leukolens.card import Finding
from leukolens.errors import BundleError
from leukolens.imaging.color import WHITE_LEVEL
from leukolens.imaging.nucleus import slide_of
from leukolens.reading import detector as module
from leukolens.reading.detector import RED_CELL_MICROMETRES, Detector, Found
from leukolens.reading.engine import FindingEngine

KINDS = ["white_cell", "red_cell", "platelet"]
GROUND, RED, WHITE, PLATELET = (235, 235, 235), (235, 80, 80), (80, 80, 235), (80, 235, 80)
SEEN = 14, 120
"""A disc is seen where it has so many pixels, as a network taught from 0.4 to 2.5 times 44 sees red cells."""
SIZES = {"red_cell": 1.0, "white_cell": 1.6, "platelet": 0.4}
"""Diameters, in red cells."""

Disc = tuple[str, float, float, float]
"""Kind, x, y and diameter, pixels."""
Image = NDArray[np.uint8]


def disc_engine(wobble: float = 0.0) -> Callable[..., Any]:
    """`FindingEngine.peaks` for drawn discs.

    What is neither ground nor red cell nor platelet passes for a white cell, black too.

    Args:
        wobble: How far a disc's middle is misjudged, by pixels of a look; another way in each tile.
    """

    def peaks(
        self: FindingEngine, field: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        height, width = field.shape[1] // 4, field.shape[2] // 4
        heat, shape = np.zeros((3, height, width), np.float32), np.zeros((4, height, width), np.float32)
        red, green, _ = field > 157 / 127.5 - 1
        masks = ~(red | green), red & ~green, green & ~red
        for kind, mask in enumerate(masks):
            count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
            least = SEEN[0] * SIZES[KINDS[kind]]
            for x, y, w, h, area in stats[1:count].tolist():
                if not least <= max(w, h) <= SEEN[1] * SIZES[KINDS[kind]]:
                    continue
                turn = x * 12.9898 + y * 78.233
                middle = x + w / 2 + wobble * np.sin(turn), y + h / 2 + wobble * np.cos(turn)
                column, row = min(int(middle[0] / 4), width - 1), min(int(middle[1] / 4), height - 1)
                heat[kind, row, column] = 0.6 + 0.3 * area / (w * h)
                shape[:, row, column] = (
                    middle[0] / 4 - column - 0.5, middle[1] / 4 - row - 0.5, np.log(w / 32), np.log(h / 32)
                )  # fmt: skip
        return heat, shape

    return peaks


def draw(width: int, height: int, discs: list[Disc]) -> Image:
    finer = 4 if width * height < 400_000 else 1
    image = np.full((finer * height, finer * width, 3), GROUND, np.uint8)
    colours = {"red_cell": RED, "white_cell": WHITE, "platelet": PLATELET}
    for kind, x, y, diameter in discs:
        middle = round((finer * x - 0.5) * 16), round((finer * y - 0.5) * 16)
        cv2.circle(image, middle, round(finer * diameter * 8), colours[kind], -1, cv2.LINE_8, 4)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def smear(width: int, height: int, red: float, rng: np.random.Generator, **odds: float) -> list[Disc]:
    """Discs that don't touch, all of them whole: mostly red cells, some white cells and platelets."""
    pitch = 2.1 * red
    kinds, shares = zip(*{"red_cell": 0.75, "white_cell": 0.15, "platelet": 0.1, **odds}.items(), strict=True)
    discs = []
    for row in range(int(height / pitch)):
        for column in range(int(width / pitch)):
            kind = str(rng.choice(kinds, p=np.array(shares) / sum(shares)))
            x, y = (np.array([column, row]) + 0.5) * pitch + rng.uniform(-0.1, 0.1, 2) * red
            discs.append((kind, float(x), float(y), SIZES[kind] * red))
    return discs


def assert_found(found: Found, discs: list[Disc], within: float) -> None:
    """Each disc once, nothing else; middles and diameters right within so many pixels."""
    middles = np.array([disc[1:3] for disc in discs])
    gaps = np.linalg.norm(found.finds.centres[:, None] - middles[None], axis=2)
    nearest = gaps.argmin(axis=1)
    assert sorted(nearest) == list(range(len(discs)))
    assert gaps.min(axis=1).max() < within
    assert [KINDS[kind] for kind in found.finds.kinds] == [discs[place][0] for place in nearest]
    diameters = np.array([discs[place][3] for place in nearest])
    assert np.abs(found.finds.sides - diameters).max() < 2 * within


Maker = Callable[..., Detector]


@pytest.fixture
def make_detector(make_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch) -> Maker:
    def make(wobble: float = 0.0, **changes: Any) -> Detector:
        monkeypatch.setattr(FindingEngine, "peaks", disc_engine(wobble))
        return Detector(finding_bundle(make_bundle(), **changes))

    return make


def finding_bundle(given: Bundle, graph: bytes = b"no graph", **changes: Any) -> Bundle:
    finding: dict[str, Any] = {"kinds": KINDS, "red_cell": 44.0, "accept": dict.fromkeys(KINDS, 0.5)}
    finding |= {"suppression": 0.5, "chosen_on": "made up"}
    card = given.card.model_copy(update={"finding": Finding.model_validate({**finding, **changes})})
    return unpack(pack(card, given.classifier, graph), "finding")


@pytest.mark.parametrize(
    ("width", "height", "red"),
    [
        (200, 200, 16), (256, 200, 30), (320, 240, 44), (640, 480, 12), (640, 480, 24), (640, 480, 45),
        (640, 640, 80), (1300, 1000, 200), (2000, 1500, 30), (2592, 1944, 120), (3000, 200, 40),
        (200, 3000, 40), (8000, 5000, 200), (8000, 400, 60),
    ],
)  # fmt: skip
def test_every_cell_of_a_field_is_found_once_whatever_its_size_and_magnification(
    width: int, height: int, red: float, make_detector: Maker
) -> None:
    discs = smear(width, height, red, np.random.default_rng(round(width + red)))
    found = make_detector().find(draw(width, height, discs))
    assert found.scale == pytest.approx(min(44 / red, 3), rel=0.36)
    assert_found(found, discs, within=max(1.2, 1.5 / found.scale))
    assert found.pixels_per_micrometre == pytest.approx(red / RED_CELL_MICROMETRES, rel=0.1)


@pytest.mark.parametrize("red", [12, 30, 60, 100, 200])
def test_the_magnification_is_right_within_a_tenth_though_the_edge_cuts_half_of_the_cells(
    red: int, make_detector: Maker
) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        width, height = (640, 480) if red <= 60 else (8 * red, 6 * red)
        wide = smear(width + 4 * red, height + 4 * red, red, rng, platelet=0.0, white_cell=0.1)
        shift = rng.uniform(1, 3, 2) * red
        discs = [(kind, x - shift[0], y - shift[1], side) for kind, x, y, side in wide]
        found = make_detector().find(draw(width, height, discs))
        assert found.pixels_per_micrometre == pytest.approx(red / RED_CELL_MICROMETRES, rel=0.1)


@pytest.mark.parametrize("size", [(640, 480), (300, 300), (256, 200)])
def test_without_red_cells_white_cells_are_found_and_no_magnification_is_told(
    size: tuple[int, int], make_detector: Maker
) -> None:
    discs = [("white_cell", 100.0, 90.0, 70.0), ("white_cell", 190.0, 120.0, 76.0)]
    found = make_detector().find(draw(*size, discs))
    assert_found(found, discs, within=2.5)
    assert found.pixels_per_micrometre is None


@pytest.mark.parametrize("reds", [0, 4])
@pytest.mark.parametrize(
    ("width", "height", "diameter"),
    [
        (3000, 2250, 150),
        (3000, 2250, 220),
        (4000, 3000, 300),
        (1280, 960, 75),
        (2592, 1944, 110),
        (1400, 60, 56),
    ],
)
def test_in_a_large_field_without_red_cells_white_cells_tell_the_scale(
    width: int, height: int, diameter: float, reds: int, make_detector: Maker
) -> None:
    """At 256 pixels a field, cells of 16 pixels or less, which the engine does not see."""
    red = diameter / 1.6
    discs: list[Disc] = [
        ("white_cell", 0.3 * width, height / 2, diameter), ("white_cell", 0.7 * width, height / 2, 0.8 * diameter),
        *(("red_cell", 0.3 * width + (number + 2) * 1.2 * red, height / 2, red) for number in range(reds)),
    ]  # fmt: skip
    found = make_detector().find(draw(width, height, discs))
    assert_found(found, discs, within=2 / found.scale)
    assert found.pixels_per_micrometre is None
    assert 1.2 <= diameter * found.scale / 44 <= 2.6


@pytest.mark.parametrize("speck", [40, 46])
def test_what_passes_for_a_white_cell_too_close_by_is_none(speck: float, make_detector: Maker) -> None:
    """The engine takes specks for white cells where it sees them: those of 40 at full size, of 46 at half size too."""
    cells: list[Disc] = [("white_cell", 500.0, 400.0, 110.0), ("white_cell", 1400.0, 900.0, 112.0)]
    specks: list[Disc] = [("white_cell", 200.0 + 120 * number, 1200.0, speck) for number in range(12)]
    found = make_detector().find(draw(2000, 1500, cells + specks), least=0.1)
    assert found.scale == pytest.approx(0.5)
    assert_found(found, cells, within=4)


def test_without_red_cells_a_round_aperture_holds_no_white_cell(make_detector: Maker) -> None:
    """The engine would take black for a white cell."""
    side = 2400
    discs: list[Disc] = [("white_cell", 1000.0, 1100.0, 160.0), ("white_cell", 1500.0, 1400.0, 130.0)]
    rows, columns = np.mgrid[:side, :side] + 0.5
    image = draw(side, side, discs)
    image[np.hypot(rows - side / 2, columns - side / 2) > side / 2] = 3
    assert_found(make_detector().find(image), discs, within=4)


def test_a_large_empty_field_costs_no_more_than_4000_pixels_square_at_half_size(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = 0
    see = disc_engine()

    def counting(self: Any, field: NDArray[np.float32]) -> Any:
        nonlocal pixels
        pixels += field.shape[1] * field.shape[2]
        return see(self, field)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", counting)
    for width, height in ((6000, 4000), (8000, 300), (640, 480)):
        pixels = 0
        assert len(detector.find(np.full((height, width, 3), 235, np.uint8)).finds) == 0
        closer = 6 * (2 * module.FIRST_LOOK) ** 2  # at the middle, where red cells are looked for
        overlap = (module.TILE / (module.TILE - module.OVERLAP)) ** 2
        assert pixels < 2000 * 2000 * overlap + closer
        assert len(module._whole_scales(np.empty((height, width, 3), np.uint8))) <= 6


@pytest.mark.parametrize("size", [(1, 1), (200, 256), (480, 640), (3000, 4000), (8000, 8000), (8, 3000)])
def test_whole_looks_double_up_to_the_closest_and_enlarge_nothing(size: tuple[int, int]) -> None:
    image = np.empty((*size, 3), np.uint8)
    scales = [module._first_scale(image), *module._whole_scales(image)]
    steps = np.array(scales[1:]) / scales[:-1]
    # A white cell has its size, 1.2 to 2.6 red cells, in one of two looks at most 2.6 / 1.2 apart.
    assert (steps > 1.05).all()
    assert (steps <= 2.6 / 1.2).all()
    assert scales[-1] <= 1
    assert scales[-1] == 1 or scales[-1] ** 2 * size[0] * size[1] == pytest.approx(module.MOST_LOOKED_AT)


@pytest.mark.parametrize("few", [3, 4, 5])
def test_a_few_red_cells_are_not_believed(few: int, make_detector: Maker) -> None:
    discs: list[Disc] = [("red_cell", 60.0 + 80 * number, 100.0, 44.0) for number in range(few)]
    found = make_detector().find(draw(640, 480, discs))
    assert len(found.finds) == few
    assert (found.pixels_per_micrometre is None) == (few < 5)


@pytest.mark.parametrize("along", ["x", "y"])
def test_a_cell_on_a_seam_is_one_cell_wherever_it_lies(along: str, make_detector: Maker) -> None:
    """White cells all along a strip of three tiles, moved by 4 pixels at a time; each tile errs its own way."""
    detector, length, red = make_detector(wobble=1.5), 1500, 44.0
    for offset in range(0, 96, 4):
        discs: list[Disc] = [("white_cell", x, 55.0, 70.0) for x in range(45 + offset, length - 45, 96)]
        discs += [("red_cell", x, 140.0, red) for x in range(30 + offset, length - 30, 64)]
        if along == "y":
            discs = [(kind, y, x, side) for kind, x, y, side in discs]
        image = draw(length, 170, discs) if along == "x" else draw(170, length, discs)
        found = detector.find(image)
        assert len(module._spans(length, found.scale)) == 3
        assert_found(found, discs, within=4)


def test_tiles_cover_a_field_and_each_has_its_own_part() -> None:
    for length in (1, 700, 768, 769, 1375, 1376, 1377, 5000, 8000):
        for scale in (0.2, 1.0, 1.7):
            spans = module._spans(length, scale)
            assert (spans[0][2], spans[-1][3]) == (0, length)
            assert (spans[0][0], spans[-1][1]) == (-np.inf, np.inf)
            for (_, high, _, end), (low, _, start, _) in itertools.pairwise(spans):
                assert high == pytest.approx(low)
                # The largest white cell, 20 micrometres or 118 pixels of a look, is whole on one side at least.
                assert min(high - start, end - low) * scale >= 59
            assert max(end - start for _, _, start, end in spans) * scale <= module.TILE + 2 * scale


def test_black_corners_and_bars_hold_no_cells(make_detector: Maker) -> None:
    """The engine would take black for a white cell."""
    red, side = 40.0, 700
    rows, columns = np.mgrid[:side, :side] + 0.5
    round_view = np.hypot(rows - side / 2, columns - side / 2) < side / 2 + 60
    discs = [
        disc for disc in smear(side, side, red, np.random.default_rng(2))
        if np.hypot(disc[1] - side / 2, disc[2] - side / 2) + disc[3] / 2 < side / 2 + 45
    ]  # fmt: skip
    image = draw(side, side, discs)
    assert round_view.mean() < 0.95
    image[~round_view] = 3
    assert_found(make_detector().find(image), discs, within=1.5)


def test_another_lamp_changes_nothing(make_detector: Maker) -> None:
    discs = smear(640, 480, 45, np.random.default_rng(3))
    yellow = np.clip(draw(640, 480, discs) * np.array([0.8, 0.75, 0.6]), 0, 255).astype(np.uint8)
    assert_found(make_detector().find(yellow), discs, within=3)


@pytest.mark.parametrize("shape", [(1, 1), (8, 3000), (3000, 8), (1, 700), (16, 16), (5, 200)])
def test_an_image_of_any_shape_is_looked_at(shape: tuple[int, int], make_detector: Maker) -> None:
    for level in (0, 128, 255):
        found = make_detector().find(np.full((*shape, 3), level, np.uint8))
        assert len(found.finds) == 0


def test_a_thin_strip_has_its_cells_where_they_are(make_detector: Maker) -> None:
    discs: list[Disc] = [("red_cell", x, 14.0, 26.0) for x in range(20, 2980, 40)]
    found = make_detector().find(draw(3000, 29, discs))
    assert_found(found, discs, within=1.5)


def test_a_look_of_one_row_has_scales_of_its_own_across_and_down(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3,000 x 8 pixels become 256 x 1; the middle of that row is the middle of the eight."""

    def middle(self: Any, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        heat = np.zeros((3, field.shape[1] // 4, field.shape[2] // 4), np.float32)
        shape = np.zeros((4, *heat.shape[1:]), np.float32)
        heat[1, 0, 10], shape[:, 0, 10] = 0.9, (0, -0.375, -1, -1)
        return heat, shape

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", middle)
    finds = detector.find(np.full((8, 3000, 3), 200, np.uint8)).finds
    np.testing.assert_allclose(finds.centres, [[42 * 3000 / 256, 4]])


def test_what_is_seen_in_the_padding_is_no_cell(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everywhere(self: Any, field: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        places = field.shape[1] // 4, field.shape[2] // 4
        return np.full((3, *places), 0.9, np.float32), np.full((4, *places), -1.0, np.float32)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", everywhere)
    for height, width in ((1, 1), (9, 33), (100, 17)):
        centres = detector.find(np.full((height, width, 3), 200, np.uint8)).finds.centres
        assert len(centres) > 0 or min(height, width) < 2
        assert (centres >= 0).all()
        assert (centres < [width, height]).all()


def test_the_network_is_shown_balanced_ground_and_multiples_of_sixteen(
    make_detector: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[NDArray[np.float32]] = []
    see = disc_engine()

    def watching(self: Any, field: NDArray[np.float32]) -> Any:
        shown.append(field)
        return see(self, field)

    detector = make_detector()
    monkeypatch.setattr(FindingEngine, "peaks", watching)
    discs = smear(1900, 1000, 40, np.random.default_rng(5))
    found = detector.find((draw(1900, 1000, discs) * 0.8).astype(np.uint8))
    assert_found(found, discs, within=2)
    assert len(shown) > 6
    for field in shown:
        assert field.dtype == np.float32
        assert field.shape[1] % 16 == field.shape[2] % 16 == 0
        assert max(field.shape[1:]) <= module.TILE + 16
        assert np.median(field) == pytest.approx(WHITE_LEVEL / 127.5 - 1, abs=0.02)


def test_the_bundles_thresholds_count_unless_another_is_asked_for(make_detector: Maker) -> None:
    discs = smear(640, 480, 45, np.random.default_rng(6))
    image = draw(640, 480, discs)
    detector = make_detector(accept={"white_cell": 0.99, "red_cell": 0.5, "platelet": 0.99})
    assert_found(detector.find(image), [disc for disc in discs if disc[0] == "red_cell"], within=3)
    assert_found(detector.find(image, least=0.3), discs, within=3)
    assert len(detector.find(image, least=0.99).finds) == 0


@pytest.mark.parametrize("enlarged", [1, 2, 3])
def test_the_white_cell_of_an_image_of_one_cell(make_detector: Maker, enlarged: int) -> None:
    discs: list[Disc] = [("white_cell", 160.0, 120.0, 90.0), ("red_cell", 60.0, 60.0, 50.0)]
    image = draw(
        320 * enlarged, 240 * enlarged, [(kind, *(enlarged * v for v in disc)) for kind, *disc in discs]
    )
    box = make_detector().white_cell(image, slide_of(image))
    assert box is not None
    off = np.array([box.x0, box.y0, box.x1, box.y1]) / enlarged - [115, 75, 205, 165]
    assert np.abs(off).max() < 5


def test_red_cells_alone_are_no_white_cell(make_detector: Maker) -> None:
    image = draw(320, 240, [("red_cell", 60.0, 60.0, 50.0)])
    assert make_detector().white_cell(image, slide_of(image)) is None


def test_the_same_field_gives_the_same_finds_to_the_bit(make_detector: Maker) -> None:
    image = draw(1800, 900, smear(1800, 900, 40, np.random.default_rng(7)))
    first, second = (make_detector(wobble=1.0).find(image) for _ in range(2))
    assert first.finds.boxes.tobytes() == second.finds.boxes.tobytes()
    assert first.finds.scores.tobytes() == second.finds.scores.tobytes()
    assert first.scale == second.scale


def test_a_bundle_without_a_detector_is_refused_with_the_remedy(make_bundle: Callable[..., Bundle]) -> None:
    with pytest.raises(BundleError, match="tiny has no detector") as caught:
        Detector(make_bundle())
    assert "--into" in caught.value.remedy


def field_graph(kinds: int = 3, stride: int = 4, weight: float = 1.0, **names: str) -> bytes:
    """An ONNX graph of a detector whose heat is the mean colour of each four pixels."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    outputs = {names.get("heat", "heat"): kinds, names.get("shape", "shape"): 4}
    given = names.get("fields", "fields")
    nodes = [helper.make_node("AveragePool", [given], ["p"], kernel_shape=[stride] * 2, strides=[stride] * 2)]
    nodes += [helper.make_node("Conv", ["p", f"w-{name}"], [name], kernel_shape=[1, 1]) for name in outputs]
    weights = [
        onnx.numpy_helper.from_array(
            (np.eye(count, 3) * weight).astype(np.float32)[:, :, None, None], f"w-{name}"
        )
        for name, count in outputs.items()
    ]
    graph = helper.make_graph(
        nodes, "fields", [helper.make_tensor_value_info(given, kind, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info(name, kind, ["n", count, "r", "c"]) for name, count in outputs.items()],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def test_the_engine_gives_the_graphs_numbers(make_bundle: Callable[..., Bundle]) -> None:
    engine = FindingEngine(finding_bundle(make_bundle(), field_graph()))
    field = np.random.default_rng(0).uniform(-1, 1, (3, 32, 48)).astype(np.float32)
    heat, shape = engine.peaks(field)
    pooled = field.reshape(3, 8, 4, 12, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(heat, pooled, atol=1e-6)
    np.testing.assert_allclose(shape[:3], pooled, atol=1e-6)
    assert not shape[3].any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fields": "crops"}, "input"), ({"shape": "size"}, "no output"), ({"kinds": 2}, "answers"),
        ({"stride": 8}, "answers"), ({"weight": 1e38}, "no number"),
    ],
)  # fmt: skip
def test_a_detectors_graph_that_does_not_fit_its_card_is_refused(
    changes: dict[str, Any], message: str, make_bundle: Callable[..., Bundle],
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    graph = field_graph(**changes)
    with pytest.raises(BundleError, match=message):
        FindingEngine(finding_bundle(make_bundle(), graph)).peaks(np.full((3, 32, 32), 9, np.float32))
    assert capfd.readouterr().err == ""


def test_a_white_cell_without_a_nucleus_does_not_count(make_detector: Maker) -> None:
    cells: list[Disc] = [("red_cell", 60.0 + 90 * n, 60, 44) for n in range(6)]
    cells += [("white_cell", 150, 200, 70), ("white_cell", 350, 200, 70)]
    rgb = draw(640, 300, cells)
    cv2.circle(rgb, (350, 200), 35, (80, 80, 10), -1)  # absorbs blue as well, as no nucleus does
    detector = make_detector()
    assert_found(detector.find(rgb), cells[:-1], within=1.5)
    assert_found(detector.find(rgb, least=0.1), cells[:-1], within=1.5)
    with_it, without = rgb[140:260, 70:230], rgb[140:260, 270:430]
    assert detector.white_cell(with_it, slide_of(with_it)) is not None
    assert detector.white_cell(without, slide_of(without)) is None
