"""The page shows what the files hold, needs nothing beside it, and no text breaks out of it."""

from __future__ import annotations

import csv
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from leukolens.errors import ReportError
from leukolens.reading.cell import FieldReading
from leukolens.report.page import ImageSource, write_page
from leukolens.report.read_document import sample_entry
from leukolens.report.read_tables import write_cells, write_differential
from leukolens.report.sample import SampleReport
from leukolens.taxonomy import cell_class

Parse = Callable[[str], Any]


@pytest.fixture(scope="module")
def page_text(smear: SampleReport, pictures: ImageSource, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_page(smear, path, images=pictures)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(page_text: str, parsed: Parse) -> Any:
    return parsed(page_text)


class TestWhatItShowsIsWhatTheFilesHold:
    def test_the_differential(self, page: Any, smear: SampleReport) -> None:
        entry = sample_entry(smear)["differential"]
        table = page.one("table", class_="differential")
        rows = table.one("tbody").all("tr")
        assert [row.attributes["data-row"] for row in rows] == [*entry["classes"], "unsure"]
        for row, (key, given) in zip(rows, entry["classes"].items(), strict=False):
            assert row.one("th").text.endswith(cell_class(key).name)
            shares = [given[end] for end in ("percent", "low", "high")]
            corrected, concentration = (
                list(given["corrected"].values()),
                list(given["concentration"].values()),
            )
            assert row.figures == [*shares, *corrected, *concentration]
            shown = [cell.text for cell in row.all("td")]
            assert shown == [
                f"{given['count']}",
                *(_shown(three, 1) for three in _pairs(shares)),
                *(_shown(three, 1) for three in _pairs(corrected)),
                *(_shown(three, 2) for three in _pairs(concentration)),
                f"{given['to_halve']:,}",
            ]
        assert rows[-1].figures == list(entry["unsure"].values())
        assert rows[-1].all("td")[0].text == str(entry["excluded"]["unsure"])

    def test_the_differential_is_the_tables_too(self, page: Any, smear: SampleReport, tmp_path: Path) -> None:
        write_differential(smear, tmp_path / "differential.csv")
        with (tmp_path / "differential.csv").open(encoding="utf-8", newline="") as stream:
            told = {row.pop("row"): row for row in csv.DictReader(stream)}
        for row in page.one("table", class_="differential").one("tbody").all("tr"):
            values = told[row.attributes["data-row"]]
            assert row.all("td")[0].text == values.pop("count")
            values.pop("to_halve")
            assert row.figures == [float(value) for value in values.values() if value]

    def test_the_key_figures(self, page: Any, smear: SampleReport) -> None:
        entry = sample_entry(smear)["differential"]
        shown = {
            key.attributes["data-key"]: key.one("span", class_="big").text for key in page.all(data_key=None)
        }
        excluded = entry["excluded"]
        assert shown == {
            "denominator": str(entry["denominator"]),
            "unsure": str(excluded["unsure"]),
            "left_out": str(excluded["at_edge"] + excluded["not_leukocyte"]),
            "fields": "5",
            "nucleated": str(entry["nucleated_red_cells"]["count"]),
            "white_count": f"{entry['white_count']['corrected']:.2f}",
        }
        assert page.one(data_key="white_count").figures == list(entry["white_count"].values())[::-1]
        assert page.one(data_key="nucleated").figures == [entry["nucleated_red_cells"]["per_100_leukocytes"]]

    def test_the_flags_and_warnings(self, page: Any, smear: SampleReport) -> None:
        entry = sample_entry(smear)
        assert entry["flags"]
        shown = {
            flag.attributes["data-flag"]: flag.one(class_="message").text for flag in page.all(data_flag=None)
        }
        assert shown == {
            flag["key"]: flag["message"].replace("× 10^9/L", "×\u202f109/L") for flag in entry["flags"]
        }
        warned = [item.text for item in page.one("ul", class_="warnings").all("li")]
        assert warned[: len(entry["differential"]["warnings"])] == entry["differential"]["warnings"]
        assert "1 of 6 fields could not be read; the reasons stand below." in warned
        assert entry["differential"]["confusion_from"] in page.text

    def test_every_cell(self, page: Any, smear: SampleReport, tmp_path: Path) -> None:
        write_cells(smear, tmp_path / "cells.csv")
        with (tmp_path / "cells.csv").open(encoding="utf-8", newline="") as stream:
            told = {(row["field"], row["number"]): row for row in csv.DictReader(stream) if row["number"]}
        crops = {}
        for group in page.all("section", data_group=None):
            for crop in group.all("li", data_cell=None):
                place, number = crop.attributes["data-cell"].split("-")
                crops[f"field-{int(place):03d}", number] = (
                    crop.attributes["data-class"], group.attributes["data-group"],
                    crop.attributes["data-decision"], *crop.figures,
                )  # fmt: skip
        assert crops == {
            place: (row["class"], row["counted_as"], row["decision"], float(row["probability"]))
            for place, row in told.items()
        }
        answers = {
            (field.attributes["id"], answer.one("b").text): (answer.text.split()[2], *answer.figures)
            for field in page.all("figure", data_field=None)
            for answer in field.all("li")
        }
        assert answers == {
            place: (cell_class(row["class"]).name.split()[0], float(row["probability"]))
            for place, row in told.items()
        }
        boxes = [node.attributes["id"] for node in page.all("g", id=None)]
        assert boxes == [f"{name}-{number}" for name, number in told]

    def test_the_groups_say_how_many(self, page: Any, smear: SampleReport) -> None:
        entry = sample_entry(smear)["differential"]
        counts = {key: row["count"] for key, row in entry["classes"].items()} | entry["excluded"]
        shown = {
            group.attributes["data-group"]: int(group.one(class_="count").text.split()[0])
            for group in page.all("section", data_group=None)
        }
        assert shown == {key: count for key, count in counts.items() if count}

    def test_fields_and_their_checksums(self, page: Any, smear: SampleReport) -> None:
        rows = page.one("table", class_="index").one("tbody").all("tr")
        entry = sample_entry(smear, paths=False)
        for row, field in zip(rows, entry["fields"], strict=True):
            assert row.one("th").text == field["name"]
            assert row.one("code").text == field["sha256"]
            told = [cell.text for cell in row.all("td")][1:4]
            assert told == [str(len(field["cells"])), str(field["red_cells"]), str(field["platelets"])]
        (failed,) = page.one("table", class_="failed").one("tbody").all("tr")
        assert [failed.one("th").text, failed.one("td").text] == [
            entry["fields"][3]["name"], entry["fields"][3]["reason"],
        ]  # fmt: skip

    def test_what_it_was_read_with(self, page: Any, smear: SampleReport) -> None:
        facts = page.one("dl", class_="facts")
        told = dict(zip((n.text for n in facts.all("dt")), (n.text for n in facts.all("dd")), strict=True))
        origin = sample_entry(smear)["origin"]
        assert told == {
            "Leukolens": origin["leukolens"],
            "Bundle": origin["bundle"]["name"],
            "Bundle sha256": origin["bundle"]["sha256"],
            "Engine": origin["engine"],
            **origin["settings"],
        }


def _pairs(three: list[float]) -> list[list[float]]:
    return [three[:1], three[1:]]


def _shown(values: list[float], places: int) -> str:
    return " to ".join(f"{value:.{places}f}" for value in values)


class TestItStandsAlone:
    def test_nothing_is_fetched_and_nothing_runs(self, page: Any, page_text: str) -> None:
        assert not page.all("script") + page.all("link") + page.all("iframe") + page.all(style=None)
        assert not re.search(r'\son\w+="', page_text)
        for image in page.all("img"):
            assert image.attributes["src"].startswith("data:image/jpeg;base64,")
        for link in page.all("a"):
            assert page.all(id=link.attributes["href"].removeprefix("#"))
        assert "http://" not in page_text
        assert "https://" not in page_text
        assert "url(" not in page_text

    def test_its_policy_allows_its_own_style_alone(self, page: Any) -> None:
        style = page.one("style").text
        digest = b64encode(sha256(style.encode()).digest()).decode()
        policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
        assert policy.startswith(f"default-src 'none'; img-src data:; style-src 'sha256-{digest}';")

    def test_it_says_what_it_is_not(self, page: Any) -> None:
        assert "not a certified medical device" in page.one("header").text
        assert "not a certified medical device" in page.one("footer").text
        assert "research and education" in page.one("footer").text

    def test_it_can_be_read_aloud(self, page: Any) -> None:
        assert page.one("html").attributes["lang"] == "en"
        assert len(page.all("main")) == len(page.all("h1")) == len(page.all("header")) == 1
        for image in page.all("img"):
            assert image.attributes["alt"]
        for table in page.all("table"):
            assert table.one("caption").text
            assert all(cell.attributes["scope"] == "col" for cell in table.one("thead").all("th"))
            assert all(cell.attributes["scope"] == "row" for cell in table.one("tbody").all("th"))
        for section in page.one("main").all("section", aria_labelledby=None):
            assert section.all("h2", id=section.attributes["aria-labelledby"])
        ids = [node.attributes["id"] for node in page.all(id=None)]
        assert len(ids) == len(set(ids))

    def test_its_pictures_tell_nothing_of_the_file(self, page: Any) -> None:
        for image in page.all("img"):
            jpeg = Image.open(BytesIO(b64decode(image.attributes["src"].partition(",")[2])))
            assert jpeg.format == "JPEG"
            assert not jpeg.getexif()
            assert "comment" not in jpeg.info

    def test_no_name_of_a_file_is_on_it_unless_asked(
        self, page_text: str, smear: SampleReport, pictures: ImageSource, tmp_path: Path
    ) -> None:
        for part in ("Eve Smith", "ward 3", ".png"):
            assert part not in page_text
        write_page(smear, tmp_path / "named.html", images=pictures, names=True)
        named = (tmp_path / "named.html").read_text()
        assert "/ward 3/Eve Smith/smear1.png" in named
        assert "smear4.png: the file ends early" in named

    def test_equal_smears_give_equal_pages(
        self, page_text: str, smear: SampleReport, pictures: ImageSource, tmp_path: Path
    ) -> None:
        write_page(smear, tmp_path / "again.html", images=pictures)
        assert (tmp_path / "again.html").read_text() == page_text


class TestHostileText:
    @pytest.fixture
    def hostile_page(
        self, hostile_smear: SampleReport, pictures: ImageSource, parsed: Parse, tmp_path: Path
    ) -> Any:
        write_page(hostile_smear, tmp_path / "page.html", images=pictures, names=True)
        return parsed((tmp_path / "page.html").read_text(encoding="utf-8"))

    def test_it_makes_no_markup(self, hostile_page: Any, page: Any) -> None:
        assert not hostile_page.all("script")
        assert len(hostile_page.all("style")) == len(hostile_page.all("title")) == 1
        assert {node.tag for node in hostile_page.all()} == {node.tag for node in page.all()}
        assert _attributes(hostile_page) == _attributes(page)

    def test_it_is_shown_written_out(self, hostile_page: Any) -> None:
        shown = "=1+1</style></title><script>alert('x')</script>\"\\x1b[2J\\u202e\\udce9\\n$style"
        assert hostile_page.one("h1").text == shown
        assert hostile_page.one("title").text.startswith(shown)
        assert shown in hostile_page.one("table", class_="failed").text

    def test_it_leaves_the_style_whole(self, hostile_page: Any) -> None:
        style = hostile_page.one("style").text
        foot = re.search(r'@bottom-left { content: "([^"]*)"', style)
        assert foot
        assert re.fullmatch(r"(\\[0-9a-f]+ )+", foot.group(1))
        assert "</" not in style

    def test_it_holds_no_control_characters(self, hostile_page: Any) -> None:
        assert all(sign.isprintable() or sign in "\n\xa0\u2009\u202f" for sign in hostile_page.text)


def _attributes(page: Any) -> set[str]:
    return {name for node in page.all() for name in node.attributes}


class TestImages:
    def test_each_is_asked_for_once_and_let_go_of(
        self, smear: SampleReport, pictures: ImageSource, tmp_path: Path
    ) -> None:
        asked: list[str] = []

        def source(field: FieldReading) -> NDArray[np.uint8] | None:
            asked.append(field.sha256)
            return pictures(field)

        write_page(smear, tmp_path / "page.html", images=source)
        assert asked == [field.sha256 for field in smear.fields if field.status != "failed"]

    def test_fields_pass_through_as_they_are_written_and_the_page_is_the_same(
        self, page_text: str, smear: SampleReport, pictures: ImageSource, tmp_path: Path
    ) -> None:
        told: list[str] = []

        def source(field: FieldReading) -> NDArray[np.uint8] | None:
            told.append("asked")
            return pictures(field)

        def passing(fields: Sequence[FieldReading]) -> Iterator[FieldReading]:
            for field in fields:
                yield field
                told.append(field.status)

        write_page(smear, tmp_path / "page.html", images=source, passing=passing)
        states = [field.status for field in smear.fields]
        assert told == [word for state in states for word in ("asked", state)[state == "failed" :]]
        assert (tmp_path / "page.html").read_text() == page_text

    def test_one_that_is_gone_or_another_is_said_to_be(
        self, smear: SampleReport, pictures: ImageSource, parsed: Parse, tmp_path: Path
    ) -> None:
        gone, other = smear.fields[0].sha256, smear.fields[1].sha256

        def source(field: FieldReading) -> NDArray[np.uint8] | None:
            if field.sha256 == gone:
                return None
            rgb = pictures(field)
            assert rgb is not None
            return rgb[:-1] if field.sha256 == other else rgb

        write_page(smear, tmp_path / "page.html", images=source)
        page = parsed((tmp_path / "page.html").read_text())
        assert "The pictures of 2 fields are missing from this page." in page.one(class_="warnings").text
        fields = page.all("figure", data_field=None)
        assert [len(field.all("img")) for field in fields] == [0, 0, 1, 1, 1]
        assert not fields[1].all("svg")
        assert len(page.all("li", data_cell=None)) == 12

    def test_what_the_source_raises_comes_through_and_leaves_nothing(
        self, smear: SampleReport, tmp_path: Path
    ) -> None:
        def broken(field: FieldReading) -> NDArray[np.uint8] | None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_page(smear, tmp_path / "page.html", images=broken)
        assert list(tmp_path.iterdir()) == []


def test_a_smear_without_a_cell_is_a_page_too(
    bare_smear: SampleReport, pictures: ImageSource, parsed: Parse, tmp_path: Path
) -> None:
    write_page(bare_smear, tmp_path / "page.html", images=pictures)
    page = parsed((tmp_path / "page.html").read_text())
    head = page.one("table", class_="differential").one("thead").text
    assert "corrected" not in head
    assert "109/L" not in head
    assert "corrected" not in page.one(class_="legend").text
    assert "Nothing is flagged." in page.text
    assert "No white cell was found." in page.text
    assert not page.all("table", class_="failed")


def test_a_page_that_cannot_be_written_says_so(
    smear: SampleReport, pictures: ImageSource, tmp_path: Path
) -> None:
    with pytest.raises(ReportError, match=r"page\.html cannot be written"):
        write_page(smear, tmp_path / "nowhere" / "page.html", images=pictures)
