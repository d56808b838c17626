"""A set of reviewed cells becomes a bundle: by a job that is begun again where it was cut off; refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from leukolens.bundle import load
from leukolens.errors import Conflict, Missing, Refused
from leukolens.server.jobs import queue
from leukolens.server.jobs.worker import Worker
from leukolens.server.learning import asking, listing, sets
from leukolens.server.learning.adapting import KINDS
from leukolens.server.learning.listing import Adapted
from leukolens.server.store.tables import BlindAnswer, BundleFile, Cell, Job, TrailEntry

Until = Callable[[Callable[[], bool]], None]


def asked(lab: Any, **options: Any) -> int:
    """A set of all named cells, and an adaptation to it that waits; the set's number."""
    with lab.database.writing() as session:
        made = sets.make(session, lab.people.reviewer)
        asking.ask(session, lab.people.reviewer, made.id, **options)
        return made.id


def last(lab: Any) -> Adapted:
    with lab.database.reading() as session:
        return listing.adaptations(session)[0]


@pytest.fixture
def done(lab: Any, until: Until) -> Callable[[], Adapted]:
    """Lets a worker do what waits."""

    def do() -> Adapted:
        worker = Worker(lab.database, lab.files, lab.settings, kinds=KINDS)
        worker.start()
        try:
            until(lambda: not last(lab).busy)
        finally:
            worker.stop()
        return last(lab)

    return do


def test_named_cells_become_a_bundle_that_waits_to_be_activated_after_a_server_was_killed_in_the_middle(
    lab: Any, done: Callable[[], Adapted]
) -> None:
    lab.sample(lab.smears, name=lambda label: "band" if label == "neutrophil" else label)
    lab.sample(lab.smears[:1], name=lambda label: "blast" if label == "monocyte" else None)
    number = asked(lab)
    with lab.database.writing() as session:  # as a server leaves it that is killed
        job = queue.take(session, KINDS)
        assert job is not None
        left = lab.files.folder / "learning" / str(job.id) / "cells" / "monocyte"
    left.mkdir(parents=True)
    (left / "half-done.png").write_bytes(b"")
    assert last(lab).state == "running"
    found = done()
    assert (found.state, found.problem) == ("done", None)
    document = found.document
    assert document is not None
    assert document["schema"] == "leukolens.adapt/1"
    assert document["cells"] == dict.fromkeys(("neutrophil", "eosinophil", "lymphocyte", "monocyte"), 9)
    assert document["failed"] == []
    assert document["groups"] == 9  # the fields: two samples are too few
    assert found.grouped_by == "field"
    assert found.passed_over == {"unknown": 1}
    assert document["balanced_accuracy"]["after"]["value"] >= document["balanced_accuracy"]["before"]["value"]
    assert "path" not in document["bundle"]
    card = load(lab.files.bundle(found.bundle)).card
    assert card.adapted is not None
    assert card.adapted.parent_sha256 == lab.bundle
    with lab.database.reading() as session:
        row = session.get_one(BundleFile, found.bundle)
        assert (row.active, row.name) == (False, card.name)
        said = session.scalars(select(TrailEntry).where(TrailEntry.action == "adapted")).one()
    assert (said.actor, said.subject) == ("server", f"set {number}")
    assert said.after == {"adaptation": found.id, "verdict": document["verdict"], "bundle": found.bundle}
    assert not list((lab.files.folder / "learning").iterdir())


def test_blind_cells_tell_before_and_after_apart_by_what_was_said_first(
    lab: Any, done: Callable[[], Adapted]
) -> None:
    lab.sample(lab.smears)
    with lab.database.writing() as session:
        cells = list(session.scalars(select(Cell).where(Cell.machine_class != "monocyte").order_by(Cell.id)))
        for cell in cells:
            said = "band" if cell.machine_class == "neutrophil" else cell.machine_class
            session.add(
                BlindAnswer(cell_id=cell.id, turn=2, label="blast", user_id=lab.people.reader.user_id)
            )
            session.add(BlindAnswer(cell_id=cell.id, turn=1, label=said, user_id=lab.people.reader.user_id))
        unsure = session.get_one(BlindAnswer, (cells[0].id, 1))
        unsure.label = "unsure"
    asked(lab)
    document = done().document
    assert document is not None
    told = document["blind"]
    assert (told["cells"], told["groups"]) == (26, 9)
    assert {line["class"]: line["cells"] for line in told["classes"]} == {
        key: 8 if key == cells[0].machine_class else 9 for key in ("neutrophil", "eosinophil", "lymphocyte")
    }
    assert (told["decides"], told["reason"]) == (True, None)
    assert document["verdict"] in {"better", "no worse"}


