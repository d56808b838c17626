"""The page of learning, as a browser asks for it: who may, what it says, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from leukolens.server.actor import Actor
from leukolens.server.learning import activation, asking, listing, sets
from leukolens.server.people import tokens
from leukolens.server.review.labels import label
from leukolens.server.settings import Settings
from leukolens.server.store.database import Database
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Adaptation, BundleFile, Job, TrailEntry
from leukolens.server.web.app import create_app
from leukolens.server.web.context import Context
from leukolens.server.web.text import LANGUAGES

KEY = "SAMPLE22"
DOCUMENT: dict[str, Any] = {
    "verdict": "better", "reason": None, "no_cell": 1, "failed": ["x.png: broken"],
    "bundle": {"name": "drawn+set-1"}, "kept": {"before": 0.9, "after": 0.875},
    "accuracy": {
        "before": {"value": 0.5, "low": 0.4, "high": 0.6}, "after": {"value": 0.75, "low": 0.7, "high": 0.8},
        "difference": {"value": 0.25, "low": -0.05, "high": 0.4},
    },
    "balanced_accuracy": {
        "before": {"value": 0.5, "low": None, "high": None}, "after": {"value": 0.75, "low": None, "high": None},
        "difference": {"value": 0.25, "low": None, "high": None},
    },
    "classes": [
        {
            "class": "monocyte", "cells": 12, "groups": 12,
            "recall": {
                "before": {"value": 0.5, "low": None, "high": None},
                "after": {"value": None, "low": None, "high": None},
                "difference": {"value": -0.1, "low": None, "high": None},
            },
        }
    ],
}  # fmt: skip


class Learner:
    """Stands in for a worker: knows whether it was woken."""

    woken = 0

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def app(settings: Settings, database: Database, learner: Learner) -> FastAPI:
    files = Files(settings.folder)
    return create_app(settings, context=Context(settings, database, files, learner=cast(Any, learner)))


@pytest.fixture
def named(shelf: Any, actors: SimpleNamespace) -> list[int]:
    """A sample whose cells the reader has named: one by itself, two by one act, one at the edge, one as unsure."""
    cells: list[int] = shelf.add(KEY, "Müller")
    for some, what in (([0], "band"), ([1, 2], "lymphocyte"), ([3], "eosinophil"), ([4], "unsure")):
        with shelf.writing(KEY) as (session, sample):
            label(session, actors.reader, sample, [cells[place] for place in some], what)
    return cells


@pytest.fixture
def adapted(shelf: Any, actors: SimpleNamespace, named: list[int]) -> str:
    """An adaptation that is done, as its job leaves it; gives its bundle's sha256."""
    content = shelf.files.bundle(shelf.bundle).read_bytes() + b"another"
    (shelf.files.folder / "ours").write_bytes(content)
    sha256: str = shelf.files.put_bundle(shelf.files.folder / "ours")
    with shelf.database.writing() as session:
        made = sets.make(session, actors.reviewer)
        one = asking.ask(session, actors.reviewer, made.id)
        session.add(BundleFile(sha256=sha256, name="tiny+set-1"))
        session.flush()
        one.document, one.bundle_sha256, one.grouped_by = DOCUMENT, sha256, "field"
        job = session.get_one(Job, one.job_id)
        job.state, job.result = "done", {"passed_over": {"unknown": 2, "gone": 1}}
    return sha256


def test_a_set_is_made_and_adapted_to_by_two_clicks(
    named: list[int], browser: Callable[[], Any], learner: Learner
) -> None:
    visit = browser().sign_in("reviewer")
    assert "No set yet" in visit.get("/learning").text
    assert visit.send_own("/learning/sets", signed_only="yes").status_code == 422  # nothing is signed
    assert visit.send_own("/learning/sets").headers["location"] == "/learning"
    said = visit.get("/learning").text
    for words in ("Set 1", "Neutrophil 1", "Lymphocyte 2", "1 unsure", "1 at an edge", "2 named in groups"):
        assert words in said
    assert visit.send_own("/learning/sets/1/adapt").headers["location"] == "/learning"
    assert learner.woken == 1
    assert 'hx-get="/learning/results"' in visit.get("/learning").text
    part = visit.get("/learning/results").text
    assert "It begins." in part
    assert "<html" not in part
    again = visit.send_own("/learning/sets/1/adapt")
    assert again.status_code == 409
    assert "not done yet" in again.text
    assert learner.woken == 1
    assert visit.send_own("/learning/sets/99999999999/adapt").status_code == 404


