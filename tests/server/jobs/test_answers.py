from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, FieldReading
from leukolens.report.field_entries import field_entry
from leukolens.server.intake.samples import LONGEST_IDENTIFIER
from leukolens.server.jobs.answers import (
    LONGEST_BARCODE,
    Barcode,
    Evidence,
    Picture,
    ReadingFailedError,
    View,
    answer_of,
    barcode_of,
    evidence_of,
    picture_of,
    view_of,
    words,
)

JPEG = b"\xff\xd8\xff\xe0 and so on"
CELL = Cell(Box(1, 2, 30, 40), {"neutrophil": 0.75, "monocyte": 0.25}, "accept", "")
FIELD = FieldReading(Path("x"), "ok", None, "a" * 64, 100, 80, (CELL,), 7, 2, 6.5)


def said(field: FieldReading = FIELD, **other: Any) -> dict[str, Any]:
    return {
        "field": field_entry(field),
        "crops": [base64.b64encode(JPEG).decode()],
        "engine": "onnxruntime 1.2",
        "leukolens": "0.1.0",
        "bundle_sha256": "b" * 64,
    } | other


def test_a_sensible_answer_is_taken_as_it_is() -> None:
    answer = answer_of(json.dumps(said()).encode())
    assert (answer.field, answer.crops) == (FIELD, (JPEG,))
    assert (answer.engine, answer.leukolens, answer.bundle_sha256) == ("onnxruntime 1.2", "0.1.0", "b" * 64)


def test_a_problem_is_told_on_one_line() -> None:
    with pytest.raises(ReadingFailedError) as caught:
        answer_of(json.dumps({"problem": "first\nsecond\x1b[0m" + "x" * 900}).encode())
    assert caught.value.problem.startswith("first second\\x1b[0m")
    assert len(caught.value.problem) == 500


def _beyond(entry: dict[str, Any]) -> None:
    entry["field"]["cells"][0]["box"] = [1, 2, 101, 40]


def _no_class(entry: dict[str, Any]) -> None:
    entry["field"]["cells"][0]["probabilities"] = {}


def _unknown_class(entry: dict[str, Any]) -> None:
    entry["field"]["cells"][0]["probabilities"] = {"<script>": 1.0}


def _no_number(entry: dict[str, Any]) -> None:
    entry["field"]["cells"][0]["score"] = float("nan")


def _no_jpeg(entry: dict[str, Any]) -> None:
    entry["crops"] = [base64.b64encode(b"<svg>").decode()]


def _no_crop(entry: dict[str, Any]) -> None:
    entry["crops"] = []


def _no_base64(entry: dict[str, Any]) -> None:
    entry["crops"] = ["é!"]


def _failed_with_cells(entry: dict[str, Any]) -> None:
    entry["field"]["status"] = "failed"


def _huge(entry: dict[str, Any]) -> None:
    entry["field"]["width"] = 2**40


@pytest.mark.parametrize(
    "spoil",
    [
        _beyond,
        _no_class,
        _unknown_class,
        _no_number,
        _no_jpeg,
        _no_crop,
        _no_base64,
        _failed_with_cells,
        _huge,
    ],
)
def test_an_answer_that_makes_no_sense_is_not_believed(spoil: Callable[[dict[str, Any]], None]) -> None:
    entry = said()
    spoil(entry)
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        answer_of(json.dumps(entry).encode())


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_answer_is_not_believed(line: bytes) -> None:
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        answer_of(line)


def test_words_of_a_decoder_are_short_and_printable() -> None:
    assert words("a\0b \n c") == "a\\x00b c"
    assert len(words("x" * 10_000)) == 500


def cut_out(**other: Any) -> bytes:
    crop = base64.b64encode(JPEG).decode()
    return json.dumps({"crop": crop, "at_edge": True, "image_sha256": "a" * 64} | other).encode()


