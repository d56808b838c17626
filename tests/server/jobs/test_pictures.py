"""Pictures that a page asks for: right, made once, and never of another image."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leukolens.bundle import load
from leukolens.errors import Conflict, Missing, Unfit
from leukolens.imaging.decode import decode
from leukolens.imaging.framing import Box
from leukolens.reading.classifier import Classifier
from leukolens.reading.explain import explain_in_field, veil
from leukolens.server.jobs import pictures
from leukolens.server.jobs.answers import Evidence, ReadingFailedError, View
from leukolens.server.jobs.pictures import Pictures
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.jobs.showing import VEIL_SIDE
from leukolens.server.settings import MIB, Limits
from leukolens.server.store.files import Files

BOX = Box(100, 80, 180, 160)
BUNDLE = "b" * 64


@pytest.fixture(scope="module")
def real() -> Iterator[ReadingClient]:
    with ReadingClient(Limits(reading_bytes=3072 * MIB)) as client:
        yield client


@pytest.fixture
def keep(files: Files) -> Callable[[bytes], str]:
    return lambda content: files.put(BytesIO(content), len(content)).sha256


@pytest.fixture
def image(keep: Callable[[bytes], str], smears: tuple[bytes, ...]) -> str:
    return keep(smears[0])


def turned(png: bytes, kind: str) -> bytes:
    """The image in another format, lying on its side, with the EXIF that says so."""
    original = Image.open(BytesIO(png))
    exif = Image.Exif()
    exif[274] = 6
    original.rotate(90, expand=True).save(buffer := BytesIO(), kind, exif=exif)
    return buffer.getvalue()


def saying(digest: str, then: Callable[[], None] = lambda: None) -> Any:
    """A reader that makes everything alike, and counts how often."""
    made: list[Path] = []

    def view(path: Path) -> View:
        then()
        made.append(path)
        return View(b"\xff\xd8\xff view", digest)

    def explain(path: Path, bundle: Path, box: Box, label: str) -> Evidence:
        made.append(path)
        return Evidence(b"\x89PNG veil", (1, 2, 3, 4), digest)

    return SimpleNamespace(view=view, explain=explain, made=made, stop=lambda: None, close=lambda: None)


def test_a_view_has_the_size_and_the_pixels_that_were_read(
    files: Files, settings: Any, keep: Any, real: ReadingClient, smears: tuple[bytes, ...]
) -> None:
    made = Pictures(files, settings.limits, real)
    for content in (turned(smears[0], "TIFF"), turned(smears[0], "PNG")):
        view = Image.open(BytesIO(made.view(keep(content)).read_bytes()))
        assert (view.format, view.getexif().get(274, 1)) == ("JPEG", 1)
        shown, read = np.asarray(view), decode(content)
        assert np.array_equal(read, decode(smears[0]))
        assert np.abs(shown.astype(int) - read).mean() < 2


def test_evidence_is_the_explanation_of_the_cell(
    files: Files, settings: Any, image: str, real: ReadingClient, smears: tuple[bytes, ...]
) -> None:
    shipped = load(None)
    bundle = files.put(BytesIO(_default()), 2**30, "bundles").sha256
    made = Pictures(files, settings.limits, real)
    said = json.loads(made.evidence(image, bundle, BOX, "monocyte"))
    expected = explain_in_field(Classifier(shipped), decode(smears[0]), BOX, "monocyte")
    square = expected.box
    assert said["label"] == "monocyte"
    assert said["square"] == [square.x0, square.y0, square.x1, square.y1]
    kind, encoded = said["veil"].split(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(encoded)))).astype(int)
    assert np.abs(shown - veil(expected, VEIL_SIDE)).max() <= 2
    with pytest.raises(Unfit, match="no class blast"):
        made.evidence(image, bundle, BOX, "blast")


def _default() -> bytes:
    from importlib import resources

    return resources.files("leukolens.bundles").joinpath("default.leukolens").read_bytes()


def test_what_was_made_is_kept_and_each_question_has_its_own_answer(
    files: Files, settings: Any, image: str
) -> None:
    reader = saying(image)
    for made in (Pictures(files, settings.limits, reader), Pictures(files, settings.limits, reader)):
        assert made.view(image).read_bytes() == b"\xff\xd8\xff view"
        first = made.evidence(image, BUNDLE, BOX, "monocyte")
        assert json.loads(first)["square"] == [1, 2, 3, 4]
    assert len(reader.made) == 2
    for bundle, box, label in (
        ("c" * 64, BOX, "monocyte"), (BUNDLE, Box(0, 0, 9, 9), "monocyte"), (BUNDLE, BOX, "eosinophil"),
    ):  # fmt: skip
        made.evidence(image, bundle, box, label)
    assert len(reader.made) == 5


def test_two_who_ask_for_the_same_have_it_made_once(files: Files, settings: Any, image: str) -> None:
    begun, go = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        assert go.wait(30)

    reader = saying(image, waits)
    made = Pictures(files, settings.limits, reader)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(made.view, image) for _ in range(2)]
        assert begun.wait(30)
        go.set()
        assert len({one.result(30) for one in both}) == 1
    assert len(reader.made) == 1


def test_who_would_wait_too_long_is_told_so(
    files: Files, settings: Any, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "MOST_WAITING", 1)
    begun, go = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        assert go.wait(30)

    made = Pictures(files, settings.limits, saying(image, waits))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(made.view, image)
        assert begun.wait(30)
        with pytest.raises(Conflict, match="at once"):
            made.view(image)
        go.set()
        assert first.result(30).is_file()


def test_nothing_is_kept_of_another_image_or_of_one_that_cannot_be_shown(
    files: Files, settings: Any, image: str
) -> None:
    def fails(path: Path) -> View:
        raise ReadingFailedError("is truncated", "Read it again")

    with pytest.raises(Unfit, match="damaged"):
        Pictures(files, settings.limits, saying("f" * 64)).view(image)
    failing = saying(image)
    failing.view = fails
    with pytest.raises(Unfit, match="is truncated"):
        Pictures(files, settings.limits, failing).view(image)
    assert list(files.folder.glob("views/*/*/*")) == []


def test_nothing_is_left_where_the_image_is_removed_meanwhile(
    files: Files, settings: Any, image: str
) -> None:
    made = Pictures(files, settings.limits, saying(image, lambda: files.remove(image)))
    with pytest.raises(Missing):
        made.view(image)
    assert list(files.folder.glob("views/*/*")) == []
