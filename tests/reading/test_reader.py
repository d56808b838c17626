"""The reader answers every image, in order, whatever is among them, and keeps nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import leukolens
from leukolens.bundle import Bundle, pack
from leukolens.card import Framing
from leukolens.datasets.synthetic import draw_field, draw_single
from leukolens.errors import BundleError
from leukolens.imaging.framing import Box, frame
from leukolens.reading.cell import ImageReading
from leukolens.reading.reader import CHUNK, Reader

MakeBundle = Callable[..., Bundle]
RED, GREEN, PALE, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (150, 120, 120), (0, 0, 0), (255, 255, 255)


def plain(colour: tuple[int, int, int], height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def saved(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def labels(readings: list[ImageReading]) -> list[str]:
    return [reading.cells[0].label for reading in readings]


# Answers


def test_the_three_decisions(make_bundle: MakeBundle) -> None:
    readings = list(Reader(make_bundle()).identify([plain(RED), plain(PALE), plain(BLACK), plain(WHITE)]))
    assert [reading.status for reading in readings] == ["ok"] * 4
    assert labels(readings)[:3] == ["neutrophil", "neutrophil", "other"]
    assert [reading.cells[0].decision for reading in readings] == ["accept", "review", "unknown", "unknown"]
    assert all(reading.cells[0].reason for reading in readings)


def test_probabilities_are_those_of_the_colour(make_bundle: MakeBundle) -> None:
    (reading,) = Reader(make_bundle()).identify([plain(PALE)])
    colour = np.array(PALE) / 127.5 - 1
    weights = [[8, -4, -4], [-4, 8, -4], [-4, -4, 8], [4, 4, -8], [4, -8, 4], [-8, 4, 4], [-5, -5, -5]]
    exponential = np.exp(np.array(weights) @ colour)
    assert np.allclose(
        list(reading.cells[0].probabilities.values()), exponential / exponential.sum(), atol=1e-6
    )
    assert reading.cells[0].box == Box(0, 0, 32, 24)


def test_probabilities_stand_in_taxonomy_order_whatever_the_bundles(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(classes=("monocyte", "other", "neutrophil"))
    (reading,) = Reader(bundle).identify([plain(RED)])
    assert list(reading.cells[0].probabilities) == ["neutrophil", "monocyte", "other"]
    assert reading.cells[0].label == "neutrophil"


def test_files_names_and_arrays_are_one(make_bundle: MakeBundle, tmp_path: Path) -> None:
    path = saved(tmp_path / "зелёный.png", plain(GREEN))
    readings = list(Reader(make_bundle()).identify([path, str(path), plain(GREEN)]))
    assert [reading.path for reading in readings] == [path, path, Path("array-2")]
    assert readings[0].cells == readings[1].cells == readings[2].cells


def test_a_drawn_cell_is_framed_where_it_was_drawn(make_bundle: MakeBundle) -> None:
    field = draw_single(np.random.default_rng(7), "monocyte")
    (reading,) = Reader(make_bundle(framing=Framing(size=32))).identify([field.rgb])
    box, drawn = reading.cells[0].box, field.cells[0].box
    assert box.x0 <= (drawn.x0 + drawn.x1) / 2 < box.x1
    assert box.y0 <= (drawn.y0 + drawn.y1) / 2 < box.y1


def test_an_image_without_a_nucleus_has_no_cell(make_bundle: MakeBundle) -> None:
    empty = draw_field(np.random.default_rng(3), 320, 240, (), crowding=0.0).rgb
    reader = Reader(make_bundle(framing=Framing(size=32)))
    expected = frame(empty, reader.bundle.card.framing)
    blank, drawn = reader.identify([plain(WHITE, 240, 320), empty])
    assert blank.status == "no_cell"
    assert "no nucleus" in (blank.reason or "")
    assert blank.cells == ()
    assert (drawn.status == "no_cell") == (expected is None)


# What goes wrong with one image stays with that image


def test_bad_images_have_rows_and_the_others_come_out(make_bundle: MakeBundle, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    whole = saved(tmp_path / "whole.png", plain(RED)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    sources = [
        tmp_path / "missing.png",
        tmp_path / "whole.png",
        tmp_path / "empty.png",
        tmp_path,
        tmp_path / "text.png",
        tmp_path / "cut.png",
        plain(RED)[..., 0],
        plain(RED).astype(np.float32),
        plain(RED)[:0],
        tmp_path / "whole.png",
    ]
    readings = list(Reader(make_bundle()).identify(sources))
    assert [reading.status == "ok" for reading in readings] == [place in {1, 9} for place in range(10)]
    assert all(reading.status == "failed" and reading.reason for reading in readings if not reading.cells)
    assert [reading.path for reading in readings[:6]] == sources[:6]
    assert "no such file" in (readings[0].reason or "")
    assert "shape (24, 32)" in (readings[6].reason or "")


def test_even_an_error_of_ours_costs_one_image_only(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(rgb: NDArray[np.uint8], framing: Framing) -> object:
        if rgb[0, 0, 0] == 77:
            raise ZeroDivisionError("a bug")
        return frame(rgb, framing)

    monkeypatch.setattr("leukolens.reading.reader.frame", broken)
    good, bad, also_good = Reader(make_bundle()).identify([plain(RED), plain((77, 0, 0)), plain(RED)])
    assert (good.status, also_good.status) == ("ok", "ok")
    assert bad.status == "failed"
    assert "ZeroDivisionError" in (bad.reason or "")


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2, 3), (7, 4000), (31, 31)])
def test_odd_shapes_are_answered(make_bundle: MakeBundle, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for framing in (
        Framing(size=32),
        Framing(size=32, whole_image=True),
        Framing(size=32, white_balance=False),
    ):
        (reading,) = Reader(make_bundle(framing=framing)).identify([pixels])
        assert reading.status in {"ok", "no_cell"}, reading.reason


def test_a_broken_bundle_ends_the_reading(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="damaged"):
        list(Reader(make_bundle(graph=b"nothing")).identify([plain(RED)]))


# Many images


def test_order_is_kept_however_long_each_takes(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(rgb: NDArray[np.uint8], framing: Framing) -> object:
        time.sleep(float(rgb[0, 0, 2]) / 20_000)
        return frame(rgb, framing)

    monkeypatch.setattr("leukolens.reading.reader.frame", slow)
    rng = np.random.default_rng(2)
    greens = rng.integers(0, 2, 150)
    sources = [plain((0, 255, int(rng.integers(100))) if green else (255, 0, 90)) for green in greens]
    readings = list(Reader(make_bundle(), threads=4).identify(sources))
    assert [reading.path.name for reading in readings] == [f"array-{place}" for place in range(150)]
    assert labels(readings) == ["eosinophil" if green else "neutrophil" for green in greens]


def test_the_number_of_threads_changes_no_bit(make_bundle: MakeBundle) -> None:
    rng = np.random.default_rng(4)
    sources = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(70)]
    bundle = make_bundle()
    assert list(Reader(bundle, threads=1).identify(sources)) == list(
        Reader(bundle, threads=3).identify(sources)
    )


def test_sources_are_taken_as_needed(make_bundle: MakeBundle) -> None:
    taken = 0

    def endless() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        while True:
            taken += 1
            yield plain(RED)

    threads = 2
    readings = Reader(make_bundle(), threads=threads).identify(endless())
    for number in range(200):
        next(readings)
        assert taken <= number + 1 + (2 * threads + 1) * CHUNK
    readings.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("leukolens")]


def test_memory_does_not_grow_with_the_number_of_images(make_bundle: MakeBundle) -> None:
    import tracemalloc

    reader = Reader(make_bundle(), threads=2)

    def peak(count: int) -> int:
        tracemalloc.reset_peak()
        for _ in reader.identify(plain(RED, 120, 160) for _ in range(count)):
            pass
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(100)
        few, many = peak(200), peak(2000)
    finally:
        tracemalloc.stop()
    # What is in flight differs from run to run; keeping the images themselves would take five times this.
    all_of_them = 2000 * 120 * 160 * 3
    assert many < few + all_of_them / 5


def test_no_sources_give_no_readings(make_bundle: MakeBundle) -> None:
    assert list(Reader(make_bundle()).identify([])) == []


def test_a_source_that_raises_is_the_callers_own_affair(make_bundle: MakeBundle) -> None:
    def failing() -> Iterator[NDArray[np.uint8]]:
        yield plain(RED)
        raise RuntimeError("the caller's camera is off")

    with pytest.raises(RuntimeError, match="camera"):
        list(Reader(make_bundle()).identify(failing()))


# Making one


def test_a_bundle_comes_from_memory_or_a_file(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    path = tmp_path / "tiny.leukolens"
    path.write_bytes(pack(bundle.card, bundle.classifier))
    expected = list(Reader(bundle).identify([plain(GREEN)]))
    assert list(Reader(path).identify([plain(GREEN)])) == expected
    assert list(Reader(str(path)).identify([plain(GREEN)])) == expected
    with pytest.raises(BundleError, match="cannot be read"):
        Reader(tmp_path / "none.leukolens")


def test_no_threads_is_no_number_of_threads(make_bundle: MakeBundle) -> None:
    with pytest.raises(ValueError, match="threads"):
        Reader(make_bundle(), threads=0)
    with pytest.raises(ValueError, match="processes"):
        Reader(make_bundle(), processes=-1)


def test_the_package_gives_the_reader_when_asked() -> None:
    assert leukolens.Reader is Reader
    assert "Reader" in dir(leukolens)
    with pytest.raises(AttributeError, match="Writer"):
        leukolens.Writer  # noqa: B018


def test_importing_the_package_costs_nothing() -> None:
    program = (
        "import sys, leukolens; print(sum(name.startswith(('numpy', 'cv2', 'onnx')) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


HEAVY = ("torch", "scipy", "skimage", "sklearn", "matplotlib", "onnx", "pandas", "kornia")


def test_reading_needs_the_base_install_only(make_bundle: MakeBundle, tmp_path: Path) -> None:
    bundle = make_bundle()
    (tmp_path / "tiny.leukolens").write_bytes(pack(bundle.card, bundle.classifier))
    saved(tmp_path / "cell.png", plain(RED))
    program = f"""
import sys
from leukolens import Reader
reader = Reader({str(tmp_path / "tiny.leukolens")!r})
(reading,) = reader.identify([{str(tmp_path / "cell.png")!r}])
assert reading.cells[0].label == "neutrophil"
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert done.stderr == ""


# The bundle that ships


def test_the_shipped_bundle_names_real_cells_that_it_learned_from(
    shipped_bundle: Bundle, data_root: Path
) -> None:
    """On TRAIN: every look at TEST or TEST_SIMPLE goes through the evaluation and its ledger, never a test."""
    folder = data_root / "blood-cells" / "images" / "TRAIN"
    classes = ("NEUTROPHIL", "EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE")
    paths = [path for name in classes for path in sorted((folder / name).iterdir())[::300]]
    readings = list(Reader(shipped_bundle).identify(paths))
    assert len(readings) > 30
    seen = [reading for reading in readings if reading.status == "ok"]
    assert len(seen) >= 0.9 * len(paths)
    right = sum(reading.cells[0].label == reading.path.parent.name.lower() for reading in seen)
    assert right >= 0.85 * len(seen)


def test_the_shipped_bundle_is_the_default(shipped_bundle: Bundle) -> None:
    assert Reader().bundle.sha256 == shipped_bundle.sha256
