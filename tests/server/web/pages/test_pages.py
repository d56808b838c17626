"""What is true of every page and of every act: who may, what a wrong address is told, and how the HTML is made."""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, unquote

import pytest
from sqlalchemy import select

from leukolens.server.intake import samples
from leukolens.server.signing.formats import FORMATS
from leukolens.server.store.tables import TrailEntry
from leukolens.server.web.gate import SAFE
from leukolens.server.web.pages import routers
from leukolens.server.web.text import LANGUAGES, texts, translate

KEY, TWO, SIGNED, EMPTY, FAILED = "SAMPLE22", "TWQ22222", "SGNED222", "EMPTY222", "FAXLED22"
NAME = "<script>alert(1)</script> Müller & Söhne \"'{{ 7*7 }}"
ROUTES = [(route.path, route.methods) for router in routers for route in router.routes]  # type: ignore[attr-defined]
LOOKS = sorted(path for path, methods in ROUTES if methods <= set(SAFE) and path != "/classes.css")
ACTS = sorted(path for path, methods in ROUTES if not methods <= set(SAFE))
JSON = {
    "label": {"cells": [1], "label": "blast"}, "strike": {"cells": [1]}, "undo": {}, "redo": {},
    "draw": {"place": 1, "box": [9, 9, 50, 50]},
}  # fmt: skip
FORMS: dict[str, dict[str, Any]] = {
    "turns/begin": {"turn": 1}, "turns/end": {"turn": 1}, "turns/settle": {"cell": 1, "label": "blast"},
    "sign": {}, "reopen": {"why": "a slip"}, "comments": {"rouleaux": "1+"}, "again": {},
    "change": {"identifier": "another"}, "delete": {"confirm": KEY, "why": "kept long enough"},
}  # fmt: skip
ABSURD = [2**63, 2**31, 10**30, 0, -1, -(2**63) - 1, "abc", "1.5", "%00", "1;drop", "١"]


def filled(path: str, key: str = KEY, number: Any = 1) -> str:
    return path.format(key=key, place=number, cell_id=number, number=number)


def send(visit: Any, post: Any, address: str, key: str = KEY) -> Any:
    """An act as it is meant, with its login's token."""
    verb = address.removeprefix(f"/samples/{key}/")
    if verb in JSON:
        return post(visit, address, JSON[verb])
    if verb == "fields":
        files = {"files": ("a.png", b"x")}
        return visit.post(address, files=files, headers={"X-CSRF-Token": visit.csrf})
    return visit.send_own(address, **FORMS.get(verb, {}))


