"""The top of a page: what a person should review, what was counted, and the differential with its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from leukolens.differential.counts import ClassCount, Concentration, Differential, Flag, Share
from leukolens.report.markup import NOTHING, badge, between, counted, figure, table, text
from leukolens.report.review_words import machine_rows
from leukolens.report.sample import Review, SampleReport
from leukolens.taxonomy import UNSURE, cell_class

PER_LITRE = "10<sup>9</sup>/L"


def flags(report: SampleReport) -> Iterator[str]:
    """What the differential shows that a person should review."""
    if not report.flags:
        yield '<p class="none">Nothing is flagged.</p>'
        return
    yield '<ul class="flags">'
    for flag in report.flags:
        yield _flag(flag)
    yield "</ul>"


def _flag(flag: Flag) -> str:
    above = flag.high is not None and flag.value > flag.high
    below = flag.low is not None and flag.value < flag.low
    sign = "▲" if above else "▼" if below else "●"
    what, colon, why = flag.message.partition(":")
    return (
        f'<li data-flag="{text(flag.key)}"><span class="sign" aria-hidden="true">{sign}</span>'
        f'<span class="message"><b>{_units(what)}{colon}</b>{_units(why)}</span></li>'
    )


def _units(words: str) -> str:
    """Words with the unit of concentrations as it is printed."""
    return re.sub(r"( [x×])? 10\^9/L", f" ×\u202f{PER_LITRE}", text(words))


def warnings(report: SampleReport, missing: int) -> Iterator[str]:
    """What a reader must know before using it.

    Args:
        report: The sample.
        missing: Fields that were read but whose picture could not be shown.
    """
    failed = sum(field.status == "failed" for field in report.fields)
    own = []
    if failed:
        own.append(
            f"{failed} of {counted(len(report.fields), 'field')} could not be read; the reasons stand below."
        )
    if missing:
        own.append(f"The pictures of {counted(missing, 'field')} are missing from this page.")
    told = [*report.warnings, *own]
    if told:
        yield f'<ul class="warnings">{"".join(f"<li>{_units(warning)}</li>" for warning in told)}</ul>'


def key_figures(report: SampleReport) -> Iterator[str]:
    """What was counted, and what was left out."""
    differential, tally = report.differential, report.differential.tally
    read = sum(field.status != "failed" for field in report.fields)
    yield _key("Leukocytes named", "denominator", f"{tally.denominator:,}", "the percentages are over these")
    yield _key("Unsure", "unsure", f"{tally.unsure:,}", "in no class, widen the limits")
    left_out = f"at the edge {tally.at_edge:,}, not leukocytes {tally.not_leukocyte:,}"
    yield _key("Left out", "left_out", f"{tally.at_edge + tally.not_leukocyte:,}", left_out)
    yield _key("Fields read", "fields", f"{read:,}", f"of {len(report.fields):,}")
    if tally.nucleated_red_cells is not None:
        per_hundred = f"{figure(differential.nucleated_red_cells)} per 100 leukocytes"
        yield _key("Nucleated red cells", "nucleated", f"{tally.nucleated_red_cells:,}", per_hundred)
    if differential.white_count:
        count = differential.white_count
        corrected = f"given as {figure(count.given, 2)}"
        yield _key(f"White cells, {PER_LITRE}", "white_count", figure(count.corrected, 2), corrected)


def _key(name: str, key: str, value: str, note: str) -> str:
    return (
        f'<div class="key" data-key="{key}"><dt>{name}</dt><dd><span class="big">{value}</span>'
        f'<span class="note">{note}</span></dd></div>'
    )


def differential_table(differential: Differential, review: Review | None = None) -> Iterator[str]:
    """The differential, one row a class; the unsure have their own.

    Args:
        differential: What is reported.
        review: Where persons reviewed it: the machine's own figures stand beside theirs.
    """
    corrected = any(row.corrected for row in differential.classes)
    absolute = any(row.concentration for row in differential.classes)
    head = ["class", "cells", "%", "95\u202f% limits"]
    head += ["corrected&nbsp;%", "95\u202f% limits"] if corrected else []
    head += [PER_LITRE, "95\u202f% limits"] if absolute else []
    head += ["more&nbsp;cells<br>to&nbsp;halve&nbsp;them"]
    head += ["machine&nbsp;cells", "machine&nbsp;%"] if review else []
    machine = machine_rows(review)
    rows = [
        _class_row(row, corrected, absolute, _machine_row(machine.get(row.key)) if review else "")
        for row in differential.classes
    ]
    aside = _machine(review.machine.tally.unsure, review.machine.unsure) if review else ""
    rows.append(_unsure_row(differential, corrected, absolute, aside))
    yield from table("differential", "Differential count with 95 % limits", head, rows)


def _class_row(row: ClassCount, corrected: bool, absolute: bool, machine: str) -> str:
    return (
        f'<tr data-row="{row.key}"><th scope="row">{badge(row.key)} {cell_class(row.key).name}</th>'
        f"<td>{row.count:,}</td>{_measure(row.share)}"
        f"{_measure(row.corrected) if corrected else ''}"
        f"{_measure(row.concentration) if absolute else ''}<td>{row.to_halve:,}</td>{machine}</tr>"
    )


def _unsure_row(differential: Differential, corrected: bool, absolute: bool, machine: str) -> str:
    empty = "<td></td>" * (2 * corrected + 2 * absolute + 1)
    return (
        f'<tr class="aside" data-row="unsure"><th scope="row">{badge(UNSURE)} Unsure, of named and unsure</th>'
        f"<td>{differential.tally.unsure:,}</td>{_measure(differential.unsure)}{empty}{machine}</tr>"
    )


def _machine_row(row: ClassCount | None) -> str:
    return _machine(row.count, row.share) if row else _machine(None, None)


def _machine(count: int | None, share: Share | None) -> str:
    """The machine's figures of a row; nothing where it cannot name the class."""
    percent = figure(share.percent) if share else NOTHING
    return f'<td class="machine">{NOTHING if count is None else f"{count:,}"}</td><td class="machine">{percent}</td>'


def _measure(measure: Share | Concentration | None) -> str:
    if measure is None:
        return f"<td>{NOTHING}</td><td></td>"
    value, places = (measure.percent, 1) if isinstance(measure, Share) else (measure.value, 2)
    return (
        f'<td class="value">{figure(value, places)}</td><td class="between">{between(measure, places)}</td>'
    )


def differential_note(differential: Differential, review: Review | None = None) -> str:
    """How the figures of the table came about."""
    parts = [
        "Percentages are over the named leukocytes. Limits are exact (Clopper-Pearson) and allow for the unsure "
        "cells; they tell what the number of cells counted allows, not whether each was rightly named."
    ]
    if differential.confusion_from:
        parts.append(
            "Corrected figures allow for the confusion of classes that was measured on "
            f"{differential.confusion_from}, all together. Slides of one laboratory alone may be confused otherwise, "
            "and corrected limits are too narrow then."
        )
    if review:
        parts.append(
            "The machine's own figures, before persons reviewed its answers, stand in the last two columns."
        )
    return f'<p class="quiet">{text(" ".join(parts))}</p>'
