"""A watched folder: what lies in its folders becomes samples, once, whatever happens in between."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.errors import ServerError
from leukolens.server.intake import samples
from leukolens.server.intake.resting import AGAIN_SECONDS, STILL_SECONDS, Rest
from leukolens.server.intake.watcher import Watcher, watcher_of
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.store.tables import Field, Sample, TrailEntry


def test_a_folder_becomes_a_sample_with_its_images_as_fields(desk: Any, image: Any) -> None:
    first = desk.put("P-17/a.png", image(1))
    desk.put("P-17/b.JPG", image(2, "JPEG"))
    desk.put("P-18/a.tif", image(3, "TIFF"))
    desk.put("P-18/notes.txt", b"no image, and none of ours")
    assert desk.settle() == 3
    assert desk.samples() == {"P-17": 2, "P-18": 1}
    assert first.read_bytes() == image(1)
    assert desk.told() == {}
    with desk.database.reading() as session:
        entries = session.scalars(select(TrailEntry).order_by(TrailEntry.id)).all()
        assert {entry.actor for entry in entries} == {"watched folder"}
        assert [entry.action for entry in entries] == ["create", "upload", "upload", "create", "upload"]
        assert not any("P-1" in str((entry.subject, entry.before, entry.after)) for entry in entries)


def test_an_image_is_taken_once_it_has_come_to_rest(desk: Any, image: Any) -> None:
    content = image(1)
    path = desk.put("P-17/a.png", content[:100])
    desk.watched.look()
    for length in (200, len(content)):
        desk.now += STILL_SECONDS - 1
        path.write_bytes(content[:length])
        assert desk.watched.look() == 0
    desk.now += STILL_SECONDS - 1
    assert desk.watched.look() == 0
    desk.now += 1
    assert desk.watched.look() == 1
    assert desk.settle() == 0


def test_later_images_go_to_the_same_sample_and_the_same_image_is_taken_once(desk: Any, image: Any) -> None:
    desk.put("P-17/a.png", image(1))
    assert desk.settle() == 1
    desk.put("P-17/b.png", image(2))
    desk.put("P-17/copy of a.png", image(1))
    assert desk.settle() == 1
    desk.restart()
    desk.put("P-17/c.png", image(3))
    assert desk.settle() == 1
    assert desk.samples() == {"P-17": 3}
    assert desk.told() == {}


def test_a_barcode_says_whose_it_is(desk: Any, image: Any) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.put("slide 3/barcode.txt", "\ufeffÄ-4711\r\n".encode())
    desk.put("slide 4/a.png", image(2))
    desk.put("slide 4/barcode.txt", b"\xff\xfe")
    desk.put("slide 5/a.png", image(3))
    desk.put("slide 5/barcode.txt", b" \n")
    assert desk.settle() == 1
    assert desk.samples() == {"Ä-4711": 1}
    assert desk.told() == {
        "slide 4": "has a barcode that is no text in UTF-8", "slide 5": "the identifier is empty",
    }  # fmt: skip


def test_a_barcode_that_is_still_written_is_waited_for(desk: Any, image: Any) -> None:
    desk.put("slide 3/a.png", image(1))
    desk.watched.look()
    desk.now += STILL_SECONDS
    desk.put("slide 3/barcode.txt", b"P-1")
    assert desk.watched.look() == 0
    assert desk.settle() == 1
    assert desk.samples() == {"P-1": 1}


def test_what_is_no_image_or_leads_elsewhere_is_not_taken(desk: Any, image: Any, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.png").write_bytes(image(9))
    (desk.folder / "P-20").symlink_to(elsewhere)
    desk.put("P-17/empty.png", b"")
    desk.put("P-17/page.png", b"<!doctype html>")
    (desk.folder / "P-17" / "link.png").symlink_to(elsewhere / "secret.png")
    os.mkfifo(desk.folder / "P-17" / "pipe.png")
    desk.put("P-17/.hidden.png", image(8))
    desk.put("loose.png", image(7))
    desk.put("x\ny/a.png", image(6))
    assert desk.settle() == 0
    assert desk.samples() == {}  # no sample is made for nothing
    assert desk.told() == {
        "P-17/empty.png": "is empty",
        "P-17/page.png": "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF",
        "x\\ny": "the identifier holds line breaks or control characters",
    }
    desk.put("P-17/page.png", image(5))
    assert desk.settle() == 1
    assert "P-17/page.png" not in desk.told()


def test_a_large_image_is_not_read_again_and_again(desk: Any, image: Any, monkeypatch: Any) -> None:
    desk.settings = replace(desk.settings, limits=replace(desk.settings.limits, image_bytes=100))
    desk.restart()
    desk.put("P-17/a.png", image(1))
    assert desk.settle() == 0
    assert "has more than 0 MiB" in desk.told()["P-17/a.png"]
    monkeypatch.setattr("leukolens.server.intake.watched.digest_of", None)
    desk.now += 10 * AGAIN_SECONDS
    assert desk.watched.look() == 0
    assert "P-17/a.png" in desk.told()


def test_a_signed_sample_takes_more_once_it_is_open_again(desk: Any, image: Any) -> None:
    desk.put("P-17/a.png", image(1))
    desk.settle()
    desk.change("P-17", lambda session, sample: setattr(sample, "state", "signed"))
    desk.put("P-17/b.png", image(2))
    assert desk.settle() == 0
    (reason,) = desk.told().values()
    assert reason.startswith("comes after sample ")
    assert reason.endswith(" was signed")
    desk.change("P-17", lambda session, sample: setattr(sample, "state", "open"))
    assert desk.watched.look() == 0
    desk.now += AGAIN_SECONDS
    assert desk.watched.look() == 1
    assert (desk.samples(), desk.told()) == ({"P-17": 2}, {})


def test_nothing_of_a_deleted_sample_comes_back(desk: Any, image: Any, people: SimpleNamespace) -> None:
    desk.put("P-17/a.png", image(1))
    desk.settle()
    desk.change("P-17", lambda session, sample: samples.delete(session, people.reviewer, sample, "old"))
    desk.restart()
    assert desk.settle() == 0
    assert desk.samples() == {}
    assert desk.told() == {"P-17/a.png": "belongs to a sample that was deleted"}
    desk.put("P-17/b.png", image(2))  # another smear of the same patient
    assert desk.settle() == 1
    assert desk.samples() == {"P-17": 1}


def test_whose_an_image_is_is_never_guessed(desk: Any, image: Any, people: SimpleNamespace) -> None:
    desk.put("P-17/a.png", image(1))
    desk.settle()
    desk.put("P-18/copied here by mistake.png", image(1))
    desk.put("P-18/b.png", image(2))
    assert desk.settle() == 0
    told = desk.told()
    assert "already" in told["P-18/copied here by mistake.png"]
    assert "which has another identifier" in told["P-18/b.png"]
    (desk.folder / "P-18" / "copied here by mistake.png").unlink()
    desk.now += AGAIN_SECONDS
    assert desk.watched.look() == 1
    assert desk.samples() == {"P-17": 1, "P-18": 1}


def test_a_persons_sample_of_the_same_identifier_is_left_alone(
    desk: Any, image: Any, people: SimpleNamespace
) -> None:
    with desk.database.writing() as session:
        made = samples.create(session, people.reader, identifier="P-17").key
    desk.put("P-17/a.png", image(1))
    assert desk.settle() == 1
    with desk.database.reading() as session:
        (other,) = session.scalars(select(Sample).where(Sample.key != made))
        assert session.scalars(select(Field.sample_id)).all() == [other.id]


def test_a_start_that_was_cut_off_after_the_sample_was_made_goes_on_with_it(
    desk: Any, image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.put("P-17/a.png", image(1))
    with monkeypatch.context() as patched:
        patched.setattr("leukolens.server.intake.watched.receive", None)
        with pytest.raises(TypeError):
            desk.settle()
    assert desk.samples() == {"P-17": 0}
    desk.restart()
    assert desk.settle() == 1
    assert desk.samples() == {"P-17": 1}


class TestWatcher:
    def test_it_takes_what_comes_wakes_the_worker_and_logs_no_name(
        self, desk: Any, image: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        desk.restart(Rest(still=0))
        woken = threading.Event()
        desk.put("Jane Doe/nothing.png", b"")
        desk.put("Jane Doe/a.png", image(1))
        watcher = Watcher(desk.watched, ReadingClient(desk.settings.limits), woken.set, look_every=0.01)
        with caplog.at_level(logging.WARNING):
            watcher.start()
            assert woken.wait(30)
            watcher.stop()
            watcher.stop()
        assert desk.samples() == {"Jane Doe": 1}
        assert [one.name for one in watcher.not_taken] == ["Jane Doe/nothing.png"]
        assert [record.message for record in caplog.records] == [
            "something in the watched folder is empty; the list of samples names it"
        ]
        assert "Jane" not in caplog.text

    def test_a_folder_that_is_gone_for_a_while_is_told_once_and_waited_for(
        self, desk: Any, image: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        looks, enough = [0], threading.Event()

        def look() -> int:
            looks[0] += 1
            if looks[0] == 3:
                enough.set()
            raise FileNotFoundError(2, "No such file or directory", "Jane Doe")

        gone: Any = SimpleNamespace(look=look, not_taken=())
        watcher = Watcher(gone, ReadingClient(desk.settings.limits), lambda: None, look_every=0.01)
        with caplog.at_level(logging.WARNING):
            watcher.start()
            assert enough.wait(30)
            watcher.stop()
        assert [record.message for record in caplog.records] == [
            "the watched folder cannot be looked at (No such file or directory)"
        ]

    def test_a_folder_that_is_none_or_the_servers_own_is_refused(self, desk: Any, tmp_path: Path) -> None:
        assert watcher_of(desk.settings, desk.database, desk.files, lambda: None) is None
        own = desk.settings.folder
        for folder in (tmp_path / "none", own, own / "images", own.parent):
            settings = replace(desk.settings, watch=folder)
            with pytest.raises(ServerError, match=r"there is no folder|lie in each other"):
                watcher_of(settings, desk.database, desk.files, lambda: None)