def trail(shelf: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = shelf.rows(
        select(TrailEntry.id).where(TrailEntry.subject.startswith("sample"))
    )
    return found


class TestWhoMay:
    def test_there_is_an_act_in_the_tests_for_every_route(self) -> None:
        verbs = {path.removeprefix("/samples/{key}/") for path in ACTS}
        assert verbs == {*JSON, *FORMS, "fields", "/samples"}

    def test_nobody_is_shown_the_door_and_comes_back_to_the_page(self, browser: Any, shelf: Any) -> None:
        shelf.add(KEY, NAME)
        for path in LOOKS:
            answer = browser().get(filled(path))
            assert answer.status_code == 303
            asked = "" if path == "/" else f"?next={quote(filled(path))}"
            assert answer.headers["location"] == f"/login{asked}"
            assert browser().get(filled(path), headers={"Accept": "application/json"}).status_code == 401

    def test_nobody_acts(self, browser: Any, shelf: Any) -> None:
        shelf.add(KEY, NAME)
        for path in ACTS:
            answer = browser().post(filled(path), json={}, headers={"Accept": "application/json"})
            assert answer.status_code == 401
            assert set(answer.json()) == {"problem", "remedy"}
            assert browser().send_form(filled(path)).headers["location"] == "/login"
        assert trail(shelf) == []

    def test_nobody_acts_without_the_token_of_the_own_login(
        self, browser: Any, shelf: Any, post: Any
    ) -> None:
        shelf.add(KEY, NAME)
        visit, other = browser().sign_in("reviewer"), browser().sign_in("administrator")
        for path in ACTS:
            address = filled(path)
            verb = address.removeprefix(f"/samples/{KEY}/")
            assert visit.post(address, json=JSON.get(verb, {})).status_code == 403
            assert visit.send_form(address, **FORMS.get(verb, {})).status_code == 403
            headers = {"X-CSRF-Token": other.csrf}
            assert visit.post(address, json=JSON.get(verb, {}), headers=headers).status_code == 403
        assert trail(shelf) == []


class TestWrongAddresses:
    @pytest.mark.parametrize("key", ["ABSENT22", "x" * 400, "%00", "..%2F..%2Fetc", "'%20or%201=1", "ü"])
    def test_a_sample_that_there_is_not_is_not_found(
        self, browser: Any, shelf: Any, post: Any, key: str
    ) -> None:
        visit = browser().sign_in("reviewer")
        for path in (path for path in LOOKS if "{key}" in path):
            assert visit.get(filled(path, key)).status_code == 404
        for path in (path for path in ACTS if "{key}" in path):
            assert send(visit, post, filled(path, key), key).status_code == 404

    def test_neither_is_one_that_was_deleted(
        self, browser: Any, shelf: Any, post: Any, actors: SimpleNamespace
    ) -> None:
        cell = shelf.add(KEY, NAME)[0]
        with shelf.writing(KEY) as (session, sample):
            samples.delete(session, actors.reviewer, sample, "consent was withdrawn")
        visit = browser().sign_in("reviewer")
        for path in (path for path in LOOKS if "{" in path):
            assert visit.get(filled(path, number=cell)).status_code == 404, path
        for path in (path for path in ACTS if "{key}" in path):
            assert send(visit, post, filled(path)).status_code == 404, path
        assert KEY not in visit.get("/").text

    @pytest.mark.parametrize("number", ABSURD)
    def test_an_absurd_number_is_not_found_or_refused(self, browser: Any, shelf: Any, number: Any) -> None:
        shelf.add(KEY, NAME)
        visit = browser().sign_in("reviewer")
        for path in (path for path in LOOKS if re.search(r"{(place|cell_id|number)}", path)):
            answer = visit.get(filled(path, number=number), params={"format": "json"})
            assert answer.status_code in {404, 422}, path
        for address in (f"/?after={number}", f"/samples/{KEY}/fields/1?cell={number}"):
            assert visit.get(address).status_code in {200, 422}, address
        for verb in ("turns/begin", "turns/end"):
            answer = visit.send_own(f"/samples/{KEY}/{verb}", turn=unquote(str(number)))
            assert answer.status_code in {409, 422}, verb
        answer = visit.send_own(f"/samples/{KEY}/turns/settle", cell=unquote(str(number)), label="blast")
        assert answer.status_code in {404, 409, 422}


@pytest.fixture
def visit(browser: Any, shelf: Any, picture: Any) -> Any:
    """A reviewer at a server with samples in every state."""
    for key in (KEY, TWO, SIGNED):
        shelf.add(key, NAME, two_readers=key == TWO)
    for key in (EMPTY, FAILED):
        shelf.add(key, NAME, cells=False)
    shelf.field(FAILED, picture("PNG", seed=3), "failed", "<b>is damaged</b>")
    shelf.field(FAILED, picture("PNG", seed=4), "waiting")
    visit = browser().sign_in("reviewer")
    visit.send_own(f"/samples/{SIGNED}/comments", rouleaux="2+", platelet_estimate="low")
    assert visit.send_own(f"/samples/{SIGNED}/sign", accept_unsure="yes").status_code == 303
    return visit


def addresses() -> list[str]:
    parts = ("", "/gallery", "/sign", "/fields/1")
    fields = [f"/samples/{KEY}/fields/2", f"/samples/{FAILED}/fields/2", f"/samples/{KEY}/fields/9"]
    every = (KEY, TWO, SIGNED, EMPTY, FAILED)
    return ["/", "/?words=nothing", *(f"/samples/{key}{part}" for key in every for part in parts), *fields]


def faults(page: Any, csrf: str) -> list[str]:
    """What a page should not have, or not lack."""
    found = []
    ids = Counter(made["id"] for _, made in page.tags if "id" in made)
    pointed = {made["for"] for made in page.all("label") if "for" in made}
    found += [f"{len(page.all('h1'))} h1"] if len(page.all("h1")) != 1 else []
    found += [f"id {name} twice" for name, count in ids.items() if count > 1]
    for at, (tag, made) in enumerate(page.tags):
        bare = tag in {"select", "textarea"} or (
            tag == "input" and made.get("type") not in {"hidden", "submit"}
        )
        named = at in page.labelled or made.get("id") in pointed or made.get("aria-label")
        found += [f"{tag} {made.get('name')} without a label"] if bare and not named else []
        found += [f"{tag} with {name}" for name in made if name == "style" or name.startswith("on")]
        found += [f"{tag} leads to a script" for value in made.values() if value.startswith("javascript:")]
        for name in ("for", "aria-labelledby", "aria-describedby"):
            found += [f"{name} {one} is nowhere" for one in made.get(name, "").split() if one not in ids]
        found += ["img without alt"] if tag == "img" and "alt" not in made else []
    found += ["a style element"] if page.all("style") else []
    found += [f"script: {text}" for text in page.scripts if text.strip()]
    tokens = page.all("input", name="csrf_token", value=csrf)
    found += ["a form without its token"] if len(tokens) != len(page.all("form", method="post")) else []
    return found


class TestEveryPage:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_is_made_as_it_should_be_in_every_language(self, visit: Any, parsed: Any, language: str) -> None:
        tables = "|".join({key.split(".")[0] for key in texts(language)})
        for address in addresses():
            answer = visit.get(address, headers={"Accept-Language": f"{language}-CH,fr;q=0.5"})
            page = parsed(answer)
            assert faults(page, visit.csrf) == [], address
            assert page.all("html")[0]["lang"] == language
            assert translate(language, "base.not_a_device") in page.said
            assert re.findall(rf"\b(?:{tables})\.[a-z0-9_.]+", " ".join(page.said)) == [], address
            assert re.findall(r"{[a-z_]*}", " ".join(page.said)) == [], address
            assert answer.headers["cache-control"] == "no-store"

    def test_shows_whose_smear_it_is_as_it_was_typed_and_in_no_address(self, visit: Any, parsed: Any) -> None:
        seen = 0
        for address in addresses():
            answer = visit.get(address)
            page = parsed(answer)
            seen += NAME in page.said
            assert "<script>alert" not in answer.text
            assert "<b>is damaged" not in answer.text
            for tag, made in page.tags:
                for name in set(made) & {"href", "src", "action", "hx-get", "data-address", "id"}:
                    assert "alert" not in made[name], (address, tag)
                    assert "ller" not in unquote(made[name]).replace("gallery", ""), (address, tag)
        assert seen == len(addresses()) - 3  # one finds nothing, two are not there
        own = parsed(visit.get(f"/samples/{KEY}"))
        assert own.all("input", id="identifier")[0]["value"] == NAME
        assert f"ward 3 & {NAME}" in own.said

    def test_an_identifier_is_in_no_file_name_trail_header_or_error(
        self, visit: Any, shelf: Any, post: Any, picture: Any
    ) -> None:
        answers = [
            visit.send_own(f"/samples/{KEY}/change", identifier=f"{NAME} 2"),
            visit.send_own(f"/samples/{SIGNED}/change", identifier=f"{NAME} 2"),
            visit.send_own(f"/samples/{SIGNED}/reopen", why=""),
            visit.send_own("/samples", identifier=NAME),
            *(send(visit, post, filled(path, key), key) for path in ACTS for key in (SIGNED, TWO, FAILED)),
        ]
        files = {"files": (f"{NAME}.png", picture("PNG", seed=9))}
        token = {"X-CSRF-Token": visit.csrf, "Accept": "application/json"}
        answers.append(visit.post(f"/samples/{KEY}/fields", files=files, headers=token))
        answers += [visit.get(f"/samples/{SIGNED}/reports/1", params={"format": name}) for name in FORMATS]
        told = [answer.text for answer in answers if "json" in answer.headers.get("content-type", "")]
        told += [path.as_posix() for path in shelf.files.folder.rglob("*")]
        told += [repr(row) for row in shelf.rows(select(TrailEntry.before, TrailEntry.after))]
        told += [unquote(repr(answer.headers)) for answer in answers]
        assert len(told) > 80
        assert [one for one in told if "Müller" in one or "alert(1)" in one or "M\\u00fcller" in one] == []