def test_a_sensible_picture_is_taken_as_it_is() -> None:
    assert picture_of(cut_out()) == Picture(JPEG, at_edge=True, image_sha256="a" * 64)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"crop": base64.b64encode(b"<svg>").decode()},
        {"crop": base64.b64encode(JPEG + b"\0" * 600_000).decode()},
        {"crop": None},
        {"at_edge": "no"},
        {"at_edge": 1},
        {"image_sha256": "A" * 64},
        {"image_sha256": None},
    ],
)
def test_a_picture_that_makes_no_sense_is_not_believed(spoilt: dict[str, Any]) -> None:
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        picture_of(cut_out(**spoilt))


def test_a_field_is_no_picture_and_a_picture_no_field() -> None:
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        picture_of(json.dumps(said()).encode())
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        answer_of(cut_out())


PNG = b"\x89PNG\r\n\x1a\n and so on"


def told(kind: str, **other: Any) -> bytes:
    known: dict[str, Any] = {"image_sha256": "a" * 64, "view": base64.b64encode(JPEG).decode()}
    if kind == "evidence":
        known = {"image_sha256": "a" * 64, "veil": base64.b64encode(PNG).decode(), "square": [-5, 0, 35, 40]}
    return json.dumps(known | other).encode()


def test_a_sensible_view_and_sensible_evidence_are_taken_as_they_are() -> None:
    assert view_of(told("view")) == View(JPEG, "a" * 64)
    assert evidence_of(told("evidence")) == Evidence(PNG, (-5, 0, 35, 40), "a" * 64)


@pytest.mark.parametrize(
    ("kind", "spoilt"),
    [
        ("view", {"view": base64.b64encode(PNG).decode()}), ("view", {"view": "?"}), ("view", {"image_sha256": ""}),
        ("evidence", {"veil": base64.b64encode(JPEG).decode()}),
        ("evidence", {"veil": base64.b64encode(PNG + b"\0" * 600_000).decode()}),
        ("evidence", {"square": [0, 0, 0, 40]}), ("evidence", {"square": [0, 0, 40]}),
        ("evidence", {"square": [0, 0, 40, 1e9]}), ("evidence", {"square": [0, 0, 40, 2**40]}),
        ("evidence", {"square": [True, 0, 40, 40]}), ("evidence", {"image_sha256": None}),
    ],
)  # fmt: skip
def test_a_view_or_evidence_that_makes_no_sense_is_not_believed(kind: str, spoilt: dict[str, Any]) -> None:
    understood: Callable[[bytes], Any] = view_of if kind == "view" else evidence_of
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        understood(told(kind, **spoilt))


def read(*texts: Any, **other: Any) -> bytes:
    return json.dumps({"texts": texts, "checked": True, "image_sha256": "a" * 64} | other).encode()


def test_a_barcode_that_can_be_an_identifier_is_taken_as_it_is() -> None:
    assert LONGEST_BARCODE == LONGEST_IDENTIFIER
    for text in ("P-17", "Ä 血/4711", "x" * LONGEST_BARCODE):
        assert barcode_of(read(text)) == Barcode(text, "a" * 64)


@pytest.mark.parametrize(
    "text", ["", " ", " P-17", "P\n17", "P\x1d17", "P\0", "P\u202e17", "P\ud80017", "x" * 201], ids=ascii
)
def test_a_text_that_can_be_no_identifier_is_refused_as_such(text: str) -> None:
    with pytest.raises(ReadingFailedError, match="can be no identifier"):
        barcode_of(read(text))


@pytest.mark.parametrize(
    "line",
    [
        read(17), read(None), read(["P-17"]), read("P-17", image_sha256="A" * 64), read(image_sha256=None),
        read("P-17", checked=1), read("P-17", checked=None), read(texts="P-17"), read(texts={"P-17": 1}),
        b'{"texts": []}',
    ],
)  # fmt: skip
def test_barcodes_that_make_no_sense_are_not_believed(line: bytes) -> None:
    with pytest.raises(ReadingFailedError, match="no sensible answer"):
        barcode_of(line)
