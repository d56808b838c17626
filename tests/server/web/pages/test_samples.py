"""The list of samples, a new one, and one sample: what is known of it, its fields as they come, and how far it is."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from leukolens.server.intake import samples
from leukolens.server.intake.watched import NotTaken
from leukolens.server.store.tables import Field, Identity, Job, Sample, TrailEntry
from leukolens.server.web.pages.samples import PAGE, number

KEY, OTHER = "SAMPLE22", "ANQTHER2"
REFUSED = "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF"


@pytest.fixture
def visit(browser: Any, shelf: Any) -> Any:
    shelf.add(KEY, "Jane Doe")
    return browser().sign_in("reader")


def links(page: Any) -> list[str]:
    """Where the rows of the list lead."""
    return [made["href"] for made in page.all("a") if made["href"].startswith("/samples/")]


def sign(browser: Any, key: str = KEY) -> None:
    answer = browser().sign_in("reviewer").send_own(f"/samples/{key}/sign", accept_unsure="yes")
    assert answer.status_code == 303


def upload(visit: Any, *files: tuple[str, bytes], key: str = KEY, accept: str = "application/json") -> Any:
    sent = [("files", (name, content, "image/png")) for name, content in files]
    headers = {"X-CSRF-Token": visit.csrf, "Accept": accept}
    return visit.post(f"/samples/{key}/fields", files=sent, headers=headers)


class TestList:
    def test_the_newest_comes_first_and_leads_to_its_gallery_once_it_is_read(
        self, visit: Any, shelf: Any, parsed: Any, picture: Any
    ) -> None:
        shelf.add(OTHER, "John Roe")
        assert links(parsed(visit.get("/"))) == [f"/samples/{OTHER}/gallery", f"/samples/{KEY}/gallery"]
        assert 'hx-trigger="every' not in visit.get("/").text
        shelf.field(OTHER, picture("PNG", seed=3), "waiting")
        page = parsed(visit.get("/"))
        assert links(page) == [f"/samples/{OTHER}", f"/samples/{KEY}/gallery"]
        assert "1 to read" in page.said
        assert page.all("div", id="samples")[0]["hx-get"] == "/?words=&state="

    def test_it_is_searched_by_words_and_by_state(
        self, visit: Any, browser: Any, shelf: Any, parsed: Any
    ) -> None:
        shelf.add(OTHER, "John Röe")
        sign(browser)
        for query, found in {
            "words=jane": [KEY], "words=R%C3%B6E": [OTHER], "words=anq": [OTHER], "words=jane+r": [],
            "state=signed": [KEY], "state=open": [OTHER], "state=other": [OTHER, KEY], "words=%25": [],
            "words=%00jane": [KEY],
        }.items():  # fmt: skip
            page = parsed(visit.get(f"/?{query}"))
            assert [link.split("/")[2] for link in links(page)] == found, query
        assert "No sample is like that." in parsed(visit.get("/?words=nothing")).said

    def test_it_goes_on_page_by_page_with_the_same_words(self, visit: Any, shelf: Any, parsed: Any) -> None:
        keys = [f"PAGE22{number:02}" for number in range(PAGE + 1)]
        for key in keys:
            shelf.add(key, f"Many & more {key}", cells=False)
        page = parsed(visit.get("/?words=many+%26"))
        assert links(page) == [f"/samples/{key}" for key in reversed(keys[1:])]
        (more,) = (made["href"] for made in page.all("a") if "after=" in made["href"])
        page = parsed(visit.get(more))
        assert links(page) == [f"/samples/{keys[0]}"]
        assert not [made for made in page.all("a") if "after=" in made["href"]]

    def test_one_that_was_deleted_is_not_in_it(self, visit: Any, shelf: Any, actors: SimpleNamespace) -> None:
        with shelf.writing(KEY) as (session, sample):
            samples.delete(session, actors.reviewer, sample, "consent was withdrawn")
        text = visit.get("/").text
        assert "Jane" not in text
        assert "No sample yet." in text


class TestNew:
    def test_it_is_made_by_a_reader_and_read_with_the_active_bundle(self, visit: Any, shelf: Any) -> None:
        answer = visit.send_own(
            "/samples", identifier=" A-17 ", white_count="6,4", notes="ward 3", two_readers="yes"
        )
        assert answer.status_code == 303
        key = answer.headers["location"].removeprefix("/samples/")
        assert re.fullmatch("[2-9A-HJ-NP-Z]{8}", key)
        columns = (
            Identity.identifier,
            Identity.notes,
            Sample.white_count,
            Sample.two_readers,
            Sample.bundle_sha256,
        )
        made = select(*columns).join(Sample, Sample.id == Identity.sample_id).where(Sample.key == key)
        assert shelf.rows(made) == [("A-17", "ward 3", 6.4, True, shelf.bundle)]
        assert visit.get(answer.headers["location"]).status_code == 200

    def test_what_cannot_be_taken_is_said_and_what_was_typed_stays(
        self, visit: Any, shelf: Any, parsed: Any
    ) -> None:
        wrong = [("", "6"), (" ", ""), ("x" * 201, ""), ("a\u202eb", ""), *(
            ("A-17", count) for count in ("many", "-1", "0", "nan", "inf", "1e400", "10001", "6;4")
        )]  # fmt: skip
        for identifier, count in wrong:
            answer = visit.send_own("/samples", identifier=identifier, white_count=count, notes="<b>ward")
            assert (identifier, count, answer.status_code) == (identifier, count, 422)
            page = parsed(answer)
            assert page.all("p", role="alert")
            assert page.all("input", id="identifier")[0]["value"] == identifier
            assert page.all("input", id="white_count")[0]["value"] == count
            assert "<b>ward" in page.said
        assert len(shelf.rows(select(Sample.id))) == 1

    def test_numbers_are_typed_as_in_any_country(self) -> None:
        typed = {" 6.4 ": 6.4, "6,4": 6.4, "7": 7.0, "": None, "  ": None}
        assert {said: number("de", said) for said in typed} == typed


class TestOne:
    @pytest.mark.parametrize("name", ["reader", "reviewer"])
    def test_it_says_what_is_known_and_shows_its_fields(
        self, visit: Any, browser: Any, parsed: Any, name: str
    ) -> None:
        page = parsed(browser().sign_in(name).get(f"/samples/{KEY}"))
        assert {"Jane Doe", KEY, "ward 3 & Jane Doe", "2 fields read, 5 white cells found."} <= set(page.said)
        assert page.all("input", id="white_count")[0]["value"] == "8"
        assert [made["href"] for made in page.all("a") if "/fields/" in made["href"]] == [
            f"/samples/{KEY}/fields/{place}" for place in (1, 1, 2)  # the tab's first
        ]  # fmt: skip

    def test_it_looks_again_by_itself_until_all_is_read(
        self, visit: Any, shelf: Any, parsed: Any, picture: Any
    ) -> None:
        shelf.field(KEY, picture("PNG", seed=3), "failed", "is damaged")
        part = visit.get(f"/samples/{KEY}/progress", headers={"Accept": "*/*"})
        assert "<html" not in part.text
        assert "every 1s" not in part.text
        assert parsed(part).all("form", action=f"/samples/{KEY}/again")
        assert "is damaged" in part.text
        shelf.field(KEY, picture("PNG", seed=4), "waiting")
        part = visit.get(f"/samples/{KEY}/progress")
        assert "every 1s" in part.text
        assert "3 of 4 fields read …" in part.text

    def test_it_is_changed_until_it_is_signed(
        self, visit: Any, browser: Any, shelf: Any, parsed: Any
    ) -> None:
        address = f"/samples/{KEY}/change"
        answer = visit.send_own(address, identifier="A-17", white_count="", notes="")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/samples/{KEY}")
        columns = select(Identity.identifier, Identity.notes, Sample.white_count).join(Sample)
        assert shelf.rows(columns) == [("A-17", "", None)]
        for fields in ({"identifier": ""}, {"identifier": "B-18", "white_count": "many"}):
            answer = visit.send_own(address, **fields)
            assert answer.status_code == 422
            assert parsed(answer).all("p", role="alert")
        sign(browser)
        assert visit.send_own(address, identifier="B-18").status_code == 409
        assert shelf.rows(columns) == [("A-17", "", None)]
        assert not parsed(visit.get(f"/samples/{KEY}")).all("input", id="identifier")

    def test_failed_fields_are_read_again_until_it_is_signed(
        self, visit: Any, browser: Any, shelf: Any, worker: Any, picture: Any
    ) -> None:
        field = shelf.field(KEY, picture("PNG", seed=3), "failed", "is damaged")
        sign(browser)
        assert visit.send_own(f"/samples/{KEY}/again").status_code == 409
        browser().sign_in("reviewer").send_own(f"/samples/{KEY}/reopen", why="a slip")
        assert visit.send_own(f"/samples/{KEY}/again").status_code == 303
        assert shelf.rows(select(Job.field_id).where(Job.kind == "read")) == [(field,)]
        assert worker.woken == [1]
        assert shelf.rows(select(Field.state, Field.reason).where(Field.id == field)) == [("waiting", None)]


class TestUpload:
    def test_an_image_is_taken_once_and_the_worker_is_woken_when_it_is_kept(
        self, visit: Any, shelf: Any, worker: Any, picture: Any
    ) -> None:
        content = picture("PNG", seed=9)
        assert upload(visit, ("a.png", content)).json() == {"taken": 1, "known": 0, "refused": []}
        assert upload(visit, ("b.png", content)).json() == {"taken": 0, "known": 1, "refused": []}
        assert worker.woken == [1]
        assert shelf.rows(select(Field.place, Field.state).where(Field.place > 2)) == [(3, "waiting")]

    def test_what_is_no_image_is_refused_with_words_beside_one_that_is(
        self, visit: Any, picture: Any
    ) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            file.writestr("one.png", picture("PNG", seed=11))
            file.writestr("readme.txt", b"of no use")
        answer = upload(
            visit, ("notes.txt", b"no image at all"), ("a.png", picture("PNG", seed=9)), ("empty.png", b""),
            ("fields.zip", packed.getvalue()), ("e\u202evil.exe", b"MZ"),
        )  # fmt: skip
        assert answer.status_code == 200
        assert answer.json() == {
            "taken": 2, "known": 0,
            "refused": [
                {"name": "notes.txt", "reason": REFUSED}, {"name": "empty.png", "reason": "is empty"},
                {"name": "fields.zip: readme.txt", "reason": REFUSED}, {"name": "e\\u202evil.exe", "reason": REFUSED},
            ],
        }  # fmt: skip

    def test_without_a_script_it_is_a_page(self, visit: Any, parsed: Any, picture: Any) -> None:
        answer = upload(visit, ("a.png", picture("PNG", seed=9)), accept="text/html")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/samples/{KEY}")
        answer = upload(visit, ("<b>notes.txt", b"no image"), accept="text/html")
        page = parsed(answer)
        assert f"<b>notes.txt: {REFUSED}" in page.said
        assert "hidden" not in page.all("div", id="refused-notice")[0]

    def test_a_form_without_a_file_is_refused_in_words(self, visit: Any, shelf: Any) -> None:
        before = shelf.rows(select(Field.id))
        assert visit.send_own(f"/samples/{KEY}/fields").status_code == 422
        boundary = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRF-Token": visit.csrf}
        nothing = b'--x\r\nContent-Disposition: form-data; name="files"; filename=""\r\n\r\n\r\n--x--\r\n'
        answer = visit.post(f"/samples/{KEY}/fields", content=nothing, headers=boundary)  # as a browser does
        assert answer.status_code == 422
        assert shelf.rows(select(Field.id)) == before

    def test_to_a_signed_sample_or_none_it_is_refused(
        self, visit: Any, browser: Any, shelf: Any, picture: Any, worker: Any
    ) -> None:
        sign(browser)
        before = shelf.rows(select(Field.id))
        for key, status in ((KEY, 409), ("ABSENT22", 404)):
            answer = upload(visit, ("a.png", picture("PNG", seed=9)), key=key)
            assert answer.status_code == status
            assert set(answer.json()) == {"problem", "remedy"}
        assert shelf.rows(select(Field.id)) == before
        assert worker.woken == []


class TestDeleting:
    def delete(self, visit: Any, *, confirm: str = KEY, why: str = "kept long enough", key: str = KEY) -> Any:
        return visit.send_own(f"/samples/{key}/delete", confirm=confirm, why=why)

    def test_a_reviewer_deletes_it_by_typing_its_key(
        self, visit: Any, browser: Any, shelf: Any, worker: Any
    ) -> None:
        reviewer = browser().sign_in("reviewer")
        assert f"Type {KEY} to confirm" in reviewer.get(f"/samples/{KEY}").text
        answer = self.delete(reviewer, confirm=f" {KEY.lower()} ")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert visit.get(f"/samples/{KEY}").status_code == 404
        assert "Jane Doe" not in visit.get("/").text
        assert shelf.rows(select(Identity)) == []
        assert worker.woken == [1]  # the job that erases its images
        ((actor, after),) = shelf.rows(
            select(TrailEntry.actor, TrailEntry.after).where(TrailEntry.action == "delete")
        )
        assert (actor, after) == ("reviewer", {"why": "kept long enough"})

    def test_a_signed_one_is_deleted_too(self, visit: Any, browser: Any, shelf: Any) -> None:
        sign(browser)
        assert self.delete(browser().sign_in("administrator")).status_code == 303
        assert shelf.rows(select(Identity)) == []

    def test_without_confirmation_or_a_reason_nothing_is_deleted(
        self, visit: Any, browser: Any, shelf: Any, parsed: Any, worker: Any
    ) -> None:
        reviewer = browser().sign_in("reviewer")
        for confirm, why, said in (
            ("", "kept long enough", "nothing was deleted"), ("Jane Doe", "kept long enough", "nothing was deleted"),
            (OTHER, "kept long enough", "nothing was deleted"), (KEY, "", "the reason is empty"),
            (KEY, "Jane Doe asked for it", "names the patient"),
        ):  # fmt: skip
            answer = self.delete(reviewer, confirm=confirm, why=why)
            assert answer.status_code == 422
            assert said in " ".join(parsed(answer).said)
        assert len(shelf.rows(select(Identity))) == 1
        assert worker.woken == []

    def test_a_reader_neither_sees_the_form_nor_may(self, visit: Any, shelf: Any) -> None:
        assert "delete-confirm" not in visit.get(f"/samples/{KEY}").text
        assert self.delete(visit).status_code == 403
        assert len(shelf.rows(select(Identity))) == 1

    def test_another_sites_form_does_not(self, visit: Any, browser: Any, shelf: Any) -> None:
        reviewer = browser().sign_in("reviewer")
        answer = reviewer.send_form(f"/samples/{KEY}/delete", confirm=KEY, why="kept long enough")
        assert answer.status_code == 403
        assert len(shelf.rows(select(Identity))) == 1


def test_what_lies_in_the_watched_folder_and_cannot_be_taken_is_named_to_persons(
    app: FastAPI, visit: Any, parsed: Any
) -> None:
    watcher = SimpleNamespace(not_taken=(NotTaken("P-17/<b>.png", "is empty"),))
    app.state.context = replace(app.state.context, watcher=watcher)
    said = parsed(visit.get("/")).said
    assert "The watched folder holds something that cannot be taken:" in said
    assert "P-17/<b>.png: is empty" in said