def test_what_cannot_be_learned_is_refused_in_the_commands_own_words(
    lab: Any, done: Callable[[], Adapted]
) -> None:
    lab.sample(lab.smears[:2], name=lambda label: label if label == "monocyte" else None)
    asked(lab)
    found = done()
    assert (found.state, found.bundle, found.document) == ("refused", None, None)
    assert found.problem == (
        "set-1 holds cells of one class alone (monocyte). "
        "Add a folder with cells of another class: nothing tells classes apart otherwise."
    )
    with lab.database.reading() as session:
        assert session.scalars(select(BundleFile.sha256).where(BundleFile.active)).all() == [lab.bundle]


def test_a_field_whose_image_is_damaged_is_passed_over_and_too_few_cells_tell_nothing(
    lab: Any, done: Callable[[], Adapted]
) -> None:
    lab.sample(lab.smears[:3])
    with lab.database.reading() as session:
        damaged = sorted(lab.files.all())[0]
    lab.files.path(damaged).write_bytes(lab.smears[5].png)
    asked(lab)
    found = done()
    assert found.document is not None
    assert sum(found.document["cells"].values()) == 8
    assert found.document["verdict"] == "too few to tell"
    with lab.database.reading() as session:
        assert session.scalars(select(Job.result)).all() == [
            {"verdict": "too few to tell", "passed_over": {}, "fields_not_cut": 1}
        ]


@pytest.mark.slow
def test_all_layers_learn_where_a_person_asks_for_it(lab: Any, done: Callable[[], Adapted]) -> None:
    pytest.importorskip("torch")
    lab.sample(lab.smears)
    asked(lab, fine_tune=True)
    found = done()
    assert (found.state, found.problem, found.fine_tune) == ("done", None, True)
    assert found.document is not None
    assert found.document["groups"] == 9
    card = load(lab.files.bundle(found.bundle)).card
    assert card.adapted is not None
    assert card.adapted.method == found.document["method"]
    assert found.document["balanced_accuracy"]["after"]["value"] >= 0.5


def test_one_that_a_person_stops_is_given_up_and_leaves_nothing(
    lab: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leukolens.server.learning.workshop.ASK_EVERY", 0.05)
    lab.sample(lab.smears)
    number = asked(lab)
    worker = Worker(lab.database, lab.files, lab.settings, kinds=KINDS)
    worker.start()
    try:
        until(lambda: last(lab).progress.get("stage") == "learning")
        with lab.database.writing() as session:
            asking.stop(session, lab.people.reviewer, last(lab).id)
        until(lambda: not list((lab.files.folder / "learning").iterdir()))
    finally:
        worker.stop()
    found = last(lab)
    assert (found.state, found.problem, found.bundle) == ("failed", "it was stopped by a person", None)
    with lab.database.writing() as session:
        with pytest.raises(Conflict, match="has ended already"):
            asking.stop(session, lab.people.reviewer, found.id)
        with pytest.raises(Missing, match="no adaptation 99"):
            asking.stop(session, lab.people.reviewer, 99)
        with pytest.raises(Refused, match="role is reviewer"):
            asking.stop(session, lab.people.reader, found.id)
        asking.ask(session, lab.people.reviewer, number)  # another may begin
        said = session.scalars(select(TrailEntry).where(TrailEntry.action == "stop adaptation")).one()
    assert (said.subject, said.after) == (f"set {number}", {"adaptation": found.id})


def test_one_is_done_after_the_other_and_a_reader_may_ask_for_none(lab: Any) -> None:
    lab.sample(lab.smears[:1])
    number = asked(lab)
    with lab.database.writing() as session, pytest.raises(Conflict, match="not done yet"):
        asking.ask(session, lab.people.reviewer, number)
    with lab.database.writing() as session, pytest.raises(Refused, match="role is reviewer"):
        asking.ask(session, lab.people.reader, number)