def test_one_that_waits_is_stopped_by_a_click(named: list[int], browser: Callable[[], Any]) -> None:
    visit = browser().sign_in("reviewer")
    visit.send_own("/learning/sets")
    visit.send_own("/learning/sets/1/adapt")
    assert 'action="/learning/adaptations/1/stop"' in visit.get("/learning").text
    assert visit.send_own("/learning/adaptations/1/stop").headers["location"] == "/learning"
    said = visit.get("/learning").text
    assert "it was stopped by a person" in said
    assert "hx-get" not in said
    assert visit.send_own("/learning/adaptations/1/stop").status_code == 409
    assert visit.send_own("/learning/adaptations/99999999999/stop").status_code == 404
    assert browser().sign_in("reader").send_own("/learning/adaptations/1/stop").status_code == 403


@pytest.mark.parametrize(
    ("blind", "said"),
    [
        (
            {"decides": True, "reason": None},
            "50 % were named rightly before and 75 % after. The verdict rests on these.",
        ),
        (
            {"decides": False, "reason": "12 cells, and 20 are needed"},
            "Too few for the verdict to rest on: 12 cells, and 20 are needed.",
        ),
        (None, "No cell was named with the machine&#39;s answer hidden"),
    ],
)
def test_cells_that_were_named_blind_are_told_of_apart(
    shelf: Any, adapted: str, browser: Callable[[], Any], blind: dict[str, Any] | None, said: str
) -> None:
    told = blind and {"cells": 12, "balanced_accuracy": DOCUMENT["balanced_accuracy"], **blind}
    with shelf.database.writing() as session:
        session.execute(update(Adaptation).values(document={**DOCUMENT, "blind": told}))
    page = browser().sign_in("reviewer").get("/learning").text
    assert said in page
    assert ('data-blind="12"' in page) == (blind is not None)


def test_a_class_that_the_bundle_does_not_know_is_counted_and_shown(
    shelf: Any, named: list[int], actors: SimpleNamespace, browser: Callable[[], Any]
) -> None:
    with shelf.writing(KEY) as (session, sample):
        label(session, actors.reader, sample, named[:1], "blast")
    visit = browser().sign_in("reviewer")
    visit.send_own("/learning/sets")
    assert "Blast 1: the bundle does not know the class" in visit.get("/learning").text


@pytest.mark.parametrize("language", LANGUAGES)
def test_before_and_after_are_shown_class_by_class(
    adapted: str, browser: Callable[[], Any], language: str
) -> None:
    said = browser().sign_in("reviewer").get(f"/learning?language={language}").text
    assert "hx-get" not in said  # nothing more is to come
    for words in ("50 % (40 … 60)", "75 % (70 … 80)", "+25 (−5 … +40)", "−10", "88 %", "tiny+set-1"):
        assert words in said
    assert ("Better" if language == "en" else "Besser") in said
    assert f"/learning/bundles/{adapted}/activate" not in said  # a reviewer activates nothing


def test_a_refusal_and_a_failure_are_shown_in_their_own_words(
    shelf: Any, adapted: str, browser: Callable[[], Any]
) -> None:
    visit = browser().sign_in("reviewer")
    with shelf.database.writing() as session:
        none = {"document": None, "bundle_sha256": None}
        session.execute(update(Adaptation).values(refusal="it would be <worse>", **none))
    assert "it would be &lt;worse&gt;" in visit.get("/learning").text
    with shelf.database.writing() as session:
        session.execute(update(Adaptation).values(refusal=None))
        session.execute(update(Job).values(state="failed", problem="was cut off 3 times"))
    assert "was cut off 3 times" in visit.get("/learning").text


