"""What was read of a smear, as CSV: a table of its cells and one of its differential.

Both are UTF-8 with one header row; text that a spreadsheet would take for a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from leukolens.differential.counts import ClassCount, Differential, Share
from leukolens.report.listing import Listed, field_name, listed_in, nameless_reason
from leukolens.report.read_document import PROBABILITY_PLACES, rounded
from leukolens.report.sample import SampleReport
from leukolens.report.tables import harmless, printable
from leukolens.report.writing import whole_file
from leukolens.taxonomy import in_order

CELL_COLUMNS = (
    "field", "sha256", "status", "number", "x0", "y0", "x1", "y1", "class", "counted_as", "probability",
    "decision", "reason", "at_edge", "score",
)  # fmt: skip
DIFFERENTIAL_COLUMNS = (
    "row", "count", "percent", "low", "high", "corrected_percent", "corrected_low", "corrected_high",
    "concentration", "concentration_low", "concentration_high", "to_halve",
)  # fmt: skip
REVIEWED_CELL_COLUMNS = ("reviewed",)
REVIEWED_DIFFERENTIAL_COLUMNS = (
    "machine_count", "machine_percent", "machine_low", "machine_high", "report_status", "report_version",
)  # fmt: skip
"""What the tables have besides where persons have reviewed the sample."""

Row = dict[str, str | int | float | None]


def write_cells(report: SampleReport, path: Path, *, names: bool = False) -> None:
    """Writes one row a cell, and one with the reason for a field without any.

    ``class`` is the machine's; where there is a review, ``reviewed`` is what a person says.

    Args:
        report: The sample.
        path: Where to write.
        names: Whether a last column gives each field's path; without, no file name is in it.

    Raises:
        ReportError: Where it cannot be written.
    """
    chances = [f"probability_{key}" for key in _classes(report)]
    columns = (*CELL_COLUMNS, *(REVIEWED_CELL_COLUMNS if report.review else ()))
    _write(path, [*columns, *chances, *(["path"] if names else [])], cell_rows(report, names=names))


def write_differential(report: SampleReport, path: Path) -> None:
    """Writes one row a class, and after them the rows of what stands beside them.

    Where there is a review, the figures are the reviewed ones and the machine's own stand beside them.

    Raises:
        ReportError: Where it cannot be written.
    """
    rows, columns = differential_rows(report.differential), DIFFERENTIAL_COLUMNS
    if report.review is None:
        _write(path, columns, rows)
        return
    machine = {str(row["row"]): row for row in differential_rows(report.review.machine)}
    told: Row = {"report_status": report.review.status, "report_version": report.review.version}
    _write(
        path,
        (*columns, *REVIEWED_DIFFERENTIAL_COLUMNS),
        ({**row, **_beside(machine.get(str(row["row"]))), **told} for row in rows),
    )


def _beside(machine: Row | None) -> Row:
    """The machine's figures as they stand beside a person's."""
    keys = ("count", "percent", "low", "high")
    return {f"machine_{key}": machine.get(key) for key in keys} if machine else {}


def cell_rows(report: SampleReport, *, names: bool = False) -> Iterator[Row]:
    """The rows of `write_cells`; a class that the bundle doesn't know has no probability, which is not 0."""
    for place, field in enumerate(report.fields, start=1):
        shared: Row = {"field": field_name(place), "sha256": field.sha256, "status": field.status}
        if names:
            shared["path"] = str(field.path)
        for item in listed_in(report, place, field):
            reviewed: Row = {"reviewed": item.cell.reviewed} if report.review else {}
            yield {**shared, **_cell_row(item), **reviewed}
        if not field.cells:
            yield {**shared, "reason": field.reason if names else nameless_reason(field)}


def _cell_row(item: Listed) -> Row:
    cell = item.cell
    return {
        "number": item.number,
        "x0": cell.box.x0,
        "y0": cell.box.y0,
        "x1": cell.box.x1,
        "y1": cell.box.y1,
        "class": item.machine_label,
        "counted_as": item.counted_as,
        "probability": round(item.certainty, PROBABILITY_PLACES) if cell.probabilities else None,
        "decision": cell.decision,
        "reason": cell.reason,
        "at_edge": "true" if cell.at_edge else "false",
        "score": round(cell.score, PROBABILITY_PLACES),
        **{
            f"probability_{key}": round(value, PROBABILITY_PLACES)
            for key, value in cell.probabilities.items()
        },
    }


def differential_rows(differential: Differential) -> Iterator[Row]:
    """The rows of `write_differential`.

    ``leukocytes`` has the denominator, and the corrected total white cell count where one was given;
    ``nucleated_red_cells`` has, as its percentage, how many there are per 100 leukocytes.
    """
    tally, white_count = differential.tally, differential.white_count
    for row in differential.classes:
        yield _class_row(row)
    leukocytes: Row = {"row": "leukocytes", "count": tally.denominator}
    yield {**leukocytes, "concentration": rounded(white_count.corrected)} if white_count else leukocytes
    yield {"row": "unsure", "count": tally.unsure, **_share(differential.unsure)}
    yield {"row": "at_edge", "count": tally.at_edge}
    yield {"row": "not_leukocyte", "count": tally.not_leukocyte}
    if tally.nucleated_red_cells is not None:
        yield {
            "row": "nucleated_red_cells",
            "count": tally.nucleated_red_cells,
            "percent": rounded(differential.nucleated_red_cells),
        }


def _class_row(row: ClassCount) -> Row:
    corrected = {f"corrected_{key}": value for key, value in _share(row.corrected).items()}
    absolute = row.concentration
    concentration: Row = (
        {
            "concentration": rounded(absolute.value),
            "concentration_low": rounded(absolute.low),
            "concentration_high": rounded(absolute.high),
        }
        if absolute
        else {}
    )
    counted: Row = {"row": row.key, "count": row.count, "to_halve": row.to_halve}
    return {**counted, **_share(row.share), **corrected, **concentration}


def _share(share: Share | None) -> Row:
    if share is None:
        return {}
    return {"percent": rounded(share.percent), "low": rounded(share.low), "high": rounded(share.high)}


def _classes(report: SampleReport) -> tuple[str, ...]:
    """Class keys that have a probability somewhere, or a row in the differential."""
    named = {key for field in report.fields for cell in field.cells for key in cell.probabilities}
    return in_order(named | {row.key for row in report.differential.classes})


def _write(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    with whole_file(path) as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _cell(value) for key, value in row.items()})


def _cell(value: str | int | float | None) -> str | int | float | None:
    return harmless(printable(value)) if isinstance(value, str) else value
