"""Every file of a signed version is written from what was kept, and says nobody's name unasked."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import pytest
from pypdf import PdfReader

from leukolens.errors import Missing, ReportError
from leukolens.server.review import counted
from leukolens.server.signing.formats import FORMATS, file_name, write, written
from leukolens.server.signing.sign import reopen

NAMES = tuple(FORMATS)


@pytest.fixture
def signed(desk: Any) -> Any:
    desk.say(desk.cells[0], "blast")
    desk.say(desk.cells[2], "monocyte")
    desk.sign()
    return desk


def files(desk: Any, version: int = 1, **how: Any) -> dict[str, bytes]:
    with desk.signed(version) as row:
        return {name: write(row, name, desk.files, **how) for name in NAMES}


def words(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages).split())


def test_all_say_the_same(signed: Any) -> None:
    found = files(signed)
    page, text = found["html"].decode(), words(found["pdf"])
    sample = json.loads(found["json"])["samples"][0]
    table = {row["row"]: row for row in csv.DictReader(StringIO(found["differential"].decode()))}
    cells = list(csv.DictReader(StringIO(found["cells"].decode())))
    assert sample["differential"]["classes"]["blast"]["count"] == 1
    assert (table["blast"]["count"], table["neutrophil"]["machine_count"]) == ("1", "1")
    assert [cell["reviewed"] for cell in cells] == ["blast", "", "monocyte"]
    for content in (page, text):
        for fact in ("Version 1, reviewed and signed by Reviewer", "Blast", sample["review"]["trail_hash"]):
            assert fact in content
    assert {entry["resource"].get("status") for entry in json.loads(found["fhir"])["entry"]} == {
        "final",
        None,
    }
    assert b"|26446-5^Blasts, percent of leukocytes^LN||33.3333|" in found["hl7"]


def test_the_pictures_are_in_page_and_pdf_while_the_image_is_there(signed: Any) -> None:
    found = files(signed)
    assert found["html"].count(b"data:image/jpeg") == 4
    assert sum(len(page.images) for page in PdfReader(BytesIO(found["pdf"])).pages) == 3


@pytest.mark.parametrize("how", ["gone", "damaged"])
def test_where_the_image_is_gone_or_another_they_say_so(signed: Any, how: str) -> None:
    if how == "gone":
        signed.files.remove(signed.image)
    else:
        signed.files.path(signed.image).write_bytes(b"no image")
    found = files(signed)
    assert b"data:image/jpeg" not in found["html"]
    assert "The pictures of 1 field are missing from this page." in found["html"].decode()
    assert "The pictures of 1 field are missing from this report." in words(found["pdf"])


def test_an_old_version_comes_out_as_it_was_signed(signed: Any) -> None:
    before = files(signed)
    with signed.writing() as (session, sample):
        reopen(session, signed.reviewer, sample, "no blast")
        sample.white_count = 99.0
    signed.say(signed.cells[0], "neutrophil")
    signed.sign()
    assert files(signed, 1) == before
    after = files(signed, 2)
    assert all(after[name] != before[name] for name in NAMES)
    assert "Amended" in after["html"].decode()
    assert "no blast" in words(after["pdf"])
    assert b"|C|" in after["hl7"]


def test_nobody_is_named_unless_asked(signed: Any) -> None:
    unasked = files(signed)
    for name, content in unasked.items():
        text = words(content) if name == "pdf" else content.decode()
        assert "Jane" not in text
        assert "ward 3" not in text
    asked = files(signed, identifier="Jane-Doe-1962")
    assert "<h1>Jane-Doe-1962</h1>" in asked["html"].decode()
    assert "Jane-Doe-1962" in words(asked["pdf"])
    assert json.loads(asked["json"])["samples"][0]["name"] == "Jane-Doe-1962"
    assert b"PID|1||Jane-Doe-1962||" in asked["hl7"]
    assert b"OBR|1||SAMPLE22|" in asked["hl7"]


def test_their_names_are_by_the_samples_key(signed: Any) -> None:
    with signed.signed() as row:
        assert file_name(row, "pdf") == "SAMPLE22-v1-report.pdf"
        assert len({file_name(row, name) for name in NAMES}) == len(NAMES)
        with pytest.raises(Missing):
            file_name(row, "doc")


def test_a_format_that_there_is_none_of(signed: Any) -> None:
    with signed.signed() as row, pytest.raises(Missing, match="no format 'doc'"):
        write(row, "doc", signed.files)


def test_one_that_is_not_signed_yet_can_be_looked_at(desk: Any) -> None:
    with desk.reading() as (session, sample):
        report = counted.report(session, sample, desk.files)
    page = written(report, "html", desk.files).decode()
    assert 'data-status="preliminary"' in page
    assert words(written(report, "pdf", desk.files)).count("Preliminary")
    with pytest.raises(ReportError, match="not signed"):
        written(report, "hl7", desk.files)
