"""Whose smear a folder holds, where a photograph of the slide's label lies in it."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from leukolens.errors import ServerError, Unfit
from leukolens.server.intake.barcodes import BESIDE, photographed
from leukolens.server.intake.resting import AGAIN_SECONDS, STILL_SECONDS, Rest
from leukolens.server.intake.watcher import Watcher, watcher_of
from leukolens.server.jobs.answers import Barcode, ReadingFailedError
from leukolens.server.jobs.reading_client import ReadingClient, StoppedError

NONE = "shows no barcode that can be read"


class Says:
    """Stands for the reading process: a photograph says what its file holds; says what it was asked, too."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.trouble: Exception | None = None

    def __call__(self, photograph: Path) -> str:
        self.asked.append(f"{photograph.parent.name}/{photograph.name}")
        if self.trouble is not None:
            raise self.trouble
        said = photograph.read_text()
        if said == "nothing":
            raise ReadingFailedError(NONE, BESIDE)
        return said


@pytest.fixture
def says(desk: Any) -> Says:
    desk.barcode = says = Says()
    return says


def reads(desk: Any, reader: Any) -> None:
    """Lets photographs be read as a server does."""
    desk.barcode = partial(photographed, files=desk.files, limits=desk.settings.limits, reader=reader)


def left(desk: Any) -> list[Path]:
    return list(desk.files.folder.glob("incoming/*"))


@pytest.mark.parametrize("name", ["label.png", "Barcode.JPG", "LABEL.tif", "barcode.jpeg"])
def test_the_barcode_in_a_photograph_says_whose_it_is_and_the_photograph_is_no_field(
    desk: Any, image: Any, name: str
) -> None:
    desk.barcode = lambda photograph: "P-17"
    desk.put("slide 3/a.png", image(1))
    desk.put(f"slide 3/{name}", image(2))
    assert desk.settle() == 1
    assert (desk.samples(), desk.told()) == ({"P-17": 1}, {})
    desk.restart()
    assert desk.settle() == 0


def test_what_is_called_otherwise_is_a_field(desk: Any, image: Any) -> None:
    for number, name in enumerate(("label 2.png", "labels.png", "label.x.png", "my barcode.png")):
        desk.put(f"P-17/{name}", image(number))
    desk.put("P-17/label.txt", b"P-18")
    assert desk.settle() == 4
    assert desk.samples() == {"P-17": 4}


def test_barcode_txt_wins_and_the_photograph_is_not_even_read(desk: Any, image: Any, says: Says) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", b"P-18")
    desk.put("slide 3/barcode.txt", b"P-17")
    assert desk.settle() == 1
    assert (desk.samples(), says.asked) == ({"P-17": 1}, [])


def test_nothing_is_taken_before_the_photograph_has_come_to_rest(desk: Any, image: Any, says: Says) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.watched.look()
    for part in (b"P", b"P-1", b"P-17"):
        desk.now += STILL_SECONDS - 1
        desk.put("slide 3/label.png", part)
        assert desk.watched.look() == 0
    assert says.asked == []
    desk.now += STILL_SECONDS
    assert desk.watched.look() == 1
    assert desk.samples() == {"P-17": 1}


def test_a_photograph_alone_makes_no_sample_and_is_not_read(desk: Any, says: Says) -> None:
    desk.put("slide 3/label.png", b"P-17")
    assert desk.settle() == 0
    assert (desk.samples(), says.asked) == ({}, [])


def test_a_folder_whose_photograph_says_nothing_is_refused_until_barcode_txt_lies_beside_it(
    desk: Any, image: Any, says: Says
) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", b"nothing")
    desk.put("P-18/a.png", image(2))
    assert desk.settle() == 1
    assert desk.samples() == {"P-18": 1}
    assert desk.told() == {"slide 3/label.png": f"{NONE}. {BESIDE}."}
    assert "barcode.txt" in BESIDE
    desk.put("slide 3/barcode.txt", b"P-17")
    assert desk.settle() == 1
    assert (desk.samples(), desk.told()) == ({"P-17": 1, "P-18": 1}, {})


def test_or_until_another_photograph_comes_in_its_place(desk: Any, image: Any, says: Says) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", b"nothing")
    assert desk.settle() == 0
    desk.put("slide 3/label.png", b"P-17")
    assert desk.settle() == 1
    assert (desk.samples(), desk.told()) == ({"P-17": 1}, {})


