"""Blind cells show nothing of the machine's until they are named, and what was said of them first is kept."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.errors import Conflict
from leukolens.imaging.framing import Box
from leukolens.server.review import blind, counted, gallery, labels, listing, turns
from leukolens.server.signing import sign
from leukolens.server.store.tables import Answer, BlindAnswer, Cell
from leukolens.taxonomy import UNSURE

SHARE = 0.05


@pytest.fixture
def ids(bench: Any, cell: Any, smear: Any) -> list[int]:
    """Four cells, of which the second (a lymphocyte) and the fourth (unsure) are blind."""
    found: list[int] = bench.add(
        smear(
            1,
            [
                cell("neutrophil", place=0),
                cell("lymphocyte", place=1),
                cell("eosinophil", place=2),
                cell("monocyte", 0.5, "review", place=3),
            ],
        )
    )
    with bench.writing() as (session, _):
        session.execute(update(Cell).where(Cell.id.in_([found[1], found[3]])).values(blind=True))
    return found


def name(bench: Any, who: str, ids: list[int], label: str, turn: int = 1) -> None:
    with bench.writing() as (session, sample):
        labels.label(session, getattr(bench.people, who), sample, ids, label, turn=turn)


def groups(bench: Any, turn: int = 1) -> dict[str, list[int]]:
    with bench.reading() as (session, sample):
        found = gallery.groups(session, sample, turn, unlike_beyond=0.0)
        return {group.label: [cell.id for cell in group.cells] for group in found}


class TestWhichAreChosen:
    BOXES = tuple(Box(x, y, x + 40, y + 40) for x in range(100) for y in range(100))

    def test_a_reading_again_chooses_the_same_and_another_sample_others(self) -> None:
        first, again, other = (
            [blind.is_chosen(key, "a" * 64, box, SHARE) for box in self.BOXES[:500]]
            for key in ("3F7KQ2AB", "3F7KQ2AB", "ZZZZZZZZ")
        )
        assert first == again != other

    def test_they_are_the_share_that_is_asked_for(self) -> None:
        chosen = sum(blind.is_chosen("3F7KQ2AB", "a" * 64, box, SHARE) for box in self.BOXES)
        assert abs(chosen - 500) < 4 * (10_000 * SHARE * (1 - SHARE)) ** 0.5

    @pytest.mark.parametrize(("share", "chosen"), [(0.0, False), (1.0, True)])
    def test_none_and_all(self, share: float, chosen: bool) -> None:
        assert {blind.is_chosen("3F7KQ2AB", "a" * 64, box, share) for box in self.BOXES[:200]} == {chosen}


class TestHiding:
    def test_the_gallery_has_them_apart_without_anything_of_the_machines(
        self, bench: Any, ids: list[int]
    ) -> None:
        assert groups(bench) == {"blind": [ids[1], ids[3]], "neutrophil": [ids[0]], "eosinophil": [ids[2]]}
        with bench.reading() as (session, sample):
            cells = gallery.groups(session, sample, unlike_beyond=0.0)[0].cells
        assert {
            (c.machine, c.machine_class, c.probability, c.sure, c.reason, c.distance, c.strange)
            for c in cells
        } == {("blind", None, 0.0, 0.0, "", None, False)}

    def test_the_list_tells_nothing_and_no_filter_finds_them(self, bench: Any, ids: list[int]) -> None:
        with bench.reading() as (session, sample):
            told = {
                one.id: (one.label, one.machine is None, one.blind)
                for one in listing.listed(session, sample, 1)
            }
            filtered = [
                one.id
                for label in ("lymphocyte", "monocyte", UNSURE, "blind")
                for one in listing.listed(session, sample, 1, label=label)
            ]
        assert told[ids[1]] == told[ids[3]] == (None, True, True)
        assert told[ids[0]] == ("neutrophil", False, False)
        assert filtered == []

    def test_the_live_differential_leaves_them_out_of_both_columns_until_they_are_named(
        self, bench: Any, ids: list[int]
    ) -> None:
        def live() -> tuple[Any, ...]:
            with bench.reading() as (session, sample):
                now = counted.live(session, sample, bench.files, turn=1)
            return *(
                sum(one.tally.counts.values()) + one.tally.unsure for one in (now.reviewed, now.machine)
            ), now.hidden

        assert live() == (2, 2, 2)
        name(bench, "reader", [ids[1]], "monocyte")
        assert live() == (3, 3, 1)

    def test_another_reader_names_them_blind_too(self, bench: Any, ids: list[int]) -> None:
        bench.set(two_readers=True)
        name(bench, "reader", [ids[1]], "monocyte", 1)
        assert groups(bench, 1)["blind"] == [ids[3]]
        assert groups(bench, 2)["blind"] == groups(bench, 0)["blind"] == [ids[1], ids[3]]
        name(bench, "reviewer", [ids[1]], "lymphocyte", 2)
        with bench.reading() as (session, _):
            said = session.execute(
                select(BlindAnswer.turn, BlindAnswer.label).order_by(BlindAnswer.turn)
            ).all()
        assert list(map(tuple, said)) == [(1, "monocyte"), (2, "lymphocyte")]

    def test_once_both_readers_are_done_nothing_is_hidden(self, bench: Any, ids: list[int]) -> None:
        bench.set(two_readers=True)
        for who, turn in (("reader", 1), ("reviewer", 2)):
            with bench.writing() as (session, sample):
                turns.begin(session, getattr(bench.people, who), sample, turn)
                turns.done(session, getattr(bench.people, who), sample, turn)
        assert "blind" not in groups(bench, 3)

    def test_kappa_leaves_out_those_that_a_reader_never_named(self, bench: Any, ids: list[int]) -> None:
        bench.set(two_readers=True)
        seen = {"reader": [ids[1], ids[3]], "reviewer": [ids[1]]}
        for turn, (who, blind_cells) in enumerate(seen.items(), start=1):
            with bench.writing() as (session, sample):
                turns.begin(session, getattr(bench.people, who), sample, turn)
            for each in blind_cells:
                name(bench, who, [each], "monocyte", turn)
            name(bench, who, [ids[0]], ("band", "neutrophil")[turn - 1], turn)
            with bench.writing() as (session, sample):
                turns.done(session, getattr(bench.people, who), sample, turn)
        with bench.reading() as (session, sample):
            # The fourth is a monocyte to the first reader, and to the second nobody's answer.
            assert turns.kappa(session, sample) == turns.cohens_kappa(
                ["band", "monocyte", "eosinophil"], ["neutrophil", "monocyte", "eosinophil"]
            )
            told = [(one.cell_id, one.first, one.second) for one in turns.differences(session, sample)]
        assert told == [(ids[0], "band", "neutrophil"), (ids[3], "monocyte", UNSURE)]


class TestNaming:
    def test_what_was_said_first_is_kept_whatever_follows(self, bench: Any, ids: list[int]) -> None:
        name(bench, "reader", [ids[1]], "monocyte")
        with bench.reading() as (session, _):
            assert session.get_one(Answer, (ids[1], 1)).blind
        assert bench.trail()[-1].after["blind"] is True
        name(bench, "reader", [ids[1]], "lymphocyte")
        with bench.reading() as (session, _):
            assert not session.get_one(Answer, (ids[1], 1)).blind
            kept = session.get_one(BlindAnswer, (ids[1], 1))
            assert (kept.label, kept.user_id) == ("monocyte", bench.people.reader.user_id)

    def test_undo_does_not_hide_it_again(self, bench: Any, ids: list[int]) -> None:
        name(bench, "reader", [ids[1]], "monocyte")
        with bench.writing() as (session, sample):
            labels.undo(session, bench.people.reader, sample)
        assert groups(bench)["lymphocyte"] == [ids[1]]
        name(bench, "reader", [ids[1]], "lymphocyte")
        with bench.reading() as (session, _):
            assert not session.get_one(Answer, (ids[1], 1)).blind
            assert session.get_one(BlindAnswer, (ids[1], 1)).label == "monocyte"

    def test_they_are_not_swept_along_with_others(self, bench: Any, ids: list[int]) -> None:
        with pytest.raises(Conflict, match=f"cell {ids[1]} is to be named before"):
            name(bench, "reader", ids[:2], "neutrophil")
        assert bench.answers() == {}
        name(bench, "reader", [ids[1], ids[3]], "monocyte")
        assert bench.answers() == {ids[1]: "monocyte", ids[3]: "monocyte"}


def test_nobody_is_kept_from_signing_and_the_report_counts_them_as_the_machine_says(
    bench: Any, ids: list[int]
) -> None:
    with bench.writing() as (session, sample):
        signed = sign.sign(session, bench.files, bench.people.reviewer, sample)
        session.flush()
        counts = counted.report(session, sample, bench.files).differential.tally
    assert (counts.counts["lymphocyte"], counts.unsure, signed.version) == (1, 1, 1)
    assert "blind" not in groups(bench)  # what the report has told is no secret any more
