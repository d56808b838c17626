"""People see every image once, with what matters about it, and the sum."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from leukolens.imaging.framing import Box
from leukolens.reading.cell import Cell, Decision, ImageReading
from leukolens.report.terminal import COLUMNS, Lines, Tally, TerminalTable


def cell(decision: Decision, top: float = 0.93) -> Cell:
    probabilities = {"immature_granulocyte": top, "neutrophil": 1 - top}
    return Cell(Box(0, 0, 9, 9), probabilities, decision, f"because {decision}")


READINGS = (
    ImageReading(Path("a.png"), "ok", None, (cell("accept"),)),
    ImageReading(Path("b.png"), "ok", None, (cell("review", 0.6),)),
    ImageReading(Path("c.png"), "ok", None, (cell("unknown"),)),
    ImageReading(Path("d.png"), "no_cell", "no nucleus found"),
    ImageReading(Path("[red]e\x1b[31m.png"), "failed", "the file is empty"),
)


def shown(width: int, *, colour: bool = False) -> str:
    table, stream = TerminalTable(), StringIO()
    for reading in READINGS:
        table.add(reading)
    table.print(
        Console(file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None)
    )
    return stream.getvalue()


def test_a_table_has_a_row_for_every_image() -> None:
    text = shown(120)
    for row in (
        ["a.png", "Immature granulocyte", "93.0 %", "accept"],
        ["b.png", "60.0 %", "review", "because review"],
        ["c.png", "unknown", "because unknown"],
        ["d.png", "no cell", "no nucleus found"],
        ["[red]e\\x1b[31m.png", "failed", "the file is empty"],
    ):
        (line,) = [line for line in text.splitlines() if row[0] in line]
        assert all(part in line for part in row)


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_is_not_overrun(width: int) -> None:
    assert max(len(line) for line in shown(width).splitlines()) <= width


def test_a_file_name_cannot_talk_to_the_terminal() -> None:
    text = shown(120, colour=True)
    assert "]e\x1b" not in text
    assert "[red]e\\x1b[31m.png" in text


def test_lines_come_at_once_and_part_at_tabs() -> None:
    stream = StringIO()
    lines = Lines(stream)
    assert stream.getvalue() == "\t".join(COLUMNS) + "\n"
    lines.add(READINGS[1])
    assert stream.getvalue().splitlines()[1:] == [
        "b.png\timmature_granulocyte\t60.0 %\treview\tbecause review"
    ]
    for reading in READINGS[3:]:
        lines.add(reading)
    assert all(len(line.split("\t")) == len(COLUMNS) for line in stream.getvalue().splitlines())


def test_the_sum_counts_every_image_once() -> None:
    tally = Tally()
    assert tally.summary() == "0 images: nothing."
    tally.add(READINGS[0])
    assert tally.summary() == "1 image: 1 accept."
    for reading in READINGS[1:]:
        tally.add(reading)
    assert tally.summary() == "5 images: 1 accept, 1 review, 1 unknown, 1 without a cell, 1 failed."
    assert tally.failed == 1
    assert tally.complaint().startswith("1 of 5 images could not be read")