def test_an_administrator_activates_and_goes_back_by_one_click_each(
    shelf: Any, adapted: str, browser: Callable[[], Any]
) -> None:
    visit = browser().sign_in("administrator")
    assert "Go back to" not in visit.get("/learning").text
    assert visit.send_own(f"/learning/bundles/{adapted}/activate").status_code == 303
    assert visit.send_own(f"/learning/bundles/{adapted}/activate").status_code == 409
    visit.send_own("/samples", identifier="A-18")
    said = visit.get("/learning").text
    assert f"Go back to tiny, {shelf.bundle[:12]}" in said
    assert visit.send_own(f"/learning/bundles/{shelf.bundle}/activate").status_code == 303
    with shelf.database.reading() as session:
        shown = {one.sha256: (one.active, one.before, one.samples) for one in listing.bundles(session)}
        assert shown[shelf.bundle] == (True, False, 1)
        assert shown[adapted] == (False, True, 1)
        entries = session.scalars(select(TrailEntry).where(TrailEntry.action == "activate")).all()
    assert [(entry.actor, entry.after["name"]) for entry in entries if entry.after] == [
        ("administrator", "tiny+set-1"), ("administrator", "tiny"),
    ]  # fmt: skip


def test_a_bundle_whose_file_is_damaged_or_gone_is_not_activated(
    shelf: Any, adapted: str, browser: Callable[[], Any]
) -> None:
    visit = browser().sign_in("administrator")
    shelf.files.bundle(adapted).write_bytes(b"not what its name says")
    assert visit.send_own(f"/learning/bundles/{adapted}/activate").status_code == 500
    shelf.files.remove(adapted, "bundles")
    assert visit.send_own(f"/learning/bundles/{adapted}/activate").status_code == 404
    assert visit.send_own("/learning/bundles/x/activate").status_code == 404
    with shelf.database.reading() as session:
        assert activation.before(session) is None


def test_a_reader_and_a_token_see_nothing_of_it(
    shelf: Any, browser: Callable[[], Any], actors: SimpleNamespace
) -> None:
    visit = browser().sign_in("reader")
    assert 'href="/learning"' not in visit.get("/").text
    for act in ("sets", "sets/1/adapt", f"bundles/{shelf.bundle}/activate"):
        assert visit.send_own(f"/learning/{act}").status_code == 403
    with shelf.database.writing() as session:
        secret = tokens.make(session, actors.administrator, "a program", tokens.SCOPES)
    program = browser()
    for path in ("/learning", "/learning/results"):
        assert visit.get(path).status_code == 403
        assert program.get(path, headers={"Authorization": f"Bearer {secret}"}).status_code == 403


def test_a_program_of_an_administrators_activates_by_its_scope(
    shelf: Any, adapted: str, browser: Callable[[], Any], actors: SimpleNamespace
) -> None:
    def program(actor: Actor, *scopes: str) -> dict[str, str]:
        with shelf.database.writing() as session:
            return {"Authorization": f"Bearer {tokens.make(session, actor, 'a program', scopes)}"}

    visit, address = browser(), f"/api/v1/bundles/{adapted}/activate"
    others = [scope for scope in tokens.SCOPES if scope != "bundles"]
    assert visit.post(address, headers=program(actors.administrator, *others)).status_code == 403
    assert visit.post(address, headers=program(actors.reviewer, "bundles")).status_code == 403
    headers = program(actors.administrator, "bundles", "samples:read")
    answer = visit.post(address, headers=headers)
    assert (answer.status_code, answer.json()["active"]) == (200, True)
    assert visit.get("/api/v1/bundles/active", headers=headers).json()["sha256"] == adapted
    assert visit.post(f"/api/v1/bundles/{'0' * 64}/activate", headers=headers).status_code == 404