def test_what_was_read_or_refused_is_not_read_again_while_the_file_stays(
    desk: Any, image: Any, says: Says
) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", b"P-17")
    desk.put("slide 4/a.png", image(2))
    desk.put("slide 4/label.png", b"nothing")
    desk.settle()
    for number in range(3, 6):
        desk.put(f"slide 3/{number}.png", image(number))
        desk.settle(10 * AGAIN_SECONDS)
    assert says.asked == ["slide 3/label.png", "slide 4/label.png"]
    assert (desk.samples(), list(desk.told())) == ({"P-17": 4}, ["slide 4/label.png"])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read (Permission denied)"),
        (ServerError("the process that reads images cannot be started (so)", ""), "the process that reads images"),
    ],
)  # fmt: skip
def test_what_is_not_the_photograph_s_fault_is_tried_again_and_holds_nothing_else_up(
    desk: Any, image: Any, says: Says, trouble: Exception, reason: str
) -> None:
    says.trouble = trouble
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", b"P-17")
    desk.put("slide 4/a.png", image(2))
    assert desk.settle() == 1
    assert desk.told()["slide 3/label.png"].startswith(reason)
    says.trouble = None
    assert desk.watched.look() == 0
    assert len(says.asked) == 1
    desk.now += AGAIN_SECONDS
    assert desk.watched.look() == 1
    assert (desk.samples(), desk.told()) == ({"P-17": 1, "slide 4": 1}, {})


def test_two_photographs_have_to_say_the_same(desk: Any, image: Any, says: Says) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/label.png", "Ä-17".encode())
    desk.put("slide 3/barcode.jpg", "A\u0308-17".encode())
    desk.put("slide 4/a.png", image(2))
    desk.put("slide 4/label.png", b"P-18")
    desk.put("slide 4/barcode.png", b"P-19")
    desk.put("slide 5/a.png", image(3))
    desk.put("slide 5/label.png", b"P-18")
    desk.put("slide 5/barcode.png", b"nothing")
    assert desk.settle() == 1
    assert desk.samples() == {"Ä-17": 1}
    told = desk.told()
    assert "barcode.txt" in told.pop("slide 4")
    assert list(told) == ["slide 5/barcode.png"]


