"""What a laboratory's day must come to: nothing lost, nobody led, and every file says what the page says."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from leukolens.taxonomy import cell_class

Figures = dict[str, tuple[int, float]]
ROUNDED = 0.0501  # per cent: the page shows one place


def test_reading_goes_on_after_a_restart_and_the_page_follows(
    lab: Any, smear: Any, fields: list[Path]
) -> None:
    assert 1 <= smear.read_before < len(fields)
    page = lab.at("rosa", smear.address)
    shown = page.locator("#progress .strip li span").all_text_contents()
    assert len(shown) == len(fields) == 20
    cells = sum(int(found[1]) for one in shown if (found := re.search(r"(\d+) cells?$", one.strip())))
    assert smear.said == f"20 fields read, {cells} white cells found."  # none twice, none lost


def test_cells_are_named_by_key_and_by_drag_undone_and_drawn(smear: Any, first: Any) -> None:
    keyed, dragged, undone = smear.chosen
    assert [first.labels[cell] for cell in (keyed, dragged, smear.drawn)] == [
        "myelocyte",
        "blast",
        "monocyte",
    ]
    assert first.labels[undone] not in {"smudge", "myelocyte", "blast"}


def test_the_second_reader_is_shown_nothing_of_the_first_ones_answers(
    smear: Any, first: Any, second: Any
) -> None:
    assert second.by_persons == 0
    assert second.shown.labels.keys() == first.labels.keys()  # the drawn one too, without its name
    assert second.shown.labels[smear.drawn] == "unsure"
    for cell, label in second.shown.labels.items():
        assert label in {second.machine.get(cell), "unsure", "blind"}


def test_where_they_differ_and_kappa_are_shown_before_a_third_settles_it(
    first: Any, second: Any, third: Any
) -> None:
    inside = first.labels.keys() - first.edge
    pairs = [(first.labels[cell], second.said.labels[cell]) for cell in inside]
    differ = sum(one != other for one, other in pairs)
    assert differ == third.differences == third.settled == 2
    assert third.in_the_way == 1
    assert f"They differ on {differ} cells. Cohen's kappa {kappa(pairs):.2f}." in third.told


def kappa(pairs: list[tuple[str, str]]) -> float:
    """Cohen 1960: of proportions."""
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    one, other = (Counter(labels) for labels in zip(*pairs, strict=True))
    by_chance = sum(one[key] / len(pairs) * other[key] / len(pairs) for key in one)
    return (agreed - by_chance) / (1 - by_chance)


def test_the_signed_differential_counts_what_was_settled(first: Any, signed: Any) -> None:
    named = Counter(label for cell, label in first.labels.items() if cell not in first.edge)
    white = {key: count for key, count in named.items() if key != "unsure" and cell_class(key).leukocyte}
    assert {key: count for key, (_, count, _) in signed.figures.items() if count} == white
    assert signed.denominator == sum(white.values())
    for _, count, percent in signed.figures.values():
        assert percent == pytest.approx(100 * count / signed.denominator, abs=ROUNDED)


def of_html(path: Path, signed: Any, lab: Any) -> Figures:
    page = lab.pages["rita"].context.new_page()
    page.goto(path.as_uri())
    rows = page.locator("tr[data-row]:not(.aside)").evaluate_all(
        "rows => rows.map(row => [row.dataset.row, row.querySelector('td'), row.querySelector('td.value')]"
        ".map(part => part.textContent ?? part))"
    )
    page.close()
    return {key: (int(count), float(percent)) for key, count, percent in rows}


def of_pdf(path: Path, signed: Any, lab: Any) -> Figures:
    words = " ".join(" ".join(page.extract_text() for page in PdfReader(path).pages).split())
    rows = {
        key: re.search(rf" {re.escape(letter)} {cell_class(key).name} (\d+) ([\d.]+) ", words)
        for key, (letter, *_) in signed.figures.items()
    }
    return {key: (int(row[1]), float(row[2])) for key, row in rows.items() if row}


def of_cells(path: Path, signed: Any, lab: Any) -> Figures:
    with path.open(newline="", encoding="utf-8") as stream:
        counts = Counter(row["counted_as"] for row in csv.DictReader(stream))
    return {key: (counts[key], 100 * counts[key] / signed.denominator) for key in signed.figures}


def of_differential(path: Path, signed: Any, lab: Any) -> Figures:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = {row["row"]: row for row in csv.DictReader(stream)}
    return {key: (int(rows[key]["count"]), float(rows[key]["percent"])) for key in signed.figures}


def of_json(path: Path, signed: Any, lab: Any) -> Figures:
    (sample,) = json.loads(path.read_bytes())["samples"]
    return {key: (row["count"], row["percent"]) for key, row in sample["differential"]["classes"].items()}


def of_fhir(path: Path, signed: Any, lab: Any) -> Figures:
    resources = [entry["resource"] for entry in json.loads(path.read_bytes())["entry"]]
    found = {one["code"]["text"]: one for one in resources if one["resourceType"] == "Observation"}
    rows = {key: found[f"{cell_class(key).name}s, percent of leukocytes"] for key in signed.figures}
    counts = {
        key: next(
            part["valueInteger"] for part in row["component"] if part["code"]["text"] == "Cells counted"
        )
        for key, row in rows.items()
    }
    return {key: (counts[key], row["valueQuantity"]["value"]) for key, row in rows.items()}


def of_hl7(path: Path, signed: Any, lab: Any) -> Figures:
    lines = [line.split("|") for line in path.read_bytes().decode().split("\r")]
    places = {line[3].split("^")[1]: place for place, line in enumerate(lines) if line[0] == "OBX"}
    found = {}
    for key in signed.figures:
        place = places[f"{cell_class(key).name}s, percent of leukocytes"]
        assert lines[place + 1][3].startswith("Cells counted: ")
        found[key] = int(lines[place + 1][3].removeprefix("Cells counted: ")), float(lines[place][5])
    return found


FILES: Mapping[str, Callable[[Path, Any, Any], Figures]] = {
    "html": of_html, "pdf": of_pdf, "cells": of_cells, "differential": of_differential, "json": of_json,
    "fhir": of_fhir, "hl7": of_hl7,
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_what_the_page_says(name: str, lab: Any, signed: Any) -> None:
    figures = FILES[name](signed.files[name], signed, lab)
    assert {key: count for key, (count, _) in figures.items()} == {
        key: count for key, (_, count, _) in signed.figures.items()
    }
    for key, (_, percent) in figures.items():
        assert percent == pytest.approx(signed.figures[key][2], abs=ROUNDED), key


def test_a_bundle_of_its_own_is_made_taken_up_for_new_samples_and_put_back(
    lab: Any, smear: Any, signed: Any, fields: list[Path]
) -> None:
    page = lab.at("rita", "/learning")
    lab.presses("rita", "#make-set")
    lab.presses("rita", "#set-1 button")
    page.wait_for_selector("#adaptation-1:is([data-state=done], [data-state=refused], [data-state=failed])")
    assert page.get_attribute("#adaptation-1", "data-state") == "done", page.text_content("#adaptation-1")
    heads = page.locator("#adaptation-1 thead th").all_text_contents()
    assert {"Before", "After"} <= {head.strip() for head in heads}
    assert page.locator("#adaptation-1 tbody tr").count() >= 4

    door = lab.at("ada", "/learning")
    own, shipped = (
        str(door.get_attribute(f"#bundles tr:has({part})", "data-bundle")) for part in ("form", ".chip.good")
    )
    lab.presses("ada", "#bundles form button")
    new = lab.sends("rosa", "Smear of the next day", fields[:1])
    for address, bundle in ((new, own), (smear.address, shipped)):
        assert bundle[:12] in lab.at("rosa", address).text_content("aside")
    lab.at("ada", "/learning")
    lab.presses("ada", "#bundles button:has-text('Go back')")
    assert door.get_attribute("#bundles tr:has(.chip.good)", "data-bundle") == shipped


def test_no_page_complained(lab: Any, signed: Any) -> None:
    # While the server was away requests failed, as htmx says too, and a drawn cell has no picture at first.
    usual = "Failed to load resource", "htmx:"
    assert [said for said in lab.complaints if not said.startswith(usual)] == []
