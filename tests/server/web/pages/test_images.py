"""Pictures: each with the type that its bytes have, whatever a client said, and nothing that a browser would run."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI
from PIL import Image
from sqlalchemy import delete, select

from leukolens.imaging.framing import Box
from leukolens.server.jobs.answers import Evidence, View
from leukolens.server.jobs.pictures import Pictures
from leukolens.server.jobs.reading_client import ReadingClient
from leukolens.server.settings import Settings
from leukolens.server.store.tables import Cell, Crop, Field
from leukolens.server.web.pages.media import media_type_of
from leukolens.taxonomy import ALL_CLASSES

KEY = "SAMPLE22"
VIEW = b"\xff\xd8\xff a view"
PAGE = b"<!doctype html><script>alert(1)</script>"


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    made: list[int] = shelf.add(KEY, "Jane Doe")
    return made


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reader")


class Made:
    """In the reading process's place: says the same of everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def view(self, path: Path) -> View:
        self.asked.append(("view", path.name))
        return View(VIEW, path.name)

    def explain(self, path: Path, bundle: Path, box: Box, label: str) -> Evidence:
        self.asked.append((label, path.name, bundle.name, str((box.x0, box.y0, box.x1, box.y1))))
        return Evidence(b"\x89PNG", (1, 2, 3, 4), path.name)


@pytest.fixture
def made(app: FastAPI, settings: Settings) -> Made:
    found = Made()
    context = app.state.context
    app.state.context = replace(
        context, pictures=Pictures(context.files, settings.limits, cast(ReadingClient, found))
    )
    return found


def keeps_its_type(answer: Any) -> bool:
    """Whether a browser takes it for nothing else, and runs nothing in it."""
    policy = answer.headers["content-security-policy"]
    return answer.headers["x-content-type-options"] == "nosniff" and "default-src 'self'" in policy