def test_a_link_is_not_followed_and_its_folder_not_taken_by_another_name(
    desk: Any, image: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    reads(desk, SimpleNamespace(barcode=asked.append))
    (tmp_path / "secret.png").write_bytes(image(9))
    desk.put("slide 3/a.png", image(1))
    link = desk.folder / "slide 3" / "label.png"
    link.symlink_to(tmp_path / "secret.png")
    desk.put("slide 4/a.png", image(2))
    os.mkfifo(desk.folder / "slide 4" / "label.png")
    assert desk.settle() == 0
    refused = f"is a link or another thing that is no file. {BESIDE}."
    assert desk.told() == {"slide 3/label.png": refused, "slide 4/label.png": refused}
    assert desk.samples() == {}
    # Nor one that comes between the question and the opening.
    monkeypatch.setattr(Path, "is_symlink", lambda path: False)
    with pytest.raises(OSError, match="symbolic link"):
        desk.barcode(link)
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    with pytest.raises(Unfit, match="no ordinary file"):
        desk.barcode(desk.folder / "slide 4" / "label.png")
    assert asked == []
    link.unlink()
    desk.put("slide 3/label.png", image(3))
    desk.barcode = lambda photograph: "P-17"
    assert desk.settle() == 1
    assert desk.samples() == {"P-17": 1}


def test_what_is_no_image_or_too_large_reaches_no_decoder(desk: Any, image: Any) -> None:
    desk.settings = replace(desk.settings, limits=replace(desk.settings.limits, image_bytes=2 * 2**20))
    reads(desk, SimpleNamespace())
    for number, content in enumerate((b"", b"<svg/>", image(9) + bytes(2 * 2**20))):
        desk.put(f"slide {number}/a.png", image(number))
        desk.put(f"slide {number}/label.png", content)
    assert desk.settle() == 0
    reasons = [reason.removesuffix(f". {BESIDE}.") for reason in desk.told().values()]
    assert reasons == [
        "is empty", "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF", "has more than 2 MiB",
    ]  # fmt: skip
    assert left(desk) == []


def test_the_other_process_gets_a_copy_and_is_believed_of_that_alone(desk: Any, image: Any) -> None:
    photograph = desk.put("slide 3/label.png", image(9))
    seen: list[bytes] = []

    def barcode(path: Path) -> Barcode:
        assert path.parent == desk.files.folder / "incoming"
        seen.append(path.read_bytes())
        return Barcode("P-17", "f" * 64)

    reads(desk, SimpleNamespace(barcode=barcode))
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        desk.barcode(photograph)
    assert (seen, left(desk)) == ([image(9)], [])


def test_a_drawn_label_is_read_by_the_real_process(desk: Any, image: Any, label: Any) -> None:
    with ReadingClient(desk.settings.limits) as real:
        reads(desk, real)
        desk.put("slide 3/a.png", image(1))
        desk.put("slide 3/label.png", label(("DataMatrix", "P-17"), turned=90))
        desk.put("slide 4/a.png", image(2))
        desk.put("slide 4/label.png", label(("Code128", "P-18"), ("Code128", "P-19")))
        assert desk.settle() == 1
        assert desk.samples() == {"P-17": 1}
        assert desk.told() == {
            "slide 4/label.png": f"shows several barcodes that say different things. {BESIDE}."
        }
        desk.put("slide 4/label.png", label(("Code128", "P-18")))
        assert desk.settle() == 1
    assert desk.samples() == {"P-17": 1, "P-18": 1}
    assert left(desk) == []


class TestWatcher:
    def test_it_ends_while_a_photograph_is_read(
        self, desk: Any, image: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        client = ReadingClient(
            desk.settings.limits,
            (sys.executable, "-c", "import sys, time; print('{\"ready\": true}', flush=True); time.sleep(600)"),
        )  # fmt: skip
        reads(desk, client)
        desk.restart(Rest(still=0))
        desk.put("slide 3/a.png", image(1))
        desk.put("slide 3/label.png", image(2))
        watcher = Watcher(desk.watched, client, lambda: None, look_every=0.01)
        with caplog.at_level(logging.WARNING):
            watcher.start()
            end = time.monotonic() + 60
            while not left(desk) or client.starts == 0:
                assert time.monotonic() < end, "it was never asked"
                time.sleep(0.01)
            began = time.monotonic()
            watcher.stop()
        assert time.monotonic() - began < 30
        assert watcher._thread is not None
        assert not watcher._thread.is_alive()
        assert (desk.samples(), left(desk), caplog.text) == ({}, [], "")
        with pytest.raises(StoppedError):
            client.barcode(desk.folder / "slide 3" / "label.png")

    def test_it_logs_neither_a_name_nor_what_a_barcode_says(
        self, desk: Any, image: Any, says: Says, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk.restart(Rest(still=0))
        desk.put("Jane Doe/a.png", image(1))
        desk.put("Jane Doe/label.png", b"nothing")
        desk.put("John Doe/a.png", image(2))
        desk.put("John Doe/label.png", b"Doe, John")
        desk.put("John Doe/barcode.png", b"Doe, Jane")
        watcher = Watcher(desk.watched, ReadingClient(desk.settings.limits), lambda: None, look_every=0.01)
        with caplog.at_level(logging.WARNING):
            watcher.start()
            end = time.monotonic() + 60
            while len(caplog.records) < 2:
                assert time.monotonic() < end, "it said nothing"
                time.sleep(0.01)
            watcher.stop()
        assert caplog.records[1].message == (
            f"something in the watched folder {NONE}. {BESIDE}; the list of samples names it"
        )
        assert "Doe" not in caplog.text

    def test_a_server_reads_labels_and_its_process_ends_with_it(
        self, desk: Any, image: Any, label: Any
    ) -> None:
        settings = replace(desk.settings, watch=desk.folder)
        desk.put("slide 3/a.png", image(1))
        desk.put("slide 3/label.png", label(("QRCode", "P-17")))
        taken: list[bool] = []
        watcher = watcher_of(settings, desk.database, desk.files, lambda: taken.append(True))
        assert watcher is not None
        watcher.start()
        end = time.monotonic() + 100
        while not taken:
            assert time.monotonic() < end, "it took nothing"
            time.sleep(0.05)
        process = watcher._reader._process
        assert process is not None
        watcher.stop()
        assert process.returncode is not None
        assert desk.samples() == {"P-17": 1}
