"""What an adaptation learns from: which cells of which images, what each teaches, what is held back as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from leukolens.bundle import load
from leukolens.evaluation.intervals import FEWEST_GROUPS
from leukolens.server.learning.sets import taught_as
from leukolens.server.review.blind import said_first
from leukolens.server.store.files import Files
from leukolens.server.store.tables import Adaptation, BlindAnswer, Cell, Field, LearningCell, Sample
from leukolens.taxonomy import UNSURE

GroupedBy = Literal["sample", "field"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What an adaptation learns from.

    Attributes:
        parent: sha256 of the bundle that it begins with.
        fine_tune: Whether all layers learn.
        set_id: Of the cells.
        framing: How the bundle wants to see cells, as in its card.
        fields: sha256 of an image to its cells: ``name`` of the file below the folder of cells, and ``box``.
        groups: Name of each file to the group that it belongs to.
        grouped_by: What such a group is.
        blind: Name of a file to the class that was said of its cell first, while the machine's answer was hidden;
            without those that nobody named so, or called something that the bundle doesn't know.
        passed_over: Why, ``unknown`` to the bundle or ``gone`` since, and how many cells of the set.
    """

    parent: str
    fine_tune: bool
    set_id: int
    framing: dict[str, Any]
    fields: Mapping[str, Sequence[dict[str, Any]]]
    groups: Mapping[str, str]
    grouped_by: GroupedBy
    blind: Mapping[str, str]
    passed_over: Mapping[str, int]


def plan(session: Session, files: Files, adaptation: Adaptation) -> Plan:
    """Plans an adaptation.

    What is held back is held back as a whole: cells of one smear are alike in stain. So groups are samples where there
    are as many of them as it takes to judge, and else fields.

    Raises:
        BundleError: Where its bundle is not there any more, or damaged.
    """
    card = load(files.bundle(adaptation.parent_sha256)).card
    passed_over: Counter[str] = Counter()
    kept: list[tuple[Row[Any], str]] = []
    for row in _cells(session, adaptation.set_id):
        key = taught_as(row.label, card.classes)
        if row.deleted is not None or not files.has(row.image_sha256):
            passed_over["gone"] += 1
        elif key is None:
            passed_over["unknown"] += 1
        else:
            kept.append((row, key))
    by: GroupedBy = "sample" if len({row.sample_id for row, _ in kept}) >= FEWEST_GROUPS else "field"
    fields: dict[str, list[dict[str, Any]]] = {}
    groups: dict[str, str] = {}
    blind: dict[str, str] = {}
    for row, key in kept:
        name = f"{key}/{row.cell_id}.png"
        fields.setdefault(row.image_sha256, []).append(
            {"name": name, "box": [row.x0, row.y0, row.x1, row.y1]}
        )
        said = None if row.said_blind in {None, UNSURE} else taught_as(row.said_blind, card.classes)
        if said is not None:
            blind[name] = said
        groups[name] = f"sample-{row.sample_id}" if by == "sample" else f"field-{row.image_sha256[:16]}"
    return Plan(
        parent=adaptation.parent_sha256,
        fine_tune=adaptation.fine_tune,
        set_id=adaptation.set_id,
        framing=card.framing.model_dump(),
        fields=fields,
        groups=groups,
        grouped_by=by,
        blind=blind,
        passed_over=dict(passed_over),
    )


def _cells(session: Session, set_id: int) -> Sequence[Row[Any]]:
    query = (
        select(
            LearningCell.cell_id, LearningCell.sample_id, LearningCell.label, LearningCell.image_sha256,
            Cell.x0, Cell.y0, Cell.x1, Cell.y1, Sample.deleted, BlindAnswer.label.label("said_blind"),
        )
        .join(Cell, Cell.id == LearningCell.cell_id)
        .join(Field, Field.id == Cell.field_id)
        .join(Sample, Sample.id == LearningCell.sample_id)
        .outerjoin(BlindAnswer, said_first())
        .where(LearningCell.set_id == set_id)
        .order_by(LearningCell.cell_id)
    )  # fmt: skip
    return list(session.execute(query))