class TestCrops:
    def test_a_cells_picture_is_a_jpeg_that_one_person_may_keep(self, visit: Any, cells: list[int]) -> None:
        answer = visit.get(f"/cells/{cells[0]}/crop.jpg")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"].startswith("private")
        assert keeps_its_type(answer)
        assert Image.open(BytesIO(answer.content)).format == "JPEG"

    def test_one_that_is_not_cut_out_yet_has_a_stand_in_that_is_not_kept(
        self, visit: Any, cells: list[int], shelf: Any
    ) -> None:
        with shelf.database.writing() as session:
            session.execute(delete(Crop).where(Crop.cell_id == cells[0]))
        for cell in (cells[0], 999_999):
            answer = visit.get(f"/cells/{cell}/crop.jpg")
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "image/svg+xml"
            assert answer.headers["cache-control"] == "no-store"
            assert keeps_its_type(answer)
            assert answer.content.startswith(b"<svg")

    def test_one_that_is_something_else_is_still_shown_as_a_jpeg_and_nothing_else(
        self, visit: Any, cells: list[int], shelf: Any
    ) -> None:
        with shelf.database.writing() as session:
            session.get_one(Crop, cells[0]).jpeg = PAGE
        answer = visit.get(f"/cells/{cells[0]}/crop.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        assert keeps_its_type(answer)


class TestFieldImages:
    @pytest.mark.parametrize(("written", "media_type"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")])
    def test_one_that_browsers_show_is_served_as_it_was_sent(
        self, visit: Any, shelf: Any, picture: Any, written: str, media_type: str
    ) -> None:
        content = picture(written, seed=5)
        shelf.field(KEY, content, "ok")
        answer = visit.get(f"/samples/{KEY}/fields/3/image")
        assert answer.content == content
        assert answer.headers["content-type"] == f"image/{media_type}"
        assert answer.headers["content-disposition"] == "inline"
        assert answer.headers["cache-control"].startswith("private")
        assert keeps_its_type(answer)

    @pytest.mark.parametrize("written", ["TIFF", "BMP", "GIF"])
    def test_another_kind_is_served_as_the_view_that_is_made_of_it(
        self, visit: Any, shelf: Any, picture: Any, made: Made, written: str
    ) -> None:
        shelf.field(KEY, picture(written, seed=5), "ok")
        for _ in range(2):
            answer = visit.get(f"/samples/{KEY}/fields/3/image")
            assert answer.content == VIEW
            assert answer.headers["content-type"] == "image/jpeg"
            assert answer.headers["cache-control"].startswith("private")
            assert keeps_its_type(answer)
        assert len(made.asked) == 1

    @pytest.mark.parametrize("state", ["failed", "waiting"])
    def test_no_view_is_made_of_what_was_not_read(
        self, visit: Any, shelf: Any, picture: Any, made: Made, state: str
    ) -> None:
        shelf.field(KEY, picture("TIFF", seed=5), state)
        assert visit.get(f"/samples/{KEY}/fields/3/image").status_code == 404
        assert made.asked == []

    def test_a_server_that_makes_none_has_none(self, visit: Any, shelf: Any, picture: Any) -> None:
        shelf.field(KEY, picture("TIFF", seed=5), "ok")
        assert visit.get(f"/samples/{KEY}/fields/3/image").status_code == 404

    def test_what_is_no_image_is_not_served_however_it_came_there(self, visit: Any, shelf: Any) -> None:
        for place, content in enumerate(
            (PAGE, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b""), 3
        ):
            shelf.field(KEY, content, "failed")
            answer = visit.get(f"/samples/{KEY}/fields/{place}/image")
            assert answer.status_code == 404
            assert answer.headers["content-type"].startswith("text/html")
            assert b"alert(1)" not in answer.content

    def test_a_clients_type_and_name_of_a_file_say_nothing(
        self, visit: Any, shelf: Any, picture: Any
    ) -> None:
        content = picture("PNG", seed=5) + PAGE
        sent = {"files": ("../../page.html", content, "text/html")}
        answer = visit.post(f"/samples/{KEY}/fields", files=sent, headers={"X-CSRF-Token": visit.csrf})
        assert answer.status_code == 303
        answer = visit.get(f"/samples/{KEY}/fields/3/image")
        assert answer.content == content
        assert answer.headers["content-type"] == "image/png"
        assert "html" not in str(answer.headers)
        assert keeps_its_type(answer)

    def test_one_whose_file_is_gone_is_not_found(self, visit: Any, shelf: Any) -> None:
        ((sha256,),) = shelf.rows(select(Field.image_sha256).where(Field.place == 1))
        shelf.files.path(sha256).unlink()
        assert visit.get(f"/samples/{KEY}/fields/1/image").status_code == 404
        assert visit.get(f"/samples/{KEY}/fields/1").status_code == 200


class TestEvidence:
    def test_it_is_of_the_cell_and_of_the_class_that_is_asked_for(
        self, visit: Any, cells: list[int], shelf: Any, made: Made
    ) -> None:
        address = f"/samples/{KEY}/cells/{cells[1]}/evidence"
        for query, label in (("", "lymphocyte"), ("?label=monocyte", "monocyte")):
            answer = visit.get(address + query)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "no-store"
            said = answer.json()
            assert (said["label"], said["square"]) == (label, [1, 2, 3, 4])
            assert said["veil"].startswith("data:image/png;base64,")
        ((image,),) = shelf.rows(select(Field.image_sha256).where(Field.place == 1))
        assert made.asked == [
            (label, image, shelf.bundle, "(75, 40, 115, 80)") for label in ("lymphocyte", "monocyte")
        ]

    def test_there_is_none_of_what_the_machine_was_not_asked(
        self, visit: Any, cells: list[int], shelf: Any, made: Made
    ) -> None:
        shelf.add("ANQTHER2", "John Roe")
        with shelf.database.writing() as session:
            drawn = session.get_one(Cell, cells[0])
            drawn.machine_class = drawn.probabilities = None
            session.get_one(Cell, cells[2]).deleted = True
        for address in (
            f"/samples/{KEY}/cells/{cells[1]}/evidence?label=blast",
            f"/samples/{KEY}/cells/{cells[1]}/evidence?label=..%2F..%2Fx",
            f"/samples/{KEY}/cells/{cells[0]}/evidence", f"/samples/{KEY}/cells/{cells[2]}/evidence",
            f"/samples/ANQTHER2/cells/{cells[1]}/evidence", f"/samples/{KEY}/cells/{10**30}/evidence",
        ):  # fmt: skip
            assert visit.get(address).status_code == 404, address
        assert made.asked == []

    def test_nobody_sees_it_without_signing_in(self, browser: Any, cells: list[int], made: Made) -> None:
        answer = browser().get(f"/samples/{KEY}/cells/{cells[1]}/evidence")
        assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login")
        assert made.asked == []


def test_the_classes_colours_are_there_for_everybody(browser: Any, shelf: Any) -> None:
    answer = browser().get("/classes.css")
    assert answer.headers["content-type"].startswith("text/css")
    assert all(f".c-{kind.key} {{" in answer.text for kind in ALL_CLASSES)
    assert ".c-unsure {" in answer.text


@pytest.mark.parametrize(
    "head", [b"", b"\xff\xd8", b"RIFF\0\0\0\0WAVE", b"xRIFF\0\0\0\0WEBP", b" \x89PNG\r\n\x1a\n"]
)
def test_what_only_nearly_begins_like_an_image_has_no_type(head: bytes) -> None:
    assert media_type_of(BytesIO(head)) is None
