"""The PDF says what the page says, in letters that can be read anywhere, and equal reports give equal bytes."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from leukolens.errors import ReportError
from leukolens.report.page import ImageSource
from leukolens.report.pdf import pdf, write_pdf
from leukolens.report.pdf_fonts import legible
from leukolens.report.pdf_parts import figure
from leukolens.report.review_words import NOT_CERTIFIED
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import cell_class


@pytest.fixture(scope="module")
def content(reviewed_smear: SampleReport, pictures: ImageSource) -> bytes:
    return pdf(reviewed_smear, images=pictures)


@pytest.fixture(scope="module")
def reader(content: bytes) -> PdfReader:
    return PdfReader(BytesIO(content))


def words(reader: PdfReader) -> str:
    """All its text, with single spaces."""
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


class TestContent:
    def test_the_status_and_who_signed(self, reader: PdfReader) -> None:
        text = words(reader)
        assert "Amended. Version 2, which replaces version 1, reviewed and signed by Dr. Ζωή O'Hara" in text
        assert "2026-03-01 08:30 UTC" in text
        assert NOT_CERTIFIED in text
        assert "It is not a certified medical device" in text

    def test_the_flags_and_warnings(self, reader: PdfReader, reviewed_smear: SampleReport) -> None:
        text = words(reader)
        assert reviewed_smear.flags
        for sentence in (*(flag.message for flag in reviewed_smear.flags), *reviewed_smear.warnings):
            assert sentence in text

    def test_the_differential_beside_the_machines(
        self, reader: PdfReader, reviewed_smear: SampleReport
    ) -> None:
        text = words(reader)
        assert reviewed_smear.review
        machine = {row.key: row for row in reviewed_smear.review.machine.classes}
        for row in reviewed_smear.differential.classes:
            share, found = row.share, row.concentration
            assert found
            own = machine.get(row.key)
            beside = f"{own.count} {figure(own.share.percent)}" if own else "– –"
            told = (
                f"{cell_class(row.key).name} {row.count} {figure(share.percent)} {figure(share.low)} to "
                f"{figure(share.high)} {figure(found.value, 2)} {figure(found.low, 2)} to {figure(found.high, 2)} "
                f"{beside}"
            )
            assert told in text

    def test_what_persons_did(self, reader: PdfReader) -> None:
        text = words(reader)
        for fact in (
            "Confirmed 1", "Changed 1", "Drawn 1", "Struck out 4", "Cohen's kappa 0.81", "Anisocytosis 2+",
            "Giant platelets few", r"opened again because a blast was\noverlooked | sorry", "Audit trail " + "ab" * 32,
        ):  # fmt: skip
            assert fact in text

    def test_every_cell_has_its_picture_and_place(
        self, reader: PdfReader, reviewed_smear: SampleReport
    ) -> None:
        text = words(reader)
        cells = [
            (place, number)
            for place, field in enumerate(reviewed_smear.fields, start=1)
            for number, _ in enumerate(field.cells, start=1)
        ]
        for place, number in cells:
            assert f"{place}·{number}" in text
        assert sum(len(page.images) for page in reader.pages) == len(cells)
        assert "was N 91.0 %" in text
        assert "Blast, 1 cell" in text

    def test_how_it_was_read_and_what_failed(self, reader: PdfReader, reviewed_smear: SampleReport) -> None:
        text = words(reader)
        origin = reviewed_smear.origin
        for fact in (origin.bundle_sha256, origin.engine, "44 years", "the file: the file ends early"):
            assert fact in text
        for field in reviewed_smear.fields:
            assert field.sha256 in text

    def test_each_page_says_whose_it_is_and_which(self, reader: PdfReader) -> None:
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text()
            assert "Smear 7 · Amended, version 2" in text
            assert f"{number} / {len(reader.pages)}" in text
        assert len(reader.pages) > 1

    def test_pages_are_a4(self, reader: PdfReader) -> None:
        for page in reader.pages:
            assert [round(float(side)) for side in page.mediabox[2:]] == [595, 842]

    def test_pictures_that_are_gone_are_told(self, reviewed_smear: SampleReport) -> None:
        text = words(PdfReader(BytesIO(pdf(reviewed_smear, images=lambda _: None))))
        assert "The pictures of 5 fields are missing from this report." in text
        assert "picture not there" in text

    def test_without_a_review_it_can_be_signed_by_hand(self, smear: SampleReport) -> None:
        text = words(PdfReader(BytesIO(pdf(smear, images=lambda _: None))))
        assert "Preliminary. Counted by a program and not reviewed by a person." in text
        assert "Signature ____" in text
        assert "machine cells" not in text

    def test_an_empty_sample_has_one_too(self, bare_smear: SampleReport) -> None:
        text = words(PdfReader(BytesIO(pdf(bare_smear, images=lambda _: None))))
        assert "No white cell was found." in text
        assert "Nothing is flagged." in text

    def test_a_differential_with_every_column_stays_on_the_page(
        self, reviewed_smear: SampleReport, smear: SampleReport
    ) -> None:
        both = replace(smear, review=reviewed_smear.review)
        page = PdfReader(BytesIO(pdf(both, images=lambda _: None))).pages[0]
        places: list[float] = []
        page.extract_text(visitor_text=lambda text, _, matrix, *__: places.append(matrix[4]))
        assert max(places) < 595 - 40
        assert "corrected %" in page.extract_text()


class TestLetters:
    def test_greek_and_cyrillic_can_be_read(self, smear: SampleReport) -> None:
        named = replace(smear, name="Ελένη Жукова")
        text = words(PdfReader(BytesIO(pdf(named, images=lambda _: None))))
        assert "Ελένη Жукова" in text

    def test_a_letter_that_there_is_none_for_is_told_by_its_number(self) -> None:
        assert legible("Ж中") == "Ж[U+4E2D]"

    def test_every_font_is_in_the_file(self, reader: PdfReader) -> None:
        fonts = [
            font.get_object()
            for page in reader.pages
            for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
        ]
        used = {str(font["/BaseFont"]): font for font in fonts if "DejaVu" in str(font["/BaseFont"])}
        assert len(used) >= 2
        for font in used.values():
            assert "/FontFile2" in font["/FontDescriptor"].get_object()

    def test_text_is_no_markup(self, hostile_smear: SampleReport) -> None:
        reader = PdfReader(BytesIO(pdf(hostile_smear, images=lambda _: None)))
        assert "<script>alert('x')</script>" in words(reader)
        assert "/JavaScript" not in str(reader.trailer["/Root"])


class TestFile:
    def test_equal_reports_give_equal_bytes(
        self, content: bytes, reviewed_smear: SampleReport, pictures: ImageSource, tmp_path: Path
    ) -> None:
        write_pdf(reviewed_smear, tmp_path / "report.pdf", images=pictures)
        assert (tmp_path / "report.pdf").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]

    def test_no_file_name_is_in_it_unless_asked(self, reviewed_smear: SampleReport) -> None:
        assert "Eve Smith" not in words(PdfReader(BytesIO(pdf(reviewed_smear, images=lambda _: None))))
        named = pdf(reviewed_smear, images=lambda _: None, names=True)
        assert "Eve Smith" in words(PdfReader(BytesIO(named)))

    def test_a_file_that_cannot_be_written_says_so(self, bare_smear: SampleReport, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match=r"report\.pdf cannot be written"):
            write_pdf(bare_smear, tmp_path / "nowhere" / "report.pdf", images=lambda _: None)
