"""Looking over a sample and signing it, opening it again, two readers and a third, and the files of each version."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from sqlalchemy import select, update

from leukolens.server.signing.formats import FORMATS
from leukolens.server.store.tables import Answer, Comment, Identity, Report, Sample

KEY, TWO = "SAMPLE22", "TWQ22222"
SIGN, REOPEN = f"/samples/{KEY}/sign", f"/samples/{KEY}/reopen"
NAME = "Müller & Söhne <i>"
TABLES = {"cells", "differential"}  # of figures alone: they name no sample


@pytest.fixture
def cells(shelf: Any) -> list[int]:
    made: list[int] = shelf.add(KEY, NAME)
    return made


@pytest.fixture
def reader(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reader")


@pytest.fixture
def visit(browser: Any, cells: list[int]) -> Any:
    return browser().sign_in("reviewer")


def signed(visit: Any, address: str = SIGN) -> Any:
    answer = visit.send_own(address, accept_unsure="yes")
    assert (answer.status_code, answer.headers.get("location")) == (303, address), answer.text
    return visit.get(address)


def state(shelf: Any, key: str = KEY) -> tuple[Any, ...]:
    """What the sample is, and how many versions there are."""
    reports = shelf.rows(select(Report.id).join(Sample).where(Sample.key == key))
    return (*shelf.rows(select(Sample.state).where(Sample.key == key))[0], len(reports))


class TestSigning:
    def test_a_reviewer_signs_once_and_what_is_left_unsure_only_by_saying_so(
        self, visit: Any, shelf: Any, parsed: Any
    ) -> None:
        page = parsed(visit.get(SIGN))
        assert "1 cell is still unsure." in page.said
        assert "required" in page.all("input", name="accept_unsure")[0]
        answer = visit.send_own(SIGN)
        assert answer.status_code == 409
        wrong = "1 cell has no name yet. Name them, or sign and leave them unsure."
        assert wrong in parsed(answer).said
        assert state(shelf) == ("open", 0)
        page = parsed(signed(visit))
        assert state(shelf) == ("signed", 1)
        assert {"Signed.", "Version 1", "final"} <= set(page.said)
        assert any(one.startswith("Reviewer, 20") and one.endswith(" UTC") for one in page.said)
        assert not page.all("form", action=SIGN)
        assert visit.send_own(SIGN, accept_unsure="yes").status_code == 409
        assert state(shelf) == ("signed", 1)

    def test_a_reader_neither_signs_nor_opens_again_but_sees_the_files(
        self, reader: Any, visit: Any, shelf: Any, parsed: Any
    ) -> None:
        page = parsed(reader.get(SIGN))
        assert "A reviewer signs it." in page.said
        assert not page.all("form", action=SIGN)
        assert reader.send_own(SIGN, accept_unsure="yes").status_code == 403
        assert state(shelf) == ("open", 0)
        signed(visit)
        page = parsed(reader.get(SIGN))
        assert not page.all("form", action=REOPEN)
        assert [made["value"] for made in page.all("button", name="format")] == list(FORMATS)
        assert reader.send_own(REOPEN, why="a slip").status_code == 403
        assert state(shelf) == ("signed", 1)

    def test_what_is_in_the_way_is_said_before(
        self, visit: Any, shelf: Any, parsed: Any, picture: Any
    ) -> None:
        shelf.field(KEY, picture("PNG", seed=3), "waiting")
        shelf.add("EMPTY222", "Jane Doe", cells=False)
        for key, wrong in ((KEY, "1 field is still to be read"), ("EMPTY222", "no field that was read")):
            address = f"/samples/{key}/sign"
            page = parsed(visit.get(address))
            assert any(wrong in one for one in page.said)
            assert [made for made in page.all("button", class_="primary") if "disabled" in made]
            assert visit.send_own(address, accept_unsure="yes").status_code == 409
            assert state(shelf, key) == ("open", 0)

    def test_opened_again_it_is_amended_and_the_reason_stands_by_the_version_before(
        self, visit: Any, shelf: Any, parsed: Any
    ) -> None:
        assert visit.send_own(REOPEN, why="a slip").status_code == 409
        signed(visit)
        for why in ("", "  \n ", "x" * 501):
            assert visit.send_own(REOPEN, why=why).status_code == 422
        assert parsed(visit.send_own(REOPEN)).all("p", role="alert")
        assert state(shelf) == ("signed", 1)
        assert visit.send_own(REOPEN, why="one <b>blast</b> more").status_code == 303
        assert state(shelf) == ("open", 1)
        page = parsed(signed(visit))
        assert "Opened again: one <b>blast</b> more" in page.said
        assert [one for one in page.said if one in {"final", "amended"}] == ["amended", "final"]


class TestLookingOver:
    def test_what_was_seen_of_red_cells_and_platelets_is_kept_and_can_be_taken_back(
        self, reader: Any, visit: Any, shelf: Any, parsed: Any
    ) -> None:
        address = f"/samples/{KEY}/comments"
        assert reader.send_own(address, rouleaux="2+", platelet_estimate="low", other="x").status_code == 303
        assert set(shelf.rows(select(Comment.finding, Comment.grade))) == {
            ("rouleaux", "2+"), ("platelet_estimate", "low"),
        }  # fmt: skip
        chosen = [made["value"] for made in parsed(reader.get(SIGN)).all("option") if "selected" in made]
        assert chosen == ["2+", "low"]
        assert reader.send_own(address, rouleaux="").status_code == 303
        assert shelf.rows(select(Comment.finding)) == [("platelet_estimate",)]
        assert reader.send_own(address, rouleaux="4+").status_code == 422
        page = parsed(signed(visit))
        assert not page.all("select")
        assert page.said[page.said.index("Platelet estimate") + 1] == "low"
        said = parsed(visit.get(f"{SIGN}?language=de")).said
        assert said[said.index("Thrombozytenschätzung") + 1] == "vermindert"
        assert reader.send_own(address, rouleaux="1+").status_code == 409

    def test_what_persons_called_otherwise_is_counted(
        self, reader: Any, cells: list[int], post: Any, parsed: Any
    ) -> None:
        assert "What was changed" not in parsed(reader.get(SIGN)).said
        post(reader, f"/samples/{KEY}/label", {"cells": cells[:1], "label": "neutrophil"})
        assert "What was changed" not in parsed(reader.get(SIGN)).said
        post(reader, f"/samples/{KEY}/label", {"cells": cells[:2], "label": "blast"})
        said = parsed(reader.get(SIGN)).said
        at = said.index("What was changed")
        assert said[at + 4 : at + 14] == [
            "N",
            "Neutrophil",
            "T",
            "Blast",
            "1",
            "L",
            "Lymphocyte",
            "T",
            "Blast",
            "1",
        ]


class TestTwoReaders:
    def test_each_reads_alone_a_third_settles_where_they_differ_and_then_it_is_signed(
        self, reader: Any, visit: Any, browser: Any, shelf: Any, post: Any, parsed: Any
    ) -> None:
        ids = shelf.add(TWO, "Jane Doe", two_readers=True)
        third, here = browser().sign_in("administrator"), f"/samples/{TWO}"
        for turn, person, label in ((1, reader, "band"), (2, visit, "neutrophil")):
            answer = person.send_own(f"{here}/turns/begin", turn=turn)
            assert (answer.status_code, answer.headers["location"]) == (303, f"{here}/gallery")
            assert third.send_own(f"{here}/turns/begin", turn=turn).status_code == 409
            post(person, f"{here}/label", {"cells": [ids[0]], "label": label})
            assert "They differ" not in person.get(f"{here}/sign").text
            assert third.send_own(f"{here}/sign", accept_unsure="yes").status_code == 409
            assert third.send_own(f"{here}/turns/end", turn=turn).status_code == 409
            assert person.send_own(f"{here}/turns/end", turn=turn).headers["location"] == f"{here}/sign"
        settle = f"{here}/turns/settle"
        page = parsed(third.get(f"{here}/sign"))
        assert any(one.startswith("They differ on 1 cell. Cohen's kappa") for one in page.said)
        assert all("disabled" in made for made in page.all("button", name="label"))
        assert third.send_own(f"{here}/sign", accept_unsure="yes").status_code == 409
        assert visit.send_own(settle, cell=ids[0], label="band").status_code == 409  # has read it already
        assert third.send_own(f"{here}/turns/begin", turn=3).headers["location"] == f"{here}/sign"
        page = parsed(third.get(f"{here}/sign"))
        assert [made["value"] for made in page.all("button", name="label")] == ["band", "neutrophil"]
        assert third.send_own(f"{here}/turns/end", turn=3).status_code == 409
        assert third.send_own(settle, cell=shelf.add("ANQTHER2", "x")[0], label="band").status_code == 404
        assert third.send_own(settle, cell=ids[0], label="no such").status_code == 422
        assert third.send_own(settle, cell=ids[0], label="band").status_code == 303
        assert shelf.rows(select(Answer.label).where(Answer.turn == 3)) == [("band",)]
        pressed = [
            made["value"] for made in parsed(third.get(f"{here}/sign")).all("button", aria_pressed="true")
        ]
        assert pressed == ["band"]
        assert third.send_own(f"{here}/turns/end", turn=3).status_code == 303
        signed(third, f"{here}/sign")
        assert state(shelf, TWO) == ("signed", 1)


def text_of(answer: Any, name: str) -> str:
    """What a person or a program reads in a file."""
    if name == "pdf":
        from pypdf import PdfReader

        reader = PdfReader(io.BytesIO(answer.content))
        return "".join([*(page.extract_text() for page in reader.pages), str(reader.metadata)])
    is_json = "json" in answer.headers["content-type"]
    return json.dumps(answer.json(), ensure_ascii=False) if is_json else answer.content.decode("utf-8")


class TestFiles:
    def test_every_format_has_the_samples_key_in_its_name_and_whose_it_is_only_where_that_is_asked(
        self, visit: Any, reader: Any
    ) -> None:
        signed(visit)
        for name, kind in FORMATS.items():
            for asked in ("", "&identifier=no", "&identifier=", "&identifier=yes"):
                answer = reader.get(f"/samples/{KEY}/reports/1?format={name}{asked}")
                assert answer.status_code == 200
                named = answer.headers["content-disposition"]
                assert named == f'attachment; filename="{KEY}-v1-{kind.file_name}"'
                assert answer.headers["content-type"] == kind.media_type
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["cache-control"] == "no-store"
                told = "Müller" in text_of(answer, name)
                assert (name, asked, told) == (name, asked, asked == "&identifier=yes" and name not in TABLES)

    def test_a_version_stays_as_it_was_signed(self, visit: Any, cells: list[int], post: Any) -> None:
        signed(visit)
        addresses = [f"/samples/{KEY}/reports/1?format={name}" for name in ("json", "cells", "hl7")]
        before = [visit.get(address).content for address in addresses]
        visit.send_own(REOPEN, why="a slip")
        post(visit, f"/samples/{KEY}/label", {"cells": cells, "label": "blast"})
        signed(visit)
        assert [visit.get(address).content for address in addresses] == before
        assert visit.get(f"/samples/{KEY}/reports/2?format=cells").content != before[1]

    def test_what_there_is_not_is_not_found(self, visit: Any, shelf: Any) -> None:
        assert visit.get(f"/samples/{KEY}/reports/1?format=html").status_code == 404
        signed(visit)
        for query in ("", "?format=", "?format=exe", "?format=../html", "?format=HTML"):
            assert visit.get(f"/samples/{KEY}/reports/1{query}").status_code == 404
        assert visit.get(f"/samples/{KEY}/reports/2?format=html").status_code == 404

    def test_an_identifier_of_any_letters_breaks_no_file(self, visit: Any, shelf: Any) -> None:
        signed(visit)
        for wild in ("a|b^c~d\\e&f", '"; rm -rf /', "=cmd|' /C calc'!A0", "患者 7 🩸"):
            with shelf.database.writing() as session:
                session.execute(update(Identity).values(identifier=wild))
            for name in FORMATS:
                answer = visit.get(f"/samples/{KEY}/reports/1", params={"format": name, "identifier": "yes"})
                assert answer.status_code == 200, (wild, name)
                assert answer.headers["content-disposition"].startswith(f'attachment; filename="{KEY}-v1-')
