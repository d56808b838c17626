"""Which cells a set holds: those that persons have named for good, as they were named then."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.errors import Refused, Unfit
from leukolens.server.actor import SERVER, Actor
from leukolens.server.learning import sets
from leukolens.server.learning.settled import Named, named
from leukolens.server.store.columns import now
from leukolens.server.store.tables import Answer, Cell, LearningCell, Reading, Sample, TrailEntry
from leukolens.taxonomy import CLASS_KEYS


def labels(lab: Any, *, signed_only: bool = False) -> tuple[list[str], dict[str, int]]:
    with lab.database.reading() as session:
        found, left_out = named(session, signed_only=signed_only)
    return [one.label for one in found], left_out


def answer(lab: Any, place: int, turn: int, label: str) -> None:
    """A person names the cell of this place, of all there are, in a turn."""
    with lab.database.writing() as session:
        cell = session.scalars(select(Cell.id).order_by(Cell.id).offset(place)).first()
        session.add(Answer(cell_id=cell, turn=turn, label=label, user_id=lab.people.reader.user_id))


class TestSettled:
    def test_cells_that_nobody_named_or_that_were_struck_out_teach_nothing(self, lab: Any) -> None:
        lab.sample(lab.smears[:1], name=lambda label: label if label != "monocyte" else None)
        assert labels(lab) == (["neutrophil", "eosinophil", "lymphocyte"], {})
        with lab.database.writing() as session:
            session.execute(update(Cell).where(Cell.machine_class == "eosinophil").values(deleted=True))
        assert labels(lab) == (["neutrophil", "lymphocyte"], {})

    def test_unsure_cells_and_those_at_an_edge_are_counted_and_left_out(self, lab: Any) -> None:
        lab.sample(lab.smears[:1], name=lambda label: "unsure" if label == "monocyte" else label)
        with lab.database.writing() as session:
            session.execute(update(Cell).where(Cell.machine_class == "eosinophil").values(at_edge=True))
        assert labels(lab) == (["neutrophil", "lymphocyte"], {"unsure": 1, "at_edge": 1})

    def test_open_and_deleted_samples_are_passed_over(self, lab: Any) -> None:
        lab.sample(lab.smears[:1], state="signed", name=lambda _: "band")
        lab.sample(lab.smears[:1], name=lambda _: "monocyte")
        assert labels(lab, signed_only=True) == (["band"] * 4, {})
        assert len(labels(lab)[0]) == 8
        with lab.database.writing() as session:
            session.execute(update(Sample).where(Sample.state == "signed").values(deleted=now()))
        assert labels(lab) == (["monocyte"] * 4, {})

    def test_of_two_readers_only_what_both_say_or_a_third_settles_counts(self, lab: Any) -> None:
        # The machine says neutrophil, eosinophil, lymphocyte, monocyte; a reader that is silent says the same.
        lab.sample(lab.smears[:1], two_readers=True, name=lambda _: None)
        answer(lab, 0, 1, "band")
        answer(lab, 0, 2, "band")
        answer(lab, 1, 1, "eosinophil")  # confirmed by one
        answer(lab, 2, 1, "blast")
        answer(lab, 3, 2, "lymphocyte")
        answer(lab, 3, 3, "reactive_lymphocyte")
        assert labels(lab) == ([], {"not_settled": 4})  # the readers are not done
        with lab.database.writing() as session:
            sample = session.scalars(select(Sample.id)).one()
            for turn in (1, 2):
                reader = lab.people.reader.user_id
                session.add(Reading(sample_id=sample, turn=turn, user_id=reader, done=now()))
        assert labels(lab) == (["band", "eosinophil", "reactive_lymphocyte"], {"not_settled": 1})


class TestMaking:
    def test_it_keeps_each_cell_as_it_was_named_then(self, lab: Any) -> None:
        key = lab.sample(lab.smears[:2], state="signed")
        with lab.database.writing() as session:
            session.execute(update(Answer).where(Answer.label == "monocyte").values(grouped=True))
        with lab.database.writing() as session:
            made = sets.make(session, lab.people.reviewer, signed_only=True)
        with lab.database.writing() as session:
            session.execute(update(Answer).values(label="blast"))
        with lab.database.reading() as session:
            (listed,) = sets.listed(session)
            rows = session.scalars(select(LearningCell)).all()
            entry = session.scalars(select(TrailEntry).where(TrailEntry.action == "make set")).one()
            images = set(session.scalars(select(LearningCell.image_sha256)))
        assert listed.labels == dict.fromkeys(("neutrophil", "eosinophil", "lymphocyte", "monocyte"), 2)
        assert (listed.id, listed.cells, listed.samples, listed.grouped) == (made.id, 8, 1, 2)
        assert (listed.made_by, listed.signed_only, listed.left_out) == ("Reviewer", True, {})
        assert images == set(lab.files.all())
        assert (entry.actor, entry.action, entry.subject) == ("reviewer", "make set", f"set {made.id}")
        assert entry.after is not None
        assert entry.after["labels"] == listed.labels
        assert entry.after["sha256"] == sets.digest(
            Named(row.cell_id, row.sample_id, row.image_sha256, row.label, row.grouped) for row in rows
        )
        assert key not in str(entry.after)

    def test_without_a_named_cell_there_is_none(self, lab: Any) -> None:
        lab.sample(lab.smears[:1], name=lambda _: "unsure")
        with lab.database.writing() as session, pytest.raises(Unfit, match="no person has named a cell yet"):
            sets.make(session, lab.people.reviewer)
        with lab.database.reading() as session:
            assert "make set" not in session.scalars(select(TrailEntry.action)).all()

    def test_only_a_reviewer_makes_one(self, lab: Any) -> None:
        lab.sample(lab.smears[:1])
        token = Actor(lab.people.administrator.user_id, "robot", "administrator", frozenset({"review"}))
        for actor, why in (
            (lab.people.reader, "role is reviewer"),
            (SERVER, "no person"),
            (token, "no scope"),
        ):
            with lab.database.writing() as session, pytest.raises(Refused, match=why):
                sets.make(session, actor)


def test_a_reviewers_class_teaches_what_it_is_a_form_of_and_a_blast_nothing() -> None:
    named = {"neutrophil": 3, "band": 2, "myelocyte": 1, "smudge": 1, "blast": 4}
    assert sets.taught(named, CLASS_KEYS) == (
        {"neutrophil": 5, "immature_granulocyte": 1, "other": 1},
        {"blast": 4},
    )
    assert sets.taught(named, ("neutrophil", "band")) == (
        {"neutrophil": 3, "band": 2},
        {"myelocyte": 1, "smudge": 1, "blast": 4},
    )
