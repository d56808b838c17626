"""What goes wrong is said in the page's language, on pages and to their scripts; to programs and tables in English."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from leukolens.server.intake.watched import NotTaken
from leukolens.server.learning import asking, sets
from leukolens.server.people import tokens
from leukolens.server.store.tables import Field, Job, TrailEntry

KEY, OTHER = "SAMPLE22", "ANQTHER2"
PASSWORD = "a fine smear on glass"
JSON = {"Accept": "application/json"}
NO_IMAGE = "is no image that can be read: JPEG, PNG, TIFF, BMP, WebP or GIF"
KEIN_BILD = "ist kein Bild, das sich lesen lässt: JPEG, PNG, TIFF, BMP, WebP oder GIF"
MISSING = {"problem": "there is no such sample", "remedy": "Look for it in the list of samples"}
FEHLT = {"problem": "diese Probe gibt es nicht", "remedy": "In der Liste der Proben suchen"}


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    made: list[int] = shelf.add(KEY, "Jane Doe")
    return made


@pytest.fixture
def german(browser: Any, cells: list[int]) -> Any:
    """Signs in, in a German browser."""

    def sign_in(name: str) -> Any:
        visit = browser().sign_in(name)
        visit.headers["Accept-Language"] = "de-DE,en;q=0.5"
        return visit

    return sign_in


def said(page: Any) -> str:
    return " ".join(page.said)


class TestPages:
    def test_signing_too_early_and_signing_twice(self, german: Any, parsed: Any) -> None:
        visit = german("reviewer")
        early = visit.send_own(f"/samples/{KEY}/sign")
        assert early.status_code == 409
        assert (
            "1 Zelle hat noch keinen Namen. Benennen, oder signieren und unsicher lassen."
            in parsed(early).said
        )
        assert visit.send_own(f"/samples/{KEY}/sign", accept_unsure="yes").status_code == 303
        twice = visit.send_own(f"/samples/{KEY}/sign", accept_unsure="yes")
        assert twice.status_code == 409
        assert f"Probe {KEY} ist signiert. Zuerst wieder öffnen." in parsed(twice).said

    def test_what_keeps_a_sample_from_being_signed(
        self, german: Any, parsed: Any, shelf: Any, picture: Any
    ) -> None:
        shelf.field(KEY, picture("PNG", seed=3), "waiting")
        page = parsed(german("reviewer").get(f"/samples/{KEY}/sign"))
        assert "1 Feld ist noch zu lesen. Darauf warten." in page.said

    def test_a_wrong_password_and_one_that_is_too_short(self, german: Any, parsed: Any) -> None:
        visit = german("reader")
        answer = visit.send_own(
            "/account/password", old="a wrong one", password="x" * 9 + "y", again="x" * 9 + "y"
        )
        assert answer.status_code == 403
        assert (
            "Name oder Passwort stimmt nicht. Noch einmal versuchen oder einen Verwalter fragen."
            in parsed(answer).said
        )
        answer = visit.send_own("/account/password", old=PASSWORD, password="short", again="short")
        wrong = "das Passwort hat 5 Zeichen. Eines mit mindestens 10 Zeichen wählen, das nicht auf dem Namen beruht."
        assert wrong in parsed(answer).said

    def test_a_role_that_is_too_small(self, german: Any, parsed: Any) -> None:
        page = parsed(german("reader").send_own(f"/samples/{KEY}/sign"))
        assert "Nicht erlaubt" in page.said
        assert (
            "Reader ist Befunder und darf das nicht: eine Probe signieren. Jemanden mit der Rolle Validierer fragen."
            in said(page)
        )
        assert not [made for tag, made in page.tags if made.get("lang") == "en" and tag != "a"]

    def test_what_has_no_counterpart_is_marked_as_english(self, german: Any, parsed: Any) -> None:
        page = parsed(german("reader").get(f"/samples/{KEY}/fields/none"))
        assert [made for _, made in page.tags if made.get("lang") == "en"][1:] == [{"lang": "en"}]
        assert "Senden, was die Beschreibung der Schnittstelle verlangt." in page.said
        assert any(one.startswith("Path.place: ") for one in page.said)

    def test_a_field_that_could_not_be_read_wherever_it_is_named(
        self, german: Any, parsed: Any, shelf: Any, picture: Any
    ) -> None:
        reason = "is truncated or damaged (broken <b>{0}</b>)"
        shelf.field(KEY, picture("PNG", seed=3), "failed", reason)
        visit = german("reader")
        told = "ist unvollständig oder beschädigt (broken <b>{0}</b>)"
        for address, line in (
            (f"/samples/{KEY}", f"Feld 3: {told}"),
            (f"/samples/{KEY}/progress", f"Feld 3: {told}"),
            (f"/samples/{KEY}/fields/3", told),
        ):
            answer = visit.get(address)
            assert line in parsed(answer).said
            assert "<b>{0}" not in answer.text
        assert "kein Leukozyt gefunden" in parsed(visit.get(f"/samples/{KEY}/fields/2")).said
        assert shelf.rows(select(Field.reason).where(Field.place == 3)) == [(reason,)]

    def test_what_lies_in_the_watched_folder(self, app: FastAPI, german: Any, parsed: Any) -> None:
        watcher = SimpleNamespace(not_taken=(NotTaken("there is no such sample", "is empty"),))
        app.state.context = replace(app.state.context, watcher=watcher)
        page = parsed(german("reader").get("/"))
        assert "there is no such sample: ist leer" in page.said

    def test_what_went_wrong_with_learning(
        self, german: Any, parsed: Any, shelf: Any, post: Any, actors: SimpleNamespace, cells: list[int]
    ) -> None:
        visit = german("reviewer")
        page = parsed(visit.send_own("/learning/sets"))
        line = "noch hat niemand eine Zelle benannt. Zuerst in der Galerie Zellen bestätigen oder benennen."
        assert line in page.said
        assert post(visit, f"/samples/{KEY}/label", {"cells": cells[:1], "label": "band"}).status_code == 200
        with shelf.database.writing() as session:
            one = asking.ask(session, actors.reviewer, sets.make(session, actors.reviewer).id)
            one.refusal = (
                "set-1 holds cells of one class alone (band). Add a folder with cells of another class: nothing "
                "tells classes apart otherwise."
            )
            session.get_one(Job, one.job_id).state = "done"
        for address in ("/learning", "/learning/results"):
            assert "set-1 enthält nur Zellen einer Klasse (band). Einen Ordner" in visit.get(address).text


class TestUploads:
    def test_what_is_no_image_is_refused_in_the_pages_language_and_to_programs_in_english(
        self, german: Any, parsed: Any, shelf: Any, actors: SimpleNamespace
    ) -> None:
        visit = german("reader")
        name = "is empty <b>{count}.png"
        send = {"files": [("files", (name, b"no image", "image/png"))]}
        token = {"X-CSRF-Token": visit.csrf}
        script = visit.post(f"/samples/{KEY}/fields", headers=JSON | token, **send)
        assert script.json()["refused"] == [{"name": name, "reason": KEIN_BILD}]
        page = visit.post(f"/samples/{KEY}/fields", headers=token, **send)
        assert f"{name}: {KEIN_BILD}" in parsed(page).said
        assert "<b>{count}" not in page.text
        program = visit.post(f"/api/v1/samples/{KEY}/fields", headers=JSON | token, **send)
        assert NO_IMAGE in program.text
        assert KEIN_BILD not in program.text

    def test_a_zip_in_a_zip(self, german: Any, shelf: Any) -> None:
        visit = german("reader")
        files = [("files", ("a.zip", b"PK\x03\x04 cut off", "application/zip"))]
        answer = visit.post(
            f"/samples/{KEY}/fields", files=files, headers=JSON | {"X-CSRF-Token": visit.csrf}
        )
        assert answer.json()["refused"][0]["reason"] == "ist kein Zip, das sich lesen lässt"


class TestWhoAsks:
    def test_the_pages_scripts_are_told_in_its_language(self, german: Any, post: Any) -> None:
        visit = german("reader")
        assert visit.get("/samples/NQNE2222/cells/1", headers=JSON).json() == FEHLT
        assert visit.get("/samples/NQNE2222/progress", headers={"HX-Request": "true"}).json() == FEHLT
        answer = post(visit, f"/samples/{KEY}/label", {"cells": [2**31 - 1], "label": "band"})
        assert answer.json() == {
            "problem": f"Zelle {2**31 - 1} ist nicht von dieser Probe", "remedy": "Die Seite neu laden",
        }  # fmt: skip
        visit.cookies.set("language", "en")
        assert visit.get("/samples/NQNE2222/cells/1", headers=JSON).json() == MISSING

    def test_programs_are_told_in_english_whatever_their_headers_say(
        self, german: Any, browser: Any, shelf: Any, actors: SimpleNamespace
    ) -> None:
        visit = german("reader")
        visit.cookies.set("language", "de")
        assert visit.get("/api/v1/samples/NQNE2222").json() == MISSING
        with shelf.database.writing() as session:
            secret = tokens.make(session, actors.reviewer, "a program", tokens.SCOPES)
        program = browser()
        program.headers.update({"Authorization": f"Bearer {secret}", "Accept-Language": "de", **JSON})
        assert program.get("/api/v1/samples/NQNE2222").json() == MISSING
        assert program.get("/samples").json()["problem"] == "this address does not answer to that"
        assert program.get("/").json()["problem"] == "a token opens no page"
        program.headers["Authorization"] = "Bearer nobody's"
        assert program.get("/").json()["problem"] == "nobody is signed in, or not any more"

    def test_whoever_is_signed_out_meanwhile_is_told_so_in_the_pages_language(
        self, browser: Any, cells: Any
    ) -> None:
        answer = browser().get("/samples/NQNE2222/cells/1", headers={**JSON, "Accept-Language": "de"})
        assert answer.status_code == 401
        assert answer.json()["problem"] == "niemand ist angemeldet, oder nicht mehr"

    def test_what_nobody_foresaw_has_its_number_in_german_and_is_logged_in_english(
        self, app: FastAPI, german: Any, parsed: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        visit = german("reader")
        app.state.context = replace(app.state.context, files=None)
        page = parsed(visit.get(f"/samples/{KEY}/gallery"))
        told = "Hier ist etwas schiefgegangen. Noch einmal .* dem Betreiber des Servers die Nummer"
        found = re.search(rf"{told} ([0-9a-f]{{8}}) nennen\.", said(page))
        assert found
        assert f"{found[1]}: AttributeError" in caplog.text


class TestWhatIsTyped:
    @pytest.mark.parametrize(
        "role",
        [
            "<b>{role}</b>",
            "x' is no finding",
            "{0.__class__}",
            "reader, and may not undo",
            "there is no role 'a",
        ],
    )
    def test_a_value_is_said_as_it_was_typed(self, german: Any, parsed: Any, role: str) -> None:
        form = {"name": "clara", "full_name": "Clara", "role": role, "password": PASSWORD, "again": PASSWORD}
        answer = german("administrator").send_own("/people", **form)
        assert answer.status_code == 422
        page = parsed(answer)
        line = f"die Rolle {role!r} gibt es nicht. Eines davon verwenden: reader, reviewer, administrator."
        assert line in page.said
        assert "<b>{role}" not in answer.text

    def test_what_was_said_in_german_already_stays(self, german: Any, parsed: Any) -> None:
        visit = german("reviewer")
        page = parsed(visit.send_own(f"/samples/{KEY}/change", identifier="A", white_count="is empty"))
        assert "is empty ist keine Zahl." in page.said
        page = parsed(visit.send_own(f"/samples/{KEY}/delete", confirm="no", why="test"))
        assert any(one.startswith("nichts wurde gelöscht") for one in page.said)

    def test_the_trail_is_english(self, german: Any, shelf: Any) -> None:
        german("reviewer").send_own(f"/samples/{KEY}/sign", accept_unsure="yes")
        assert ("sign", f"sample {KEY}") in shelf.rows(select(TrailEntry.action, TrailEntry.subject))
